"""The chat model an agent talks to: built from a Cohere model's name or given ready, with the settings to use."""

from __future__ import annotations

import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel

from agentkit.base.text import shorten
from agentkit.errors import ConfigError

if TYPE_CHECKING:
    from agentkit.cohere.chat import CohereChat
    from agentkit.cohere.options import CohereOptions
    from agentkit.cohere.retry import RetryPolicy

# https://docs.cohere.com/docs/deprecations
REPLACED_MODELS = {
    "command": "command-a-03-2025",
    "command-light": "command-r7b-12-2024",
    "command-nightly": "command-a-03-2025",
    "command-light-nightly": "command-r7b-12-2024",
    "command-r": "command-r-08-2024",
    "command-r-03-2024": "command-r-08-2024",
    "command-r-plus": "command-r-plus-08-2024",
    "command-r-plus-04-2024": "command-r-plus-08-2024",
}
"""Model names Cohere has withdrawn, and what to use instead."""


def checked_name(name: str) -> str:
    """Return a model's name without spaces around it; warn of one that Cohere has withdrawn.

    Raises:
        ConfigError: It is empty.
    """
    name = name.strip()
    if not name:
        raise ConfigError("model is an empty name: give one such as 'command-a-03-2025'.")
    if name in REPLACED_MODELS:
        warnings.warn(
            f"Cohere has withdrawn the model {name!r}: use {REPLACED_MODELS[name]!r}.",
            FutureWarning,
            stacklevel=4,
        )
    return name


def key_of_environment() -> str:
    """Return the key in COHERE_API_KEY.

    Raises:
        ConfigError: There is none, or it holds characters that no key has.
    """
    key = os.environ.get("COHERE_API_KEY", "").strip()
    if not key:
        raise ConfigError(
            "No Cohere key: set the environment variable COHERE_API_KEY (keys are made at "
            "https://dashboard.cohere.com/api-keys), or pass a LangChain chat model as model=. "
            "`make demo` and `agentkit demo` work without a key."
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(
            "COHERE_API_KEY holds characters that no key has, such as curly quotes or accents: copy the key again from "
            "https://dashboard.cohere.com/api-keys."
        )
    return key


def cohere_model(
    name: str, key: str, url: str | None, options: CohereOptions | None, retry: RetryPolicy | None
) -> CohereChat:
    """Return the chat model of that name.

    Raises:
        ConfigError: No client can be made for it.
    """
    from pydantic import SecretStr

    from agentkit.cohere.chat import CohereChat

    try:
        model = CohereChat(model=name, temperature=0, cohere_api_key=SecretStr(key), base_url=url)
    except ValueError as error:
        # The error may quote a proxy's password, so the message gives only its kind.
        raise ConfigError(
            f"The client for the model {shorten(name)!r} cannot be made ({type(error).__name__}): check that "
            "CO_API_URL is an http or https address, and that HTTPS_PROXY, HTTP_PROXY and ALL_PROXY are http, https or "
            "socks5 addresses."
        ) from None
    return cast("CohereChat", with_settings(model, options, retry))


def is_cohere_chat(model: BaseChatModel) -> bool:
    """True if it is a `CohereChat`."""
    kind = _imported("agentkit.cohere.chat", "CohereChat")
    return kind is not None and isinstance(model, kind)


def is_chat_cohere(model: BaseChatModel) -> bool:
    """True if it is langchain-cohere's `ChatCohere`, or a subclass, as `CohereChat` is."""
    kind = _imported("langchain_cohere", "ChatCohere")
    return kind is not None and isinstance(model, kind)


def _imported(module: str, name: str) -> type | None:
    """Return a class, or None if its module is not imported, and so no object of it exists.

    Importing langchain_cohere takes about 1.7 s, which a user of another provider need not pay.
    """
    found = sys.modules.get(module)
    return None if found is None else getattr(found, name)


def check_settings(options: object, retry: object) -> None:
    """Check that `options` and `retry` are what their names say, or None.

    Raises:
        ConfigError: One is something else.
    """
    if options is None and retry is None:
        return
    from agentkit.cohere.options import CohereOptions
    from agentkit.cohere.retry import RetryPolicy

    for name, given, kind in (("options", options, CohereOptions), ("retry", retry, RetryPolicy)):
        if given is not None and not isinstance(given, kind):
            raise ConfigError(f"{name} is {shorten(repr(given))}: give {kind.__name__}(...).")


def with_settings(model: BaseChatModel, options: CohereOptions | None, retry: RetryPolicy | None) -> BaseChatModel:
    """Return `model`, or a copy on the same connections with these settings.

    Raises:
        ConfigError: There are settings and `model` is not Cohere's, or they are no settings.
    """
    check_settings(options, retry)
    if options is None and retry is None:
        return model
    if not is_cohere_chat(model):
        given = "options" if options is not None else "retry"
        raise ConfigError(
            f"{given}=... is for Cohere's models, and model is a {type(model).__name__}: "
            "set it on the model itself, or give a Cohere model's name."
        )
    cohere = cast("CohereChat", model)
    changes: dict[str, Any] = {} if retry is None else {"retry": retry}
    if options is not None:
        from agentkit.cohere.options import OPTION_NAMES

        changes["options"] = cohere.options.merged({name: getattr(options, name) for name in OPTION_NAMES})
    return cohere.model_copy(update=changes)


def as_cohere_chat(model: BaseChatModel) -> BaseChatModel:
    """Return `model`, or for a plain ChatCohere a CohereChat with its key, address and settings."""
    if type(model) is not _imported("langchain_cohere", "ChatCohere"):  # a subclass may have a reason to be one
        return model
    from agentkit.cohere.chat import CohereChat

    given = dict(model)
    if given["cohere_api_key"] is None:
        del given["cohere_api_key"]  # CohereChat also finds the key where only the SDK looks for it
    return CohereChat.model_construct(**given)
