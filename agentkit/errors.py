"""The errors agentkit raises: the branch says whose fault it is, and every message ends with a next step.

::

    AgentKitError
    ├── UserError (ValueError)      the caller's mistake
    │   ├── InputError              an empty question, an impossible argument
    │   ├── ConfigError             tools, limits, patterns, keys or files that cannot work
    │   ├── SessionError            a session name that is empty, impossible or unknown
    │   ├── SessionBusyError        a second run in a session that is already running
    │   ├── HookError               a hook, `approve` or an approval function of the caller raised
    │   ├── CassetteError           a recording is missing, stale or does not match
    │   └── NetworkBlockedError     a test left this machine (in agentkit.testing)
    ├── ModelError                  the chat model failed or misbehaved
    │   ├── DeadlineError           it did not reply within the time allowed
    │   ├── HistoryError            a message list that the v2 chat API would refuse
    │   └── GroundingError          the answer has invented codes, even after a request to correct it
    ├── ToolError                   a tool could not do its work
    └── StoreError                  the memory's database
        └── StoreVersionError       written by a newer agentkit

A tool's failure inside a run is never raised: it becomes an observation the model reads.
"""

from __future__ import annotations


class AgentKitError(Exception):
    """Base of every error agentkit raises on purpose."""


class UserError(AgentKitError, ValueError):
    """The caller's mistake: an argument or a setting cannot work."""


class InputError(UserError):
    """A question or another argument of a call is empty or impossible."""


class ConfigError(UserError):
    """Tools, limits, patterns, keys or files that cannot work together."""


class SessionError(UserError):
    """A session name is empty, impossible or unknown."""


class SessionBusyError(UserError):
    """A second run was started in a session that is already running."""


class HookError(UserError):
    """A function of the caller raised an exception: a hook, `approve`, or a policy's approval function."""


class CassetteError(UserError):
    """A recording is missing, stale, or does not match what was sent."""


class ModelError(AgentKitError):
    """The chat model could not be reached, refused the request, or misbehaved."""


class DeadlineError(ModelError):
    """The model did not reply within the time allowed."""


class HistoryError(ModelError):
    """The v2 chat API would refuse the message list; it was not sent."""


class GroundingError(ModelError):
    """The answer has codes that occur in nothing the model was given, even after a request to correct it.

    Attributes:
        codes: The codes as the answer has them.
    """

    def __init__(self, message: str, *, codes: tuple[str, ...] = ()) -> None:
        """Store the message and the codes."""
        super().__init__(message)
        self.codes = codes


class ToolError(AgentKitError):
    """A tool could not do its work. Inside a run this becomes an observation."""


class StoreError(AgentKitError):
    """The memory's database cannot be read or written."""


class StoreVersionError(StoreError):
    """The database was written by a newer agentkit."""
