"""Clients that reset their connections, some before they are accepted, and the echo example:
reset.py PORT PID"""

import contextlib
import os
import signal
import socket
import struct
import sys
import time

from websockets.sync.client import connect

from common import BOUND, check, end, equal

port, pid = int(sys.argv[1]), int(sys.argv[2])

AT_ONCE = 100  # fewer than the system keeps for a server that does not accept
ROUNDS = 10
SPARE_THREADS = 8  # threads that wait for clients when there are none
MAIN = 2  # the first thread, and the log's

HANDSHAKE = (
    b"GET /websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SENT = {
    "nothing": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: local",
    "a request": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a handshake": HANDSHAKE,
    "a handshake and half a frame": HANDSHAKE + b"\x81\x85\x37\xfa",
}


def opened(bytes):
    """A connection whose close will be a reset."""
    client = socket.create_connection(("127.0.0.1", port), timeout=BOUND)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.sendall(bytes)
    return client


@contextlib.contextmanager
def stopped():
    """The server does nothing meanwhile; the system goes on taking connections for it."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def echo():
    with connect(f"ws://localhost:{port}/websocket", proxy=None, open_timeout=BOUND) as ws:
        ws.send("still here")
        equal(ws.recv(timeout=BOUND), "still here")


def count(what):
    return len(os.listdir(f"/proc/{pid}/{what}"))


def falls_to(what, most):
    end_at = time.monotonic() + BOUND
    while (now := count(what)) > most and time.monotonic() < end_at:
        time.sleep(0.01)
    assert now <= most, f"{now} {what}, wanted {most} at most"


with check("reset: the server is at rest before"):
    echo()
    falls_to("task", SPARE_THREADS + MAIN)
descriptors = count("fd")

for name, bytes in SENT.items():
    with check(f"reset: {ROUNDS * AT_ONCE} that sent {name} and go before they are accepted"):
        for _ in range(ROUNDS):
            with stopped():
                clients = [opened(bytes) for _ in range(AT_ONCE)]
                for client in clients:
                    client.close()
            echo()

    with check(f"reset: {ROUNDS * AT_ONCE} that sent {name} and go at once"):
        for _ in range(ROUNDS * AT_ONCE):
            opened(bytes).close()
        echo()

with check(f"reset: {AT_ONCE} that go with an echo unread"):
    clients = [opened(HANDSHAKE + b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58")
               for _ in range(AT_ONCE)]
    for client in clients:
        # The echo has come when it can be seen, and is left where it is.
        end_at = time.monotonic() + BOUND
        while not client.recv(4096, socket.MSG_PEEK).endswith(b"\x81\x05Hello"):
            assert time.monotonic() < end_at, "no echo"
        client.close()
    echo()

with check("reset: no thread and no descriptor stays behind"):
    falls_to("task", SPARE_THREADS + MAIN)
    falls_to("fd", descriptors)
    echo()

end()
