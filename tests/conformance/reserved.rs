//! Sections 3 and 4: reserved bits and reserved opcodes (RFC 6455, 5.2). What came before them is
//! answered, what came after is not.

use crate::loopback::masked;
use crate::row::{row, End::*, How::*, Row};

/// Section 3. The bits are 0x40, 0x20 and 0x10 of the first byte.
#[rustfmt::skip]
pub fn bits() -> Vec<Row> {
    vec![
        row("3.1", Refused(1002), Whole, &[masked(0x91, b"text")], &[]),
        row("3.2", Refused(1002), Whole,
            &[masked(0x81, b"good"), masked(0xa1, b"bad"), masked(0x89, b"")], &[(0x81, b"good")]),
        row("3.3", Refused(1002), Framewise,
            &[masked(0x81, b"good"), masked(0xb1, b"bad"), masked(0x89, b"")], &[(0x81, b"good")]),
        row("3.4", Refused(1002), Chops(1),
            &[masked(0x81, b"good"), masked(0xc1, b"bad"), masked(0x89, b"")], &[(0x81, b"good")]),
        row("3.5", Refused(1002), Whole, &[masked(0xd2, b"\0\xff\xfe")], &[]),
        row("3.6", Refused(1002), Whole, &[masked(0xe9, b"ping")], &[]),
        // The suite's 3.6 is said to be a ping, and is this.
        row("3.6a", Refused(1002), Whole, &[masked(0xe2, b"bytes")], &[]),
        row("3.7", Refused(1002), Whole, &[masked(0xf8, b"")], &[]),
    ]
}

/// Section 4.
#[rustfmt::skip]
pub fn opcodes() -> Vec<Row> {
    vec![
        // 3 to 7, kept for data.
        row("4.1.1", Refused(1002), Whole, &[masked(0x83, b"")], &[]),
        row("4.1.2", Refused(1002), Whole, &[masked(0x84, b"data")], &[]),
        row("4.1.3", Refused(1002), Whole,
            &[masked(0x81, b"good"), masked(0x85, b""), masked(0x89, b"")], &[(0x81, b"good")]),
        row("4.1.4", Refused(1002), Whole,
            &[masked(0x81, b"good"), masked(0x86, b"data"), masked(0x89, b"")], &[(0x81, b"good")]),
        row("4.1.5", Refused(1002), Chops(1),
            &[masked(0x81, b"good"), masked(0x87, b"data"), masked(0x89, b"")], &[(0x81, b"good")]),

        // 11 to 15, kept for control.
        row("4.2.1", Refused(1002), Whole, &[masked(0x8b, b"")], &[]),
        row("4.2.2", Refused(1002), Whole, &[masked(0x8c, b"data")], &[]),
        row("4.2.3", Refused(1002), Whole,
            &[masked(0x81, b"good"), masked(0x8d, b""), masked(0x89, b"")], &[(0x81, b"good")]),
        row("4.2.4", Refused(1002), Whole,
            &[masked(0x81, b"good"), masked(0x8e, b"data"), masked(0x89, b"")], &[(0x81, b"good")]),
        row("4.2.5", Refused(1002), Chops(1),
            &[masked(0x81, b"good"), masked(0x8f, b"data"), masked(0x89, b"")], &[(0x81, b"good")]),
    ]
}
