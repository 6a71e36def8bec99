//! Messages from frames (RFC 6455, 5.4, 5.5, 5.7, and 8.1). Invalid UTF-8 is in `utf8`.
//!
//! Most rows have a masking key of zeros, which leaves the payload readable.

use crate::cuts::{cuts, show};
use sockling::limits::Limits;
use sockling::websocket::{
    apply_mask, Assembler, CloseCode, CloseError, CloseFrame, FrameError, FrameHeader, Message,
    OpCode, Received, Violation,
};

/// A received message or control frame, as a constant.
#[derive(Clone, Copy, Debug)]
pub enum Got {
    Text(&'static str),
    Binary(&'static [u8]),
    Ping(&'static [u8]),
    Pong(&'static [u8]),
    Close(u16, &'static str),
}

impl Got {
    pub fn received(self) -> Received {
        match self {
            Got::Text(text) => Received::Message(text.into()),
            Got::Binary(bytes) => Received::Message(bytes.into()),
            Got::Ping(payload) => Received::Ping(payload.to_vec()),
            Got::Pong(payload) => Received::Pong(payload.to_vec()),
            Got::Close(code, reason) => {
                Received::Close(CloseFrame { code: CloseCode(code), reason: reason.to_string() })
            }
        }
    }
}

/// The state after the last byte.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// With a whole message or control frame.
    Whole,
    /// Inside a frame or a message.
    Inside,
    /// With a fault.
    Fault(Violation),
}

/// The result of reading a client's bytes.
#[derive(Debug, PartialEq)]
pub struct Heard {
    /// What was received, each with the number of bytes consumed until then.
    pub received: Vec<(usize, Received)>,
    /// The bytes that had arrived when the violation was found, or when no more came.
    pub arrived: usize,
    pub end: End,
}

/// Passes the pieces to an assembler as a connection does: bytes that were not consumed are passed
/// again, followed by new ones.
pub fn receive(pieces: &[&[u8]], limits: &Limits) -> Heard {
    receive_with(Assembler::default(), pieces, limits)
}

/// Does the same with this assembler.
pub fn receive_with(mut assembler: Assembler, pieces: &[&[u8]], limits: &Limits) -> Heard {
    let (mut unread, mut received) = (Vec::new(), Vec::new());
    let (mut arrived, mut used) = (0, 0);
    for piece in pieces {
        unread.extend_from_slice(piece);
        arrived += piece.len();
        loop {
            match assembler.read(&mut unread, limits) {
                Err(violation) => {
                    return Heard { received, arrived, end: End::Fault(violation) };
                }
                Ok((some, event)) => {
                    used += some;
                    unread.drain(..some);
                    match event {
                        Some(event) => received.push((used, event)),
                        None => break,
                    }
                }
            }
        }
    }
    let whole = unread.is_empty() && !assembler.in_progress();
    Heard { received, arrived, end: if whole { End::Whole } else { End::Inside } }
}

/// Asserts what these bytes give, that a violation is found at the last of them, and that the
/// result is the same however they are cut and whatever follows.
pub fn check(gloss: &str, bytes: &[u8], received: &[Received], end: End, limits: &Limits) {
    check_with(Assembler::default, gloss, bytes, received, end, limits);
}

/// Does the same with these assemblers.
pub fn check_with(
    new: fn() -> Assembler,
    gloss: &str,
    bytes: &[u8],
    received: &[Received],
    end: End,
    limits: &Limits,
) {
    let receive = |pieces: &[&[u8]], limits: &Limits| receive_with(new(), pieces, limits);
    let whole = receive(&[bytes], limits);
    let events: Vec<_> = whole.received.iter().map(|(_, event)| event.clone()).collect();
    assert_eq!((&events[..], whole.end), (received, end), "{}: {}", gloss, show(bytes));
    for pieces in cuts(bytes) {
        assert_eq!(receive(&pieces, limits), whole, "{}: {} as {:?}", gloss, show(bytes), pieces);
    }
    if let End::Fault(_) = end {
        for tail in [&b"\0"[..], b"\x89\x80\0\0\0\0", b"\x80\x80\0\0\0\0\xff\xff\xff\xff\xff\xff"] {
            let more = receive(&[bytes, tail], limits);
            assert_eq!((more.received, more.end), (whole.received.clone(), end), "{}", gloss);
            let more = receive(&[&[bytes, tail].concat()], limits);
            assert_eq!((more.received, more.end), (whole.received.clone(), end), "{}", gloss);
        }
    }
}

type Row = (&'static str, &'static [u8], &'static [Got], End);

fn check_all(rows: &[Row], limits: &Limits) {
    for (gloss, bytes, got, end) in rows {
        let received: Vec<Received> = got.iter().map(|got| got.received()).collect();
        check(gloss, bytes, &received, *end, limits);
    }
}

/// Returns a masked frame.
pub fn frame(fin: bool, opcode: OpCode, key: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut header = FrameHeader::new(opcode, payload.len() as u64);
    header.fin = fin;
    header.masking_key = Some(key);
    header.write(&mut bytes);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    apply_mask(&mut bytes[start..], key);
    bytes
}

/// The examples of 5.7. The unmasked ones are what a server sends; from a client they are a
/// violation, found at the end of the header.
const EXAMPLES: &[Row] = &[
    (
        "a single-frame masked text message",
        b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    (
        "a masked pong with the same payload",
        b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[Got::Pong(b"Hello")],
        End::Whole,
    ),
    (
        "a masked ping",
        b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58",
        &[Got::Ping(b"Hello")],
        End::Whole,
    ),
    (
        "a fragmented masked text message, \"Hel\" and \"lo\"",
        b"\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d\x80\x82\x37\xfa\x21\x3d\x5b\x95",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    ("a single-frame unmasked text message", b"\x81\x05", &[], End::Fault(Violation::Unmasked)),
    ("a fragmented unmasked text message", b"\x01\x03", &[], End::Fault(Violation::Unmasked)),
    ("its second fragment", b"\x80\x02", &[], End::Fault(Violation::Unmasked)),
    ("an unmasked ping", b"\x89\x05", &[], End::Fault(Violation::Unmasked)),
    ("256 unmasked bytes", b"\x82\x7e\x01\x00", &[], End::Fault(Violation::Unmasked)),
    ("64 unmasked KiB", b"\x82\x7f\0\0\0\0\0\x01\0\0", &[], End::Fault(Violation::Unmasked)),
];

#[test]
fn the_examples_of_the_rfc_are_received_as_it_says() {
    check_all(EXAMPLES, &Limits::default());
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let long = [(256, &b"\x82\xfe\x01\x00\x37\xfa\x21\x3d"[..])];
    let longer = [(65_536, &b"\x82\xff\0\0\0\0\0\x01\0\0\x37\xfa\x21\x3d"[..])];
    for (length, header) in long.into_iter().chain(longer) {
        let content: Vec<u8> = (0..length).map(|number: u32| number as u8).collect();
        let bytes = frame(true, OpCode::Binary, key, &content);
        assert_eq!(&bytes[..header.len()], header);
        let message = Received::Message(content.into());
        check("bytes", &bytes, &[message], End::Whole, &Limits::default());
    }
}

#[test]
fn the_rfcs_unmasked_examples_have_the_payloads_it_says() {
    let rows: &[(&[u8], &[u8])] = &[
        (b"\x81\x05\x48\x65\x6c\x6c\x6f", b"Hello"),
        (b"\x01\x03\x48\x65\x6c", b"Hel"),
        (b"\x80\x02\x6c\x6f", b"lo"),
        (b"\x89\x05\x48\x65\x6c\x6c\x6f", b"Hello"),
    ];
    for (bytes, payload) in rows {
        let (header, used) = FrameHeader::parse(bytes).unwrap().unwrap();
        assert_eq!((header.length, &bytes[used..]), (payload.len() as u64, *payload));
    }
}

const TAKEN: &[Row] = &[
    ("nothing", b"", &[], End::Whole),
    ("an empty text", b"\x81\x80\0\0\0\0", &[Got::Text("")], End::Whole),
    ("no bytes", b"\x82\x80\0\0\0\0", &[Got::Binary(b"")], End::Whole),
    ("bytes", b"\x82\x83\0\0\0\0\x00\xff\x80", &[Got::Binary(b"\x00\xff\x80")], End::Whole),
    (
        "two messages",
        b"\x81\x81\0\0\0\0a\x82\x81\0\0\0\0b",
        &[Got::Text("a"), Got::Binary(b"b")],
        End::Whole,
    ),
    (
        "three fragments",
        b"\x01\x81\0\0\0\0a\x00\x81\0\0\0\0b\x80\x81\0\0\0\0c",
        &[Got::Text("abc")],
        End::Whole,
    ),
    (
        "fragments of bytes",
        b"\x02\x81\0\0\0\0\xff\x80\x81\0\0\0\0\xfe",
        &[Got::Binary(b"\xff\xfe")],
        End::Whole,
    ),
    (
        "empty fragments",
        b"\x01\x80\0\0\0\0\x00\x80\0\0\0\0\x80\x80\0\0\0\0",
        &[Got::Text("")],
        End::Whole,
    ),
    (
        "a last fragment that is empty",
        b"\x01\x81\0\0\0\0a\x80\x80\0\0\0\0",
        &[Got::Text("a")],
        End::Whole,
    ),
    (
        "a first fragment that is empty",
        b"\x02\x80\0\0\0\0\x80\x81\0\0\0\0a",
        &[Got::Binary(b"a")],
        End::Whole,
    ),
    (
        "fragments with keys of their own",
        b"\x01\x81\x01\0\0\0`\x80\x82\x02\x03\0\0`\x60",
        &[Got::Text("abc")],
        End::Whole,
    ),
    ("an empty ping", b"\x89\x80\0\0\0\0", &[Got::Ping(b"")], End::Whole),
    ("a ping of any bytes", b"\x89\x82\0\0\0\0\xff\0", &[Got::Ping(b"\xff\0")], End::Whole),
    ("an unsolicited pong", b"\x8a\x81\0\0\0\0x", &[Got::Pong(b"x")], End::Whole),
    ("an empty Close frame", b"\x88\x80\0\0\0\0", &[Got::Close(1005, "")], End::Whole),
    ("a Close frame", b"\x88\x85\0\0\0\0\x03\xe8bye", &[Got::Close(1000, "bye")], End::Whole),
    (
        "a ping and a pong between fragments",
        b"\x01\x81\0\0\0\0a\x89\x81\0\0\0\0p\x00\x81\0\0\0\0b\
          \x8a\x80\0\0\0\0\x80\x81\0\0\0\0c",
        &[Got::Ping(b"p"), Got::Pong(b""), Got::Text("abc")],
        End::Whole,
    ),
    (
        "a ping inside a character",
        b"\x01\x81\0\0\0\0\xc3\x89\x81\0\0\0\0\xff\x80\x81\0\0\0\0\xa4",
        &[Got::Ping(b"\xff"), Got::Text("\u{e4}")],
        End::Whole,
    ),
    (
        "a Close frame between fragments",
        b"\x01\x81\0\0\0\0a\x88\x82\0\0\0\0\x03\xe9",
        &[Got::Close(1001, "")],
        End::Inside,
    ),
    (
        "a message after one of fragments",
        b"\x01\x81\0\0\0\0a\x80\x81\0\0\0\0b\x82\x81\0\0\0\0c",
        &[Got::Text("ab"), Got::Binary(b"c")],
        End::Whole,
    ),
    ("a header without its key", b"\x81\x81\0\0\0", &[], End::Inside),
    ("a frame without its payload", b"\x81\x81\0\0\0\0", &[], End::Inside),
    ("a message without its end", b"\x01\x80\0\0\0\0", &[], End::Inside),
    (
        "a message and half a ping",
        b"\x81\x81\0\0\0\0a\x89\x82\0\0\0\0p",
        &[Got::Text("a")],
        End::Inside,
    ),
];

#[test]
fn fragments_become_messages_with_control_frames_between_them() {
    check_all(TAKEN, &Limits::default());
}

/// Bytes that end with the one that causes the violation.
const REFUSED: &[Row] = &[
    // A client must mask every frame (5.1).
    ("an unmasked frame", b"\x82\x00", &[], End::Fault(Violation::Unmasked)),
    ("an unmasked Close frame", b"\x88\x02", &[], End::Fault(Violation::Unmasked)),
    ("an unmasked frame after a message", b"\x81\x80\0\0\0\0\x81\x00", &[Got::Text("")], UNMASKED),
    // Fragments (5.4).
    ("a continuation without a message", b"\x80\x85\0\0\0\0", &[], CONTINUATION_FIRST),
    ("one that is not the last", b"\x00\x80\0\0\0\0", &[], CONTINUATION_FIRST),
    (
        "one after a whole message",
        b"\x81\x80\0\0\0\0\x80\x80\0\0\0\0",
        &[Got::Text("")],
        CONTINUATION_FIRST,
    ),
    (
        "one after the last",
        b"\x01\x80\0\0\0\0\x80\x80\0\0\0\0\x80\x80\0\0\0\0",
        &[Got::Text("")],
        CONTINUATION_FIRST,
    ),
    (
        "one after a ping",
        b"\x89\x80\0\0\0\0\x80\x80\0\0\0\0",
        &[Got::Ping(b"")],
        CONTINUATION_FIRST,
    ),
    ("a text inside a text", b"\x01\x81\0\0\0\0a\x81\x81\0\0\0\0", &[], INSIDE),
    ("a fragment inside a text", b"\x01\x81\0\0\0\0a\x01\x81\0\0\0\0", &[], INSIDE),
    ("bytes inside a text", b"\x01\x81\0\0\0\0a\x82\x81\0\0\0\0", &[], INSIDE),
    ("a text inside bytes", b"\x02\x80\0\0\0\0\x81\x80\0\0\0\0", &[], INSIDE),
    (
        "a text inside a text, after a ping",
        b"\x01\x80\0\0\0\0\x89\x80\0\0\0\0\x81\x80\0\0\0\0",
        &[Got::Ping(b"")],
        INSIDE,
    ),
    // Frame headers, which have a table of their own in `frame`.
    ("a reserved bit", b"\xa1", &[], End::Fault(Violation::Frame(FrameError::ReservedBits))),
    ("RSV1", b"\xc1", &[], End::Fault(Violation::Frame(FrameError::Rsv1))),
    ("a reserved opcode", b"\x83", &[], End::Fault(Violation::Frame(FrameError::Opcode))),
    ("half a ping", b"\x09", &[], End::Fault(Violation::Frame(FrameError::ControlFragment))),
    ("a long ping", b"\x89\xfe", &[], End::Fault(Violation::Frame(FrameError::ControlLength))),
    (
        "a length of 2^63",
        b"\x82\xff\x80",
        &[],
        End::Fault(Violation::Frame(FrameError::LengthTopBit)),
    ),
    ("a long form", b"\x82\xfe\0\x7d", &[], End::Fault(Violation::Frame(FrameError::LengthForm))),
    (
        "a reserved bit inside a message",
        b"\x01\x81\0\0\0\0a\xa0",
        &[],
        End::Fault(Violation::Frame(FrameError::ReservedBits)),
    ),
    (
        "a reserved opcode after a ping",
        b"\x89\x81\0\0\0\0p\x8b",
        &[Got::Ping(b"p")],
        End::Fault(Violation::Frame(FrameError::Opcode)),
    ),
    // Close frames, which have a table of their own in `close`. They are checked when they are
    // whole.
    ("half a code", b"\x88\x81\0\0\0\0\x03", &[], End::Fault(Violation::Close(CloseError::Length))),
    ("code 1005", b"\x88\x82\0\0\0\0\x03\xed", &[], End::Fault(Violation::Close(CloseError::Code))),
    (
        "a reason that is not UTF-8",
        b"\x88\x84\0\0\0\0\x03\xe8\xffx",
        &[],
        End::Fault(Violation::Close(CloseError::Reason)),
    ),
    (
        "a Close frame between fragments, code 999",
        b"\x01\x81\0\0\0\0a\x88\x82\0\0\0\0\x03\xe7",
        &[],
        End::Fault(Violation::Close(CloseError::Code)),
    ),
    // Text (8.1), which has a table of its own in `utf8`.
    ("a text that is not UTF-8", b"\x81\x85\0\0\0\0a\xff", &[], End::Fault(Violation::NotUtf8)),
];

const UNMASKED: End = End::Fault(Violation::Unmasked);
const CONTINUATION_FIRST: End = End::Fault(Violation::ContinuationFirst);
const INSIDE: End = End::Fault(Violation::DataInsideFragments);

#[test]
fn an_invalid_frame_is_refused_at_its_first_invalid_byte() {
    check_all(REFUSED, &Limits::default());
}

/// All violations except those of a frame header, with their close codes (7.4.1).
pub const CLOSE_CODES: &[(Violation, u16)] = &[
    (Violation::Unmasked, 1002),
    (Violation::ContinuationFirst, 1002),
    (Violation::DataInsideFragments, 1002),
    (Violation::TooManyFragments, 1008),
    (Violation::TooBig, 1009),
    (Violation::NotUtf8, 1007),
    (Violation::Close(CloseError::Length), 1002),
    (Violation::Close(CloseError::Code), 1002),
    (Violation::Close(CloseError::Reason), 1007),
    (Violation::Frame(FrameError::ReservedBits), 1002),
    (Violation::Frame(FrameError::Rsv1), 1002),
    (Violation::Frame(FrameError::Opcode), 1002),
    (Violation::Frame(FrameError::ControlFragment), 1002),
    (Violation::Frame(FrameError::ControlLength), 1002),
    (Violation::Frame(FrameError::LengthTopBit), 1002),
    (Violation::Frame(FrameError::LengthForm), 1002),
];

#[test]
fn each_violation_maps_to_its_close_code_and_has_a_row_that_causes_it() {
    // Those two concern limits, which have tests of their own.
    let elsewhere = [Violation::TooManyFragments, Violation::TooBig];
    for (violation, code) in CLOSE_CODES {
        assert_eq!(violation.close_code(), CloseCode(*code), "{}", violation);
        let provoked = REFUSED.iter().any(|(_, _, _, end)| *end == End::Fault(*violation));
        assert!(provoked || elsewhere.contains(violation), "{:?}", violation);
    }
}

#[test]
fn a_message_larger_than_the_limit_is_refused() {
    let limits = Limits { message: 5, ..Limits::default() };
    let too_big = End::Fault(Violation::TooBig);
    check_all(
        &[
            ("5 bytes", b"\x81\x85\0\0\0\0Hello", &[Got::Text("Hello")], End::Whole),
            ("6, at the end of the header", b"\x81\x86\0\0\0\0", &[], too_big),
            (
                "3 and 2",
                b"\x02\x83\0\0\0\0Hel\x80\x82\0\0\0\0lo",
                &[Got::Binary(b"Hello")],
                End::Whole,
            ),
            (
                "3 and 3, at the end of the second header",
                b"\x02\x83\0\0\0\0Hel\x80\x83\0\0\0\0",
                &[],
                too_big,
            ),
            (
                "5 and 0",
                b"\x01\x85\0\0\0\0Hello\x80\x80\0\0\0\0",
                &[Got::Text("Hello")],
                End::Whole,
            ),
            ("5 and 1", b"\x01\x85\0\0\0\0Hello\x00\x81\0\0\0\0", &[], too_big),
            (
                "the count begins anew with each message",
                b"\x81\x85\0\0\0\0Hello\x81\x85\0\0\0\0World",
                &[Got::Text("Hello"), Got::Text("World")],
                End::Whole,
            ),
            (
                "a control frame has a limit of its own",
                b"\x01\x85\0\0\0\0Hello\x89\x87\0\0\0\0ping777\x80\x80\0\0\0\0",
                &[Got::Ping(b"ping777"), Got::Text("Hello")],
                End::Whole,
            ),
            ("126", b"\x82\xfe\0\x7e\0\0\0\0", &[], too_big),
            ("65536", b"\x82\xff\0\0\0\0\0\x01\0\0\0\0\0\0", &[], too_big),
            ("2^62", b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0", &[], too_big),
            ("2^63-1", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", &[], too_big),
            (
                "2^63-1 after a byte",
                b"\x02\x81\0\0\0\0a\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
                &[],
                too_big,
            ),
        ],
        &limits,
    );
    let none = Limits { message: 0, ..Limits::default() };
    check("no bytes", b"\x81\x80\0\0\0\0", &[Got::Text("").received()], End::Whole, &none);
    check("one byte", b"\x81\x81\0\0\0\0", &[], too_big, &none);
}

#[test]
fn the_default_message_limit_is_enforced() {
    let limits = Limits::default();
    let (most, more) =
        (b"\x82\xff\0\0\0\0\0\x10\0\0\0\0\0\0", b"\x82\xff\0\0\0\0\0\x10\0\x01\0\0\0\0");
    check("1 MiB", most, &[], End::Inside, &limits);
    check("one more", more, &[], End::Fault(Violation::TooBig), &limits);
}

#[test]
fn a_message_of_more_fragments_than_the_limit_is_refused() {
    let limits = Limits { fragments: 3, ..Limits::default() };
    let too_many = End::Fault(Violation::TooManyFragments);
    check_all(
        &[
            (
                "3, twice",
                b"\x01\x81\0\0\0\0a\x00\x80\0\0\0\0\x80\x80\0\0\0\0\
                  \x02\x81\0\0\0\0b\x00\x80\0\0\0\0\x80\x80\0\0\0\0",
                &[Got::Text("a"), Got::Binary(b"b")],
                End::Whole,
            ),
            (
                "4, at the end of the fourth header",
                b"\x01\x80\0\0\0\0\x00\x80\0\0\0\0\x00\x80\0\0\0\0\x80\x81\0\0\0\0",
                &[],
                too_many,
            ),
            (
                "control frames do not count",
                b"\x01\x80\0\0\0\0\x89\x80\0\0\0\0\x89\x80\0\0\0\0\x00\x80\0\0\0\0\x80\x80\0\0\0\0",
                &[Got::Ping(b""), Got::Ping(b""), Got::Text("")],
                End::Whole,
            ),
        ],
        &limits,
    );
    let default = Limits::default();
    let flood = |fragments: usize| {
        let mut bytes = b"\x02\x80\0\0\0\0".to_vec();
        (1..fragments).for_each(|_| bytes.extend_from_slice(b"\x00\x80\0\0\0\0"));
        receive(&[&bytes], &default).end
    };
    assert_eq!((flood(16_384), flood(16_385)), (End::Inside, too_many));
}

#[test]
fn a_message_of_any_boundary_length_is_received_at_its_last_byte() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
        for opcode in [OpCode::Text, OpCode::Binary] {
            let payload = vec![b'x'; length];
            let bytes = frame(true, opcode, [1, 2, 3, 4], &payload);
            let message = match opcode {
                OpCode::Text => Message::Text("x".repeat(length)),
                _ => Message::Binary(payload),
            };
            check(
                "a length",
                &bytes,
                &[Received::Message(message)],
                End::Whole,
                &Limits::default(),
            );
        }
    }
    for length in [0, 1, 124, 125] {
        let payload = vec![0xff; length];
        let bytes = frame(true, OpCode::Ping, [1, 2, 3, 4], &payload);
        check("a ping", &bytes, &[Received::Ping(payload)], End::Whole, &Limits::default());
    }
    let close = CloseFrame { code: CloseCode::NORMAL, reason: "r".repeat(CloseFrame::REASON) };
    let bytes = frame(true, OpCode::Close, [1, 2, 3, 4], &close.payload());
    check("a Close frame", &bytes, &[Received::Close(close)], End::Whole, &Limits::default());
}

#[test]
fn bytes_that_are_not_consumed_are_not_changed() {
    let bytes = *b"\x81\x81\xff\xff\xff\xff\x9e\x81\x81\xff\xff\xff\xff\x9e";
    let (mut unread, mut assembler) = (bytes, Assembler::default());
    let first = assembler.read(&mut unread, &Limits::default());
    assert_eq!(first, Ok((7, Some(Got::Text("a").received()))));
    assert_eq!(unread[7..], bytes[7..]);
}

/// Allocating these would fail and end the test process; for systems that overcommit memory, there
/// is the next test.
#[test]
#[cfg(target_pointer_width = "64")]
fn no_memory_is_allocated_for_a_length_that_is_only_announced() {
    let limits = Limits { message: usize::MAX, ..Limits::default() };
    let rows: &[(&str, &[u8])] = &[
        ("2^62", b"\x82\xff\x40\0\0\0\0\0\0\0\0\0\0\0some of it"),
        ("2^63-1", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0some of it"),
        ("2^62 of text", b"\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0some of it"),
        ("2^62 after a byte", b"\x02\x81\0\0\0\0a\x80\xff\x40\0\0\0\0\0\0\0\0\0\0\0some of it"),
    ];
    for (gloss, bytes) in rows {
        check(gloss, bytes, &[], End::Inside, &limits);
    }
    // The limit is the claim.
    let limits = Limits { message: 1 << 62, ..limits };
    check(rows[0].0, rows[0].1, &[], End::Inside, &limits);
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_announced_messages_take_no_address_space() {
    /// Returns the size of this process in pages, reserved or used (proc(5)).
    fn pages() -> usize {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        statm.split(' ').next().unwrap().parse().unwrap()
    }
    // 64 MiB each would be 64 GiB in all, 16 million pages of 4 KiB.
    let limits = Limits { message: 64 * 1024 * 1024, ..Limits::default() };
    let before = pages();
    let mut claims = Vec::new();
    for _ in 0..1000 {
        let mut assembler = Assembler::default();
        let mut bytes = *b"\x82\xff\0\0\0\0\x04\0\0\0\0\0\0\0some of it";
        assert_eq!(assembler.read(&mut bytes, &limits), Ok((bytes.len(), None)));
        claims.push(assembler);
    }
    let grown = pages().saturating_sub(before);
    // The other tests take far less at the same time.
    assert!(grown < 1_000_000, "{} pages for {} claims", grown, claims.len());
}

#[test]
fn a_message_in_progress_takes_at_most_twice_its_bytes() {
    let payload = vec![7; 100_000];
    let whole = frame(true, OpCode::Binary, [1, 2, 3, 4], &payload);
    let mut fragments = frame(false, OpCode::Binary, [1, 2, 3, 4], &payload[..1]);
    for (fragment, piece) in payload[1..].chunks(333).enumerate() {
        let fin = 1 + (fragment + 1) * 333 >= payload.len();
        fragments.extend(frame(fin, OpCode::Continuation, [5, 6, 7, 8], piece));
    }
    for bytes in [&whole, &fragments] {
        for size in [100, 1460, bytes.len()] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let heard = receive(&pieces, &Limits::default());
            match &heard.received[..] {
                [(_, Received::Message(Message::Binary(bytes)))] => {
                    assert_eq!(*bytes, payload);
                    assert!(bytes.capacity() <= 2 * bytes.len(), "{}", bytes.capacity());
                }
                other => panic!("{} events", other.len()),
            }
        }
    }
}

#[test]
fn a_message_is_text_or_binary() {
    let (text, bytes) = (Message::from("h\u{e4}"), Message::from(&b"\xff\0"[..]));
    assert_eq!((text.as_text(), text.as_bytes()), (Some("h\u{e4}"), &b"h\xc3\xa4"[..]));
    assert_eq!((bytes.as_text(), bytes.as_bytes()), (None, &b"\xff\0"[..]));
    assert_eq!(text, Message::from("h\u{e4}".to_string()));
    assert_eq!(bytes, Message::from(vec![0xff, 0]));
    assert_ne!(Message::from("a"), Message::from(&b"a"[..]));
}
