"""The service example on a Unix socket, with curl and behind nginx: unix.py PROGRAM FOLDER"""

import contextlib
import http.client
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from websockets.sync.client import connect

from common import BOUND, check, end, equal
from nginx import block, free_port, nginx, running

program, out = sys.argv[1], pathlib.Path(sys.argv[2], "unix").absolute()
HOST = "chat.example.com"
CLIENT = "127.0.0.2"
out.mkdir(exist_ok=True)


def curl(path, *options):
    command = ["curl", "-sS", "--max-time", str(BOUND), "--unix-socket", path, *options]
    answer = subprocess.run([*command, f"http://{HOST}/"], capture_output=True, text=True, check=True)
    return answer.stdout


def tunnel(port):
    return socket.create_connection(("127.0.0.1", port), BOUND, (CLIENT, 0))


def with_nginx(path, port):
    server = block("nginx", 8000).replace("443 ssl", f"127.0.0.1:{port}")
    lines = [line for line in server.split("\n") if "ssl_" not in line]
    # As the guide says.
    site = "\n".join(lines).replace("http://127.0.0.1:8000", f"http://unix:{path}:")
    return nginx(site.replace("$scheme", "https"), out)


# A path in the folder of a build may be too long for a socket.
with tempfile.TemporaryDirectory() as folder:
    os.chmod(folder, 0o755)
    path = os.path.join(folder, "service.socket")
    environment = {**os.environ, "SERVICE_SOCKET": path, "SERVICE_HOST": HOST}
    log = open(out / "service.log", "w+")
    server = subprocess.Popen([program], stderr=log, env=environment)
    try:
        until = time.monotonic() + BOUND
        while not os.path.exists(path) and time.monotonic() < until:
            time.sleep(0.05)
        with check("curl --unix-socket: it is answered, and the mode is as it was set"):
            equal(curl(path), f"unix:{path}\n")
            equal(curl(path, "-H", "X-Forwarded-For: 192.0.2.7"), "192.0.2.7\n")
            equal(os.stat(path).st_mode & 0o777, 0o660)
        with check("curl --unix-socket: another host is answered with 421"):
            status = curl(path, "-H", "Host: elsewhere.example", "-o", "/dev/null", "-w", "%{http_code}")
            equal(status, "421")
        with check("curl --unix-socket: a second server is refused, and the first one stays"):
            second = subprocess.run([program], env=environment, capture_output=True, text=True)
            assert second.returncode != 0 and "another process listens there" in second.stderr, second
            equal(curl(path), f"unix:{path}\n")
        # Its workers may be of another user.
        os.chmod(path, 0o666)
        port = free_port()
        with running(with_nginx(path, port), port, out):
            with check("nginx proxy_pass http://unix: the server knows the client"):
                connection = http.client.HTTPConnection(HOST, timeout=BOUND)
                connection.sock = tunnel(port)
                with contextlib.closing(connection):
                    connection.request("GET", "/", headers={"X-Forwarded-For": "192.0.2.7"})
                    answer = connection.getresponse()
                    equal((answer.status, answer.read().decode().strip()), (200, CLIENT))
            with check("nginx proxy_pass http://unix: a WebSocket, with a cookie for TLS only"):
                url, origin = f"ws://{HOST}/websocket", f"https://{HOST}"
                with connect(url, sock=tunnel(port), origin=origin, proxy=None) as ws:
                    assert "; Secure" in ws.response.headers["Set-Cookie"], ws.response.headers
                    for message in "through the proxy", b"\x00\xff" * 8000:
                        ws.send(message)
                        equal(ws.recv(timeout=BOUND), message)
        with check("the service on a Unix socket still runs, and no thread of it panicked"):
            assert server.poll() is None
            log.seek(0)
            assert "panicked" not in log.read()
    finally:
        server.terminate()
        server.wait()
end()
