"""Search of a session: by words in the index, by meaning among stored vectors, or both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from agentkit.base.text import shorten
from agentkit.errors import ConfigError, InputError, ModelError
from agentkit.memory.store.search_index import Found
from agentkit.memory.store.search_text import Hit, passages, phrases, snippet

if TYPE_CHECKING:
    import numpy as np
    from langchain_core.embeddings import Embeddings

    from agentkit.memory.store.store import Store

PIECE_CHARS = 1000
PIECES = 64
"""The first `PIECES` pieces of `PIECE_CHARS` characters of a passage get a vector each; words find the rest. Chosen by
hand: embeddings models read at least 256 tokens, about 1,000 characters."""

BATCH = 64  # texts sent to the embeddings at once, below the 96 that Cohere's API takes
_HALF_RANK = 60.0  # the constant of reciprocal rank fusion, as in Cormack, Clarke and Buettcher (2009)


def find(
    store: Store, session: str, query: str, limit: int, by: str | None, embeddings: Embeddings | None
) -> list[Hit]:
    """Return the hits of a search, best first (see `Memory.search`).

    Raises:
        InputError: Nothing to look for, or an impossible limit.
        ConfigError: By meaning, without embeddings.
        SessionError: There is no such session.
        ModelError: The embeddings failed.
    """
    if not isinstance(query, str) or not query.strip():
        raise InputError(f"The search is for {shorten(repr(query))}: give words to look for.")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise InputError(f"limit is {shorten(repr(limit))}: give a whole number from 1.")
    if by not in (None, "words", "meaning"):
        raise InputError(f"by is {shorten(repr(by))}: give 'words', 'meaning', or None.")
    if by == "meaning" and embeddings is None:
        raise ConfigError("by is 'meaning', and this memory has no embeddings: give Memory(embeddings=...).")
    rankings = []
    if by != "meaning":
        rankings.append(store.find(session, phrases(query), 4 * limit))
    if by != "words" and embeddings is not None:
        rankings.append(_by_meaning(store, session, query, 4 * limit, embeddings))
    best = rankings[0] if len(rankings) == 1 else _fused(rankings)
    return _hits(store, session, query, best[:limit])


def _hits(store: Store, session: str, query: str, found: Sequence[Found]) -> list[Hit]:
    texts = {}
    tools = {}
    for turn in store.some_turns(session, sorted({number for number, _, _ in found})):
        for place, text in passages(turn):
            texts[turn.number, place] = text
            tools[turn.number, place] = turn.steps[place - 1].tool if place else ""
    return [
        Hit(
            reference=f"t{number}.s{place}" if place else f"t{number}",
            number=number,
            tool=tools[number, place],
            text=snippet(texts[number, place], query),
            score=score,
        )
        for number, place, score in found
        if (number, place) in texts
    ]


def _fused(rankings: Sequence[Sequence[Found]]) -> list[Found]:
    """Merge rankings by reciprocal rank: a passage that is high in any of them is high in the result."""
    scores: dict[tuple[int, int], float] = {}
    for ranking in rankings:
        for rank, (number, place, _) in enumerate(ranking):
            scores[number, place] = scores.get((number, place), 0.0) + 1 / (_HALF_RANK + rank)
    ordered = sorted(scores.items(), key=lambda item: (-item[1], -item[0][0], item[0][1]))
    return [(number, place, score) for (number, place), score in ordered]


def _by_meaning(store: Store, session: str, query: str, limit: int, embeddings: Embeddings) -> list[Found]:
    import numpy as np

    wanted = _unit(_called(embeddings, lambda: [embeddings.embed_query(query)]))[0]
    model = f"{_name(embeddings)}/{len(wanted)}"
    _catch_up(store, session, model, embeddings)
    rows = store.vectors(session, model)
    if not rows:
        return []
    scores = np.frombuffer(b"".join(row[2] for row in rows), dtype="<f4").reshape(len(rows), -1) @ wanted
    best: dict[tuple[int, int], float] = {}
    for (number, place, _), score in zip(rows, scores.tolist(), strict=True):
        best[number, place] = max(score, best.get((number, place), 0.0))
    ordered = sorted(best.items(), key=lambda item: (-item[1], -item[0][0], item[0][1]))
    return [(number, place, score) for (number, place), score in ordered if score > 0][:limit]


def _catch_up(store: Store, session: str, model: str, embeddings: Embeddings) -> None:
    """Make the missing vectors, also of passages stored before the memory had embeddings."""
    missing = store.without_vector(session, model)
    numbers = sorted({number for number, _ in missing})
    wanted = set(missing)
    for start in range(0, len(numbers), BATCH):
        turns = store.some_turns(session, numbers[start : start + BATCH])
        texts = [
            (turn.number, place, piece, part)
            for turn in turns
            for place, text in passages(turn)
            if (turn.number, place) in wanted
            for piece, part in enumerate(_parts(text))
        ]
        for first in range(0, len(texts), BATCH):
            batch = texts[first : first + BATCH]
            made = _unit(_called(embeddings, partial(embeddings.embed_documents, [part for *_, part in batch])))
            keys = [(number, place, piece) for number, place, piece, _ in batch]
            store.add_vectors(session, model, list(zip(keys, [v.tobytes() for v in made], strict=True)))


def _parts(text: str) -> Iterator[str]:
    for start in range(0, min(len(text), PIECES * PIECE_CHARS), PIECE_CHARS):
        part = text[start : start + PIECE_CHARS]
        if start == 0 or part.strip():
            yield part


def _called(embeddings: Embeddings, call: Callable[[], list[list[float]]]) -> list[list[float]]:
    try:
        return call()
    except Exception as error:
        raise ModelError(
            f"The embeddings ({type(embeddings).__name__}) failed: {type(error).__name__}: {shorten(error, 200)}. "
            "Search with by='words', or try again."
        ) from error


def _unit(vectors: list[list[float]]) -> np.ndarray:
    import numpy as np

    rows = np.asarray(vectors, dtype="<f4")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths == 0, 1, lengths)


def _name(embeddings: Embeddings) -> str:
    """Return a name for the embeddings, so that vectors of two models are never compared."""
    kind = type(embeddings)
    model = getattr(embeddings, "model", None) or getattr(embeddings, "model_name", None)
    return f"{kind.__module__}.{kind.__qualname__}:{model if isinstance(model, str) else ''}"[-180:]
