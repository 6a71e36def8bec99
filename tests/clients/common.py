"""What the Python clients share: how a check is told, and the messages to echo."""

import contextlib
import os
import sys

BOUND = 30  # seconds that any single wait may last: far more than a slow machine needs
LIMIT = 1024 * 1024  # bytes of the longest message that the server takes

# What a scheme ends with. The authority to trust has a variable too, but a machine may set that one itself.
S = "s" if "OVER_TLS" in os.environ else ""

failed = False


@contextlib.contextmanager
def check(name):
    """Prints how the block ended; around `await` it works just as well."""
    global failed
    name += " (TLS)" if S else ""
    try:
        yield
    except Exception as error:
        failed = True
        print(f"not ok - {name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
    else:
        print(f"ok - {name}", flush=True)


def equal(got, wanted):
    # Cut, for a message of 1 MiB in a log helps nobody.
    if got != wanted:
        raise AssertionError(f"got {got!r:.120}, wanted {wanted!r:.120}")


def end():
    sys.exit(failed)


MESSAGES = {
    "text": "hello",
    "binary": bytes(range(256)),
    "empty text": "",
    "empty binary": b"",
    "non-ASCII text": "žluťoučký kůň, 日本語, 🦀, \0, \U0010ffff",
}
# Around each change of the header's length form, and the limit itself.
for size in (125, 126, 65535, 65536, LIMIT):
    MESSAGES[f"text of {size} bytes"] = "x" * size
    MESSAGES[f"binary of {size} bytes"] = (bytes(range(251)) * (size // 251 + 1))[:size]

# The parts differ in length, and one is empty; "€" is torn between two frames.
FRAGMENTED = {
    "fragmented text": ["first ", "", "second, " * 1000, "last"],
    "fragmented binary": [b"\x00", b"", b"\xff" * 70000, b"\x01"],
    "fragmented text torn inside a character": ["€".encode()[:1], "€".encode()[1:]],
    "fragmented text of 1 MiB": ["x" * 65536] * 16,
}

# What a client may not send: parts, whether they are text, the code that answers.
REFUSED = {
    "binary over 1 MiB": (b"x" * (LIMIT + 1), False, 1009),
    "text over 1 MiB": ("x" * (LIMIT + 1), True, 1009),
    "fragments over 1 MiB together": ([b"x" * 65536] * 16 + [b"x"], False, 1009),
    "text that is not UTF-8": (b"ok \xff", True, 1007),
    "text with a surrogate": (b"\xed\xa0\x80", True, 1007),
    "text cut short inside a character": (b"\xe2\x82", True, 1007),
    "fragments that are not UTF-8 together": ([b"\xe2\x82", b"x"], True, 1007),
}

COUNT = 10_000  # messages on their way at once
CLIENTS = 50  # connections at once


def numbered(i):
    """Message `i` of many: kinds alternate and lengths vary, so that a mix-up shows."""
    text = f"{i} " + "." * (i % 200)
    return text if i % 2 else text.encode()
