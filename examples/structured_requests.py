"""The first cookbook again: typed requests with half the model calls or none, and no made-up code.

Codes go from the question into the requests without passing through the model, which only chooses categories from a
list. With COHERE_API_KEY the model is called; without it, recorded replies are replayed.

    python examples/structured_requests.py
"""

from pathlib import Path

from agentkit import Agent
from agentkit.demo import recorded
from agentkit.tools import RegexExtractor, RequestBuilder

HERE = Path(__file__).parent
QUERIES = [
    "Retrieve id 7410e652-639d-402e-984e-8fd7025f0aac 8bb21b93-2ddf-4a63-af63-ddb6b1be49a1, "
    "ref GLPNT0005GUJOGGE GLSBR000BGASOBRE, nmg 0000234GLCHL0200ARTINDIUS'",
    "Look for urn:75f2b737-06dd-4399-9206-a6c11b65138e, GLCMS004AGTCAMIS; 0000234GLCMS0100ANORAKCAA, GLCHL000CGUCHALE",
    "I need tennis products",
    "Look for GLBRL0000GACHALE, nmg 0000234GLCZD0000GUREDTOAA and car products",
    "Look for GLBRL0000GACHALEXX and trucks",
]


def main() -> None:
    extractor = RegexExtractor.from_toml(HERE / "product_codes.toml")
    builder = RequestBuilder(
        extractor,
        fields={"page": 0, "size": 10},
        choices={"taxonomies": ["CARS", "TRUCKS", "CLOTHES", "SPORT"]},
        order=["uuid", "objref", "nmgs"],
    )
    with recorded(__file__):
        agent = Agent(
            model="command-a-03-2025",
            system=builder.instructions(),
            prefetch=[builder],  # runs on the question before the model is asked
            deterministic_only=True,  # a question of codes and filler words needs no model
            guard=[extractor],  # a code that stands nowhere is sent back
        )
        for query in QUERIES:
            turn = agent.run(query)
            print(f"\n{query}\n  model calls: {turn.usage.model_calls}")
            for request in builder.complete(query, turn.output):
                print(f"  {request!r}")
            for miss in extractor.near_misses(query):
                print(f"  not a code: {miss.raw} {miss.reason}")


if __name__ == "__main__":
    main()
