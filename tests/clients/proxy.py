"""The service example behind nginx and Caddy, set up as the guide says: proxy.py PORT FOLDER"""

import contextlib
import http.client
import os
import pathlib
import re
import socket
import ssl
import subprocess
import sys
import time

from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from common import BOUND, check, end, equal

service, out = int(sys.argv[1]), pathlib.Path(sys.argv[2], "proxy").absolute()
guide = pathlib.Path(__file__).resolve().parents[2] / "src/guide/small_host.md"
HOST = "chat.example.com"
# Not the proxy's.
CLIENT = "127.0.0.2"


def block(language):
    """The configuration that the guide gives, with this test's service."""
    text = re.search(rf"```{language}\n(.*?)```", guide.read_text(), re.S)[1]
    assert text.count("127.0.0.1:8000") == 1
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{service}")


def free_port():
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def nginx(port):
    server = block("nginx").replace("443 ssl", f"127.0.0.1:{port} ssl")
    server = server.replace("/etc/ssl/chat", str(out / "chat"))
    folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"{name}_temp_path {out}/{name};\n" for name in folders)
    own = f"daemon off;\npid {out}/nginx.pid;\nevents {{}}\n"
    site = f"http {{\naccess_log off;\n{temporary}{server}}}\n"
    (out / "nginx.conf").write_text(own + site)
    return ["/usr/sbin/nginx", "-p", out, "-e", out / "nginx.log", "-c", out / "nginx.conf"]


def caddy(port):
    own = f"https://{HOST}:{port} {{\n    tls {out}/chat.pem {out}/chat.key\n    bind 127.0.0.1"
    site = block("caddy").replace(f"{HOST} {{", own)
    options = "{\n    admin off\n    auto_https disable_redirects\n}\n"
    (out / "Caddyfile").write_text(options + site)
    return ["/usr/bin/caddy", "run", "--adapter", "caddyfile", "--config", out / "Caddyfile"]


@contextlib.contextmanager
def running(command, port):
    with open(out / "proxy.log", "a") as log:
        # Caddy keeps its files in the home folder.
        environment = {**os.environ, "HOME": str(out), "XDG_CONFIG_HOME": str(out)}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=out, env=environment)
        try:
            until = time.monotonic() + BOUND
            while process.poll() is None and time.monotonic() < until:
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()


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


def opened(port, origin):
    url = f"wss://{HOST}/websocket"
    return connect(url, sock=tunnel(port), ssl=trusting(), origin=origin, proxy=None)


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
    with check(f"{name}: the page of another origin is refused"):
        try:
            opened(port, "https://elsewhere.example").close()
        except InvalidStatus as refusal:
            equal(refusal.response.status_code, 403)
        else:
            raise AssertionError("it was let in")


out.mkdir(exist_ok=True)
certificate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
files = ["-keyout", out / "chat.key", "-out", out / "chat.pem"]
subprocess.run([*certificate, *names, *files], check=True, capture_output=True)
for name, command in ("nginx", nginx), ("caddy", caddy):
    port = free_port()
    with running(command(port), port):
        through(name, port)

with check("service: past the proxy, another host's name is answered with 421"):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", service, timeout=BOUND)) as c:
        c.request("GET", "/", headers={"Host": "elsewhere.example"})
        equal(c.getresponse().status, 421)

end()
