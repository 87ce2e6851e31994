"""What a run may use up."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentkit.base.settings import Give, settings

PerMillion = Annotated[float, Field(ge=0), Give("a number from 0")]
Count = Annotated[int, Field(ge=1)]
MaxCount = Annotated[Count | None, Give("a whole number from 1, or None for no limit")]
MaxAmount = Annotated[Annotated[float, Field(gt=0)] | None, Give("a number above 0, or None for no limit")]


@settings
class Price:
    """What a model's tokens cost, in any one currency.

    Attributes:
        input_per_million: A million tokens the model reads, 0 or more.
        output_per_million: A million tokens it writes, 0 or more.

    Raises:
        ConfigError: A price that is no number from 0.
    """

    input_per_million: PerMillion
    output_per_million: PerMillion

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return what that many tokens cost."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / 1_000_000


@settings
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

    max_steps: Count = 15
    max_tool_calls: MaxCount = None
    max_total_tokens: MaxCount = None
    max_cost: MaxAmount = None
    max_same_failures: MaxCount = 5
    max_parallel: MaxCount = None
    max_seconds: MaxAmount = None
    tool_timeout_s: MaxAmount = 30.0
    max_observation_chars: MaxCount = 200_000
