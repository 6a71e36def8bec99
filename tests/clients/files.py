"""curl and Python's `requests` with the files example: files.py PORT FOLDER"""

import hashlib
import os
import pathlib
import subprocess
import sys
import time

import requests

from common import BOUND, check, end, equal

port, folder = int(sys.argv[1]), pathlib.Path(sys.argv[2])
URL = f"http://localhost:{port}/files/"
TOKEN = {"Authorization": "Bearer sesame"}
WITH_TOKEN = ["-H", "Authorization: Bearer sesame"]
MIB = 1024 * 1024

log = folder.with_name("files.log")
scratch = folder.with_name("files-of-clients")
scratch.mkdir(exist_ok=True)
large, image = scratch / "large", scratch / "image"
with open(large, "wb") as file:
    file.truncate(200 * MIB)
image.write_bytes(os.urandom(32 * MIB))


def curl(*arguments):
    """What curl prints: the answer, its status, and the bytes of body that were sent and received."""
    form = " %{http_code} %{size_upload} %{size_download}"
    command = ["curl", "-sS", "--max-time", str(3 * BOUND), "-w", form, *map(str, arguments)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=4 * BOUND)
    return told.stdout


def until(what, ask):
    until_at = time.monotonic() + BOUND
    while not ask():
        assert time.monotonic() < until_at, f"never: {what}"
        time.sleep(0.01)


def parts():
    return list((folder / ".parts").iterdir())


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


with check("files: curl -T of 200 MiB without a token shows 401, and sends nothing"):
    equal(curl("-T", large, URL), "401 Unauthorized\n 401 0 17")

with check("files: curl -T of 200 MiB that does not ask first shows 401 and not a broken pipe"):
    told = curl("-T", large, "-H", "Expect:", URL).split()
    equal(told[:3], ["401", "Unauthorized", "401"])
    assert int(told[3]) < 200 * MIB, told

with check("files: curl -T of 32 MiB with the token"):
    equal(curl("-T", image, *WITH_TOKEN, URL), f" 201 {32 * MIB} 0")
    equal(curl("-T", image, *WITH_TOKEN, URL), f" 204 {32 * MIB} 0")
    equal((digest(folder / "image"), parts()), (digest(image), []))

with check("files: curl -T from a pipe, which has no length"):
    pipe = subprocess.Popen(["cat", image], stdout=subprocess.PIPE)
    command = ["curl", "-sS", "-T", "-", *WITH_TOKEN, "-w", "%{http_code}", URL + "piped"]
    told = subprocess.run(command, stdin=pipe.stdout, capture_output=True, timeout=4 * BOUND)
    pipe.stdout.close()
    equal((pipe.wait(), told.stdout), (0, b"201"))
    equal(digest(folder / "piped"), digest(image))

with check("files: curl -C - resumes a download, and has nothing to do where all is there"):
    part = scratch / "part"
    part.write_bytes(image.read_bytes()[: 12 * MIB + 1])
    told = curl("-C", "-", "-o", part, *WITH_TOKEN, URL + "image")
    equal(told, f" 206 0 {20 * MIB - 1}")
    equal(digest(part), digest(image))
    told = curl("-C", "-", "-o", part, *WITH_TOKEN, URL + "image")
    equal(told, " 416 0 0")
    equal(digest(part), digest(image))

with check("files: an upload that curl breaks off leaves the file as it was"):
    command = ["curl", "-sS", "--limit-rate", "1M", "-T", image, *WITH_TOKEN, URL]
    upload = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until("a part is there", parts)
    upload.kill()
    upload.wait()
    until("the part is gone", lambda: not parts())
    equal(digest(folder / "image"), digest(image))


def pieces(count):
    """A body of unknown length, in pieces of which one is empty."""
    for i in range(count):
        yield bytes([i % 256]) * (i % 5) * 16384


with check("files: requests uploads a generator, in chunks"):
    answer = requests.put(URL + "generated", pieces(500), headers=TOKEN, timeout=BOUND)
    equal(answer.status_code, 201)
    equal((folder / "generated").read_bytes(), b"".join(pieces(500)))

with check("files: requests has a generator refused with 401"):
    answer = requests.put(URL + "refused", pieces(5), timeout=BOUND)
    equal((answer.status_code, answer.headers["WWW-Authenticate"]), (401, "Bearer"))
    equal((folder / "refused").exists(), False)


def failing():
    yield b"half"
    raise RuntimeError("no more")


with check("files: a generator that fails leaves nothing"):
    try:
        requests.put(URL + "failed", failing(), headers=TOKEN, timeout=BOUND)
    except RuntimeError:
        pass
    until("the upload has failed", lambda: '"/files/failed"' in log.read_text())
    equal(((folder / "failed").exists(), parts()), (False, []))

with check("files: requests streams a download, asks for a range, lists, and deletes"):
    with requests.Session() as session:
        session.headers.update(TOKEN)
        with session.get(URL + "image", stream=True, timeout=BOUND) as answer:
            kinds = "Content-Disposition", "X-Content-Type-Options"
            equal([answer.headers[kind] for kind in kinds], ["attachment", "nosniff"])
            got = hashlib.sha256()
            for piece in answer.iter_content(MIB):
                got.update(piece)
            equal(got.hexdigest(), digest(image))
        answer = session.get(URL + "image", headers={"Range": "bytes=-5"}, timeout=BOUND)
        equal((answer.status_code, answer.content), (206, image.read_bytes()[-5:]))
        lines = session.get(URL, timeout=BOUND).text.splitlines()
        assert f"image\t{32 * MIB}" in lines, lines
        for name in "image", "piped", "generated":
            equal(session.delete(URL + name, timeout=BOUND).status_code, 204)
        equal(session.get(URL + "image", timeout=BOUND).status_code, 404)

end()
