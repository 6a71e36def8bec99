//! The life of an HTTP connection: keep-alive, HEAD, Expect, what is not HTTP, deadlines.

use crate::table::Part::{Drip, Pause, Raw, Times};
use crate::table::{http, Vector, CLOSED, NO_ANSWER, OPEN};

#[rustfmt::skip]
pub static HTTP: &[Vector] = &[
    // pipelined answers in order (RFC 9112 §9.3.2)
    http("ka-pipe3", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], OPEN.status(200).count(3)),

    // nothing after close is answered (RFC 9112 §9.6)
    http("ka-close", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Connection: close\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], CLOSED.status(200).count(1)),

    // token list, any case (RFC 9110 §7.6.1)
    http("ka-close-list", &[
        Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: foo, CLOSE\r\n\r\n")
    ], CLOSED.status(200)),

    // token compare, not substring (tiny_http uses contains) (RFC 9110 §7.6.1)
    http("ka-close-substr", &[
        Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: not-close\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // nothing after an error is answered: where the next request begins is not known (RFC 9112
    // §9.6, §11.2)
    http("ka-err-then-ok", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Foo : x\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], CLOSED.status(400).count(1)),

    // client half-close still gets its answer (RFC 9112 §9.6; measured)
    http("ka-halfclose", &[Raw(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(200).body("hello")).half_close(),

    // HEAD: same headers, no body, next response aligned (RFC 9110 §9.3.2)
    http("head", &[
        Raw(b"HEAD /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n\
              GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n")
    ], OPEN.raw_contains(&["HTTP/1.1 200"]).count(2).head_first()),

    // HEAD: an error has no body either, or it would be the answer to the next request (RFC 9110
    // §9.3.2): a foreign host, a body over the limit, one that nobody wants, one that is not
    // chunked as it says, one that does not come
    http("head-421", &[Raw(b"HEAD /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n")],
        CLOSED.status(421).count(1).head_first()),
    http("head-413", &[
        Raw(b"HEAD /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048577\r\n\r\n")
    ], CLOSED.status(413).count(1).head_first()),
    http("head-404", &[
        Raw(b"HEAD /nope HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n")
    ], CLOSED.status(404).count(1).head_first()),
    http("head-400", &[
        Raw(b"HEAD /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              x")
    ], CLOSED.status(400).count(1).head_first()),
    http("head-408", &[
        Raw(b"HEAD /hello HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhell")
    ], CLOSED.status(408).count(1).head_first().within_ms(2600)).fast(),

    // HEAD: nor has the refusal of a head that cannot be parsed, from its method on
    http("head-field-400", &[Raw(b"HEAD /hello HTTP/1.1\r\nHost : localhost\r\n\r\n")],
        CLOSED.status(400).count(1).head_first()),
    http("head-target-400", &[Raw(b"\r\nHEAD /../x HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(400).count(1).head_first()),
    http("head-505", &[Raw(b"HEAD /hello HTTP/2.0\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(505).count(1).head_first()),
    http("head-417", &[
        Raw(b"HEAD /hello HTTP/1.1\r\nHost: localhost\r\nExpect: teapot\r\n\r\n")
    ], CLOSED.status(417).count(1).head_first()),
    http("head-414", &[Raw(b"HEAD /"), Times(9000, &[Raw(b"a")])],
        CLOSED.status(414).count(1).head_first()),
    http("head-431", &[
        Raw(b"HEAD /hello HTTP/1.1\r\nHost: localhost\r\nFoo: "), Times(20_000, &[Raw(b"a")])
    ], CLOSED.status(431).count(1).head_first()),
    http("head-slow", &[Raw(b"HEAD /hello HTTP/1.1\r\nHost: loc")],
        CLOSED.status(408).count(1).head_first().within_ms(2600)).fast(),

    // HTTP/1.0 persists if the client asks for it (RFC 9112 §9.3; ab -k)
    http("ka-10", &[
        Raw(b"GET /hello HTTP/1.0\r\n\
              Connection: Keep-Alive\r\n\r\n\
              GET /hello HTTP/1.0\r\n\
              Host:\r\n\
              Connection: keep-alive\r\n\r\n")
    ], OPEN.status(200).count(2).header("connection", "keep-alive")),

    // 100 Continue before the body (RFC 9110 §10.1.1)
    http("exp-100", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n"),
        Pause(200), Raw(b"hello"),
    ], OPEN.status(100).final_status(200).body("hello")),

    // no expectation, and the same one twice (RFC 9110 §10.1.1, a list)
    http("exp-empty", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect:\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], OPEN.status(200).body("hello")),
    http("exp-twice", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: 100-continue, 100-continue\r\n\
              Content-Length: 5\r\n\r\n"),
        Pause(200), Raw(b"hello"),
    ], OPEN.status(100).final_status(200).body("hello")),

    // unknown expectation (RFC 9110 §10.1.1, MAY 417)
    http("exp-bad", &[
        Raw(b"POST /echo HTTP/1.1\r\n\
              Host: localhost\r\n\
              Expect: teapot\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], CLOSED.status(417)),

    // ignored in HTTP/1.0 (RFC 9110 §10.1.1)
    http("exp-10", &[
        Raw(b"POST /echo HTTP/1.0\r\n\
              Host: localhost\r\n\
              Expect: 100-continue\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], CLOSED.status(200).body("hello")),

    // unknown route keeps the connection (RFC 9110 §15.5.5)
    http("nf", &[Raw(b"GET /nope HTTP/1.1\r\nHost: localhost\r\n\r\n")], OPEN.status(404)),

    // unknown upgrade is ignored (RFC 9110 §7.8)
    http("up-ignored", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Connection: Upgrade\r\n\
              Upgrade: h2c\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // TLS to a plain port (robustness)
    http("tls-hello", &[
        Raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), Times(32, &[Raw(b"A")]),
        Raw(b"\r\n\r\n"),
    ], CLOSED.status(400)),

    // every byte value, eight times over (fuzz seed)
    http("garbage", &[
        Times(8, &[
            Raw(b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\
                  \x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f !\"#$%&'()*+,-./0123456789:\
                  ;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~\x7f\
                  \x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\
                  \x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\
                  \xa6\xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\
                  \xb9\xba\xbb\xbc\xbd\xbe\xbf\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7\xc8\xc9\xca\xcb\
                  \xcc\xcd\xce\xcf\xd0\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\
                  \xdf\xe0\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xeb\xec\xed\xee\xef\xf0\xf1\
                  \xf2\xf3\xf4\xf5\xf6\xf7\xf8\xf9\xfa\xfb\xfc\xfd\xfe\xff"),
        ])
    ], CLOSED.status(400)),

    // slowloris: TOTAL deadline (2 s in the fast profile), not per read (nginx
    // client_header_timeout; Node headersTimeout; hyper 30 s)
    http("slow-header", &[
        Raw(b"GET /hello HTTP/1.1\r\nX: "), Drip(200, &[Raw(b"aaaaaaaaaaaaaaa")])
    ], CLOSED.status(408).within_ms(2600)).fast(),

    // R-U-D-Y (Apache mod_reqtimeout; Node requestTimeout)
    http("slow-body", &[
        Raw(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"),
        Drip(200, &[Raw(b"aaaaaaaaaaaaaaa")]),
    ], CLOSED.status(408).within_ms(2800)).fast(),

    // connected and silent (nginx; Node headersTimeout)
    http("idle-connect", &[], CLOSED.status(NO_ANSWER).within_ms(2600)).fast(),
];
