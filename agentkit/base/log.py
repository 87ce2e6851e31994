"""What agentkit logs, through the standard library: one logger, ``agentkit``, silent until somebody gives it a handler.

INFO has a line for the start and the end of a turn, for each further try of a request and for a limit; DEBUG one for
each reply and each call. There are names, numbers and sizes in them, and no questions, arguments, results or keys.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from agentkit.base.text import shorten

if TYPE_CHECKING:
    from agentkit.cohere.retry import Retry
    from agentkit.loop.protocol import Ask, Reply
    from agentkit.turn import Step, Turn

logger = logging.getLogger("agentkit")
logger.addHandler(logging.NullHandler())


def turn_started(session: str, *, resumed: bool) -> None:
    """A turn begins, or goes on."""
    logger.info("turn %s: session=%s", "resumed" if resumed else "started", shorten(session))


def turn_finished(turn: Turn) -> None:
    """A turn is over, or paused."""
    if logger.isEnabledFor(logging.INFO):
        used = turn.usage
        logger.info(
            "turn finished: session=%s number=%d stop=%s steps=%d model_calls=%d input_tokens=%d output_tokens=%d "
            "cost=%g duration_s=%.3f",
            shorten(turn.session),
            turn.number,
            turn.stop_reason,
            len(turn.steps),
            used.model_calls,
            used.input_tokens,
            used.output_tokens,
            used.cost,
            turn.duration_s,
        )


def turn_broken(session: str, error: BaseException) -> None:
    """A turn is broken off; only the kind of error is told, because its text may hold anything."""
    logger.info("turn broken off: session=%s error=%s", shorten(session), type(error).__name__)


def asked(ask: Ask) -> None:
    """A request is about to be sent."""
    if ask.limit is not None:
        logger.info("limit reached: %s", ask.limit)
    logger.debug("asking the model: messages=%d tools=%s", len(ask.messages), ask.offer_tools)


def replied(reply: Reply) -> None:
    """A reply has come."""
    if logger.isEnabledFor(logging.DEBUG):
        logger.debug(
            "reply: finish=%s calls=%s characters=%d input_tokens=%d output_tokens=%d",
            reply.finish,
            ",".join(shorten(call.name, 64) for call in reply.calls) or "none",
            len(reply.text),
            reply.usage.input_tokens,
            reply.usage.output_tokens,
        )


def call_finished(step: Step) -> None:
    """A call has its result."""
    if logger.isEnabledFor(logging.DEBUG):
        result = step.result
        logger.debug(
            "call: tool=%s call_id=%s ok=%s error=%s tries=%d characters=%d duration_s=%.3f",
            shorten(step.tool, 64),
            shorten(step.call_id, 64),
            step.ok,
            result.error if result else None,
            result.tries if result else 1,
            len(step.observation),
            result.duration_s if result else 0.0,
        )


def retrying(retry: Retry) -> None:
    """A request will be sent again."""
    logger.info(
        "model request failed: tries=%d status=%s wait_s=%.2f", retry.tries, retry.status or "none", retry.wait_s
    )
