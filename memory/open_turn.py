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
    """A running turn, written down as it goes; made by `Memory.begin`, closed by `finish` or `interrupt`.

    Attributes:
        session: The session.
        number: The turn's place in it.
    """

    def __init__(
        self, store: Store, session: str, number: int, question: str, mark: str, condense: Mapping[str, Condense]
    ) -> None:
        """Made by `Store.open`."""
        self.session = session
        self.number = number
        self._store = store
        self._mark = mark
        # One that is dropped without being closed must not keep its session busy for good.
        weakref.finalize(self, owners.release, mark)
        self._condense = condense
        self._places: dict[str, int] = {}

    def calls(self, steps: Sequence[Step]) -> None:
        """Write calls down before they run.

        Args:
            steps: Steps without a result; their ``call_id`` is unique in the turn.

        Raises:
            StoreError: They cannot be written; then they must not run.
        """
        first = len(self._places)
        self._store.add_calls(self.session, self.number, first, steps)
        self._places |= {step.call_id: first + i for i, step in enumerate(steps)}

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

    def interrupt(self) -> None:
        """Close the turn as interrupted; the steps so far are kept."""
        try:
            self._store.interrupt(self.session, self.number, self._condense)
        finally:
            owners.release(self._mark)
