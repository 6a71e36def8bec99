"""The service example behind nginx and Caddy, set up as the guide says: proxy.py PORT FOLDER"""

import contextlib
import http.client
import pathlib
import socket
import ssl
import subprocess
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from common import BOUND, check, end, equal
from nginx import block, free_port, nginx, running

service, out = int(sys.argv[1]), pathlib.Path(sys.argv[2], "proxy").absolute()
HOST = "chat.example.com"
# Not the proxy's.
CLIENT = "127.0.0.2"


def with_nginx(port):
    server = block("nginx", service).replace("443 ssl", f"127.0.0.1:{port} ssl")
    return nginx(server.replace("/etc/ssl/chat", str(out / "chat")), out)


def with_caddy(port):
    own = f"https://{HOST}:{port} {{\n    tls {out}/chat.pem {out}/chat.key\n    bind 127.0.0.1"
    site = block("caddy", service).replace(f"{HOST} {{", own)
    options = "{\n    admin off\n    auto_https disable_redirects\n}\n"
    (out / "Caddyfile").write_text(options + site)
    return ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", out / "Caddyfile"]


def tunnel(port):
    return socket.create_connection(("127.0.0.1", port), BOUND, (CLIENT, 0))


def trusting():
    return ssl.create_default_context(cafile=str(out / "chat.pem"))


def get(port, headers):
    connection = http.client.HTTPSConnection(HOST, timeout=BOUND, context=trusting())
    connection.sock = trusting().wrap_socket(tunnel(port), server_hostname=HOST)
    with contextlib.closing(connection):
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()


def opened(port, origin, host=HOST):
    url = f"wss://{host}/websocket"
    options = {"sock": tunnel(port), "ssl": trusting(), "origin": origin}
    return connect(url, proxy=None, open_timeout=BOUND, **options)


def end_of(port, size):
    """The code with which the server answers a message of so many bytes, or what came instead."""
    with opened(port, f"https://{HOST}") as ws:
        try:
            ws.send(b"x" * size)
            return ws.recv(timeout=BOUND)
        except ConnectionClosed as closed:
            return closed.rcvd and closed.rcvd.code


def through(name, port):
    with check(f"{name}: the server knows the client, whatever the client says of itself"):
        equal(get(port, {}), (200, CLIENT))
        equal(get(port, {"X-Forwarded-For": "192.0.2.7"}), (200, CLIENT))
    with check(f"{name}: wss through it, with a cookie for TLS only"):
        with opened(port, f"https://{HOST}") as ws:
            assert "; Secure" in ws.response.headers["Set-Cookie"], ws.response.headers
            for message in "through the proxy", b"\x00\xff" * 8000:
                ws.send(message)
                equal(ws.recv(timeout=BOUND), message)
    with check(f"{name}: a page on a port other than 443 is of the same origin"):
        with opened(port, f"https://{HOST}:8443", f"{HOST}:8443"):
            pass
    with check(f"{name}: a message of 3 MB is told 1009, each of eight times"):
        equal([end_of(port, 3 * 1000 * 1000) for _ in range(8)], [1009] * 8)
    with check(f"{name}: the page of another origin is refused"):
        try:
            with opened(port, "https://elsewhere.example"):
                pass
        except InvalidStatus as refusal:
            equal(refusal.response.status_code, 403)
        else:
            raise AssertionError("it was let in")


out.mkdir(exist_ok=True)
certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
files = ["-keyout", out / "chat.key", "-out", out / "chat.pem"]
subprocess.run([*certificate, *names, *files], check=True, capture_output=True)
for name, command in ("nginx", with_nginx), ("caddy", with_caddy):
    port = free_port()
    with running(command(port), port, out):
        through(name, port)

with check("service: past the proxy, another host's name is answered with 421"):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service, timeout=BOUND)) as c:
        c.request("GET", "/", headers={"Host": "elsewhere.example"})
        equal(c.getresponse().status, 421)

end()
