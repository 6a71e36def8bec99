//! Close frames (RFC 6455, 7), heartbeats, and controllers that panic.

use crate::table::Part::{Masked, Raw};
use crate::table::{http, ws, Vector, CLOSED, NO_CODE, NO_FRAME};

#[rustfmt::skip]
pub static CLOSING: &[Vector] = &[
    // valid code: clean close, code echoed (RFC 6455 §7.4; Autobahn 7.7.x; IANA 1012-1014)
    ws("c-1000", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xe8bye")],
        CLOSED.close(1000)),
    ws("c-1001", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xe9bye")],
        CLOSED.close(1001)),
    ws("c-1002", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xeabye")],
        CLOSED.close(1002)),
    ws("c-1003", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xebbye")],
        CLOSED.close(1003)),
    ws("c-1007", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xefbye")],
        CLOSED.close(1007)),
    ws("c-1009", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xf1bye")],
        CLOSED.close(1009)),
    ws("c-1011", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xf3bye")],
        CLOSED.close(1011)),
    ws("c-1013", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xf5bye")],
        CLOSED.close(1013)),
    ws("c-1014", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x03\xf6bye")],
        CLOSED.close(1014)),
    ws("c-4000", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x0f\xa0bye")],
        CLOSED.close(4000)),
    ws("c-4999", &[Raw(b"\x88\x85\x37\xfa\x21\x3d"), Masked(b"\x13\x87bye")],
        CLOSED.close(4999)),

    // invalid close code (RFC 6455 §7.4.1-2; Autobahn 7.9.x/7.13.x; ws isValidStatusCode)
    ws("c-bad-0", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x00\x00")], CLOSED.close(1002)),
    ws("c-bad-999", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xe7")],
        CLOSED.close(1002)),
    ws("c-bad-1004", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xec")],
        CLOSED.close(1002)),
    ws("c-bad-1005", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xed")],
        CLOSED.close(1002)),
    ws("c-bad-1016", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xf8")],
        CLOSED.close(1002)),
    ws("c-bad-5000", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x13\x88")],
        CLOSED.close(1002)),

    // empty close: reply empty (RFC 6455 §5.5.1; Autobahn 7.3.1)
    ws("c-empty", &[Raw(b"\x88\x80\x37\xfa\x21\x3d")], CLOSED.close(NO_CODE)),

    // 1-byte close payload (Autobahn 7.3.2)
    ws("c-len1", &[Raw(b"\x88\x81\x37\xfa\x21\x3d"), Masked(b"\x03")], CLOSED.close(1002)),

    // longest reason (Autobahn 7.3.5)
    ws("c-123", &[
        Raw(b"\x88\xfd\x37\xfa\x21\x3d"),
        Masked(b"\x03\xe8xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ], CLOSED.close(1000)),

    // 126-byte close (Autobahn 7.3.6)
    ws("c-124", &[
        Raw(b"\x88\xfe\x00\x7e\x37\xfa\x21\x3d"),
        Masked(b"\x03\xe8xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ], CLOSED.close(1002)),

    // reason must be UTF-8 (RFC 6455 §5.5.1; Autobahn 7.5.1)
    ws("c-badutf8", &[Raw(b"\x88\x84\x37\xfa\x21\x3d"), Masked(b"\x03\xe8\xff\xfe")],
        CLOSED.close(1007)),

    // one Close only (Autobahn 7.1.2)
    ws("c-twice", &[
        Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xe8"),
        Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xe8"),
    ], CLOSED.close(1000).close_count(1)),

    // close inside a fragmented message (Autobahn 7.1.5)
    ws("c-mid-frag", &[
        Raw(b"\x01\x81\x37\xfa\x21\x3d"), Masked(b"x"),
        Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xe8"),
        Raw(b"\x80\x81\x37\xfa\x21\x3d"), Masked(b"y"),
    ], CLOSED.close(1000).echo(&[])),

    // server closes TCP first, at once (RFC 6455 §7.1.1)
    ws("c-server-fin", &[Raw(b"\x88\x82\x37\xfa\x21\x3d"), Masked(b"\x03\xe8")],
        CLOSED.close(1000).within_ms(1500)),

    // EOF inside a frame: 1006 locally, no panic, registry entry gone (RFC 6455 §7.1.5)
    ws("c-abrupt", &[Raw(b"\x81\x81\x37\xfa")], CLOSED.close(NO_FRAME)).half_close(),

    // no pong: heartbeat closes (fast profile: ping 1 s, pong wait 1 s) (Rwf ping_interval;
    // websockets ping 20/20 s -> 1011)
    ws("w-silent", &[],
        CLOSED.close(1011).pinged().within_ms(4000)).fast(),

    // slow frame: message deadline while pings are NOT answered (slowloris over WebSocket)
    ws("w-half-frame", &[Raw(b"\x81\x85\x37\xfa\x21")],
        CLOSED.close(1008).within_ms(5000)).fast(),

    // panicking handler: 1011, server lives, next client served (RFC 6455 §7.4.1 1011)
    ws("x-panic", &[Raw(b"\x81\x86\x37\xfa\x21\x3d"), Masked(b"!panic")], CLOSED.close(1011))
        .fast(),

    // panicking HTTP controller: 500 and close (RFC 9110 §15.6.1)
    http("x-panic-http", &[Raw(b"GET /panic HTTP/1.1\r\nHost: localhost\r\n\r\n")],
        CLOSED.status(500)),
];
