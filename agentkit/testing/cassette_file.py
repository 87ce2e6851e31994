"""The form of a cassette file: YAML a person can read, with JSON bodies as trees and streams as text blocks.

This is vcrpy's serializer and persister. A file starts with its provenance: ``scripted`` (answers written in a
script, and which documented transcript they follow) or ``live`` (answers of the real API).
"""

from __future__ import annotations

import json
import os
from http.client import responses as phrases
from pathlib import Path
from typing import Any, Literal

import yaml
from vcr.persisters.filesystem import CassetteNotFoundError
from vcr.serialize import deserialize, serialize

from agentkit.base.text import shorten
from agentkit.errors import CassetteError

Provenance = Literal["scripted", "live"]

_KEPT_HEADERS = ("accept", "content-type")
_LONG_LINE = 100  # by hand: a longer text is easier to read as a block
_SHORTEST_KEY = 8  # by hand: a shorter placeholder ("k", "test") would be found in any body
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class CassetteFile:
    """One cassette file, as vcrpy reads and writes it.

    Attributes:
        path: The file.
        provenance: Whose answers it holds; read from the file in replay.
        follows: Which documented transcript a scripted one follows.
        secret: The API key, which must not stand in a body.
    """

    def __init__(
        self,
        path: Path,
        *,
        provenance: Provenance | None = None,
        follows: str | None = None,
        secret: str = "",
    ) -> None:
        """Name a file to read, or with a provenance one to write."""
        self.path = path
        self.provenance = provenance
        self.follows = follows
        self.secret = secret
        self._recorded: dict[str, Any] = {"requests": [], "responses": []}

    def load_cassette(self, cassette_path: object, serializer: object) -> tuple[Any, Any]:
        """Return the requests and responses of the file; none where it is being recorded.

        Raises:
            CassetteError: It cannot be read as a cassette.
        """
        if self.provenance is not None:
            raise CassetteNotFoundError
        try:
            requests, responses, *_ = deserialize(self.path.read_text(encoding="utf-8"), self)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            reason = shorten(f"{type(error).__name__}: {error}", 120)
            raise CassetteError(
                f"The cassette {self.path} cannot be read ({reason}); record it again with --record."
            ) from error
        return requests, responses

    def save_cassette(self, cassette_path: object, cassette_dict: dict[str, Any], serializer: object) -> None:
        """Keep the recording for `write`: an error raised here would leave vcrpy's patches in place."""
        self._recorded = cassette_dict

    def write(self) -> None:
        """Write the file, replacing it in one step.

        Raises:
            CassetteError: It would hold the API key, or would not read back as it is.
        """
        text = serialize(self._recorded, self)
        if len(self.secret) >= _SHORTEST_KEY and self.secret in text:
            raise CassetteError(f"The cassette {self.path} would hold the API key in a body; it was not written.")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        unfinished.write_text(text, encoding="utf-8", newline="\n")
        unfinished.replace(self.path)

    def serialize(self, cassette: dict[str, Any]) -> str:
        """Return the file's text for vcrpy's dictionary of interactions."""
        head: dict[str, Any] = {"provenance": self.provenance}
        if self.follows:
            head["follows"] = self.follows
        tree = {**head, "interactions": [_written(one) for one in cassette["interactions"]]}
        text = yaml.dump(tree, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10**9)
        if yaml.load(text, Loader=_Loader) != tree:
            raise CassetteError(f"The cassette {self.path} would not read back as it is; it was not written.")
        return str(text)

    def deserialize(self, text: str) -> dict[str, Any]:
        """Return vcrpy's dictionary of interactions for the file's text."""
        tree = yaml.load(text, Loader=_Loader)
        self.provenance = tree["provenance"]
        self.follows = tree.get("follows")
        return {"version": 1, "interactions": [_read(one) for one in tree["interactions"]]}


class Dumper(yaml.SafeDumper):
    """Writes readable YAML: long texts and texts of several lines as blocks, nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: everything is written where it stands."""
        return True


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text or len(text) > _LONG_LINE else None
    # YAML 1.1 reads these as line breaks.
    if any(break_ in text for break_ in "\x85\u2028\u2029"):
        style = '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


Dumper.add_representer(str, _represent_str)


def _written(interaction: dict[str, Any]) -> dict[str, Any]:
    request, response = interaction["request"], interaction["response"]
    return {
        "request": {
            "method": request["method"],
            "uri": request["uri"],
            "headers": _headers(request["headers"]),
            **_body(request["body"]),
        },
        "response": {
            "status": response["status"]["code"],
            "headers": _headers(response["headers"]),
            **_body(response["body"]["string"]),
        },
    }


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    lower = {name.lower(): value[0] if isinstance(value, list) else value for name, value in headers.items()}
    return {name: lower[name] for name in _KEPT_HEADERS if name in lower}


def _body(text: str | bytes | None) -> dict[str, Any]:
    if not text:
        return {}
    if isinstance(text, bytes):
        raise CassetteError(f"A body of {len(text)} bytes is not text; a cassette holds only JSON and text.")
    return {"body": body_tree(text)}


def body_tree(text: str) -> Any:
    """Return a JSON object or array as a tree, and any other text as it is."""
    try:
        tree = json.loads(text, parse_constant=_no_json)
    except ValueError:
        return text
    return tree if isinstance(tree, (dict, list)) else text


def _no_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _read(interaction: dict[str, Any]) -> dict[str, Any]:
    request, response = interaction["request"], interaction["response"]
    status = response["status"]
    return {
        "request": {
            "method": request["method"],
            "uri": request["uri"],
            "headers": {name: [value] for name, value in request["headers"].items()},
            "body": _body_text(request),
        },
        "response": {
            "status": {"code": status, "message": phrases.get(status)},
            "headers": {name: [value] for name, value in response["headers"].items()},
            "body": {"string": _body_text(response) or ""},
        },
    }


def _body_text(message: dict[str, Any]) -> str | None:
    body = message.get("body")
    return body if body is None or isinstance(body, str) else json.dumps(body)
