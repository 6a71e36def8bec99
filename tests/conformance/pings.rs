//! Section 2: pings and pongs (RFC 6455, 5.5.2 and 5.5.3).

use crate::loopback::masked;
use crate::row::{row, End::*, How::*, Row};

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    // Ten pings, each with a payload of its own, and their pongs.
    let payloads: Vec<[u8; 2]> = (b'0'..=b'9').map(|digit| [b'#', digit]).collect();
    let pings: Vec<Vec<u8>> = payloads.iter().map(|payload| masked(0x89, payload)).collect();
    let pongs: Vec<(u8, &[u8])> = payloads.iter().map(|payload| (0x8a, &payload[..])).collect();
    vec![
        row("2.1", Fine, Whole, &[masked(0x89, b"")], &[(0x8a, b"")]),
        row("2.2", Fine, Whole, &[masked(0x89, b"are you there?")], &[(0x8a, b"are you there?")]),
        row("2.3", Fine, Whole, &[masked(0x89, b"\0\xff\xfe\x80")], &[(0x8a, b"\0\xff\xfe\x80")]),

        // 125 bytes are the most that a control frame may have.
        row("2.4", Fine, Whole, &[masked(0x89, &[0xfe; 125])], &[(0x8a, &[0xfe; 125])]),
        row("2.5", Refused(1002), Whole, &[masked(0x89, &[0xfe; 126])], &[]),
        row("2.6", Fine, Chops(1), &[masked(0x89, &[0xfe; 125])], &[(0x8a, &[0xfe; 125])]),

        // Pongs that nobody asked for are taken and not answered.
        row("2.7", Closed, Whole, &[masked(0x8a, b""), masked(0x88, b"\x03\xe8")],
            &[(0x88, b"\x03\xe8")]),
        row("2.8", Closed, Whole, &[masked(0x8a, b"not asked for"), masked(0x88, b"\x03\xe8")],
            &[(0x88, b"\x03\xe8")]),
        row("2.9", Fine, Whole, &[masked(0x8a, b"not asked for"), masked(0x89, b"a ping")],
            &[(0x8a, b"a ping")]),

        // Every ping is answered, in order.
        row("2.10", Fine, Whole, &pings, &pongs),
        row("2.11", Fine, Chops(1), &pings, &pongs),
    ]
}
