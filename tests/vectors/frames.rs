//! Frames, fragments and UTF-8 (RFC 6455, 5 and 8.1).

use crate::table::Part::{Drip, Masked, Pause, Raw, Times};
use crate::table::{ws, Vector, CLOSED, OPEN};

#[rustfmt::skip]
pub static FRAMES: &[Vector] = &[
    // baseline echo (RFC 6455 §5.7)
    ws("f-text", &[Raw(b"\x81\x85\x37\xfa\x21\x3d"), Masked(b"hello")], OPEN.echo(&["hello"])),

    // boundary; reply uses the minimal length form (Rwf 0.2.1 sends 65535 in 64-bit form) (RFC 6455
    // §5.2; Autobahn 1.1.x/1.2.x)
    ws("f-len-125", &[Raw(b"\x82\xfd\x00\x00\x00\x00"), Times(125, &[Raw(b"*")])],
        OPEN.echo_len(&[125]).minimal_len()),
    ws("f-len-126", &[Raw(b"\x82\xfe\x00\x7e\x00\x00\x00\x00"), Times(126, &[Raw(b"*")])],
        OPEN.echo_len(&[126]).minimal_len()),
    ws("f-len-65535", &[Raw(b"\x82\xfe\xff\xff\x00\x00\x00\x00"), Times(65_535, &[Raw(b"*")])],
        OPEN.echo_len(&[65535]).minimal_len()),
    ws("f-len-65536", &[
        Raw(b"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00"),
        Times(65_536, &[Raw(b"*")]),
    ], OPEN.echo_len(&[65536]).minimal_len()),

    // byte-wise chops (Autobahn 1.1.8, 2.6)
    ws("f-drip", &[Drip(5, &[Raw(b"\x81\x8b\x37\xfa\x21\x3d"), Masked(b"hello world")])],
        OPEN.echo(&["hello world"])),

    // server MUST close on unmasked (RFC 6455 §5.1)
    ws("f-unmasked", &[Raw(b"\x81\x05hello")], CLOSED.close(1002)),

    // control frames too (RFC 6455 §5.1)
    ws("f-unmasked-ping", &[Raw(b"\x89\x00")], CLOSED.close(1002)),

    // RSV without extension (RFC 6455 §5.2; Autobahn 3.x)
    ws("f-rsv1", &[Raw(b"\x91\x85\x37\xfa\x21\x3d"), Masked(b"hello")], CLOSED.close(1002)),
    ws("f-rsv2", &[Raw(b"\xa1\x85\x37\xfa\x21\x3d"), Masked(b"hello")], CLOSED.close(1002)),
    ws("f-rsv4", &[Raw(b"\xc1\x85\x37\xfa\x21\x3d"), Masked(b"hello")], CLOSED.close(1002)),
    ws("f-rsv7", &[Raw(b"\xf1\x85\x37\xfa\x21\x3d"), Masked(b"hello")], CLOSED.close(1002)),

    // reserved opcode (RFC 6455 §5.2; Autobahn 4.x)
    ws("f-op5", &[Raw(b"\x85\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),
    ws("f-op6", &[Raw(b"\x86\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),
    ws("f-op7", &[Raw(b"\x87\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),
    ws("f-opd", &[Raw(b"\x8d\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),
    ws("f-ope", &[Raw(b"\x8e\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),

    // control frames MUST NOT be fragmented (RFC 6455 §5.4/5.5; Autobahn 5.1)
    ws("f-ctl-frag", &[Raw(b"\x09\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),

    // same (Autobahn 5.2)
    ws("f-pong-frag", &[Raw(b"\x0a\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),

    // control payload <= 125 (RFC 6455 §5.5; Autobahn 2.5)
    ws("f-ping-126", &[
        Raw(b"\x89\xfe\x00\x7e\x37\xfa\x21\x3d"),
        Masked(b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ], CLOSED.close(1002)),

    // largest ping (Autobahn 2.4)
    ws("f-ping-125", &[
        Raw(b"\x89\xfd\x37\xfa\x21\x3d"),
        Masked(b"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
                 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
    ], OPEN.pong(&["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
          xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"])),

    // extended length on a control frame (RFC 6455 §5.5)
    ws("f-ping-16form", &[Raw(b"\x89\xfe\x00\x01\x37\xfa\x21\x3d"), Masked(b"x")],
        CLOSED.close(1002)),

    // unsolicited pong ignored (RFC 6455 §5.5.3; Autobahn 2.7)
    ws("f-pong-unsol", &[
        Raw(b"\x8a\x82\x37\xfa\x21\x3d"), Masked(b"zz"),
        Raw(b"\x81\x81\x37\xfa\x21\x3d"), Masked(b"a"),
    ], OPEN.echo(&["a"])),

    // minimal length MUST be used (RFC 6455 §5.2)
    ws("f-min16", &[Raw(b"\x81\xfe\x00\x05\x37\xfa\x21\x3d"), Masked(b"hello")],
        CLOSED.close(1002)),
    ws("f-min64", &[
        Raw(b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05\x37\xfa\x21\x3d"), Masked(b"hello")
    ], CLOSED.close(1002)),

    // 65535 fits 16 bits (RFC 6455 §5.2)
    ws("f-min64b", &[
        Raw(b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff\x00\x00\x00\x00"),
        Times(65_535, &[Raw(b"*")]),
    ], CLOSED.close(1002)),

    // top bit MUST be 0 (RFC 6455 §5.2)
    ws("f-msb", &[Raw(b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x05\x37\xfa\x21\x3d")],
        CLOSED.close(1002)),

    // header alone: 1009 at once, no allocation (RFC 6455 §10.4; gorilla CVE-2020-27813)
    ws("f-2p62", &[
        Raw(b"\x82\xff\x40\x00\x00\x00\x00\x00\x00\x00\x37\xfa\x21\x3d"), Masked(b"abc")
    ], CLOSED.close(1009)).fast(),

    // limit+1 claimed: fail on the header (RFC 6455 §7.4.1; websockets max_size 1 MiB)
    ws("f-over", &[
        Raw(b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01\x37\xfa\x21\x3d"), Masked(b"abc")
    ], CLOSED.close(1009)).fast(),

    // old + claimed > limit: checked_add, fail early (tungstenite CapacityError)
    ws("f-frag-claim-over", &[
        Raw(b"\x02\x83\x37\xfa\x21\x3d"), Masked(b"abc"),
        Raw(b"\x80\xff\x00\x00\x00\x00\x00\x10\x00\x00\x37\xfa\x21\x3d"), Masked(b"x"),
    ], CLOSED.close(1009)).fast(),

    // many empty fragments (default cap 16384) (ws maxFragments 16384 -> 1008)
    ws("f-frag-flood", &[
        Raw(b"\x01\x81\x37\xfa\x21\x3d"), Masked(b"a"),
        Times(40_000, &[Raw(b"\x00\x80\x37\xfa\x21\x3d")]),
    ], CLOSED.close(1008)).fast(),

    // fragments incl. an empty one (Autobahn 5.3-5.8, 6.1.3)
    ws("f-frag-ok", &[
        Raw(b"\x01\x82\x37\xfa\x21\x3d"), Masked(b"he"),
        Raw(b"\x00\x80\x37\xfa\x21\x3d"),
        Raw(b"\x80\x83\x37\xfa\x21\x3d"), Masked(b"llo"),
    ], OPEN.echo(&["hello"])),

    // continuation with nothing to continue (Autobahn 5.9-5.11)
    ws("f-cont-first", &[Raw(b"\x80\x81\x37\xfa\x21\x3d"), Masked(b"x")], CLOSED.close(1002)),

    // new data frame inside a fragmented message (RFC 6455 §5.4; Autobahn 5.18)
    ws("f-interleave", &[
        Raw(b"\x01\x81\x37\xfa\x21\x3d"), Masked(b"a"),
        Raw(b"\x81\x81\x37\xfa\x21\x3d"), Masked(b"b"),
    ], CLOSED.close(1002)),

    // invalid UTF-8 text (RFC 6455 §8.1, §7.4.1; Autobahn 6.x; Kuhn UTF-8 test)
    ws("u-lone", &[Raw(b"\x81\x81\x37\xfa\x21\x3d"), Masked(b"\x80")], CLOSED.close(1007)),
    ws("u-overlong3", &[Raw(b"\x81\x83\x37\xfa\x21\x3d"), Masked(b"\xe0\x80\xaf")],
        CLOSED.close(1007)),
    ws("u-surrogate", &[Raw(b"\x81\x83\x37\xfa\x21\x3d"), Masked(b"\xed\xa0\x80")],
        CLOSED.close(1007)),
    ws("u-big", &[Raw(b"\x81\x84\x37\xfa\x21\x3d"), Masked(b"\xf4\x90\x80\x80")],
        CLOSED.close(1007)),
    ws("u-fe", &[Raw(b"\x81\x81\x37\xfa\x21\x3d"), Masked(b"\xfe")], CLOSED.close(1007)),
    ws("u-trunc", &[Raw(b"\x81\x84\x37\xfa\x21\x3d"), Masked(b"ab\xe2\x82")],
        CLOSED.close(1007)),

    // valid incl. U+10FFFF, BOM, NUL (Autobahn 6.5-6.22)
    ws("u-ok", &[
        Raw(b"\x81\x9a\x37\xfa\x21\x3d"),
        Masked(b"\xce\xba\xcf\x8c\xcf\x83\xce\xbc\xce\xb5 \xe2\x82\xac\xf0\xa4\xad\xa2\xf4\x8f\
                 \xbf\xbf\xef\xbb\xbf\x00"),
    ], OPEN.echo_len(&[26])),

    // code point across frames is fine (Autobahn 6.2.3-6.2.4)
    ws("u-split", &[
        Raw(b"\x01\x81\x37\xfa\x21\x3d"), Masked(b"\xe2"),
        Raw(b"\x00\x81\x37\xfa\x21\x3d"), Masked(b"\x82"),
        Raw(b"\x80\x81\x37\xfa\x21\x3d"), Masked(b"\xac"),
    ], OPEN.echo_len(&[3])),

    // fail at the 2nd frame, FIN never comes (Autobahn 6.4.1/6.4.2, NON-STRICT if late)
    ws("u-failfast", &[
        Raw(b"\x01\x8c\x37\xfa\x21\x3d"),
        Masked(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4"), Pause(100),
        Raw(b"\x00\x81\x37\xfa\x21\x3d"), Masked(b"\x90"),
    ], CLOSED.close(1007).within_ms(1000)),

    // fail inside one unfinished frame (optional: 6.4.3/6.4.4) (Autobahn 6.4.3)
    ws("u-failfast-frame", &[Raw(b"\x81\xfe\xc3\x50\x37\xfa\x21\x3d"), Masked(b"\xffaaaaaaaaaa")],
        CLOSED.close(1007).within_ms(1500)),
];
