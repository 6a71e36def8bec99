//! Section 1: messages whose lengths stand on both sides of each form of the length field.

use crate::loopback::masked;
use crate::row::{row, End::*, How::*, Row};

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    vec![
        // Text.
        row("1.1.1", Fine, Whole, &[masked(0x81, b"")], &[(0x81, b"")]),
        row("1.1.2", Fine, Whole, &[masked(0x81, &[b'*'; 125])], &[(0x81, &[b'*'; 125])]),
        row("1.1.3", Fine, Whole, &[masked(0x81, &[b'*'; 126])], &[(0x81, &[b'*'; 126])]),
        row("1.1.4", Fine, Whole, &[masked(0x81, &[b'*'; 127])], &[(0x81, &[b'*'; 127])]),
        row("1.1.5", Fine, Whole, &[masked(0x81, &[b'*'; 128])], &[(0x81, &[b'*'; 128])]),
        row("1.1.6", Fine, Whole, &[masked(0x81, &[b'*'; 65_535])], &[(0x81, &[b'*'; 65_535])]),
        row("1.1.7", Fine, Whole, &[masked(0x81, &[b'*'; 65_536])], &[(0x81, &[b'*'; 65_536])]),
        row("1.1.8", Fine, Chops(997), &[masked(0x81, &[b'*'; 65_536])],
            &[(0x81, &[b'*'; 65_536])]),

        // Bytes that are no text.
        row("1.2.1", Fine, Whole, &[masked(0x82, b"")], &[(0x82, b"")]),
        row("1.2.2", Fine, Whole, &[masked(0x82, &[0xfe; 125])], &[(0x82, &[0xfe; 125])]),
        row("1.2.3", Fine, Whole, &[masked(0x82, &[0xfe; 126])], &[(0x82, &[0xfe; 126])]),
        row("1.2.4", Fine, Whole, &[masked(0x82, &[0xfe; 127])], &[(0x82, &[0xfe; 127])]),
        row("1.2.5", Fine, Whole, &[masked(0x82, &[0xfe; 128])], &[(0x82, &[0xfe; 128])]),
        row("1.2.6", Fine, Whole, &[masked(0x82, &[0xfe; 65_535])], &[(0x82, &[0xfe; 65_535])]),
        row("1.2.7", Fine, Whole, &[masked(0x82, &[0xfe; 65_536])], &[(0x82, &[0xfe; 65_536])]),
        row("1.2.8", Fine, Chops(997), &[masked(0x82, &[0xfe; 65_536])],
            &[(0x82, &[0xfe; 65_536])]),
    ]
}
