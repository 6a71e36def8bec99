//! Section 7: Close frames (RFC 6455, 5.5.1 and 7.4).

use crate::loopback::masked;
use crate::row::{row, End::*, How::*, Row};

/// 1000, all is done.
const DONE: &[u8] = b"\x03\xe8";

/// Codes that may stand in a frame. The suite's list is older than the registration of the last
/// three.
const VALID: &[(&str, u16)] = &[
    ("7.7.1", 1000),
    ("7.7.2", 1001),
    ("7.7.3", 1002),
    ("7.7.4", 1003),
    ("7.7.5", 1007),
    ("7.7.6", 1008),
    ("7.7.7", 1009),
    ("7.7.8", 1010),
    ("7.7.9", 1011),
    ("7.7.10", 3000),
    ("7.7.11", 3999),
    ("7.7.12", 4000),
    ("7.7.13", 4999),
    ("7.7.13a", 1012),
    ("7.7.13b", 1013),
    ("7.7.13c", 1014),
];

/// Codes that may not: not given to anybody, or never on the wire.
const INVALID: &[(&str, u16)] = &[
    ("7.9.1", 0),
    ("7.9.2", 999),
    ("7.9.3", 1004),
    ("7.9.4", 1005),
    ("7.9.5", 1006),
    ("7.9.6", 1016),
    ("7.9.7", 1100),
    ("7.9.8", 2000),
    ("7.9.9", 2999),
    ("7.9.9a", 1015),
    ("7.13.1", 5000),
    ("7.13.2", 65_535),
];

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    let close = || masked(0x88, DONE);
    let reason = |length| [DONE, &b"*".repeat(length)].concat();
    let large = [b'*'; 256 * 1024];

    let mut rows = vec![
        // What came before a Close frame is answered, what comes after it does not count.
        row("7.1.1", Closed, Whole, &[masked(0x81, b"hello"), close()],
            &[(0x81, b"hello"), (0x88, DONE)]),
        row("7.1.2", Closed, Whole, &[close(), masked(0x88, b"")], &[(0x88, DONE)]),
        row("7.1.3", Closed, Whole, &[close(), masked(0x89, b"")], &[(0x88, DONE)]),
        row("7.1.4", Closed, Whole, &[close(), masked(0x81, b"hello")], &[(0x88, DONE)]),
        row("7.1.5", Closed, Whole, &[masked(0x01, b"one "), close(), masked(0x80, b"two")],
            &[(0x88, DONE)]),
        row("7.1.6", Closed, Whole,
            &[masked(0x81, &large), masked(0x81, b"hello"), close(), masked(0x89, b"")],
            &[(0x81, &large), (0x81, b"hello"), (0x88, DONE)]),

        // A Close frame is empty, or a code of two bytes and a reason: 125 bytes at the most.
        row("7.3.1", Closed, Whole, &[masked(0x88, b"")], &[(0x88, b"")]),
        row("7.3.2", Refused(1002), Whole, &[masked(0x88, b"\x03")], &[]),
        row("7.3.3", Closed, Whole, &[masked(0x88, b"\x03\xe8")], &[(0x88, b"\x03\xe8")]),
        row("7.3.4", Closed, Whole, &[masked(0x88, b"\x03\xe8bye")], &[(0x88, b"\x03\xe8bye")]),
        row("7.3.5", Closed, Whole, &[masked(0x88, &reason(123))], &[(0x88, &reason(123))]),
        row("7.3.6", Refused(1002), Whole, &[masked(0x88, &reason(124))], &[]),

        // A reason is text: here with a surrogate in it.
        row("7.5.1", Refused(1007), Whole, &[masked(0x88, b"\x03\xe8by\xed\xa0\x80e")], &[]),
    ];
    // A code that may be sent comes back.
    rows.extend(VALID.iter().map(|(id, code)| {
        let code = code.to_be_bytes();
        row(id, Closed, Whole, &[masked(0x88, &code)], &[(0x88, &code)])
    }));
    rows.extend(INVALID.iter().map(|(id, code)| {
        row(id, Refused(1002), Whole, &[masked(0x88, &code.to_be_bytes())], &[])
    }));
    rows
}
