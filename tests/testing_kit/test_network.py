import asyncio
import socket
import ssl
import threading

import httpx
import pytest

from agentkit.errors import UserError
from agentkit.testing import CohereServer, NetworkBlockedError, block_network
from agentkit.testing.network import allow_network

# An address of the range kept for documentation: nothing answers there, were it ever asked.
OUTSIDE = "192.0.2.1"
NAMES = ("connect", "connect_ex", "sendto", "sendmsg")


def tcp(family=socket.AF_INET):
    return socket.socket(family, socket.SOCK_STREAM)


def udp():
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


@pytest.fixture(autouse=True)
def blocked():
    with block_network():
        yield


@pytest.mark.parametrize(
    "reach",
    [
        lambda: socket.create_connection((OUTSIDE, 80)),
        lambda: tcp().connect_ex((OUTSIDE, 80)),
        lambda: tcp(socket.AF_INET6).connect(("2001:db8::1", 80, 0, 0)),
        lambda: udp().sendto(b"x", (OUTSIDE, 53)),
        lambda: udp().sendto(b"x", 0, (OUTSIDE, 53)),
        lambda: udp().sendmsg([b"x"], [], 0, (OUTSIDE, 53)),
        lambda: ssl.create_default_context().wrap_socket(tcp(), server_hostname="x").connect((OUTSIDE, 443)),
        lambda: socket.gethostbyaddr(OUTSIDE),
    ],
)
@pytest.mark.filterwarnings("ignore:unclosed <s:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_addresses_outside_are_blocked_by_name(reach):
    with pytest.raises(NetworkBlockedError, match=r"192\.0\.2\.1|2001:db8::1"):
        reach()


@pytest.mark.parametrize(
    "ask",
    [
        lambda: socket.getaddrinfo("api.cohere.com", 443),
        lambda: socket.getaddrinfo(b"api.cohere.com", 443),
        lambda: socket.getaddrinfo(host="api.cohere.com", port=443),
        lambda: socket.gethostbyname("api.cohere.com"),
        lambda: socket.gethostbyname_ex("api.cohere.com"),
        lambda: httpx.get("https://api.cohere.com/v2/chat"),
        lambda: asyncio.run(resolve()),
        lambda: asyncio.run(fetch()),
    ],
)
def test_names_are_not_looked_up_and_the_error_says_what_to_do(ask):
    with pytest.raises(NetworkBlockedError, match=r"'api\.cohere\.com'.*cassette.*CohereServer.*traceback"):
        ask()


async def resolve():
    await asyncio.get_running_loop().getaddrinfo("api.cohere.com", 443)


async def fetch():
    async with httpx.AsyncClient() as http:
        await http.get("https://api.cohere.com/v2/chat")


def test_it_is_the_callers_error_and_no_oserror_that_a_client_would_retry():
    assert issubclass(NetworkBlockedError, UserError)
    assert not issubclass(NetworkBlockedError, OSError)


def test_loopback_unix_sockets_and_asyncio_work(tmp_path):
    async def fetch_local(url):
        async with httpx.AsyncClient() as http:
            return (await http.get(url)).status_code

    with CohereServer([]) as server:
        assert httpx.get(server.url).status_code == 404
        assert httpx.get(server.url.replace("127.0.0.1", "localhost")).status_code == 404
        assert asyncio.run(fetch_local(server.url)) == 404
    here, there = socket.socketpair()
    with here, there, socket.socket(socket.AF_UNIX) as listening, socket.socket(socket.AF_UNIX) as calling:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        calling.connect(str(tmp_path / "s"))
        here.sendall(b"x")
        assert there.recv(1) == b"x"
    with udp() as sending, udp() as receiving:
        receiving.bind(("127.0.0.1", 0))
        sending.sendto(b"x", receiving.getsockname())
        assert receiving.recv(1) == b"x"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost", "0.0.0.0", None])
def test_this_machine_may_be_looked_up(host):
    socket.getaddrinfo(host, 80)


def test_the_block_holds_in_threads():
    caught = []

    def look_up():
        try:
            socket.getaddrinfo("api.cohere.com", 443)
        except NetworkBlockedError as error:
            caught.append(error)

    thread = threading.Thread(target=look_up)
    thread.start()
    thread.join()
    assert len(caught) == 1


def test_allowing_lifts_the_block_for_a_while():
    with allow_network(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        # Connecting a UDP socket sends nothing; without a route it fails, but not with our error.
        assert isinstance(probe.connect_ex((OUTSIDE, 53)), int)
    with udp() as probe, pytest.raises(NetworkBlockedError):
        probe.connect_ex((OUTSIDE, 53))


def test_blocks_may_be_nested():
    with block_network():
        pass
    with pytest.raises(NetworkBlockedError):
        socket.getaddrinfo("api.cohere.com", 443)
