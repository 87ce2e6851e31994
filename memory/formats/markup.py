"""Reads XML as a tree."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

MAX_CHARS = 500_000
MAX_DEPTH = 30
_HEADING = re.compile(r"\s*<\?xml[^>]*\?>")


def read_markup(text: str) -> dict[str, Any] | None:
    """Return elements and attributes by name, repeated elements as a list.

    None if the text is no XML, is a document with elements inside prose, or declares a document type, which could
    define entities.
    """
    text = _HEADING.sub("", text, count=1).strip()
    if not (text[:1] == "<" and text[-1:] == ">") or "<!" in text or len(text) > MAX_CHARS:
        return None
    try:
        root = ElementTree.fromstring(f"<all>{text}</all>")
        value = _inside(root, 0)
    except (ElementTree.ParseError, RecursionError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def _inside(element: ElementTree.Element, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueError(f"elements within {MAX_DEPTH} others")
    found: dict[str, Any] = dict(element.attrib)
    text = "".join([element.text or "", *(child.tail or "" for child in element)]).strip()
    if not found and not len(element):
        return text
    if text and len(element):
        raise ValueError("prose")
    for child in element:
        name, value = child.tag.rpartition("}")[2], _inside(child, depth + 1)
        if name not in found:
            found[name] = [value] if sum(other.tag == child.tag for other in element) > 1 else value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:  # an attribute of that name
            found[name] = [found[name], value]
    return found | ({"text": text} if text else {})
