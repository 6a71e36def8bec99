"""The blocking client of `websockets` talks to the echo example: python_sync.py PORT"""

import contextlib
import http.client
import re
import sys
import threading

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from common import (
    BOUND, CLIENTS, COUNT, FRAGMENTED, LIMIT, MESSAGES, REFUSED, S, check, end, equal, numbered,
)

port = int(sys.argv[1])
url = f"ws{S}://localhost:{port}/websocket"


def opened(uri=url, **options):
    return connect(uri, proxy=None, open_timeout=BOUND, **options)


def status(uri=url, **options):
    """The status that answers a handshake."""
    try:
        with opened(uri, **options) as ws:
            return ws.response.status_code
    except InvalidStatus as error:
        return error.response.status_code


def expect_close(ws, code, reason=None):
    try:
        message = ws.recv(timeout=BOUND)
    except ConnectionClosed as closed:
        if closed.rcvd is None:
            raise AssertionError("the connection broke off without a close frame") from closed
        equal(closed.rcvd.code, code)
        # Why the server closes is in its own words.
        if reason is None:
            assert closed.rcvd.reason, "no reason is given"
        else:
            equal(closed.rcvd.reason, reason)
    else:
        raise AssertionError(f"got {message!r:.120} in place of a close")


for name, message in MESSAGES.items():
    with check(f"python sync: {name}"), opened() as ws:
        ws.send(message)
        equal(ws.recv(timeout=BOUND), message)

for name, parts in FRAGMENTED.items():
    with check(f"python sync: {name}"), opened() as ws:
        text = "text" in name
        ws.send(parts, text=text)
        whole = b"".join(p.encode() if isinstance(p, str) else p for p in parts)
        equal(ws.recv(timeout=BOUND), whole.decode() if text else whole)

# The client is still sending when the answer comes, and must get it all the same. (The asyncio
# client then trips over its own closed transport.)
LARGE = {"binary of 20 MiB": (b"x" * (20 * LIMIT), False, 1009)}
for name, (message, text, code) in {**REFUSED, **LARGE}.items():
    with check(f"python sync: {name} closes with {code}"), opened() as ws:
        # The server may hang up in the middle of it; the code must come all the same.
        with contextlib.suppress(ConnectionClosed):
            ws.send(message, text=text)
        expect_close(ws, code)

for payload in (b"", b"payload", bytes(125)):
    with check(f"python sync: ping of {len(payload)} bytes gets the same pong"), opened() as ws:
        # Set by a pong with this very payload.
        if not ws.ping(payload).wait(BOUND):
            raise AssertionError("no pong")

with check("python sync: a pong nobody asked for is passed over"), opened() as ws:
    ws.pong(b"unasked")
    ws.send("still here")
    equal(ws.recv(timeout=BOUND), "still here")

for code, reason in (1000, ""), (1000, "done"), (4001, "důvod"):
    with check(f"python sync: close {code} {reason!r} comes back"), opened() as ws:
        ws.close(code, reason)
        expect_close(ws, code, reason)

with check(f"python sync: {COUNT} messages in flight"), opened() as ws:
    # Sent from a thread of its own: buffers are finite, so somebody must read meanwhile.
    sender = threading.Thread(
        target=lambda: [ws.send(numbered(i)) for i in range(COUNT)], daemon=True
    )
    sender.start()
    for i in range(COUNT):
        equal(ws.recv(timeout=BOUND), numbered(i))

with check(f"python sync: {CLIENTS} connections at once"), contextlib.ExitStack() as stack:
    clients = [stack.enter_context(opened()) for _ in range(CLIENTS)]
    for i, ws in enumerate(clients):
        ws.send(f"from {i}")
    for i, ws in enumerate(clients):
        equal(ws.recv(timeout=BOUND), f"from {i}")

with check("python sync: permessage-deflate is offered and not negotiated"), opened() as ws:
    assert "permessage-deflate" in ws.request.headers["Sec-WebSocket-Extensions"]
    equal(ws.response.headers.get("Sec-WebSocket-Extensions"), None)
    equal(ws.protocol.extensions, [])

with check("python sync: no offered subprotocol is selected"):
    with opened(subprotocols=["chat", "superchat"]) as ws:
        equal(ws.response.headers.get("Sec-WebSocket-Protocol"), None)
        equal(ws.subprotocol, None)

with check("python sync: the 101 sets the session cookie"), opened() as ws:
    cookie, *attributes = ws.response.headers["Set-Cookie"].split("; ")
    prefix, secure = ("__Host-", {"Secure"}) if S else ("", set())
    assert re.fullmatch(prefix + r"sockling_session=[!-~]+", cookie), cookie
    equal(({"HttpOnly", "Path=/", "SameSite=Lax"} | secure) - set(attributes), set())
    # A Domain would send it to other hosts.
    assert not any(a.lower().startswith("domain") for a in attributes), attributes

with check("python sync: a client that has the cookie gets no other"), opened() as ws:
    cookie = ws.response.headers["Set-Cookie"].split(";")[0]
    with opened(additional_headers={"Cookie": f"theme=dark; {cookie}"}) as again:
        equal(again.response.headers.get("Set-Cookie"), None)

hosts = ["localhost", "127.0.0.1", "[::1]"]
for host in hosts:
    for origin in hosts:
        with check(f"python sync: Origin {origin} may open Host {host}"):
            uri = f"ws{S}://{host}:{port}/websocket"
            options = {"address": ("127.0.0.1", port), "origin": f"http{S}://{origin}:{port}"}
            equal(status(uri, **options), 101)

for origin in (
    f"http{S}://localhost:{port % 65535 + 1}", "http://localhost", f"http{S}://evil.example:{port}",
    f"http{S}://localhost.evil.example:{port}", f"http{S}://evil.example/localhost:{port}", "null",
):
    # The port is another in each run, and the names of the checks are not.
    name = origin.replace(str(port), "PORT").replace(str(port % 65535 + 1), "OTHER")
    with check(f"python sync: Origin {name} gets 403"):
        equal(status(origin=origin), 403)

for host in "evil.example", "localhost.evil.example", "127.0.0.1.evil.example":
    with check(f"python sync: Host {host} gets 421"):
        uri = f"ws{S}://{host}:{port}/websocket"
        tls = {"server_hostname": "localhost"} if S else {}
        equal(status(uri, address=("127.0.0.1", port), **tls), 421)

with check("python sync: the page comes twice on one connection"):
    client = http.client.HTTPSConnection if S else http.client.HTTPConnection
    connection = client("127.0.0.1", port, timeout=BOUND)
    for _ in range(2):
        connection.request("GET", "/")
        answer = connection.getresponse()
        page = answer.read().decode()
        equal(answer.status, 200)
        assert answer.headers.get_content_type() == "text/html", answer.headers
        assert re.search("<title>[^<]*echo", page, re.I), page[:300]

end()
