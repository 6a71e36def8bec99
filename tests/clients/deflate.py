"""Compression, with `websockets` and with zlib alone: deflate.py PORT"""

import random
import socket
import sys
import zlib

from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import connect

from common import BOUND, COUNT, FRAGMENTED, MESSAGES, check, end, equal, numbered

port = int(sys.argv[1])
ASKED = "permessage-deflate; client_no_context_takeover"

for name, options in {
    "default": {},
    "server window 9": {"server_max_window_bits": 9},
    "client window 9": {"client_max_window_bits": 9},
    "no context takeover": {"server_no_context_takeover": True, "client_no_context_takeover": True},
}.items():
    with check(f"python deflate: {name}"):
        extensions = [ClientPerMessageDeflateFactory(**options)]
        url, others = f"ws://localhost:{port}/", {"proxy": None, "compression": None}
        with connect(url, open_timeout=BOUND, extensions=extensions, **others) as ws:
            assert ws.response.headers["Sec-WebSocket-Extensions"].startswith(ASKED)
            for message in MESSAGES.values():
                ws.send(message)
                equal(ws.recv(timeout=BOUND), message)
            for kind, parts in FRAGMENTED.items():
                ws.send(parts, text="text" in kind)
                whole = b"".join(p.encode() if isinstance(p, str) else p for p in parts)
                equal(ws.recv(timeout=BOUND), whole.decode() if "text" in kind else whole)
            for i in range(COUNT // 10):
                ws.send(numbered(i) * 10)
                equal(ws.recv(timeout=BOUND), numbered(i) * 10)


def opened(offer):
    """A socket on which compression is agreed, as a file."""
    stream = socket.create_connection(("localhost", port), BOUND).makefile("rwb")
    stream.write(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: " + offer.encode() + b"\r\n\r\n"
    )
    stream.flush()
    head = b"".join(iter(stream.readline, b"\r\n"))
    assert ASKED.encode() in head, head
    return stream


def send(stream, message, window):
    """Sends a binary message, compressed, in one frame."""
    deflate = zlib.compressobj(random.randint(0, 9), zlib.DEFLATED, -window)
    body = (deflate.compress(message) + deflate.flush(zlib.Z_SYNC_FLUSH))[:-4]
    size = len(body)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    stream.write(b"\xc2" + length + bytes(4) + body)  # a key of zeros masks nothing
    stream.flush()


def receive(stream):
    """Whether the next message is compressed, and its payload."""
    first, size = stream.read(2)
    if size == 126:
        size = int.from_bytes(stream.read(2), "big")
    assert first in (0x82, 0xC2), first
    return first == 0xC2, stream.read(size)


def inflated(inflate, body):
    # In small pieces: zlib does not notice a distance that is too long while all of it fits its buffer.
    message, rest = [], body + b"\0\0\xff\xff"
    while rest:
        message.append(inflate.decompress(rest, 50))
        rest = inflate.unconsumed_tail
    while message[-1]:
        message.append(inflate.decompress(b"", 50))
    return b"".join(message)


def a_message():
    """Words, bytes, or both, of up to 20,000 bytes, with repetitions near and far."""
    words = [random.randbytes(random.randint(1, 12)) for _ in range(random.randint(1, 300))]
    size = random.randint(0, random.choice((30, 300, 3000, 20_000)))
    message = b"".join(random.choices(words, k=size))
    return (message + random.randbytes(size % 40) + message)[:size]


for window in range(8, 16):
    for keeps in False, True:
        # A client that keeps what it has inflated is as well served as one that forgets it.
        inflaters = "one inflater" if keeps else "an inflater each"
        with check(f"python zlib: random messages, window {window}, {inflaters}"):
            random.seed(window)
            compressed, offer = 0, f"permessage-deflate; server_max_window_bits={window}"
            if not keeps:
                offer += "; server_no_context_takeover"
            stream, inflate = opened(offer), zlib.decompressobj(-window)
            for _ in range(125):
                message = a_message()
                send(stream, message, max(window, 9))  # zlib cannot compress for 8
                smaller, body = receive(stream)
                if smaller:
                    compressed += 1
                    body = inflated(inflate if keeps else zlib.decompressobj(-window), body)
                equal(body, message)
            # For a client that allows 8 bits, messages go as they are.
            assert (compressed == 0) if window == 8 else (compressed > 10), compressed
            stream.close()

end()
