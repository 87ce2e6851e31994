"""What a run may use up."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import get_args, get_type_hints

from agentkit.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Price:
    """What a model's tokens cost, in any one currency.

    Attributes:
        input_per_million: A million tokens the model reads, 0 or more.
        output_per_million: A million tokens it writes, 0 or more.

    Raises:
        ConfigError: A price that is no number from 0.
    """

    input_per_million: float
    output_per_million: float

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name in ("input_per_million", "output_per_million"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
                raise ConfigError(f"Price.{name} is {value!r}: give a number from 0.")

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """What that many tokens cost."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Bounds of one run. A turn that reaches one is still answered, and says so in `Turn.stop_reason`.

    Attributes:
        max_steps: Model replies that may ask for tools, 1 or more; then the model is asked to answer without.
        max_tool_calls: Calls that may run; further calls of the same reply are told that they were not run.
        max_total_tokens: Input and output tokens of all replies together. It is looked at after each reply, so the
            reply that goes over it, and the last answer, still count on top.
        max_cost: What the replies may cost together, in the currency of the agent's ``price``; as for tokens.
        max_same_failures: How often one tool may fail with one error in a row, whatever its arguments, 2 or more;
            None never ends a run for it.
        max_parallel: Calls of one reply that may run at the same time.
        max_seconds: Wall-clock seconds for the whole run, above 0, None for no limit. It cuts the time tools get, and
            that of calls of a Cohere model with all their retries; a call of another model is not broken off. Between
            steps it is looked at too; then the last answer is asked for, which has 10 s at least.
        tool_timeout_s: Seconds a tool may take unless its policy says otherwise; None for no limit.
        max_observation_chars: Characters of one result shown to the model (head and tail are kept); None for
            no limit. `Step.result` keeps the whole result.

    Raises:
        ConfigError: A value outside its range.
    """

    max_steps: int = 15
    max_tool_calls: int | None = None
    max_total_tokens: int | None = None
    max_cost: float | None = None
    max_same_failures: int | None = 5
    max_parallel: int | None = None
    max_seconds: float | None = None
    tool_timeout_s: float | None = 30.0
    max_observation_chars: int | None = 200_000

    def __post_init__(self) -> None:
        """Check the ranges."""
        for name, hint in get_type_hints(type(self)).items():
            optional = type(None) in get_args(hint)
            whole = hint is int or int in get_args(hint)
            value = getattr(self, name)
            if value is None and optional:
                continue
            if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)) or not 0 < value < inf:
                what = "a whole number from 1" if whole else "a number above 0"
                raise ConfigError(
                    f"Limits.{name} is {value!r}: give {what}{', or None for no limit' if optional else ''}."
                )
