"""A guard that keeps tests on this machine: sockets and DNS outside loopback raise an error that names the host."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

from agentkit.errors import UserError

_lock = threading.Lock()
_blocking = 0
_lifted = 0
_originals: list[tuple[Any, str, Any]] = []


# Not an OSError: clients take those for a passing failure of the network, and retry or hide them.
class NetworkBlockedError(UserError):
    """A host outside this machine was asked for while the network was blocked."""


@contextlib.contextmanager
def block_network() -> Iterator[None]:
    """Block sockets and DNS outside loopback, in this process, for the duration of the block.

    Loopback addresses, ``localhost`` and unix sockets work; so does asyncio. Child processes are not covered. Blocks
    can be nested.
    """
    start_blocking()
    try:
        yield
    finally:
        stop_blocking()


@contextlib.contextmanager
def allow_network() -> Iterator[None]:
    """Lift `block_network` for the duration of the block, in all threads; without effect where nothing is blocked."""
    global _lifted
    with _lock:
        _lifted += 1
    try:
        yield
    finally:
        with _lock:
            _lifted -= 1


def start_blocking() -> None:
    """Block the network until `stop_blocking` has been called as often as this."""
    global _blocking
    with _lock:
        _blocking += 1
        if _blocking > 1:
            return
        for name, at in (("connect", 0), ("connect_ex", 0), ("sendto", -1), ("sendmsg", 3)):
            _replace(socket.socket, name, _checked_method(getattr(socket.socket, name), at))
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            _replace(socket, name, _checked_lookup(getattr(socket, name), asks_for_numbers=False))
        _replace(socket, "gethostbyaddr", _checked_lookup(socket.gethostbyaddr, asks_for_numbers=True))


def stop_blocking() -> None:
    """Undo one `start_blocking`."""
    global _blocking
    with _lock:
        _blocking -= 1
        if _blocking == 0:
            while _originals:
                owner, name, original = _originals.pop()
                if original is None:
                    delattr(owner, name)
                else:
                    setattr(owner, name, original)


def _replace(owner: Any, name: str, replacement: Any) -> None:
    # socket.socket inherits its methods from C: ours is deleted to restore one.
    _originals.append((owner, name, vars(owner).get(name)))
    setattr(owner, name, replacement)


def _checked_method(original: Callable[..., Any], at: int) -> Callable[..., Any]:
    def checked(self: socket.socket, *args: Any) -> Any:
        address = args[at] if -len(args) <= at < len(args) else None
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple) and address:
            _check(address[0])
        return original(self, *args)

    return checked


def _checked_lookup(original: Callable[..., Any], *, asks_for_numbers: bool) -> Callable[..., Any]:
    def checked(host: Any, *args: Any, **kwargs: Any) -> Any:
        if asks_for_numbers or not _is_address(host):
            _check(host)
        return original(host, *args, **kwargs)

    return checked


def _check(host: Any) -> None:
    if _lifted or is_this_machine(host):
        return
    name = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    raise NetworkBlockedError(
        f"The network is blocked and something asked for {name!r}. Use a cassette (@pytest.mark.cassette), a "
        "CohereServer or a ScriptedChat; or see in the traceback who asks."
    )


def is_this_machine(host: Any) -> bool:
    """True if `host`, a name or an address, str or bytes, is this machine; None and "" are."""
    if host is None:
        return True
    text = host.decode(errors="replace") if isinstance(host, bytes) else str(host)
    if text.rstrip(".").lower() in ("", "localhost", socket.gethostname().lower()):
        return True
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback or address.is_unspecified


def _is_address(host: Any) -> bool:
    """True if `host` is written in numbers, so that looking it up needs no DNS."""
    try:
        ipaddress.ip_address(host.decode(errors="replace") if isinstance(host, bytes) else str(host))
    except ValueError:
        return False
    return True
