"""Python's `websockets.sync`: sends each message back.

The port goes to stdout; the end of stdin is the end.
"""

import os
import sys
import threading

from websockets.sync.server import serve


def echo(websocket):
    for message in websocket:
        websocket.send(message)


def end_with_stdin():
    sys.stdin.read()
    os._exit(0)


# A ping of the server's own would not be one of the replies that the bench waits for.
with serve(echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
    print(server.socket.getsockname()[1], flush=True)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    server.serve_forever()
