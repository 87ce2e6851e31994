"""Limits of a run, and prices of tokens."""

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
    """Prices of a model's tokens, in any currency.

    Attributes:
        input_per_million: Price of a million input tokens, 0 or more.
        output_per_million: Price of a million output tokens, 0 or more.

    Raises:
        ConfigError: A price that is no number from 0.
    """

    input_per_million: PerMillion
    output_per_million: PerMillion

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Return the cost of so many tokens."""
        return (input_tokens * self.input_per_million + output_tokens * self.output_per_million) / 1_000_000


@settings
class Limits:
    """Limits of one run. A turn that reaches one still gets an answer, and `Turn.stop_reason` names the limit.

    Attributes:
        max_steps: Model replies that may call tools, 1 or more; then the model is asked to answer without tools.
        max_tool_calls: Calls that may run. If a reply asks for more, the model is told that the rest did not run.
        max_total_tokens: Input and output tokens of all replies together. It is checked after each reply, so the reply
            that exceeds it and the last answer come on top.
        max_cost: Cost of all replies together, in the currency of the agent's ``price``; checked as `max_total_tokens`
            is.
        max_same_failures: Times in a row one tool may fail with the same error, whatever its arguments, 2 or more; None
            for no limit.
        max_parallel: Calls of one reply that may run at the same time.
        max_seconds: Wall-clock seconds for the whole run, above 0, None for no limit. It shortens the timeouts of
            tools, and of requests to a Cohere model with all their retries; a request to another model is not cut
            short. It is also checked between steps; then the model is asked for a last answer, for which it has at
            least 10 s.
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
