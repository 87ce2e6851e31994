"""The error tree: whose fault it is decides the branch, and every message ends with a next step.

::

    AgentKitError
    ├── UserError (ValueError)      the caller's mistake
    │   ├── InputError              an empty question, an impossible argument
    │   ├── ConfigError             tools, limits, patterns, keys or files that cannot work
    │   ├── SessionError            a session name that is empty, absurd or unknown
    │   ├── SessionBusyError        a second run in a session that is already running
    │   ├── HookError               a hook, `approve` or an approval predicate of the caller raised
    │   ├── CassetteError           a recording is missing, stale or does not match
    │   └── NetworkBlockedError     a test left this machine (in agentkit.testing)
    ├── ModelError                  the chat model failed or misbehaved
    │   ├── DeadlineError           the time that was allowed for it was over
    │   ├── HistoryError            a message list that the v2 chat API would refuse
    │   └── GroundingError          an answer with codes that stand nowhere, also after it was asked to mend it
    ├── ToolError                   a tool could not do its work
    └── StoreError                  the memory's database
        └── StoreVersionError       written by a newer agentkit

A tool's failure inside a run is never raised: it becomes an observation the model reads.
"""

from __future__ import annotations


class AgentKitError(Exception):
    """Base of every error agentkit raises on purpose."""


class UserError(AgentKitError, ValueError):
    """The caller's mistake: something passed in cannot work."""


class InputError(UserError):
    """A question or another argument of a call is empty or impossible."""


class ConfigError(UserError):
    """Tools, limits, patterns, keys or files that cannot work together."""


class SessionError(UserError):
    """A session name is empty, absurd or unknown."""


class SessionBusyError(UserError):
    """A second run was started in a session that is already running."""


class HookError(UserError):
    """A function the caller gave the agent raised: a hook, `approve`, or a policy's approval predicate."""


class CassetteError(UserError):
    """A recording is missing, stale, or does not match what was sent."""


class ModelError(AgentKitError):
    """The chat model could not be reached, refused the request, or misbehaved."""


class DeadlineError(ModelError):
    """The time that was allowed for a model call was over before there was a reply."""


class HistoryError(ModelError):
    """A message list that the v2 chat API would refuse; it was not sent."""


class GroundingError(ModelError):
    """An answer holds codes that nothing it was given holds, also after the model was asked to mend it.

    Attributes:
        codes: The codes, as the answer writes them.
    """

    def __init__(self, message: str, *, codes: tuple[str, ...] = ()) -> None:
        """Keep the codes beside the message."""
        super().__init__(message)
        self.codes = codes


class ToolError(AgentKitError):
    """A tool could not do its work. Inside a run this becomes an observation."""


class StoreError(AgentKitError):
    """The memory's database cannot be read or written."""


class StoreVersionError(StoreError):
    """The database was written by a newer agentkit."""
