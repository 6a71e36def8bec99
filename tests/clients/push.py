"""Several clients and the push example, over both protocols: push.py PORT"""

import contextlib
import http.client
import sys
import time

from websockets.sync.client import connect

from common import BOUND, check, end, equal

port = int(sys.argv[1])


def opened(cookie=None):
    headers = {"Cookie": cookie} if cookie else {}
    url = f"ws://localhost:{port}/websocket"
    return connect(url, proxy=None, open_timeout=BOUND, additional_headers=headers)


def cookie_of(headers):
    return headers["Set-Cookie"].split(";")[0]


def post(path, body="", cookie=None):
    """Status, body and headers of the answer to a POST."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=BOUND)) as c:
        c.request("POST", path, body.encode(), {"Cookie": cookie} if cookie else {})
        answer = c.getresponse()
        return answer.status, answer.read().decode().strip(), answer.headers


def pushed(body, cookie=None, path="/push"):
    status, count, _ = post(path, body, cookie)
    equal(status, 200)
    return count


def expect(ws, wanted):
    equal(ws.recv(timeout=BOUND), wanted)


def skip_to(ws, wanted):
    """Reads on until `wanted` comes; what came before is returned."""
    before = []
    end_at = time.monotonic() + BOUND
    while (message := ws.recv(timeout=max(0, end_at - time.monotonic()))) != wanted:
        before.append(message)
    return before


with check("push: both connections of one session, and nobody else, get the body"):
    with opened() as one, opened() as stranger:
        cookie = cookie_of(one.response.headers)
        with opened(cookie) as two:
            body = "to both: žluť 🦀"
            equal(pushed(body, cookie), "2")
            expect(one, body)
            expect(two, body)
            # Had the stranger got the body, it would come first.
            equal(pushed("to you", cookie_of(stranger.response.headers)), "1")
            expect(stranger, "to you")

with check("push: a connection that has closed is no longer counted"):
    with opened() as one:
        cookie = cookie_of(one.response.headers)
        with opened(cookie):
            equal(pushed("first", cookie), "2")
        end_at = time.monotonic() + BOUND
        while (count := pushed("again", cookie)) != "1" and time.monotonic() < end_at:
            pass
        equal(count, "1")
        equal(pushed("last", cookie), "1")
        equal(set(skip_to(one, "last")), {"first", "again"})
    end_at = time.monotonic() + BOUND
    while (count := pushed("nobody", cookie)) != "0" and time.monotonic() < end_at:
        pass
    equal(count, "0")

with check("push: without a cookie nobody is reached, and the answer sets one"):
    status, count, headers = post("/push", "hello")
    equal((status, count), (200, "0"))
    with opened(cookie_of(headers)) as ws:
        equal(ws.response.headers.get("Set-Cookie"), None)
        equal(pushed("hello", cookie_of(headers)), "1")
        expect(ws, "hello")

for size in 0, 65536, 1024 * 1024:
    with check(f"push: a body of {size} bytes"), opened() as ws:
        equal(pushed("x" * size, cookie_of(ws.response.headers)), "1")
        expect(ws, "x" * size)

with check("push: a token names its session to whoever has it"), opened() as one, opened() as two:
    cookie = cookie_of(one.response.headers)
    status, token, headers = post("/remember", cookie=cookie)
    equal(status, 200)
    equal(headers.get("Set-Cookie"), None)
    assert token, "an empty token"
    equal(pushed("by token", path=f"/push/{token}"), "1")
    skip_to(one, "by token")
    other = cookie_of(two.response.headers)
    equal(pushed("by token of another", other, f"/push/{token}"), "1")
    skip_to(one, "by token of another")
    equal(pushed("own", other), "1")
    expect(two, "own")

with check("push: a bad token gets 400"):
    _, token, _ = post("/remember")
    _, another, _ = post("/remember")
    # The middle, since the last character may hold bits that are not used.
    half = len(token) // 2
    changed = token[:half] + ("A" if token[half] != "A" else "B") + token[half + 1 :]
    crossed = token[:half] + another[half:]
    for bad in "x", "%ff%00", changed, crossed, token[:-1], token + "A", token + token:
        equal((bad, post(f"/push/{bad}", "hello")[0]), (bad, 400))

with check("push: ticks come from a thread, to every remembered session only"):
    with opened() as one, opened() as two, opened() as stranger:
        cookies = [cookie_of(ws.response.headers) for ws in (one, two)]
        for cookie in cookies:
            equal(post("/remember", cookie=cookie)[0], 200)
        for ws in one, two:
            first = ws.recv(timeout=BOUND)
            assert first.startswith("tick "), first
            tick = int(first.removeprefix("tick "))
            for i in 1, 2:
                expect(ws, f"tick {tick + i}")
        # Had a tick gone to the stranger, it would come first.
        equal(pushed("own", cookie_of(stranger.response.headers)), "1")
        expect(stranger, "own")

with check("push: a session that is remembered twice gets each tick once"), opened() as ws:
    cookie = cookie_of(ws.response.headers)
    for _ in range(2):
        equal(post("/remember", cookie=cookie)[0], 200)
    # The first may have come between the two.
    ws.recv(timeout=BOUND)
    ticks = [ws.recv(timeout=BOUND) for _ in range(3)]
    equal(len(set(ticks)), 3)

end()
