"""Cohere's cookbook "Building an LLM Agent with the Cohere API": exact codes from a user's question.

A deterministic tool finds the codes; the model adds what needs an understanding of language. The codes of the typed
requests come from the question itself, never through the model. An answer with a made-up code is sent back to it.
structured_requests.py asks the same questions with half the model calls, or none.
With COHERE_API_KEY the model is called; without it, recorded replies are replayed.

    python examples/api_requests.py
"""

from pathlib import Path

from agentkit import Agent
from agentkit.console import render_turn
from agentkit.demo import recorded
from agentkit.tools import RegexExtractor, RequestBuilder, read_json

HERE = Path(__file__).parent
PREAMBLE = (HERE / "api_requests_preamble.txt").read_text(encoding="utf-8")
QUERIES = [
    "Look for urn:75f2b737-06dd-4399-9206-a6c11b65138e, GLCMS004AGTCAMIS; 0000234GLCMS0100ANORAKCAA, GLCHL000CGUCHALE",
    "I need tennis products",
    "Look for GLBRL0000GACHALE, nmg 0000234GLCZD0000GUREDTOAA and car products",
]


def main() -> None:
    extractor = RegexExtractor.from_toml(HERE / "product_codes.toml")
    builder = RequestBuilder(
        extractor,
        fields={"page": 0, "size": 10},
        choices={"taxonomies": ["CARS", "TRUCKS", "CLOTHES", "SPORT"]},
    )
    with recorded(__file__):
        agent = Agent(model="command-a-03-2025", tools=[extractor], guard=[extractor])
        for query in QUERIES:
            response = agent.invoke({"input": query, "preamble": PREAMBLE})
            render_turn(response["turn"])
            print(f"\nThe API request: {read_json(response['output'])}")
            print("Typed, a page at a time:")
            for request in builder.complete(query, response["output"]):
                print(f"  {request!r}")
            print()


if __name__ == "__main__":
    main()
