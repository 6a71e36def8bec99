//! Text that is UTF-8 and text that is not (RFC 6455, 8.1; RFC 3629).

use crate::message::{check, frame, receive, End};
use sockling::limits::Limits;
use sockling::websocket::{CloseCode, Message, OpCode, Received, Violation};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const NOT_UTF8: End = End::Fault(Violation::NotUtf8);

/// Complete characters.
const VALID: &[(&str, &[u8])] = &[
    ("the first of one byte", b"\0"),
    ("the last of one byte", b"\x7f"),
    ("the first of two", b"\xc2\x80"),
    ("the last of two", b"\xdf\xbf"),
    ("the first of three", b"\xe0\xa0\x80"),
    ("the last before the surrogates", b"\xed\x9f\xbf"),
    ("the first after the surrogates", b"\xee\x80\x80"),
    ("the replacement character", b"\xef\xbf\xbd"),
    ("no character, but UTF-8", b"\xef\xbf\xbe"),
    ("the last of three", b"\xef\xbf\xbf"),
    ("the first of four", b"\xf0\x90\x80\x80"),
    ("a smile", b"\xf0\x9f\x98\x80"),
    ("the first after a plane", b"\xf4\x80\x80\x80"),
    ("the last of all, U+10FFFF", b"\xf4\x8f\xbf\xbf"),
    ("a byte order mark stays", b"\xef\xbb\xbfa"),
    ("a word in Greek", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"),
    ("all lengths", b"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z"),
];

/// Bytes that end with the first invalid one; up to there they could become text.
const INVALID: &[(&str, &[u8])] = &[
    ("a continuation byte", b"\x80"),
    ("the last continuation byte", b"\xbf"),
    ("one after a letter", b"a\x80"),
    ("one after a whole character", b"\xc3\xa4\xa4"),
    ("an overlong letter of two bytes", b"\xc0"),
    ("the last overlong one of two", b"\xc1"),
    ("an overlong slash of three", b"\xe0\x80"),
    ("the last overlong one of three", b"\xe0\x9f"),
    ("an overlong slash of four", b"\xf0\x80"),
    ("the last overlong one of four", b"\xf0\x8f"),
    ("the first surrogate", b"\xed\xa0"),
    ("the last surrogate", b"\xed\xbf"),
    ("U+110000", b"\xf4\x90"),
    ("a lead byte of more than U+10FFFF", b"\xf5"),
    ("five bytes", b"\xf8"),
    ("six bytes", b"\xfc"),
    ("0xfe", b"\xfe"),
    ("0xff", b"\xff"),
    ("a letter for the second of two", b"\xc2A"),
    ("a lead byte for the second of two", b"\xc2\xc2"),
    ("just under a continuation byte", b"\xdf\x7f"),
    ("just over a continuation byte", b"\xdf\xc0"),
    ("a letter for the second of three", b"\xe1A"),
    ("a letter for the third of three", b"\xe2\x82A"),
    ("a lead byte for the third of three", b"\xe2\x82\xe2"),
    ("a letter for the second of four", b"\xf0A"),
    ("a letter for the third of four", b"\xf0\x9fA"),
    ("a letter for the fourth of four", b"\xf0\x9f\x98A"),
    ("a lead byte for the fourth of four", b"\xf0\x9f\x98\xf0"),
    ("over U+10FFFF, after a word", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90"),
    ("a surrogate, after a word", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0"),
    ("a byte of Latin-1 in a word", b"h\xe4l"),
];

/// Incomplete characters, which more bytes could complete.
const TRUNCATED: &[(&str, &[u8], &[u8])] = &[
    ("one of two", b"\xc3", b"\xa4"),
    ("one of three", b"\xe2", b"\x82\xac"),
    ("two of three", b"\xe2\x82", b"\xac"),
    ("one of four", b"\xf0", b"\x9f\x98\x80"),
    ("two of four", b"\xf0\x9f", b"\x98\x80"),
    ("three of four", b"\xf0\x9f\x98", b"\x80"),
    ("three of four, after a word", b"word\xf0\x9f\x98", b"\x80"),
];

fn text(content: &[u8]) -> Received {
    Received::Message(Message::Text(String::from_utf8(content.to_vec()).unwrap()))
}

/// Returns a frame of 100 bytes of text of which these are the first.
fn open_frame(first: u8, content: &[u8]) -> Vec<u8> {
    let mut payload = content.to_vec();
    payload.resize(100, b'.');
    let opcode = if first & 0x0f == 0 { OpCode::Continuation } else { OpCode::Text };
    let mut bytes = frame(first & 0x80 != 0, opcode, KEY, &payload);
    bytes.truncate(6 + content.len());
    bytes
}

#[test]
fn characters_are_accepted_in_one_frame_and_in_a_fragment_per_byte() {
    for (gloss, content) in VALID {
        let limits = Limits::default();
        let bytes = frame(true, OpCode::Text, KEY, content);
        check(gloss, &bytes, &[text(content)], End::Whole, &limits);
        check(gloss, &open_frame(0x81, content), &[], End::Inside, &limits);

        let mut bytes = Vec::new();
        for (place, byte) in content.iter().enumerate() {
            let opcode = if place == 0 { OpCode::Text } else { OpCode::Continuation };
            bytes.extend(frame(place + 1 == content.len(), opcode, KEY, &[*byte]));
        }
        check(gloss, &bytes, &[text(content)], End::Whole, &limits);
    }
}

#[test]
fn a_text_may_be_fragmented_inside_a_character() {
    for (gloss, content) in VALID {
        for place in 0..=content.len() {
            let bytes = [
                frame(false, OpCode::Text, KEY, &content[..place]),
                frame(true, OpCode::Ping, KEY, b"\xff"),
                frame(true, OpCode::Continuation, KEY, &content[place..]),
            ]
            .concat();
            let received = [Received::Ping(vec![0xff]), text(content)];
            check(gloss, &bytes, &received, End::Whole, &Limits::default());
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_at_its_first_invalid_byte() {
    for (gloss, content) in INVALID {
        let limits = Limits::default();
        // In a last frame and in a first frame with more to come, and at the end.
        check(gloss, &open_frame(0x81, content), &[], NOT_UTF8, &limits);
        check(gloss, &open_frame(0x01, content), &[], NOT_UTF8, &limits);
        check(gloss, &frame(true, OpCode::Text, KEY, content), &[], NOT_UTF8, &limits);
        check(gloss, &frame(false, OpCode::Text, KEY, content), &[], NOT_UTF8, &limits);

        // After a message that was text.
        let bytes =
            [frame(true, OpCode::Text, KEY, b"\xc3\xa4"), open_frame(0x81, content)].concat();
        check(gloss, &bytes, &[text(b"\xc3\xa4")], NOT_UTF8, &limits);
    }
}

#[test]
fn the_first_invalid_byte_is_found_across_fragments() {
    for (gloss, content) in INVALID {
        for place in 0..content.len() {
            let bytes = [
                frame(false, OpCode::Text, KEY, &content[..place]),
                frame(true, OpCode::Ping, KEY, b"p"),
                open_frame(0x80, &content[place..]),
            ]
            .concat();
            check(gloss, &bytes, &[Received::Ping(b"p".to_vec())], NOT_UTF8, &Limits::default());
        }
    }
}

#[test]
fn an_incomplete_character_may_be_continued_but_must_not_end_a_text() {
    for (gloss, begun, rest) in TRUNCATED {
        let limits = Limits::default();
        check(gloss, &open_frame(0x81, begun), &[], End::Inside, &limits);
        check(gloss, &frame(false, OpCode::Text, KEY, begun), &[], End::Inside, &limits);
        // The end of the message decides, be it the last byte or an empty last fragment.
        check(gloss, &frame(true, OpCode::Text, KEY, begun), &[], NOT_UTF8, &limits);
        let first = frame(false, OpCode::Text, KEY, begun);
        let bytes = [&first[..], &frame(true, OpCode::Continuation, KEY, b"")].concat();
        check(gloss, &bytes, &[], NOT_UTF8, &limits);

        let bytes = [&first[..], &frame(true, OpCode::Continuation, KEY, rest)].concat();
        check(gloss, &bytes, &[text(&[*begun, rest].concat())], End::Whole, &limits);
    }
}

#[test]
fn bytes_need_not_be_utf8() {
    for (gloss, content) in INVALID {
        let bytes = [
            frame(false, OpCode::Binary, KEY, content),
            frame(true, OpCode::Continuation, KEY, content),
        ]
        .concat();
        let message = Received::Message([*content, content].concat().into());
        check(gloss, &bytes, &[message], End::Whole, &Limits::default());
    }
}

/// Well-formed sequences of two bytes or more: the lead bytes, and the second bytes that may
/// follow them (Unicode 15.0, table 3-7). Further bytes are 0x80 to 0xbf.
const SECONDS: &[(std::ops::RangeInclusive<u8>, std::ops::RangeInclusive<u8>)] = &[
    (0xc2..=0xdf, 0x80..=0xbf),
    (0xe0..=0xe0, 0xa0..=0xbf),
    (0xe1..=0xec, 0x80..=0xbf),
    (0xed..=0xed, 0x80..=0x9f),
    (0xee..=0xef, 0x80..=0xbf),
    (0xf0..=0xf0, 0x90..=0xbf),
    (0xf1..=0xf3, 0x80..=0xbf),
    (0xf4..=0xf4, 0x80..=0x8f),
];

#[test]
fn every_pair_of_bytes_is_accepted_or_refused_as_unicode_says() {
    let header = b"\x01\xe4\0\0\0\0";
    let limits = Limits::default();
    for first in 0..=255u8 {
        let seconds = SECONDS.iter().find(|(leads, _)| leads.contains(&first));
        let alone = receive(&[header, &[first]], &limits).end;
        let expected = if first < 0x80 || seconds.is_some() { End::Inside } else { NOT_UTF8 };
        assert_eq!(alone, expected, "{:#x}", first);
        for second in 0..=255u8 {
            let valid = match seconds {
                Some((_, seconds)) => seconds.contains(&second),
                None => {
                    first < 0x80
                        && (second < 0x80
                            || SECONDS.iter().any(|(leads, _)| leads.contains(&second)))
                }
            };
            let expected = if valid { End::Inside } else { NOT_UTF8 };
            let both = receive(&[header, &[first, second]], &limits).end;
            assert_eq!(both, expected, "{:#x} {:#x}", first, second);
            let one_by_one = receive(&[header, &[first], &[second]], &limits).end;
            assert_eq!(one_by_one, expected, "{:#x} {:#x}, one by one", first, second);
        }
    }
}

#[test]
fn a_close_reason_must_be_utf8() {
    for (gloss, content) in VALID {
        let bytes = frame(true, OpCode::Close, KEY, &[b"\x03\xe8", *content].concat());
        match &receive(&[&bytes], &Limits::default()).received[..] {
            [(_, Received::Close(close))] => {
                assert_eq!(close.reason.as_bytes(), *content, "{}", gloss)
            }
            other => panic!("{}: {:?}", gloss, other),
        }
    }
    for (gloss, content) in
        INVALID.iter().copied().chain(TRUNCATED.iter().map(|row| (row.0, row.1)))
    {
        let bytes = frame(true, OpCode::Close, KEY, &[b"\x03\xe8", content].concat());
        match receive(&[&bytes], &Limits::default()).end {
            End::Fault(violation) => {
                assert_eq!(violation.close_code(), CloseCode::INVALID_PAYLOAD, "{}", gloss)
            }
            other => panic!("{}: {:?}", gloss, other),
        }
    }
}
