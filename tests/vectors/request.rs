//! Request lines, targets, header fields and Host.

use crate::table::Part::{Raw, Times};
use crate::table::{http, Vector, CLOSED, OPEN};

#[rustfmt::skip]
pub static REQUEST: &[Vector] = &[
    // baseline (RFC 9112 §3)
    http("rl-ok", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(200).body("hello")),

    // one empty line before the request line SHOULD be ignored (RFC 9112 §2.2)
    http("rl-leading-crlf", &[Raw(b"\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(200).body("hello")),

    // empty-line skipping must be bounded (RFC 9112 §2.2; RUSTSEC-2023-0065 class)
    http("rl-crlf-flood", &[
        Times(20_000, &[Raw(b"\r\n")]), Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(400)),

    // unsupported major version (RFC 9110 §15.6.6; tiny_http 505; gunicorn version_02)
    http("rl-ver-2.0", &[Raw(b"GET /hello HTTP/2.0\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(505)),

    // unsupported version (RFC 9110 §15.6.6; gunicorn version_01)
    http("rl-ver-0.9", &[Raw(b"GET /hello HTTP/0.9\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(505)),

    // RFC says SHOULD treat as 1.1, parsers reject; pick 505 and keep it (RFC 9110 §2.5;
    // aiohttp#7700)
    http("rl-ver-1.2", &[Raw(b"GET /hello HTTP/1.2\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(505)),

    // one digit . one digit exactly (RFC 9112 §2.3; HTTP Garden server bug 5)
    http("rl-ver-prefix", &[Raw(b"GET /hello HTTP/1.10\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // HTTP-name is case-sensitive (RFC 9112 §2.3)
    http("rl-ver-lower", &[Raw(b"GET /hello http/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // not HTTP (gunicorn invalid/004)
    http("rl-ver-ftp", &[Raw(b"GET /hello FTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // exactly one SP between parts (RFC 9112 §3)
    http("rl-two-spaces", &[Raw(b"GET  /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // tab is not SP (RFC 9112 §3)
    http("rl-tab", &[Raw(b"GET\t/hello\tHTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // whitespace in target must not be autocorrected (RFC 9112 §3.2)
    http("rl-space-in-target", &[Raw(b"GET /he llo HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // method is a token (gunicorn nonascii_01)
    http("rl-method-nonascii", &[Raw(b"GET\xc3\x9f /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // longest-prefix method parse = ACL bypass (HTTP Garden server bug 6)
    http("rl-method-bad-token", &[
        Raw(b"G=\":<>(e),[T];?\" /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(400)),

    // unrecognised token method: 501 (RFC 9110 §9.1)
    http("rl-method-unknown", &[Raw(b"FROB /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(501)),

    // known method not allowed: 405 with Allow (RFC 9110 §15.5.6)
    http("rl-method-wrong", &[Raw(b"DELETE /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(405).header("allow", "GET")),

    // cap method length (32) (RFC 9112 §3)
    http("rl-method-long", &[
        Times(300, &[Raw(b"A")]), Raw(b" /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(501)),

    // never tunnel (RFC 9110 §9.3.6)
    http("rl-connect", &[Raw(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(501)),

    // asterisk-form only with OPTIONS (RFC 9112 §3.2.4; gunicorn rfc9112_target_asterisk)
    http("rl-asterisk-get", &[Raw(b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // server-wide OPTIONS (RFC 9110 §9.3.7)
    http("rl-asterisk-options", &[Raw(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(204)),

    // authority-form only with CONNECT (RFC 9112 §3.2.3; gunicorn target_authority)
    http("rl-authority-get", &[Raw(b"GET localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // target must start with / (gunicorn target_relative)
    http("rl-relative", &[Raw(b"GET hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // server MUST accept absolute-form (RFC 9112 §3.2.2)
    http("rl-absolute", &[Raw(b"GET http://localhost/hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(200).body("hello")),

    // # is not allowed in a request-target (RFC 9112 §3.2)
    http("rl-fragment", &[Raw(b"GET /hello#x HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // raw non-ASCII in target (RFC 3986 §2)
    http("rl-nonascii-target", &[Raw(b"GET /h\xc3\xa9llo HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // MUST 414; support >= 8000 bytes (RFC 9112 §3; default 8192)
    http("rl-uri-too-long", &[
        Raw(b"GET /"), Times(9000, &[Raw(b"a")]), Raw(b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(414)),

    // decide when the limit passes, not when CRLF comes (RFC 9112 §3; RUSTSEC-2023-0065)
    http("rl-uri-endless", &[Raw(b"GET /"), Times(100_000, &[Raw(b"a")])], CLOSED.status(414)),

    // dot segments (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-00", &[Raw(b"GET /static/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // encoded dot segments: decode before the check (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3,
    // pathnames)
    http("path-01", &[Raw(b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // encoded slash must not become a separator (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-02", &[Raw(b"GET /..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // NUL after decoding (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-04", &[Raw(b"GET /hello%00.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // decode exactly once: %25 -> % (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-07", &[Raw(b"GET /%2568ello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(404)),

    // unreserved escapes equal the letter (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-08", &[Raw(b"GET /%68ello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(200)),

    // trailing slash is another path unless routed (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3,
    // pathnames)
    http("path-10", &[Raw(b"GET /hello/ HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        OPEN.status(404)),

    // invalid UTF-8 after decoding must not panic (RFC 3986 §2.1,§6.2.2; RFC 9110 §17.3, pathnames)
    http("path-11", &[Raw(b"GET /%ff%fe HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // MUST 400 (RFC 9112 §5.1; RUSTSEC-2020-0031 tiny_http; gunicorn 020)
    http("h-space-colon", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo : x\r\n\r\n")],
        CLOSED.status(400)),

    // NUL in value (RFC 9110 §5.5; HTTP Garden server bug 2)
    http("h-nul-value", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: a\x00b\r\n\r\n")],
        CLOSED.status(400)),

    // bare CR in value (RFC 9110 §5.5; Node CVE-2023-30589)
    http("h-cr-value", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: a\rb\r\n\r\n")],
        CLOSED.status(400)),

    // CR as line end hides a header (HTTP Garden server bug 13)
    http("h-cr-smuggle", &[
        Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: a\rContent-Length: 5\r\n\r\n")
    ], CLOSED.status(400)),

    // DEL (gunicorn rfc9110_field_value_ctl_del)
    http("h-del", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: a\x7fb\r\n\r\n")],
        CLOSED.status(400)),

    // no colon (RFC 9112 §5)
    http("h-no-colon", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo\r\n\r\n")],
        CLOSED.status(400)),

    // name is a token (RFC 9110 §5.6.2)
    http("h-name-paren", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFo(o: x\r\n\r\n")],
        CLOSED.status(400)),

    // NUL in name (gunicorn 005)
    http("h-name-nul", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFo\x00o: x\r\n\r\n")],
        CLOSED.status(400)),

    // non-ASCII name (HTTP Garden server bug 8)
    http("h-name-nonascii", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFo\xef: x\r\n\r\n")],
        CLOSED.status(400)),

    // space in name (RFC 9110 §5.6.2)
    http("h-name-space", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFo o: x\r\n\r\n")],
        CLOSED.status(400)),

    // whitespace before the first field (RFC 9112 §2.2; HTTP Garden server bug 4)
    http("h-leading-ws", &[Raw(b"GET /hello HTTP/1.1\r\n Host: localhost\r\n\r\n")],
        CLOSED.status(400)),

    // \r\n\rX is not the end of the headers (Node CVE-2025-23167)
    http("h-cr-end", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\rZ\r\n\r\n")],
        CLOSED.status(400)),

    // obs-text in a value is opaque bytes, never a panic (RFC 9110 §5.5)
    http("h-obs-text", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: \xff\xfe\r\n\r\n")],
        OPEN.status(200).body("hello")),

    // Content_Length is another header (gunicorn 040)
    http("h-underscore", &[
        Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nContent_Length: 5\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // max 16 KiB (RFC 6585 §5; Node 16 KiB; h11 16 KiB)
    http("h-too-big", &[
        Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nFoo: "), Times(20_000, &[Raw(b"a")]),
        Raw(b"\r\n\r\n"),
    ], CLOSED.status(431)),

    // invalid value (RFC 9112 §3.2)
    http("host-path", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost/x\r\n\r\n")],
        CLOSED.status(400)),

    // userinfo not allowed (RFC 9110 §7.2)
    http("host-userinfo", &[Raw(b"GET /hello HTTP/1.1\r\nHost: u@localhost\r\n\r\n")],
        CLOSED.status(400)),

    // port must fit u16 (RFC 9110 §7.2)
    http("host-port-bad", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n")],
        CLOSED.status(400)),

    // HTTP/1.0 needs no Host; closes (RFC 9112 §3.2, §9.3)
    http("host-10-none", &[Raw(b"GET /hello HTTP/1.0\r\n\r\n")],
        CLOSED.status(200).body("hello")),

    // nor does an empty one harm there (RFC 9112 §3.2)
    http("host-10-empty", &[Raw(b"GET /hello HTTP/1.0\r\nHost:\r\n\r\n")],
        CLOSED.status(200).body("hello")),

    // IPv6 literal (RFC 3986 §3.2.2)
    http("host-ipv6", &[Raw(b"GET /hello HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n")],
        OPEN.status(200).body("hello")),
];
