"""A thousand payment notes: codes from a table, without a model; then a question whose answer may hold no made-up code.

With COHERE_API_KEY the model is called; without it, a recorded reply is replayed.

    python examples/orders.py
"""

import random

import pandas as pd
from langchain_core.tools import tool

from agentkit import Agent
from agentkit.demo import recorded
from agentkit.tools import Pattern, RegexExtractor, patterns

ORDER = Pattern(
    name="order", regex="ORD-[0-9]{6}", near="(?i)ORD[- ]?[0-9]{3,}", glue="-", non_examples=["ORD-000123-7"]
)
EXTRACTOR = RegexExtractor([ORDER, *patterns.pick("amount", "date_iso", "iban")])


def notes(rows: int = 1000) -> pd.DataFrame:
    """Return a table of notes as people write them; every fortieth order number lacks a digit."""
    dice = random.Random(7)
    written = []
    for number in range(1, rows + 1):
        order = f"ORD-{number:06d}" if number % 40 else f"ORD-{number:05d}"
        account = f"{int(dice.random() * 10**18):018d}"
        check = 98 - int(account + "131400") % 97  # D is 13, E is 14
        euros, day = int(dice.random() * 9000) + 100, int(dice.random() * 28) + 1
        text = ["Paid {} for {} on {} from {}", "{1}: {0}, due {2} ({3})", "re {1}; {2}; {0}; {3}"][number % 3]
        written.append(text.format(f"{euros:,}.50 EUR", order, f"2024-11-{day:02d}", f"DE{check:02d}{account}"))
    return pd.DataFrame({"note": written})


TABLE = notes()
TABLE = TABLE.join(EXTRACTOR.columns(TABLE["note"]))


@tool(description="Returns the notes about the orders whose numbers stand in the question.")
def notes_on_orders(question: str) -> list[str]:
    wanted = EXTRACTOR.values(question).get("order", [])
    return TABLE.loc[TABLE["order"].explode().isin(wanted).groupby(level=0).any(), "note"].tolist()


def main() -> None:
    amounts = TABLE["amount"].str[0].str.removeprefix("EUR ").astype(float)
    print(f"{len(TABLE)} notes, {TABLE['order'].str.len().sum()} orders, EUR {amounts.sum():.2f}")
    broken = [note for note in TABLE["note"] if EXTRACTOR.near_misses(note)]
    print(f"{len(broken)} notes with a broken number, such as:", *EXTRACTOR.trace(broken[0]), sep="\n")
    with recorded(__file__):
        agent = Agent(model="command-a-03-2025", prefetch=[notes_on_orders], guard=[EXTRACTOR])
        turn = agent.run("When was ORD-000123 to be paid, and ORD-000777?")
    print(f"{turn.output}\n[{turn.usage.model_calls} model call]")


if __name__ == "__main__":
    main()
