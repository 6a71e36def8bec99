"""The asyncio client of `websockets` talks to the echo example: python_asyncio.py PORT"""

import asyncio
import contextlib
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from common import (
    BOUND, CLIENTS, COUNT, FRAGMENTED, MESSAGES, REFUSED, S, check, end, equal, numbered,
)

url = f"ws{S}://localhost:{sys.argv[1]}/websocket"


def opened(**options):
    return connect(url, proxy=None, open_timeout=BOUND, **options)


async def recv(ws):
    return await asyncio.wait_for(ws.recv(), BOUND)


async def expect_close(ws, code, reason=None):
    try:
        message = await recv(ws)
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


async def main():
    for name, message in MESSAGES.items():
        with check(f"python asyncio: {name}"):
            async with opened() as ws:
                await ws.send(message)
                equal(await recv(ws), message)

    for name, parts in FRAGMENTED.items():
        with check(f"python asyncio: {name}"):
            async with opened() as ws:
                text = "text" in name
                await ws.send(parts, text=text)
                whole = b"".join(p.encode() if isinstance(p, str) else p for p in parts)
                equal(await recv(ws), whole.decode() if text else whole)

    for name, (message, text, code) in REFUSED.items():
        with check(f"python asyncio: {name} closes with {code}"):
            async with opened() as ws:
                # The server may hang up in the middle of it; the code must come all the same.
                with contextlib.suppress(ConnectionClosed):
                    await ws.send(message, text=text)
                await expect_close(ws, code)

    for payload in (b"", b"payload", bytes(125)):
        with check(f"python asyncio: ping of {len(payload)} bytes gets the same pong"):
            async with opened() as ws:
                # Done by a pong with this very payload.
                await asyncio.wait_for(await ws.ping(payload), BOUND)

    for code, reason in (1000, ""), (1000, "done"), (4001, "důvod"):
        with check(f"python asyncio: close {code} {reason!r} comes back"):
            async with opened() as ws:
                await ws.close(code, reason)
                await expect_close(ws, code, reason)

    with check(f"python asyncio: {COUNT} messages in flight"):
        async with opened() as ws:

            async def send():
                for i in range(COUNT):
                    await ws.send(numbered(i))

            async def receive():
                for i in range(COUNT):
                    equal(await recv(ws), numbered(i))

            await asyncio.gather(send(), receive())

    with check(f"python asyncio: {CLIENTS} connections at once"):
        everyone = asyncio.Barrier(CLIENTS)

        async def client(i):
            async with opened() as ws:
                await everyone.wait()
                for message in f"from {i}", f"{i} again".encode():
                    await ws.send(message)
                    equal(await recv(ws), message)

        async with asyncio.timeout(3 * BOUND):
            await asyncio.gather(*map(client, range(CLIENTS)))

    with check("python asyncio: permessage-deflate is offered and not negotiated"):
        async with opened() as ws:
            assert "permessage-deflate" in ws.request.headers["Sec-WebSocket-Extensions"]
            equal(ws.response.headers.get("Sec-WebSocket-Extensions"), None)
            equal(ws.protocol.extensions, [])

    with check("python asyncio: no offered subprotocol is selected"):
        async with opened(subprotocols=["chat", "superchat"]) as ws:
            equal(ws.response.headers.get("Sec-WebSocket-Protocol"), None)
            equal(ws.subprotocol, None)


asyncio.run(main())
end()
