"""The codes of the cookbook's product search: their extractor, one value of each, and the cookbook's three queries."""

from typing import Any

from support.repository import EXAMPLES

from agentkit.tools import Pattern, RegexExtractor

PATTERN_FILE = EXAMPLES / "product_codes.toml"
CODES = RegexExtractor.from_toml(PATTERN_FILE)

UUID = "7410e652-639d-402e-984e-8fd7025f0aac"
NMGS = "0000234GLCHL0200ARTINDIUS"
OBJREF = "GLPNT0005GUJOGGE"

QUERIES = [
    "Look for urn:75f2b737-06dd-4399-9206-a6c11b65138e, GLCMS004AGTCAMIS; 0000234GLCMS0100ANORAKCAA, GLCHL000CGUCHALE",
    "I need tennis products",
    "Look for GLBRL0000GACHALE, nmg 0000234GLCZD0000GUREDTOAA and car products",
]


def one(**fields: Any) -> RegexExtractor:
    """Return an extractor with a single pattern called p."""
    return RegexExtractor([Pattern(**{"name": "p", **fields})])
