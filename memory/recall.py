"""`RecallTool`: a model opens what the replay omitted and searches its session; `leaves_out` tells if it needs to."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, ToolException
from pydantic import BaseModel, Field

from agentkit.base.sessions import check_session
from agentkit.base.text import shorten
from agentkit.errors import AgentKitError, ModelError, SessionError
from agentkit.memory.condense.reading import default_facts
from agentkit.memory.condense.tree import compact
from agentkit.memory.store.search_text import RECALL, input_text, whole
from agentkit.policy import ToolPolicy
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from agentkit.memory.store.search_text import Hit
    from agentkit.memory.store.store import Store

PAGE_CHARS = 4000
"""Characters of a page, which ends at the end of a line if one is near. Chosen by hand: about 1,300 tokens."""

HITS = 5  # hits of a search; chosen by hand
INPUT_CHARS = 300  # a longer input does not fit the heading of a page, so it is printed below; chosen by hand
CHUNK = 16  # turns read by one query, fewer than the reader's: usually the newest turn decides

_REFERENCE = re.compile(
    r"\s*\[?\s*(?:turn\s*|t\s*)?(\d{1,9})(?:\s*[.,:]?\s*(?:step\s*|s\s*)(\d{1,9})|\.(\d{1,9}))?\s*\]?\s*"
)


_POINTER = re.compile(r"… t\d+\.s\d+")


class RecallInput(BaseModel):
    """The arguments that the model gives."""

    reference: str = Field("", description="What to open: a step such as t3.s2, or a whole turn such as t3.")
    search: str = Field("", description="Words to look for in all earlier turns. Give this or reference, not both.")
    page: int = Field(1, description="Page of a long text, from 1.")


def _facts(step: Step) -> Mapping[str, Any]:
    """Return the facts of a page: those of its text, without the heading."""
    return default_facts(step.model_copy(update={"observation": step.observation.partition("\n")[2]}))


class RecallTool(BaseTool):
    """Opens earlier turns and steps in full, page by page, and searches them; made by `Memory.recall_tool`.

    The session is the one in ``config["configurable"]["session"]`` (or ``"thread_id"``, as LangGraph calls it).
    """

    name: str = RECALL
    description: str = (
        "Opens earlier turns of this conversation, of which the record may show only a part. Give a reference from "
        "the record (t3.s2 is a step with its whole result, t3 a whole turn), or words to search for in all earlier "
        "turns. Long texts come in pages."
    )
    args_schema: Any = RecallInput
    # A ToolException becomes a failed result, which memory stores as a failed step.
    handle_tool_error: Any = True
    policy: ClassVar[ToolPolicy] = ToolPolicy(condense=_facts)
    # Functions, as the memory opens its database at first use and again after close().
    store: Callable[[], Any] = Field(exclude=True, repr=False)
    search: Callable[..., Sequence[Any]] = Field(exclude=True, repr=False)

    def _run(self, reference: str = "", search: str = "", page: int = 1, *, config: RunnableConfig) -> str:
        session = session_of(config)
        store: Store = self.store()
        if reference.strip():
            return _opened(store, session, reference, page)
        last = _last(store, session)
        if not search.strip() or last == 0:
            raise ToolException(f"Give a reference or words to search for. {_turns(last)}")
        try:
            hits = self.search(session, search, HITS)
        except ModelError:  # the embeddings failed: search by words only
            hits = self.search(session, search, HITS, by="words")
        return _listed(hits, search, last)


def session_of(config: RunnableConfig) -> str:
    """Return the session that a LangChain config names.

    Raises:
        ToolException: It names none, or an impossible one.
    """
    configurable = config.get("configurable") or {}
    session = configurable.get("session", configurable.get("thread_id"))
    try:
        return check_session(session)
    except SessionError as error:
        raise ToolException(f'{error} It belongs in config["configurable"]["session"].') from error


# --- opening ---------------------------------------------------------------------------------------------------


def _opened(store: Store, session: str, reference: str, page: int) -> str:
    match = _REFERENCE.fullmatch(reference.lower())
    last = _last(store, session)
    if match is None:
        raise ToolException(
            f"{shorten(reference)!r} is no reference: write t3 for turn 3 or t3.s2 for its step 2. {_turns(last)}"
        )
    number, place = int(match[1]), match[2] or match[3]
    found = store.some_turns(session, [number]) if 1 <= number <= last else []
    if not found:
        raise ToolException(f"There is no earlier turn {number}. {_turns(last)}")
    if place is None:
        return _page(f"t{number}", "", _overview(found[0]), page)
    steps = found[0].steps
    if not 1 <= int(place) <= len(steps):
        there = (
            f"it has {len(steps)} (t{number}.s1 to t{number}.s{len(steps)})" if steps else "no tool was called in it"
        )
        raise ToolException(f"Turn {number} has no step {place}: {there}.")
    step = steps[int(place) - 1]
    given, text = input_text(step), whole(step)
    if len(given) > INPUT_CHARS:
        given, text = "", f"Input:\n{_readable(step)}\n\nResult:\n{text}"
    state = "" if step.ok else " (failed)"
    return _page(f"t{number}.s{place}", f"{step.tool} {given}".strip() + state, text, page)


def _readable(step: Step) -> str:
    return "\n".join(
        f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)}"
        for key, value in step.tool_input.items()
    )


def _overview(turn: Turn) -> str:
    lines = [f"Question: {turn.input}"]
    for place, step in enumerate(turn.steps, 1):
        size = f"{len(whole(step))} characters" if step.ok else f"failed: {shorten(step.observation, 120)}"
        call = f"t{turn.number}.s{place} {step.tool} {shorten(input_text(step), 200)}".strip()
        lines.append(f"{call} -> {size}")
    return "\n".join([*lines, f"Answer: {turn.output.strip() or '—'}"])


def _page(reference: str, what: str, text: str, page: int) -> str:
    starts = list(_starts(text))
    if not 1 <= page <= len(starts):
        pages = "1 page" if len(starts) == 1 else f"{len(starts)} pages"
        raise ToolException(f"{reference} has {pages}: give a page from 1 to {len(starts)}, not {page}.")
    end = starts[page] if page < len(starts) else len(text)
    head = " ".join(filter(None, (f"[{reference}]", what)))
    if len(starts) > 1:
        head += f", page {page} of {len(starts)}"
        head += f" (go on with page={page + 1})" if page < len(starts) else ""
    return f"{head}\n{text[starts[page - 1] : end].strip() or '—'}"


def _starts(text: str) -> Iterator[int]:
    """Yield the position at which each page begins."""
    start = 0
    while True:
        yield start
        if len(text) - start <= PAGE_CHARS:
            return
        end = start + PAGE_CHARS
        line = text.rfind("\n", start + math.ceil(PAGE_CHARS * 0.8), end)
        start = end if line < 0 else line + 1


def _listed(hits: Sequence[Hit], search: str, last: int) -> str:
    if not hits:
        return f"Nothing in the earlier turns matches {shorten(search)!r}. Try other or fewer words. {_turns(last)}"
    return "\n".join([f"[{len(hits)} found, the best first; open one by its reference]", *map(str, hits)])


def _last(store: Store, session: str) -> int:
    try:
        return store.last_number(session)
    except AgentKitError as error:
        raise ToolException(str(error)) from error


def _turns(last: int) -> str:
    if last == 0:
        return "There are no earlier turns."
    return "There is one earlier turn: t1." if last == 1 else f"The earlier turns are t1 to t{last}."


# --- is it needed ----------------------------------------------------------------------------------------------


def leaves_out(store: Store, session: str, replayed: Sequence[BaseMessage]) -> bool:
    """True if a replay omits any of a session's turns: a question, an answer, part of a call or of a result."""
    shown = _plain("\n".join(_texts(replayed)))
    if _POINTER.search(shown):
        return True
    for last in range(store.last_number(session), 0, -CHUNK):
        turns = store.some_turns(session, range(max(1, last - CHUNK + 1), last + 1))
        if any(_is_cut(turn, shown) for turn in reversed(turns)):
            return True
    return False


def _is_cut(turn: Turn, shown: str) -> bool:
    said = [turn.input, turn.output]
    if any(_plain(text) not in shown for text in said):
        return True
    chain = [step for step in turn.steps if step.tool != RECALL]
    return any(not _holds(shown, text) for step in chain for text in (whole(step), input_text(step)))


def _holds(shown: str, result: str) -> bool:
    """True if `shown` contains a result or, if the result is JSON, each of its values."""
    if _plain(result) in shown:
        return True
    try:
        value = json.loads(result)
    except ValueError:
        return False
    return isinstance(value, (dict, list)) and all(_says(shown, leaf) for leaf in _leaves(value))


def _says(shown: str, text: str) -> bool:
    """True if `shown` contains a text, plain or escaped as in JSON."""
    return _plain(text) in shown or _plain(json.dumps(text, ensure_ascii=False)[1:-1]) in shown


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, str):
        yield value
    elif value is not None:
        yield compact(value)


def _texts(messages: Sequence[BaseMessage]) -> Iterator[str]:
    for message in messages:
        yield message.text
        for call in message.tool_calls if isinstance(message, AIMessage) else ():
            yield json.dumps(call["args"], ensure_ascii=False, default=repr)


def _plain(text: str) -> str:
    return " ".join(text.split())
