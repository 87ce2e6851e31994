"""Cohere's cookbook "Short-Term Memory Handling for Agents": what must be remembered of a chain of steps.

The same three questions are asked with each way to remember. If the steps of earlier turns are not replayed, the model
does not know which plot the third question means. If their code is not, it draws another plot.
With COHERE_API_KEY the model is called; without it, recorded replies are replayed. Run it as it is, in any folder.
"""

from pathlib import Path

from agentkit import Agent
from agentkit.console import render_messages, render_turn
from agentkit.demo import recorded
from agentkit.memory import Memory
from agentkit.tools import PythonInterpreter

HERE = Path(__file__).parent
QUESTIONS = [
    "read revenue_table.csv and show me the column names",
    "plot revenue numbers",
    "set the min of y axis to zero and the max to 1000",
]


def converse(replay: str, python: PythonInterpreter) -> str:
    """Ask the three questions with one way to remember and print what each is answered on; return how it ended."""
    memory, codes = Memory(replay=replay), [""]
    agent = Agent(model="command-a-03-2025", tools=[python], memory=memory)
    for question in QUESTIONS:
        print(f"\n[{replay}] What the model is shown of the earlier turns:")
        render_messages(memory.replay(replay))
        print(f"\nUser: {question}")
        turn = agent.run(question, session=replay)
        render_turn(turn)
        codes.append("".join(step.tool_input.get("code", "") for step in turn.steps))
    results = [step.result for step in turn.steps if step.result]
    for plot in [artifact for result in results for artifact in result.artifacts]:
        path = Path(f"{replay}_{Path(plot.name).name}")
        path.write_bytes(plot.data)
        low, high = next(figure["ylim"] for result in results for figure in (result.facts or {})["figures"])
        print(f"\n[{replay}] The plot is in {path}.\n[{replay}] Its y axis runs from {low:g} to {high:g}.")
    if not results or not results[-1].artifacts:
        return "no plot"
    before, after = codes[-2].split("\n"), codes[-1].split("\n")
    kept = sum(line in after for line in before)
    return f"a plot with the new axis; of the plot before, {kept} of {len(before)} lines kept"


def main() -> None:
    with recorded(__file__) as recording:
        ours = recording.mode == "replay"  # code from the recording may run without walls, a model's may not
        with PythonInterpreter(data=[HERE / "revenue_table.csv"], allow_weak=ours) as python:
            if python.isolation.level == "L1":
                print(f"[level L1, no walls: {python.isolation.reason}. The recorded code runs all the same.]")
            ends = {replay: converse(replay, python) for replay in ("none", "answers", "dialogue", "objects")}
    print("\nWhat each way to remember led to:", *(f"  {way:10}{end}" for way, end in ends.items()), sep="\n")


if __name__ == "__main__":
    main()
