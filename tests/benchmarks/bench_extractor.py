"""The extractor's speed next to its peers' in one run, its score on the labelled corpus, and hostile patterns.

Presidio and spaCy take part if they are installed (pip install presidio-analyzer spacy; no model is needed).
Times are medians of wall clock. "found" counts the codes in the text of 100 KB, duplicates included; the peers also
count the uuid in a urn. The peers run the four codes as bare regexes; only agentkit checks neighbours, resolves
overlaps, normalises, and returns spans of the text as given.

Usage: python tests/benchmarks/bench_extractor.py
"""

from __future__ import annotations

import importlib
import importlib.util
import runpy
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agentkit.tools import Pattern, RegexExtractor

ROOT = Path(__file__).parents[2]
CODES = RegexExtractor.from_toml(ROOT / "examples" / "product_codes.toml")
CORPUS = runpy.run_path(str(ROOT / "tests" / "data" / "codes.py"), run_name="corpus")

UUID = "[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}"
FOUR = {"uuid": UUID, "nmgs": "0000[A-Z0-9]{21}", "objref": "GL[A-Z0-9]{14}", "urn": f"urn:{UUID}"}
PARAGRAPH = (
    "Good morning, we are missing a few things from the last delivery and would like to know where they are: the "
    "shirts, ref GLPNT0005GUJOGGE, were announced for Tuesday. Please check with the carrier, and call us back. "
)
CODED = (
    "Retrieve id 7410e652-639d-402e-984e-8fd7025f0aac, urn:75f2b737-06dd-4399-9206-a6c11b65138e and nmg "
    "0000234GLCHL0200ARTINDIUS as well. "
)
PLAIN = "Nothing in these lines is a code: they only go on, 24 hours a day, about 365 small things, and end. "

# Patterns as they are found in the wild, each with a text on which a backtracking engine takes exponential time.
HOSTILE = [
    (r"(a+)+$", "a" * 40 + "!"),
    (r"x([a-zA-Z]+)*$", "x" + "a" * 40 + "1"),
    (r"(a|aa)+$", "a" * 60 + "!"),
    (r"b(a|a?)+$", "b" + "a" * 40 + "!"),
    (r"(.*a){20}$", "a" * 40 + "!"),
    (r"^(\w+\s?)+$", "word " * 12 + "end!"),
    (r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@)[a-z]+\.[a-z]{2,3}$", "a" * 40 + "!"),
    (r"^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 40),
]
GIVE_UP_S = 2.0


def text_of(size: int, *, codes: bool = True) -> str:
    """Return prose of `size` characters, with four codes in each kilobyte or without any."""
    unit = PARAGRAPH + CODED + PLAIN * 7 if codes else PLAIN
    return (unit * (size // len(unit) + 1))[:size]


def milliseconds(work: Callable[[], object], budget_s: float = 2.0) -> float:
    """Return the median of as many runs as fit into `budget_s`, of at least three."""
    work()
    times: list[float] = []
    while len(times) < 3 or (sum(times) < budget_s and len(times) < 2000):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1000


def by_re(text: str) -> Callable[[], int]:
    """Run the standard library, bare."""
    import re

    compiled = [re.compile(regex) for regex in FOUR.values()]
    return lambda: sum(len([m.span() for m in regex.finditer(text)]) for regex in compiled)


def by_regex(text: str) -> Callable[[], int]:
    """Run the package regex, bare."""
    import regex

    compiled = [regex.compile(source) for source in FOUR.values()]
    return lambda: sum(len([m.span() for m in one.finditer(text)]) for one in compiled)


def by_re2(text: str) -> Callable[[], int]:
    """Run RE2, bare: on bytes, without characters, neighbours or overlaps."""
    import re2

    data = text.encode()
    compiled = [re2.compile(regex) for regex in FOUR.values()]
    return lambda: sum(len([m.span() for m in regex.finditer(data)]) for regex in compiled)


def by_presidio(text: str) -> Callable[[], int]:
    """Run a Presidio PatternRecognizer for each code, without an NLP engine."""
    presidio = importlib.import_module("presidio_analyzer")

    recognizers = [
        presidio.PatternRecognizer(supported_entity=name.upper(), patterns=[presidio.Pattern(name, regex, 1.0)])
        for name, regex in FOUR.items()
    ]
    return lambda: sum(len(one.analyze(text, one.supported_entities)) for one in recognizers)


def by_spacy(text: str) -> Callable[[], int]:
    """Run spaCy's tokenizer and an EntityRuler with a token regex for each code."""
    spacy = importlib.import_module("spacy")
    nlp = spacy.blank("en")
    nlp.max_length = 20_000_000
    ruler = nlp.add_pipe("entity_ruler")
    ruler.add_patterns(
        [{"label": name, "pattern": [{"TEXT": {"REGEX": f"^{regex}$"}}]} for name, regex in FOUR.items()]
    )
    return lambda: len(nlp(text).ents)


def by_agentkit(text: str) -> Callable[[], int]:
    """Run agentkit: spans, values, neighbours, overlaps, normalising and validation."""
    return lambda: len(CODES.extract(text))


def _every_one(text: str) -> int:
    """Return how many codes there are, duplicates included, as the peers list them."""
    return len(RegexExtractor([replace(pattern, unique=False) for pattern in CODES.patterns]).extract(text))


PEERS: dict[str, tuple[Callable[[str], Callable[[], int]], str | None, int]] = {
    # what runs it, the module it needs, the longest text it is given
    "agentkit": (by_agentkit, None, 10_000_000),
    "re, bare": (by_re, None, 10_000_000),
    "regex, bare": (by_regex, "regex", 10_000_000),
    "re2, bare": (by_re2, "re2", 10_000_000),
    "Presidio": (by_presidio, "presidio_analyzer", 10_000_000),
    "spaCy": (by_spacy, "spacy", 100_000),
}


def speed() -> None:
    """Print the table of times."""
    texts = {
        "1 KB": text_of(1000),
        "100 KB": text_of(100_000),
        "10 MB": text_of(10_000_000),
        "10 MB, no code": text_of(10_000_000, codes=False),
    }
    print(f"{'ms':14}" + "".join(f"{name:>16}" for name in texts) + f"{'found':>10}")
    for name, (prepare, module, longest) in PEERS.items():
        if module and importlib.util.find_spec(module) is None:
            print(f"{name:14}{'not installed':>16}")
            continue
        cells = [
            f"{milliseconds(prepare(text)):16.3f}" if len(text) <= longest else f"{'-':>16}" for text in texts.values()
        ]
        count = _every_one(texts["100 KB"]) if name == "agentkit" else prepare(texts["100 KB"])()
        print(f"{name:14}" + "".join(cells) + f"{count:10}")


def scores() -> None:
    """Print precision and recall on the labelled corpus."""
    for part in ("by_hand", "planted"):
        lines = CORPUS[part]()
        for name, values in (("agentkit", CODES.values), ("the cookbook's regexes", CORPUS["cookbook"])):
            result = CORPUS["score"](lines, values)
            print(
                f"{part:8} {len(lines):4} lines  {name:24} precision {result.precision:7.2%}  "
                f"recall {result.recall:7.2%}  ({result.right} right, {result.found} found, {result.wanted} wanted)"
            )


def hostile() -> None:
    """Print the worst times of patterns made to hang a backtracking engine."""
    print(f"{'ms':66}{'agentkit':>10}{'re':>10}{'regex':>10}")
    ours = []
    for source, text in HOSTILE:
        extractor = RegexExtractor([Pattern(name="hostile", regex=source, boundary="none")])
        worst = max(_once(lambda e=extractor, t=text: e.extract(t)) for _ in range(5))  # type: ignore[misc]
        ours.append(worst)
        cells = [f"{worst:10.3f}", _apart("re", source, text), _apart("regex", source, text)]
        print(f"{source[:64]:66}" + "".join(cells))
    print(f"worst of agentkit: {max(ours):.3f} ms; > means given up after {GIVE_UP_S:g} s")


def _once(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def _apart(module: str, source: str, text: str) -> str:
    """Return the time in a process of its own, which can be stopped."""
    if importlib.util.find_spec(module) is None:
        return f"{'-':>10}"
    code = (
        f"import time, {module} as r; p = r.compile({source!r}); s = time.perf_counter(); list(p.finditer({text!r})); "
        "print((time.perf_counter() - s) * 1000)"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=GIVE_UP_S, check=True
        )
    except subprocess.TimeoutExpired:
        return f"{'> ' + format(GIVE_UP_S * 1000, '.0f'):>10}"
    return f"{float(done.stdout):10.3f}"


def main() -> None:
    """Print all three."""
    speed()
    print()
    scores()
    print()
    hostile()


if __name__ == "__main__":
    main()
