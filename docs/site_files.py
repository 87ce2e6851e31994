"""A hook of mkdocs: what stands beside docs/ becomes part of the site, and links to it are rewritten.

On a code host ``../examples/orders.py`` and ``../SECURITY.md`` are links that work. A site holds only docs/, so the
hook adds these files to it as pages.
"""

from __future__ import annotations

import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
ROOT = DOCS.parent
POLICIES = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LANGUAGES = {".py": "python", ".toml": "toml"}

_LINK = re.compile(r"\]\((?![a-z]+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the policies, the examples, and mermaid."""
    for name in POLICIES:
        files.append(File.generated(config, f"project/{name}", content=(ROOT / name).read_text(encoding="utf-8")))
    examples = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in LANGUAGES)
    for path in [path for path in examples if path.name != "__init__.py"]:
        code = path.read_text(encoding="utf-8")
        content = f"# examples/{path.name}\n\n````{LANGUAGES[path.suffix]}\n{code}````\n"
        page = File.generated(config, f"examples/{path.stem}.md", content=content)
        page.inclusion = page.inclusion.NOT_IN_NAV
        files.append(page)
    mermaid = os.environ.get("MERMAID_JS", "")
    if not mermaid:
        raise SystemExit("MERMAID_JS does not name mermaid.min.js: run `make docs`, which fetches it.")
    files.append(File.generated(config, "assets/mermaid.min.js", abs_src_path=str(Path(mermaid).resolve())))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite links that lead out of docs/ to where the site has the file."""
    uri = page.file.src_uri
    folder = ROOT if uri.startswith("project/") else (DOCS / uri).parent

    def rewritten(match: re.Match[str]) -> str:
        place = _place((folder / match[1]).resolve())
        return f"]({posixpath.relpath(place, posixpath.dirname(uri))}{match[2] or ''})" if place else match[0]

    return _LINK.sub(rewritten, markdown)


def _place(path: Path) -> str | None:
    """Return where the site has a file of the repository, None where it has it not."""
    if path.is_relative_to(DOCS):
        return path.relative_to(DOCS).as_posix()
    if path == ROOT / "README.md":
        return "index.md"
    if path.name in POLICIES:
        return f"project/{path.name}"
    return f"examples/{path.stem}.md" if path.parent == ROOT / "examples" and path.suffix in LANGUAGES else None
