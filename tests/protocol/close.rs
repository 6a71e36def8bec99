//! Close frames and close codes (RFC 6455, 5.5.1 and 7.4).

use crate::cuts::show;
use sockling::websocket::{CloseCode, CloseError, CloseFrame, Violation};
use sockling::Error;

/// Payloads with their code and reason, which are parsed and written.
const FRAMES: &[(&str, &[u8], CloseCode, &str)] = &[
    ("nothing (7.1.5)", b"", CloseCode::NO_STATUS, ""),
    ("a code alone", b"\x03\xe8", CloseCode::NORMAL, ""),
    ("a code and a reason", b"\x03\xe8bye", CloseCode::NORMAL, "bye"),
    ("going away", b"\x03\xe9", CloseCode::GOING_AWAY, ""),
    ("a protocol error", b"\x03\xea", CloseCode::PROTOCOL_ERROR, ""),
    ("unsupported data", b"\x03\xeb", CloseCode::UNSUPPORTED_DATA, ""),
    ("an invalid payload", b"\x03\xef", CloseCode::INVALID_PAYLOAD, ""),
    ("a policy violation", b"\x03\xf0", CloseCode::POLICY_VIOLATION, ""),
    ("too big", b"\x03\xf1", CloseCode::TOO_BIG, ""),
    ("an extension is missing", b"\x03\xf2", CloseCode::MANDATORY_EXTENSION, ""),
    ("an internal error", b"\x03\xf3", CloseCode::INTERNAL_ERROR, ""),
    ("a restart", b"\x03\xf4", CloseCode::SERVICE_RESTART, ""),
    ("try again later", b"\x03\xf5", CloseCode::TRY_AGAIN_LATER, ""),
    ("the last registered one", b"\x03\xf6", CloseCode(1014), ""),
    ("the first of libraries", b"\x0b\xb8", CloseCode(3000), ""),
    ("the first of applications", b"\x0f\xa0", CloseCode(4000), ""),
    ("the last of applications", b"\x13\x87x", CloseCode(4999), "x"),
    ("a reason in UTF-8", b"\x03\xe8\xce\xba\xf0\x9f\x98\x80", CloseCode(1000), "\u{3ba}\u{1f600}"),
    ("a NUL in the reason", b"\x03\xe8\0", CloseCode(1000), "\0"),
];

#[test]
fn a_close_payload_is_parsed_and_written_as_a_code_and_a_reason() {
    for (gloss, payload, code, reason) in FRAMES {
        let frame = CloseFrame { code: *code, reason: reason.to_string() };
        assert_eq!(CloseFrame::parse(payload), Ok(frame.clone()), "{}: {}", gloss, show(payload));
        assert_eq!(frame.payload(), *payload, "{}", gloss);
    }
}

#[test]
fn an_invalid_close_payload_is_refused() {
    let rows: &[(&str, &[u8], CloseError)] = &[
        ("half a code", b"\x03", CloseError::Length),
        ("half a code of 0", b"\0", CloseError::Length),
        ("code 0", b"\0\0", CloseError::Code),
        ("code 999", b"\x03\xe7", CloseError::Code),
        ("code 1004, reserved", b"\x03\xec", CloseError::Code),
        ("code 1005, never on the wire (7.4.1)", b"\x03\xed", CloseError::Code),
        ("code 1006, never on the wire", b"\x03\xee", CloseError::Code),
        ("code 1015, never on the wire", b"\x03\xf7", CloseError::Code),
        ("code 1016", b"\x03\xf8", CloseError::Code),
        ("code 2999", b"\x0b\xb7", CloseError::Code),
        ("code 5000", b"\x13\x88", CloseError::Code),
        ("code 65535", b"\xff\xff", CloseError::Code),
        ("a code in decimal digits", b"1000", CloseError::Code),
        ("the bytes of a code in the other order", b"\xe8\x03", CloseError::Code),
        ("an invalid code before an invalid reason", b"\x03\xed\xff", CloseError::Code),
        ("a reason that is not UTF-8", b"\x03\xe8\xff", CloseError::Reason),
        ("a reason with a surrogate", b"\x03\xe8\xed\xa0\x80", CloseError::Reason),
        ("a reason with half a character", b"\x03\xe8ok\xe2\x82", CloseError::Reason),
    ];
    for (gloss, payload, error) in rows {
        assert_eq!(CloseFrame::parse(payload), Err(*error), "{}: {}", gloss, show(payload));
    }
}

#[test]
fn each_close_error_maps_to_its_close_code() {
    let rows = [
        (CloseError::Length, CloseCode::PROTOCOL_ERROR),
        (CloseError::Code, CloseCode::PROTOCOL_ERROR),
        (CloseError::Reason, CloseCode::INVALID_PAYLOAD),
    ];
    for (error, code) in rows {
        assert_eq!(Violation::Close(error).close_code(), code, "{}", error);
        assert_eq!(Error::from(Violation::Close(error)).close_code(), code, "{}", error);
    }
}

#[test]
fn only_the_codes_of_the_rfc_may_appear_in_a_frame() {
    for code in 0..=u16::MAX {
        let sendable =
            [1000..=1003, 1007..=1014, 3000..=4999].iter().any(|some| some.contains(&code));
        let (frame, code) = (code.to_be_bytes(), CloseCode(code));
        assert_eq!(code.is_sendable(), sendable, "{}", code);
        let expected = if sendable { Ok(code) } else { Err(CloseError::Code) };
        assert_eq!(CloseFrame::parse(&frame).map(|close| close.code), expected, "{}", code);
        assert_eq!(CloseFrame::new(code, "").map(|close| close.code), expected, "{}", code);
    }
}

#[test]
fn a_close_code_is_displayed_and_ordered_as_its_number() {
    assert_eq!(CloseCode::NORMAL.to_string(), "1000");
    assert_eq!(CloseCode(4999).to_string(), "4999");
    assert!(CloseCode::NORMAL < CloseCode::GOING_AWAY);
    assert_eq!(CloseCode::NO_STATUS, CloseCode(1005));
    assert_eq!(CloseCode::ABNORMAL, CloseCode(1006));
}

#[test]
fn a_reason_is_cut_to_123_bytes_at_the_end_of_a_character() {
    // A control frame has 125 bytes, the code takes two (5.5).
    assert_eq!(CloseFrame::REASON, 123);
    let rows = [
        ("short", "bye".to_string(), 3),
        ("123 bytes", "x".repeat(123), 123),
        ("124 bytes", "x".repeat(124), 123),
        ("far too long", "x".repeat(10_000), 123),
        ("two bytes that fit", "x".repeat(121) + "\u{e4}", 123),
        ("two bytes that do not fit", "x".repeat(122) + "\u{e4}", 122),
        ("three bytes, one of them over", "x".repeat(121) + "\u{20ac}", 121),
        ("three bytes that fit", "x".repeat(120) + "\u{20ac}", 123),
        ("four bytes, one of them over", "x".repeat(120) + "\u{1f600}", 120),
        ("four bytes, three of them over", "x".repeat(122) + "\u{1f600}", 122),
        ("four bytes behind the end", "x".repeat(123) + "\u{1f600}", 123),
    ];
    for (gloss, reason, length) in rows {
        let close = CloseFrame::new(CloseCode::NORMAL, &reason).unwrap();
        assert_eq!(close.reason, reason[..length], "{}", gloss);
        assert_eq!(close.payload().len(), 2 + length, "{}", gloss);
        assert_eq!(CloseFrame::parse(&close.payload()), Ok(close), "{}", gloss);
    }
}
