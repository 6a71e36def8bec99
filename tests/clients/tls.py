"""curl and OpenSSL talk to the example over TLS: tls.py PORT PLAIN_PORT AUTHORITY"""

import subprocess
import sys

from common import BOUND, check, end, equal

port, plain, authority = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]


def run(*command, text=""):
    ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=3 * BOUND)
    return ran.returncode, ran.stdout + ran.stderr


def openssl(*options, text="Q\n"):
    """Whether there is a handshake, and what is told of it."""
    connect = "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", authority
    told = run(*connect, "-verify_return_error", *options, text=text)[1]
    return "Verify return code: 0 (ok)" in told and "Cipher is (NONE)" not in told, told


def curl(*options):
    show = "--silent", "--show-error", "--max-time", str(BOUND), "--cacert", authority
    return run("curl", *show, "--output", "/dev/null", *options)[1]


# So that OpenSSL itself refuses as little as possible.
ANY = "ALL:COMPLEMENTOFALL:@SECLEVEL=0"

for version, spoken in ("tls1_3", True), ("tls1_2", True), ("tls1_1", False), ("tls1", False):
    with check(f"openssl: {version} is {'spoken' if spoken else 'refused'}"):
        equal(openssl(f"-{version}", "-cipher", ANY)[0], spoken)

with check("openssl: of all suites of TLS 1.2, those with forward secrecy and AEAD are spoken"):
    suites = run("openssl", "ciphers", "-tls1_2", "-s", ANY)[1].strip().split(":")
    assert len(suites) > 20, suites
    spoken = [suite for suite in suites if openssl("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")[0]]
    equal(sorted(spoken), [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ])

for suite in "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256":
    with check(f"openssl: {suite} is spoken"):
        equal(openssl("-tls1_3", "-ciphersuites", suite)[0], True)

with check("openssl: TLS 1.2 is not renegotiated"):
    told = openssl("-tls1_2", text="R\nQ\n")[1]
    assert "RENEGOTIATING" in told and "no renegotiation" in told.lower(), told[-300:]

with check("openssl: another name, and none, get the certificate"):
    equal(openssl("-servername", "elsewhere.example")[0], True)
    equal(openssl("-noservername")[0], True)

with check("openssl: http/1.1 is chosen, no protocol is fine, and others alone are alert 120"):
    assert "ALPN protocol: http/1.1" in openssl("-alpn", "h2,http/1.1")[1]
    assert "No ALPN negotiated" in openssl()[1]
    told = openssl("-alpn", "h2")[1]
    assert "alert number 120" in told, told[-300:]

status = "--write-out", "%{http_code} %{http_version} %{redirect_url}"
with check("curl: a page comes, by HTTP/1.1 though HTTP/2 is offered"):
    for options in [], ["--tls-max", "1.2"], ["--tlsv1.3"]:
        equal(curl("--http2", *options, *status, f"https://localhost:{port}/tea"), "200 1.1 ")

with check("curl: one connection carries a hundred requests"):
    urls = f"https://localhost:{port}/[1-100]"
    equal(curl("--write-out", "%{num_connects}", urls).count("1"), 1)

with check("curl: plain HTTP at the port of TLS is 400, and has a text"):
    equal(curl(*status, f"http://localhost:{port}/"), "400 1.1 ")
    told = run("curl", "--silent", f"http://localhost:{port}/", "--data", "x" * 100_000)[1]
    equal(told, "This port speaks HTTPS only.\n")

with check("curl: plain HTTP at the other port is sent to the same path, with its method"):
    url = f"https://localhost:{port}/tea%20x?a=b"
    equal(curl(*status, f"http://localhost:{plain}/tea%20x?a=b"), f"308 1.1 {url}")
    equal(curl("--location", *status, f"http://localhost:{plain}/tea"), "200 1.1 ")

with check("curl: another Host is sent nowhere"):
    equal(curl("--header", "Host: elsewhere.example", *status, f"http://localhost:{plain}/"), "421 1.1 ")

end()
