"""`OpenTurn`: a running turn, whose calls and results are stored as they happen."""

from __future__ import annotations

import weakref
from collections import Counter, defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentkit.base.text import shorten
from agentkit.errors import AgentKitError, InputError
from agentkit.memory.condense.condensing import Condense
from agentkit.memory.store import owners
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from agentkit.memory.store.store import Store
    from agentkit.memory.store.turn_sql import TurnKey


class OpenTurn:
    """A running turn, whose calls and results are stored as they happen; returned by `Memory.begin`.

    `finish` and `interrupt` close it; `pause` leaves it for `Memory.resume`. A turn that is dropped without any of
    these, or whose process dies, is closed as interrupted when its session is next written to.

    Attributes:
        session: The session.
        number: The turn's place in it.
    """

    def __init__(
        self, store: Store, key: TurnKey, condense: Mapping[str, Condense], so_far: Sequence[Step] = ()
    ) -> None:
        """Make an open turn; called by `Store.open` and `Store.reopen`."""
        self.session = key.session
        self.number = key.number
        self._store = store
        self._key = key
        # A turn that is dropped without being closed must not keep its session busy.
        weakref.finalize(self, owners.release, key.owner)
        self._condense = condense
        self._ids: list[str] = []
        self._without_result: dict[str, deque[int]] = defaultdict(deque)
        self._waiting: dict[str, deque[int]] = defaultdict(deque)
        self._closed = False
        for place, step in enumerate(so_far):
            self._ids.append(step.call_id)
            if step.waits:
                self._waiting[step.call_id].append(place)
            if step.waits or (step.result is not None and step.result.error == "interrupted"):
                self._without_result[step.call_id].append(place)

    def calls(self, steps: Sequence[Step]) -> None:
        """Store calls before they run.

        Args:
            steps: Steps without a result, or with the one they have without being run; `results` finds them by their
                ``call_id``. Steps with the same ``call_id``, or none, take results in order. A step that waited for
                approval when the turn was resumed replaces the one stored before.

        Raises:
            InputError: The turn is closed.
            StoreError: They cannot be written, or another process has closed the turn; then they must not run.
        """
        self._must_be_open()
        first, taken = len(self._ids), Counter[str]()
        waited: list[tuple[int, Step]] = []
        new: list[Step] = []
        for step in steps:
            places = self._waiting.get(step.call_id, ())
            if taken[step.call_id] < len(places):
                waited.append((places[taken[step.call_id]], step))
                taken[step.call_id] += 1
            else:
                new.append(step)
        self._store.change_calls(self._key, waited)
        self._store.add_steps(self._key, first, new)
        for _, step in waited:
            self._waiting[step.call_id].popleft()
        for place, step in enumerate(new, first):
            self._ids.append(step.call_id)
            self._without_result[step.call_id].append(place)

    def results(self, steps: Sequence[Step]) -> None:
        """Store the results of calls.

        Args:
            steps: The steps given to `calls`, with their results.

        Raises:
            InputError: The turn is closed, or a step was not given to `calls` before; none is written then.
            StoreError: They cannot be written, or another process has closed the turn.
        """
        self._must_be_open()
        taken: Counter[str] = Counter()
        places: list[tuple[int, Step]] = []
        for step in steps:
            waiting = self._without_result.get(step.call_id, ())
            if taken[step.call_id] == len(waiting):
                raise InputError(
                    f"The result of {shorten(step.tool)!r} (call {shorten(step.call_id)!r}) answers no stored call: "
                    "give the step to calls() first, and its result once."
                )
            places.append((waiting[taken[step.call_id]], step))
            taken[step.call_id] += 1
        self._store.add_results(self._key, places)
        for call_id, count in taken.items():
            for _ in range(count):
                self._without_result[call_id].popleft()

    def finish(self, turn: Turn) -> Turn:
        """Close the turn and add its object.

        Args:
            turn: The finished turn. Steps and results that are not stored yet are stored now.

        Returns:
            `turn` with its session and number.

        Raises:
            InputError: The turn is closed, or `turn` is no Turn.
            StoreError: It cannot be written, or another process has closed it; the steps stored before are kept.
        """
        self._must_be_open()
        if not isinstance(turn, Turn):
            raise InputError(f"finish() was given {shorten(repr(turn))}: give a Turn.")
        turn = turn.model_copy(update={"session": self.session, "number": self.number})
        try:
            steps = self._catch_up(turn.steps)
            self._store.close(self._key, turn.model_copy(update={"steps": steps}), self._condense)
        finally:
            self._give_up()
        return turn

    def pause(self, turn: Turn) -> Turn:
        """Leave the turn open until `Memory.resume` continues it.

        Returns:
            `turn` with its session and number.

        Raises:
            InputError: The turn is closed.
            StoreError: It cannot be written, or another process has closed it.
        """
        self._must_be_open()
        turn = turn.model_copy(update={"session": self.session, "number": self.number})
        try:
            self._store.pause(self._key, turn)
        finally:
            self._give_up()
        return turn

    def interrupt(self, turn: Turn | None = None) -> None:
        """Close the turn as interrupted and keep its steps; do nothing if it is closed.

        Never raises AgentKitError, which would hide the error that ended the run: if the database cannot be written
        to now, the turn is closed when its session is next written to.

        Args:
            turn: The turn so far, if its question or some of its steps are not stored yet.
        """
        if self._closed:
            return
        try:
            if turn is not None:
                turn = turn.model_copy(update={"session": self.session, "number": self.number})
                turn = turn.model_copy(update={"steps": self._catch_up(turn.steps)})
                self._store.close(self._key, turn, self._condense, state="interrupted")
            else:
                self._store.interrupt(self._key, self._condense)
        except AgentKitError:
            return
        finally:
            self._give_up()

    def _catch_up(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """Store those of `steps` and results that are not stored yet; return the steps as they are stored then."""
        waiting = {place for places in self._without_result.values() for place in places}
        if [step.call_id for step in steps] == self._ids:
            self._store.add_results(self._key, [(i, step) for i, step in enumerate(steps) if i in waiting])
            return tuple(steps)
        known: dict[str, deque[int]] = defaultdict(deque)
        for place, call_id in enumerate(self._ids):
            known[call_id].append(place)
        late: list[tuple[int, Step]] = []
        new: list[Step] = []
        for step in steps:
            if not known[step.call_id]:
                new.append(step)
            elif (place := known[step.call_id].popleft()) in waiting:
                late.append((place, step))
        self._store.add_results(self._key, late)
        self._store.add_steps(self._key, len(self._ids), new, finished=True)
        return self._store.steps(self._key)

    def _must_be_open(self) -> None:
        if self._closed:
            raise InputError(f"Turn {self.number} of session {shorten(self.session)!r} is closed: begin another one.")

    def _give_up(self) -> None:
        self._closed = True
        owners.release(self._key.owner)
