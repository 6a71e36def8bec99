//! Section 6: text is UTF-8 (RFC 6455, 8.1; RFC 3629), or it is refused at the first byte that
//! cannot be: not at the end of its fragment, and not when the rest of it has come.
//!
//! Rows whose rest is never sent show that. From 6.5 on are the sequences of Markus Kuhn's test of
//! decoders; each is played twice, see [`Kind`].

use crate::loopback::masked;
use crate::row::{fragments, pieces, row, End::*, How::*, Row};

/// A Greek word, in characters of two and of three bytes.
const WORD: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";

/// German for "Greetings: 5 Euro", with characters of two and of three bytes.
const GREETING: &[u8] = b"Gr\xc3\xbc\xc3\x9fe: 5 \xe2\x82\xac";

#[rustfmt::skip]
pub fn rows() -> Vec<Row> {
    let surrogate = [WORD, b"\xed\xa0\x80rest"].concat();
    let up_to_a0 = WORD.len() + 2;
    let word_and_f4 = [WORD, b"\xf4"].concat();
    let highest = [WORD, b"\xf4\x8f\xbf\xbfrest"].concat();

    let mut rows = vec![
        // Empty texts and empty fragments.
        row("6.1.1", Fine, Whole, &[masked(0x81, b"")], &[(0x81, b"")]),
        row("6.1.2", Fine, Whole, &[masked(0x01, b""), masked(0x00, b""), masked(0x80, b"")],
            &[(0x81, b"")]),
        row("6.1.3", Fine, Whole, &[masked(0x01, b""), masked(0x00, b"middle"), masked(0x80, b"")],
            &[(0x81, b"middle")]),

        // A text may be cut between characters and inside them.
        row("6.2.1", Fine, Whole, &[masked(0x81, GREETING)], &[(0x81, GREETING)]),
        row("6.2.2", Fine, Whole,
            &[masked(0x01, b"Gr\xc3\xbc"), masked(0x80, b"\xc3\x9fe: 5 \xe2\x82\xac")],
            &[(0x81, GREETING)]),
        row("6.2.3", Fine, Whole, &fragments(GREETING, 1), &[(0x81, GREETING)]),
        row("6.2.4", Fine, Whole, &fragments(WORD, 1), &[(0x81, WORD)]),

        // A surrogate is refused at its second byte, a0: also when nothing follows.
        row("6.3.1", Refused(1007), Whole, &[masked(0x81, &surrogate)], &[]),
        row("6.3.1a", Refused(1007), Chops(1),
            &pieces(&[WORD, b"\xed\xa0", b"\x80rest"])[..2], &[]),
        row("6.3.2", Refused(1007), Whole, &fragments(&surrogate, 1), &[]),
        row("6.3.2a", Refused(1007), Chops(1), &fragments(&surrogate, 1)[..up_to_a0], &[]),

        // Three fragments, of which the last is never sent. The first is taken, or the ping would
        // not be answered; the second is refused.
        row("6.4.1", Refused(1007), Whole, &[masked(0x01, WORD), masked(0x89, b"")],
            &[(0x8a, b"")])
        .then(Whole, &[masked(0x00, b"\xf4\x90\x80\x80")], &[]),
        row("6.4.2", Refused(1007), Whole, &[masked(0x01, &word_and_f4), masked(0x89, b"")],
            &[(0x8a, b"")])
        .then(Whole, &[masked(0x00, b"\x90")], &[]),

        // One frame in pieces, of which the last is never sent. What comes before 90 is good, for
        // with 8f in its place it becomes text.
        row("6.4.3", Refused(1007), Framewise,
            &pieces(&[WORD, b"\xf4\x90\x80\x80", b"rest"])[..2], &[]),
        row("6.4.3a", Fine, Framewise,
            &pieces(&[WORD, b"\xf4\x8f\xbf\xbf", b"rest"]), &[(0x81, &highest)]),
        row("6.4.4", Refused(1007), Framewise,
            &pieces(&[&word_and_f4, b"\x90", b"\x80\x80rest"])[..2], &[]),
        row("6.4.4a", Fine, Framewise,
            &pieces(&[&word_and_f4, b"\x8f", b"\xbf\xbfrest"]), &[(0x81, &highest)]),
        row("6.4.4b", Refused(1007), Chops(1),
            &pieces(&[&word_and_f4, b"\x90", b"\x80\x80rest"])[..2], &[]),
    ];
    rows.extend(SEQUENCES.iter().flat_map(|(id, kind)| kind.rows(id)));
    rows
}

/// What some bytes are, each played in one frame (as the suite does) and in a second way.
enum Kind {
    /// Text. Then in a frame for each byte.
    Good(&'static [u8]),
    /// Text but for its end. Then in a fragment that is taken, or a ping behind it would not be
    /// answered, before the empty last fragment is refused.
    Cut(&'static [u8]),
    /// Not text from the last byte of the first part on. Then one byte at a time up to that one,
    /// of a frame whose rest is never sent.
    Bad(&'static [u8], &'static [u8]),
}

use Kind::*;

impl Kind {
    #[rustfmt::skip]
    fn rows(&self, id: &str) -> [Row; 2] {
        let more = &format!("{}a", id);
        match *self {
            Good(text) => [
                row(id, Fine, Whole, &[masked(0x81, text)], &[(0x81, text)]),
                row(more, Fine, Whole, &fragments(text, 1), &[(0x81, text)]),
            ],
            Cut(begun) => [
                row(id, Refused(1007), Whole, &[masked(0x81, begun)], &[]),
                row(more, Refused(1007), Whole, &[masked(0x01, begun), masked(0x89, b"")],
                    &[(0x8a, b"")])
                .then(Whole, &[masked(0x80, b"")], &[]),
            ],
            Bad(begun, rest) => [
                row(id, Refused(1007), Whole, &[masked(0x81, &[begun, rest].concat())], &[]),
                row(more, Refused(1007), Chops(1), &pieces(&[begun, rest, b"rest"])[..1], &[]),
            ],
        }
    }
}

#[rustfmt::skip]
static SEQUENCES: &[(&str, Kind)] = &[
    // 6.5: characters of one to four bytes, and a Greek word.
    ("6.5.1", Good(b"hello$world")),
    ("6.5.2", Good(b"hello\xc2\xa2world")),
    ("6.5.3", Good(b"hello\xe2\x82\xacworld")),
    ("6.5.4", Good(b"hello\xf0\xa4\xad\xa2world")),
    ("6.5.5", Good(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5")),

    // 6.6: that word, cut after each byte.
    ("6.6.1", Cut(b"\xce")),
    ("6.6.2", Good(b"\xce\xba")),
    ("6.6.3", Cut(b"\xce\xba\xe1")),
    ("6.6.4", Cut(b"\xce\xba\xe1\xbd")),
    ("6.6.5", Good(b"\xce\xba\xe1\xbd\xb9")),
    ("6.6.6", Cut(b"\xce\xba\xe1\xbd\xb9\xcf")),
    ("6.6.7", Good(b"\xce\xba\xe1\xbd\xb9\xcf\x83")),
    ("6.6.8", Cut(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce")),
    ("6.6.9", Good(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc")),
    ("6.6.10", Cut(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce")),
    ("6.6.11", Good(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5")),

    // 6.7: the first of each length.
    ("6.7.1", Good(b"\0")),
    ("6.7.2", Good(b"\xc2\x80")),
    ("6.7.3", Good(b"\xe0\xa0\x80")),
    ("6.7.4", Good(b"\xf0\x90\x80\x80")),

    // 6.8: the first of five and of six bytes, lengths that UTF-8 does not have.
    ("6.8.1", Bad(b"\xf8", b"\x88\x80\x80\x80")),
    ("6.8.2", Bad(b"\xfc", b"\x84\x80\x80\x80\x80")),

    // 6.9: the last of each length.
    ("6.9.1", Good(b"\x7f")),
    ("6.9.2", Good(b"\xdf\xbf")),
    ("6.9.3", Good(b"\xef\xbf\xbf")),
    ("6.9.4", Good(b"\xf4\x8f\xbf\xbf")),

    // 6.10: the last that four, five and six bytes could hold.
    ("6.10.1", Bad(b"\xf7", b"\xbf\xbf\xbf")),
    ("6.10.2", Bad(b"\xfb", b"\xbf\xbf\xbf\xbf")),
    ("6.10.3", Bad(b"\xfd", b"\xbf\xbf\xbf\xbf\xbf")),

    // 6.11: beside the surrogates, the replacement character, U+10FFFF and one more.
    ("6.11.1", Good(b"\xed\x9f\xbf")),
    ("6.11.2", Good(b"\xee\x80\x80")),
    ("6.11.3", Good(b"\xef\xbf\xbd")),
    ("6.11.4", Good(b"\xf4\x8f\xbf\xbf")),
    ("6.11.5", Bad(b"\xf4\x90", b"\x80\x80")),

    // 6.12: continuation bytes with nothing to continue; the last row has all of them.
    ("6.12.1", Bad(b"\x80", b"")),
    ("6.12.2", Bad(b"\xbf", b"")),
    ("6.12.3", Bad(b"\x80", b"\xbf")),
    ("6.12.4", Bad(b"\x80", b"\xbf\x80")),
    ("6.12.5", Bad(b"\x80", b"\xbf\x80\xbf")),
    ("6.12.6", Bad(b"\x80", b"\xbf\x80\xbf\x80")),
    ("6.12.7", Bad(b"\x80", b"\xbf\x80\xbf\x80\xbf")),
    ("6.12.8", Bad(b"\x80", b"\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\
        \x91\x92\x93\x94\x95\x96\x97\x98\x99\x9a\x9b\x9c\x9d\x9e\x9f\xa0\xa1\xa2\xa3\xa4\xa5\xa6\
        \xa7\xa8\xa9\xaa\xab\xac\xad\xae\xaf\xb0\xb1\xb2\xb3\xb4\xb5\xb6\xb7\xb8\xb9\xba\xbb\xbc\
        \xbd\xbe\xbf")),

    // 6.13: all lead bytes of each length, with a space behind each.
    ("6.13.1", Bad(b"\xc0", b" \xc1 \xc2 \xc3 \xc4 \xc5 \xc6 \xc7 \xc8 \xc9 \xca \xcb \xcc \xcd \
        \xce \xcf \xd0 \xd1 \xd2 \xd3 \xd4 \xd5 \xd6 \xd7 \xd8 \xd9 \xda \xdb \xdc \xdd \xde \
        \xdf ")),
    ("6.13.2", Bad(b"\xe0 ", b"\xe1 \xe2 \xe3 \xe4 \xe5 \xe6 \xe7 \xe8 \xe9 \xea \xeb \xec \xed \
        \xee \xef ")),
    ("6.13.3", Bad(b"\xf0 ", b"\xf1 \xf2 \xf3 \xf4 \xf5 \xf6 \xf7 ")),
    ("6.13.4", Bad(b"\xf8", b" \xf9 \xfa \xfb ")),
    ("6.13.5", Bad(b"\xfc", b" \xfd ")),

    // 6.14: the last byte is missing.
    ("6.14.1", Bad(b"\xc0", b"")),
    ("6.14.2", Bad(b"\xe0\x80", b"")),
    ("6.14.3", Bad(b"\xf0\x80", b"\x80")),
    ("6.14.4", Bad(b"\xf8", b"\x80\x80\x80")),
    ("6.14.5", Bad(b"\xfc", b"\x80\x80\x80\x80")),
    ("6.14.6", Cut(b"\xdf")),
    ("6.14.7", Cut(b"\xef\xbf")),
    ("6.14.8", Bad(b"\xf7", b"\xbf\xbf")),
    ("6.14.9", Bad(b"\xfb", b"\xbf\xbf\xbf")),
    ("6.14.10", Bad(b"\xfd", b"\xbf\xbf\xbf\xbf")),

    // 6.15: all of these together.
    ("6.15.1", Bad(b"\xc0", b"\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\
        \xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf\xfd\xbf\xbf\xbf\xbf")),

    // 6.16: bytes that are in no text.
    ("6.16.1", Bad(b"\xfe", b"")),
    ("6.16.2", Bad(b"\xff", b"")),
    ("6.16.3", Bad(b"\xfe", b"\xfe\xff\xff")),

    // 6.17: a slash in more bytes than it needs.
    ("6.17.1", Bad(b"\xc0", b"\xaf")),
    ("6.17.2", Bad(b"\xe0\x80", b"\xaf")),
    ("6.17.3", Bad(b"\xf0\x80", b"\x80\xaf")),
    ("6.17.4", Bad(b"\xf8", b"\x80\x80\x80\xaf")),
    ("6.17.5", Bad(b"\xfc", b"\x80\x80\x80\x80\xaf")),

    // 6.18: the last of each length that would fit one byte less.
    ("6.18.1", Bad(b"\xc1", b"\xbf")),
    ("6.18.2", Bad(b"\xe0\x9f", b"\xbf")),
    ("6.18.3", Bad(b"\xf0\x8f", b"\xbf\xbf")),
    ("6.18.4", Bad(b"\xf8", b"\x87\xbf\xbf\xbf")),
    ("6.18.5", Bad(b"\xfc", b"\x83\xbf\xbf\xbf\xbf")),

    // 6.19: U+0000 in more bytes than it needs.
    ("6.19.1", Bad(b"\xc0", b"\x80")),
    ("6.19.2", Bad(b"\xe0\x80", b"\x80")),
    ("6.19.3", Bad(b"\xf0\x80", b"\x80\x80")),
    ("6.19.4", Bad(b"\xf8", b"\x80\x80\x80\x80")),
    ("6.19.5", Bad(b"\xfc", b"\x80\x80\x80\x80\x80")),

    // 6.20: surrogates.
    ("6.20.1", Bad(b"\xed\xa0", b"\x80")),
    ("6.20.2", Bad(b"\xed\xad", b"\xbf")),
    ("6.20.3", Bad(b"\xed\xae", b"\x80")),
    ("6.20.4", Bad(b"\xed\xaf", b"\xbf")),
    ("6.20.5", Bad(b"\xed\xb0", b"\x80")),
    ("6.20.6", Bad(b"\xed\xbe", b"\x80")),
    ("6.20.7", Bad(b"\xed\xbf", b"\xbf")),

    // 6.21: pairs of surrogates, as UTF-16 has them.
    ("6.21.1", Bad(b"\xed\xa0", b"\x80\xed\xb0\x80")),
    ("6.21.2", Bad(b"\xed\xa0", b"\x80\xed\xbf\xbf")),
    ("6.21.3", Bad(b"\xed\xad", b"\xbf\xed\xb0\x80")),
    ("6.21.4", Bad(b"\xed\xad", b"\xbf\xed\xbf\xbf")),
    ("6.21.5", Bad(b"\xed\xae", b"\x80\xed\xb0\x80")),
    ("6.21.6", Bad(b"\xed\xae", b"\x80\xed\xbf\xbf")),
    ("6.21.7", Bad(b"\xed\xaf", b"\xbf\xed\xb0\x80")),
    ("6.21.8", Bad(b"\xed\xaf", b"\xbf\xed\xbf\xbf")),

    // 6.22: noncharacters, the last two of each plane, which are UTF-8 all the same.
    ("6.22.1", Good(b"\xef\xbf\xbe")),
    ("6.22.2", Good(b"\xef\xbf\xbf")),
    ("6.22.3", Good(b"\xf0\x9f\xbf\xbe")),
    ("6.22.4", Good(b"\xf0\x9f\xbf\xbf")),
    ("6.22.5", Good(b"\xf0\xaf\xbf\xbe")),
    ("6.22.6", Good(b"\xf0\xaf\xbf\xbf")),
    ("6.22.7", Good(b"\xf0\xbf\xbf\xbe")),
    ("6.22.8", Good(b"\xf0\xbf\xbf\xbf")),
    ("6.22.9", Good(b"\xf1\x8f\xbf\xbe")),
    ("6.22.10", Good(b"\xf1\x8f\xbf\xbf")),
    ("6.22.11", Good(b"\xf1\x9f\xbf\xbe")),
    ("6.22.12", Good(b"\xf1\x9f\xbf\xbf")),
    ("6.22.13", Good(b"\xf1\xaf\xbf\xbe")),
    ("6.22.14", Good(b"\xf1\xaf\xbf\xbf")),
    ("6.22.15", Good(b"\xf1\xbf\xbf\xbe")),
    ("6.22.16", Good(b"\xf1\xbf\xbf\xbf")),
    ("6.22.17", Good(b"\xf2\x8f\xbf\xbe")),
    ("6.22.18", Good(b"\xf2\x8f\xbf\xbf")),
    ("6.22.19", Good(b"\xf2\x9f\xbf\xbe")),
    ("6.22.20", Good(b"\xf2\x9f\xbf\xbf")),
    ("6.22.21", Good(b"\xf2\xaf\xbf\xbe")),
    ("6.22.22", Good(b"\xf2\xaf\xbf\xbf")),
    ("6.22.23", Good(b"\xf2\xbf\xbf\xbe")),
    ("6.22.24", Good(b"\xf2\xbf\xbf\xbf")),
    ("6.22.25", Good(b"\xf3\x8f\xbf\xbe")),
    ("6.22.26", Good(b"\xf3\x8f\xbf\xbf")),
    ("6.22.27", Good(b"\xf3\x9f\xbf\xbe")),
    ("6.22.28", Good(b"\xf3\x9f\xbf\xbf")),
    ("6.22.29", Good(b"\xf3\xaf\xbf\xbe")),
    ("6.22.30", Good(b"\xf3\xaf\xbf\xbf")),
    ("6.22.31", Good(b"\xf3\xbf\xbf\xbe")),
    ("6.22.32", Good(b"\xf3\xbf\xbf\xbf")),
    ("6.22.33", Good(b"\xf4\x8f\xbf\xbe")),
    ("6.22.34", Good(b"\xf4\x8f\xbf\xbf")),

    // 6.23: the last of the first plane, the replacement character among them.
    ("6.23.1", Good(b"\xef\xbf\xb9")),
    ("6.23.2", Good(b"\xef\xbf\xba")),
    ("6.23.3", Good(b"\xef\xbf\xbb")),
    ("6.23.4", Good(b"\xef\xbf\xbc")),
    ("6.23.5", Good(b"\xef\xbf\xbd")),
    ("6.23.6", Good(b"\xef\xbf\xbe")),
    ("6.23.7", Good(b"\xef\xbf\xbf")),
];
