"""nginx as the guide sets it up, on a free port; without TLS in front of one server: nginx.py PORT FOLDER"""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

from common import BOUND

guide = pathlib.Path(__file__).resolve().parents[2] / "src/guide/small_host.md"


def block(language, upstream):
    """The configuration that the guide gives, with this server behind it."""
    text = re.search(rf"```{language}\n(.*?)```", guide.read_text(), re.S)[1]
    assert text.count("127.0.0.1:8000") == 1
    return text.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}")


def free_port():
    with contextlib.closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def nginx(server, out):
    """Writes the configuration around a server block, and returns the command."""
    out.mkdir(exist_ok=True)
    folders = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    temporary = "".join(f"{name}_temp_path {out}/{name};\n" for name in folders)
    own = f"daemon off;\npid {out}/nginx.pid;\nevents {{}}\n"
    site = f"http {{\naccess_log off;\n{temporary}{server}}}\n"
    (out / "nginx.conf").write_text(own + site)
    return ["/usr/sbin/nginx", "-p", out, "-e", out / "nginx.log", "-c", out / "nginx.conf"]


@contextlib.contextmanager
def running(command, port, out):
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


if __name__ == "__main__":
    upstream, out = int(sys.argv[1]), pathlib.Path(sys.argv[2]).absolute()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    port = free_port()
    server = block("nginx", upstream).replace("443 ssl", f"127.0.0.1:{port}")
    server = re.sub(r" *ssl_.*\n", "", server)
    with running(nginx(server, out), port, out):
        print(f"http://localhost:{port}/", file=sys.stderr, flush=True)
        signal.pause()
