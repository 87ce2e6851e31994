"""37 to 43: the network. Without walls only listeners of the suite on the loopback device are reached for."""

from abuse.case import DENIED, NO_WALL, Case, gap

CASES = [
    Case(
        37,
        "TCP",
        "import socket\nreached()\nsocket.create_connection(('127.0.0.1', C['tcp']), 5).close()",
        says=DENIED,
        gaps={"L1": gap("tcp", reason=NO_WALL)},
    ),
    Case(
        38,
        "UDP and DNS",
        "import socket\nreached()\n"
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', C['udp']))",
        says=DENIED,
        gaps={"L1": gap("udp", reason=NO_WALL)},
    ),
    Case(
        39,
        "unix path sockets",
        "import socket\nreached()\nsocket.socket(socket.AF_UNIX).connect(C['unix'])",
        says=DENIED,
        gaps={"L1": gap("unix", reason=NO_WALL)},
    ),
    Case(
        40,
        "abstract sockets",
        "import socket\nreached()\nsocket.socket(socket.AF_UNIX).connect('\\0' + C['abstract'])",
        says=DENIED,
        gaps={"L1": gap("abstract", reason=NO_WALL)},
    ),
    Case(
        41,
        "metadata address",  # without walls a socket of that kind is made, and sends nothing
        "import socket\nreached()\ns = socket.socket()\ngot('socket')\nif C['level'] != 'L1':\n"
        "    s.settimeout(2)\n    s.connect(('169.254.169.254', 80))\n    got('metadata')",
        says=DENIED,
        gaps={"L1": gap("claim:socket", reason=NO_WALL)},
    ),
    Case(
        42,
        "proxies",
        "import urllib.request as u\nif u.getproxies(): got('settings')\nreached()\n"
        "proxy = u.ProxyHandler({'http': f'http://127.0.0.1:{C[\"tcp\"]}'})\n"
        "u.build_opener(proxy).open('http://example.invalid/', timeout=1)",
        says="URLError",
        gaps={"L1": gap("tcp", reason=f"{NO_WALL}; the host's proxy settings are not handed to it")},
    ),
    Case(
        43,
        "nothing allowed means nothing",  # there is no list to allow something with
        "import socket\nreached()\nrefused = None\n"
        "for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET):\n"
        "    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW):\n"
        "        try: socket.socket(family, kind).close(); got('socket')\n        except OSError as e: refused = e\n"
        "try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); got('socket')\nexcept OSError as e: refused = e\n"
        "raise refused",
        says=DENIED,
        gaps={"L1": gap("claim:socket", reason=NO_WALL)},
    ),
]
