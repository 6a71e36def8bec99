//! Where a request body ends: Content-Length, Transfer-Encoding, chunks.

use crate::table::Part::{Raw, Times};
use crate::table::{http, Vector, CLOSED, NO_ANSWER, OPEN};

#[rustfmt::skip]
pub static BODY: &[Vector] = &[
    // invalid Content-Length: 400 and close (RFC 9112 §6.3 item 5; gunicorn 014-024; HTTP Garden
    // server bugs 10,16; h11)
    http("cl-plus", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: +5\r\n\r\nhello")
    ], CLOSED.status(400)),
    http("cl-samelist", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5, 5\r\n\r\nhello")
    ], CLOSED.status(400)),
    http("cl-float", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5.0\r\n\r\nhello")
    ], CLOSED.status(400)),
    http("cl-exp", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1e1\r\n\r\nhello")
    ], CLOSED.status(400)),
    http("cl-alpha", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: bla\r\n\r\nhello")
    ], CLOSED.status(400)),
    http("cl-quoted", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: \"5\"\r\n\r\nhello")
    ], CLOSED.status(400)),

    // 1*DIGIT allows leading zeros (RFC 9110 §8.6)
    http("cl-zeros", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0005\r\n\r\nhello")
    ], OPEN.status(200).body("hello")),

    // may be collapsed or rejected; strict: reject (RFC 9112 §6.3 item 5)
    http("cl-dup-same", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Content-Length: 5\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], CLOSED.status(400)),

    // MUST reject (RFC 9112 §6.3; gunicorn 021)
    http("cl-dup-diff", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Content-Length: 5\r\n\
              Content-Length: 4\r\n\r\n\
              hello")
    ], CLOSED.status(400)),

    // Node CVE-2024-27982 / tiny_http class (RFC 9112 §5.1)
    http("cl-space-colon", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length : 5\r\n\r\nhello")
    ], CLOSED.status(400)),

    // 413 at once, no allocation, no wait for the body (RFC 9110 §15.5.14)
    http("cl-huge", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Content-Length: 9223372036854775807\r\n\r\n")
    ], CLOSED.status(413)),

    // limit+1 (RFC 9110 §15.5.14)
    http("cl-over", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n")
    ], CLOSED.status(413)),

    // 413 must reach the client even when it is still sending (lingering close) (RFC 9112 §9.6)
    http("cl-over-sent", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"),
        Times(3_000_000, &[Raw(b"a")]),
    ], CLOSED.status(413)),

    // incomplete body: never run the handler with a short body (RFC 9112 §8)
    http("cl-short-eof", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello")
    ], CLOSED.status(NO_ANSWER).handler_ran(false)).half_close(),

    // body on GET must be consumed before the next request (RFC 9112 §6.3; RFC 9110 §9.3.1)
    http("cl-get-body", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Content-Length: 5\r\n\r\n\
              helloGET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], OPEN.status(200).count(2)),

    // one response only (PortSwigger CL.TE)
    http("te-cl-smuggle", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Content-Length: 4\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              28\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              X: y\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400).count(1)),

    // only the single exact token "chunked" (any case) is accepted (RUSTSEC-2020-0031)
    http("te-space-colon", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding : chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (RFC 9112 §6.3 item 4)
    http("te-chunked-gzip", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked, gzip\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (RFC 9112 §6.1)
    http("te-double", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked, chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (tiny_http 0.12 treats any TE as
    // chunked, CVE-2026-66752 class)
    http("te-identity", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: identity\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (PortSwigger)
    http("te-x", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: xchunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (PortSwigger TE.TE)
    http("te-vt", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: \x0bchunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (HTTP Garden server bug 12)
    http("te-nbsp", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: \xa0chunked\xa0\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (PortSwigger)
    http("te-quote", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: \"chunked\"\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (RFC 9112 §7)
    http("te-semi", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked;q=1\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (tinyproxy#616)
    http("te-comma", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked,\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // only the single exact token "chunked" (any case) is accepted (Node CVE-2022-32215)
    http("te-fold", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding:\r\n\
              \x20chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // TE in HTTP/1.0 = faulty framing (RFC 9112 §6.1; hyper; gunicorn chunked_05)
    http("te-10", &[
        Raw(b"POST /echo HTTP/1.0\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // hex upper (RFC 9112 §7.1)
    http("ck-upper", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              A\r\n\
              0123456789\r\n\
              0\r\n\r\n")
    ], OPEN.status(200).body("0123456789")),

    // leading zeros within the digit cap (RFC 9112 §7.1)
    http("ck-lead0", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              0005\r\n\
              hello\r\n\
              000\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // trailers dropped or kept apart (RFC 9112 §7.1)
    http("ck-trailer", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\
              X-T: 1\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // empty body (RFC 9112 §7.1)
    http("ck-empty", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              0\r\n\r\n")
    ], OPEN.status(200).body("")),

    // malformed chunk: 400 and close, no second response (RFC 9112 §7.1; gunicorn chunked_*; h11
    // GHSA-vqfr-h8mv-ghfj; Go CVE-2025-22871; HTTP Garden 1,17)
    http("ck-alpha", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              xyz\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-0x", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              0x5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-under", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              0_5\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-empty-size", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              \r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-lead-sp", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              \x205\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-trail-sp", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5 \r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-lf", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\nhello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-cr-ext", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5;a\rb\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-no-crlf", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-xx-crlf", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              helloXX0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-long-data", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              helloWORLD\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-ovf", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              10000000000000005\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),
    http("ck-17dig", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              00000000000000005\r\n\
              hello\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // u64::MAX: no overflow, no allocation (RFC 9112 §7.1; RUSTSEC-2021-0079 hyper)
    http("ck-huge", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              ffffffffffffffff\r\n")
    ], CLOSED.status(413)),

    // running total > 1 MiB (RFC 9110 §15.5.14)
    http("ck-sum-over", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Times(513, &[Raw(b"800\r\n"), Times(2048, &[Raw(b"a")]), Raw(b"\r\n")]),
    ], CLOSED.status(413)),

    // TOTAL extension bytes per body capped (16 KiB) (nowotarski http-chunk-extensions; hyper
    // CHUNKED_EXTENSIONS_LIMIT)
    http("ck-ext-many", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"),
        Times(2000, &[Raw(b"1;"), Times(40, &[Raw(b"a")]), Raw(b"\r\na\r\n")]), Raw(b"0\r\n\r\n"),
    ], CLOSED.status(400)),

    // the end comes inside the data, before the last chunk, before the trailers' end: never run the
    // handler with a short body (RFC 9112 §8)
    http("ck-eof-data", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hel")
    ], CLOSED.status(NO_ANSWER).handler_ran(false)).half_close(),
    http("ck-eof-chunk", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello\r\n")
    ], CLOSED.status(NO_ANSWER).handler_ran(false)).half_close(),
    http("ck-eof-last", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n")
    ], CLOSED.status(NO_ANSWER).handler_ran(false)).half_close(),

    // framing fields in trailers never merge, and nothing after them is answered (RFC 9110 §6.5.1;
    // gunicorn trailer_forbidden_cl)
    http("ck-trailer-cl", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\n\
              hello\r\n\
              0\r\n\
              Content-Length: 99\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], CLOSED.status(400).count(1)),
];
