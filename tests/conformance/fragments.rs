//! Section 5: messages in fragments (RFC 6455, 5.4), and section 10: one in very many.

use crate::loopback::masked;
use crate::row::{fragments, row, End::*, How::*, Row};

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    let two = [masked(0x01, b"one "), masked(0x80, b"two")];
    let ping_between = [masked(0x01, b"one "), masked(0x89, b"a ping"), masked(0x80, b"two")];
    let pong_and_two: &[(u8, &[u8])] = &[(0x8a, b"a ping"), (0x81, b"one two")];

    // A continuation with nothing to continue, and then a good text.
    let last_of_none = [masked(0x80, b"of what?"), masked(0x81, b"text")];
    let first_of_none = [masked(0x00, b"of what?"), masked(0x81, b"text")];

    vec![
        // A control frame has no fragments (5.5).
        row("5.1", Refused(1002), Whole, &[masked(0x09, b"pi"), masked(0x80, b"ng")], &[]),
        row("5.2", Refused(1002), Whole, &[masked(0x0a, b"po"), masked(0x80, b"ng")], &[]),
        // Its second fragment, which nothing begins, is not what it is refused for.
        row("5.1a", Refused(1002), Whole, &[masked(0x09, b"pi")], &[]),
        row("5.2a", Refused(1002), Whole, &[masked(0x0a, b"po")], &[]),

        row("5.3", Fine, Whole, &two, &[(0x81, b"one two")]),
        row("5.4", Fine, Framewise, &two, &[(0x81, b"one two")]),
        row("5.5", Fine, Chops(1), &two, &[(0x81, b"one two")]),

        // A ping may come between two fragments, and is answered before the message.
        row("5.6", Fine, Whole, &ping_between, pong_and_two),
        row("5.7", Fine, Framewise, &ping_between, pong_and_two),
        row("5.8", Fine, Chops(1), &ping_between, pong_and_two),

        row("5.9", Refused(1002), Whole, &last_of_none, &[]),
        row("5.10", Refused(1002), Framewise, &last_of_none, &[]),
        row("5.11", Refused(1002), Chops(1), &last_of_none, &[]),
        row("5.12", Refused(1002), Whole, &first_of_none, &[]),
        row("5.13", Refused(1002), Framewise, &first_of_none, &[]),
        row("5.14", Refused(1002), Chops(1), &first_of_none, &[]),
        // Nor is the text, which would be a message inside another, what it is refused for.
        row("5.14a", Refused(1002), Whole, &first_of_none[..1], &[]),

        // What came before the stray continuation is answered.
        row("5.15", Refused(1002), Whole,
            &[masked(0x01, b"one "), masked(0x80, b"two"), masked(0x00, b"3"), masked(0x81, b"4")],
            &[(0x81, b"one two")]),
        row("5.16", Refused(1002), Whole,
            &[masked(0x00, b"stray"), two.concat(), masked(0x00, b"stray"), two.concat()], &[]),
        row("5.17", Refused(1002), Whole,
            &[masked(0x80, b"stray"), two.concat(), masked(0x80, b"stray"), two.concat()], &[]),

        // The second fragment is a continuation, not a text.
        row("5.18", Refused(1002), Whole, &[masked(0x01, b"one "), masked(0x81, b"two")], &[]),

        // The first ping is answered while the message is still open.
        row("5.19", Fine, Whole,
            &[masked(0x01, b"one "), masked(0x00, b"two "), masked(0x89, b"a ping")],
            &[(0x8a, b"a ping")])
        .then(Whole,
            &[masked(0x00, b"three "), masked(0x00, b"four "), masked(0x89, b"again"),
              masked(0x80, b"five")],
            &[(0x8a, b"again"), (0x81, b"one two three four five")]),
        row("5.20", Fine, Framewise,
            &[masked(0x01, b"one "), masked(0x00, b"two "), masked(0x89, b"a ping")],
            &[(0x8a, b"a ping")])
        .then(Framewise,
            &[masked(0x00, b"three "), masked(0x00, b"four "), masked(0x89, b"again"),
              masked(0x80, b"five")],
            &[(0x8a, b"again"), (0x81, b"one two three four five")]),
    ]
}

/// Section 10.
pub fn long_rows() -> Vec<Row> {
    let text = [b'*'; 65_536];
    vec![row("10.1.1", Fine, Whole, &fragments(&text, 1_300), &[(0x81, &text)])]
}
