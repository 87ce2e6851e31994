"""`OpenTurn`: a turn that runs, written down as it goes."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from agentkit.memory import owners
from agentkit.memory.summarise import Condense
from agentkit.turn import Step, Turn

if TYPE_CHECKING:
    from agentkit.memory.store import Store


class OpenTurn:
    """A running turn, written down as it goes; made by `Memory.begin`.

    `Memory.resume` takes one up again; `finish` and `interrupt` close it, `pause` leaves it.

    Attributes:
        session: The session.
        number: The turn's place in it.
    """

    def __init__(
        self,
        store: Store,
        session: str,
        number: int,
        question: str,
        mark: str,
        condense: Mapping[str, Condense],
        so_far: Sequence[Step] = (),
    ) -> None:
        """Made by `Store.open` and `Store.reopen`."""
        self.session = session
        self.number = number
        self._store = store
        self._mark = mark
        # One that is dropped without being closed must not keep its session busy for good.
        weakref.finalize(self, owners.release, mark)
        self._condense = condense
        self._places: dict[str, int] = {step.call_id: place for place, step in enumerate(so_far)}

    def calls(self, steps: Sequence[Step]) -> None:
        """Write calls down before they run.

        Args:
            steps: Steps without a result, or with the result they have without being run; their ``call_id`` is unique
                in the turn. Those that have waited since before the turn was resumed replace what was written of them.

        Raises:
            StoreError: They cannot be written; then they must not run.
        """
        first = len(self._places)
        new = [step for step in steps if step.call_id not in self._places]
        if new:
            self._store.add_calls(self.session, self.number, first, new)
            self._places |= {step.call_id: first + i for i, step in enumerate(new)}
        if len(new) < len(steps):
            known = [(self._places[step.call_id], step) for step in steps if self._places[step.call_id] < first]
            self._store.change_calls(self.session, self.number, known)

    def results(self, steps: Sequence[Step]) -> None:
        """Write down what came of calls.

        Args:
            steps: The same steps, finished.

        Raises:
            StoreError: They cannot be written.
        """
        places = [(self._places[step.call_id], step) for step in steps]
        self._store.add_results(self.session, self.number, places)

    def finish(self, turn: Turn) -> Turn:
        """Close the turn and add its object.

        Returns:
            `turn` with its session and number.

        Raises:
            StoreError: It cannot be written.
        """
        turn = turn.model_copy(update={"session": self.session, "number": self.number})
        try:
            self._store.close(turn, self._condense)
        finally:
            owners.release(self._mark)
        return turn

    def pause(self, turn: Turn) -> Turn:
        """Leave the turn as it is until `Memory.resume` takes it up again.

        Returns:
            `turn` with its session and number.

        Raises:
            StoreError: It cannot be written.
        """
        turn = turn.model_copy(update={"session": self.session, "number": self.number})
        try:
            self._store.pause(turn)
        finally:
            owners.release(self._mark)
        return turn

    def interrupt(self) -> None:
        """Close the turn as interrupted; the steps so far are kept."""
        try:
            self._store.interrupt(self.session, self.number, self._condense)
        finally:
            owners.release(self._mark)
