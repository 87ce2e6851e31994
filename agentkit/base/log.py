"""Logging through the standard library: one logger, ``agentkit``, silent until the program adds a handler.

INFO logs the start and the end of each turn, each retry of a request, and each limit reached; DEBUG logs each reply and
each call. Lines hold names, numbers and sizes, but no questions, arguments, results or keys.
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
    """Log that a turn starts or is resumed."""
    logger.info("turn %s: session=%s", "resumed" if resumed else "started", shorten(session))


def turn_finished(turn: Turn) -> None:
    """Log that a turn is over or paused."""
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
    """Log that a turn was interrupted, with the type of the error only: its text may hold anything."""
    logger.info("turn interrupted: session=%s error=%s", shorten(session), type(error).__name__)


def asked(ask: Ask) -> None:
    """Log that a request is about to be sent."""
    if ask.limit is not None:
        logger.info("limit reached: %s", ask.limit)
    logger.debug("asking the model: messages=%d tools=%s", len(ask.messages), ask.offer_tools)


def replied(reply: Reply) -> None:
    """Log a reply."""
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
    """Log the result of a call."""
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
    """Log that a request will be retried."""
    logger.info(
        "model request failed: tries=%d status=%s wait_s=%.2f", retry.tries, retry.status or "none", retry.wait_s
    )
