//! Bodies on routes that stream: handlers that leave a body unread (`/unread`), read half of it
//! (`/half`), or go on after its errors (`/swallow`).

use crate::table::Part::{Pause, Raw, Times};
use crate::table::{http, Vector, CLOSED, OPEN};

#[rustfmt::skip]
pub static UNREAD: &[Vector] = &[
    // the client is not asked for a body that nobody reads (RFC 9110 §10.1.1)
    http("un-expect", &[
        Raw(b"POST /unread HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n")
    ], CLOSED.status(200).count(1).header("connection", "close").body("unread")),
    // nor one that is sent even so
    http("un-expect-sent", &[
        Raw(b"POST /unread HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n\
              helloGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(200).count(1).header("connection", "close")),
    // a short rest is dropped, and the next request is answered (RFC 9112 §9.3)
    http("un-short", &[
        Raw(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n\
              helloGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], OPEN.status(200).count(2).header("connection", "keep-alive").body("hello")),
    // it may come after the answer
    http("un-short-later", &[
        Raw(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"), Pause(200),
        Raw(b"hel"), Pause(50), Raw(b"loGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], OPEN.status(200).count(2).body("hello")),
    // so in HTTP/1.0, whose clients have no expectations
    http("un-10", &[
        Raw(b"POST /unread HTTP/1.0\r\n\
              Connection: keep-alive\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n\
              helloGET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    ], OPEN.status(200).count(2).body("hello")),
    http("un-64k", &[
        Raw(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65536\r\n\r\n"),
        Times(65_536, &[Raw(b"a")]), Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], OPEN.status(200).count(2).body("hello")),
    // a longer one costs more than a new connection
    http("un-64k-1", &[
        Raw(b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65537\r\n\r\n"),
        Times(65_537, &[Raw(b"a")]), Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], CLOSED.status(200).count(1).header("connection", "close")),
    // a chunked one has no known length
    http("un-chunked", &[
        Raw(b"POST /unread HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(200).count(1).header("connection", "close")),
    // without a body, nothing changes
    http("un-none", &[
        Raw(b"GET /unread HTTP/1.1\r\nHost: localhost\r\n\r\n\
              GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], OPEN.status(200).count(2).header("connection", "keep-alive")),
    http("un-empty", &[
        Raw(b"POST /half HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 0\r\n\r\n")
    ], OPEN.status(200).count(1).body("0 bytes")),

    // half is read: the rest is dropped like that of a body of which nothing was
    http("half-short", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n\
              helloGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], OPEN.status(200).count(2).body("3 bytes")),
    http("half-expect", &[
        Raw(b"POST /half HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n"),
        Pause(200), Raw(b"helloGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], OPEN.status(100).final_status(200).last(200).body("3 bytes").raw_contains(&["hello"])),
    http("half-64k", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65539\r\n\r\n"),
        Times(65_539, &[Raw(b"a")]), Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], OPEN.status(200).count(2).body("3 bytes")),
    http("half-64k-1", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65540\r\n\r\n"),
        Times(65_540, &[Raw(b"a")]), Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    ], CLOSED.status(200).count(1).body("3 bytes").header("connection", "close")),
    http("half-chunked", &[
        Raw(b"POST /half HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(200).count(1).body("3 bytes").header("connection", "close")),

    // the limit is checked before the client is asked (RFC 9110 §15.5.14)
    http("half-413", &[
        Raw(b"POST /half HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 1048577\r\n\r\n")
    ], CLOSED.status(413).count(1)),
    // what is cut short is an error, never an end (RFC 9112 §8)
    http("half-eof", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
    ], CLOSED.status(400).count(1)).half_close(),
    http("half-late", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
    ], CLOSED.status(408).count(1).within_ms(7000)).fast(),
    http("half-size", &[
        Raw(b"POST /half HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
    ], CLOSED.status(400).count(1)),

    // after an error no request follows, whatever the handler has made of it: another recipient
    // could see the end of the body elsewhere (RFC 9112 §11.2)
    http("swallow-size", &[
        Raw(b"POST /swallow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nhellox0\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], CLOSED.status(200).count(1).body("5 bytes").header("connection", "close")),
    http("swallow-413", &[
        Raw(b"POST /swallow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
              100001\r\n")
    ], CLOSED.status(200).count(1).body("0 bytes").header("connection", "close")),
    http("swallow-late", &[
        Raw(b"POST /swallow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhe")
    ], CLOSED.status(200).count(1).body("2 bytes").header("connection", "close")).fast(),
    http("swallow-whole", &[
        Raw(b"POST /swallow HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
              5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
    ], OPEN.status(200).count(2).body("5 bytes")),

    // a WebSocket opens with no body, on a route that streams too (RFC 6455 §4.1)
    http("up-body", &[
        Raw(b"GET /swallow HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], CLOSED.status(400).count(1)),
];
