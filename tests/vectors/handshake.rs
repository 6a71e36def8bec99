//! The opening handshake (RFC 6455, 4) and the Origin check.

use crate::table::Part::Raw;
use crate::table::{http, Vector, CLOSED, OPEN};

#[rustfmt::skip]
pub static HANDSHAKE: &[Vector] = &[
    // accept = base64(sha1(key+GUID)) (RFC 6455 §1.3, §4.2.2)
    http("hs-ok", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(101).header("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")),

    // two Connection lines join (RFC 9110 §5.3)
    http("hs-con-2lines", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: keep-alive\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Connection: Upgrade\r\n\r\n")
    ], OPEN.status(101)),

    // token, not substring (RFC 6455 §4.2.1)
    http("hs-con-substr", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: NotUpgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(426)),

    // GET only (RFC 6455 §4.2.1; ws/gorilla/websockets 405)
    http("hs-post", &[
        Raw(b"POST /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(405)),

    // HTTP/1.1 or higher (RFC 6455 §4.2.1)
    http("hs-http10", &[
        Raw(b"GET /ws HTTP/1.0\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], CLOSED.status(400)),

    // Upgrade lacks websocket (RFC 6455 §4.2.1)
    http("hs-bad-upgrade", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: h2c\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(426)),

    // MUST NOT appear twice (RFC 6455 §11.3.5)
    http("hs-ver-dup", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(400)),

    // numeric parse must not take a prefix (RFC 6455 §4.2.1)
    http("hs-ver-junk", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13abc\r\n\r\n")
    ], OPEN.status(426)),

    // key must be base64 of exactly 16 bytes (RFC 6455 §4.2.1 item 5; tungstenite
    // is_valid_sec_websocket_key; ws keyRegex)
    http("hs-key-none", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(400)),
    http("hs-key-15b", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: YWFhYWFhYWFhYWFhYWFh\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(400)),
    http("hs-key-notb64", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(400)),
    http("hs-key-url", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j__==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(400)),

    // MUST NOT appear twice (RFC 6455 §11.3.1)
    http("hs-key-dup", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    ], OPEN.status(400)),

    // no body on an upgrade: body bytes would be read as frames (RFC 6455 §4.1; smuggling via
    // upgrade)
    http("hs-body", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Content-Length: 5\r\n\r\n\
              hello")
    ], CLOSED.status(400)),

    // same (RFC 6455 §4.1)
    http("hs-chunked", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Transfer-Encoding: chunked\r\n\r\n\
              0\r\n\r\n")
    ], CLOSED.status(400)),

    // HTTP controller ignores the upgrade (RFC 9110 §7.8)
    http("hs-http-route", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(200).body("hello")),

    // Origin check, same host by default; CSWSH (RFC 6455 §10.2, §4.2.2 item 2; gorilla
    // checkSameOrigin; coder/websocket)
    http("or-cross", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://evil.example\r\n\r\n")
    ], OPEN.status(403)),
    http("or-null", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: null\r\n\r\n")
    ], OPEN.status(403)),
    http("or-empty", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: \r\n\r\n")
    ], OPEN.status(403)),
    http("or-suffix", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://localhost.evil.example\r\n\r\n")
    ], OPEN.status(403)),
    http("or-port", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://localhost:1\r\n\r\n")
    ], OPEN.status(403)),
    http("or-junk", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: not a url\r\n\r\n")
    ], OPEN.status(403)),
    http("or-path", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://localhost/x\r\n\r\n")
    ], OPEN.status(403)),

    // two Origins (websockets, python multiple values -> 400)
    http("or-dup", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://localhost\r\n\
              Origin: http://evil.example\r\n\r\n")
    ], OPEN.status(403)),

    // DNS rebinding: Host not in allowed_hosts (needs the allow-list on) (Vite GHSA-vg6x-rcgg-rjx6
    // / CVE-2025-24010)
    http("or-rebind", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: evil.example\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Origin: http://evil.example\r\n\r\n")
    ], CLOSED.status(421)),

    // no match: header absent, never an invented one (RFC 6455 §4.2.2 item 5)
    http("hs-proto", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Protocol: chat, superchat\r\n\r\n")
    ], OPEN.status(101).no_header("sec-websocket-protocol")),

    // offer declined by silence (RFC 6455 §9.1; RFC 7692)
    http("hs-ext", &[
        Raw(b"GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n")
    ], OPEN.status(101).no_header("sec-websocket-extensions")),

    // upgrade on a kept-alive connection (RFC 9112 §9.3)
    http("hs-two-keepalive", &[
        Raw(b"GET /hello HTTP/1.1\r\n\
              Host: localhost\r\n\r\n\
              GET /ws HTTP/1.1\r\n\
              Host: localhost\r\n\
              Upgrade: websocket\r\n\
              Connection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
              Sec-WebSocket-Version: 13\r\n\r\n")
    ], OPEN.status(200).count(2).last(101)),
];
