//! Compressed messages from frames (RFC 7692, 6 and 7.2). Most rows have a masking key of zeros, which
//! leaves the payload readable.

use crate::message::{check, check_with, frame, receive_with, End, Got};
use miniz_oxide::deflate::compress_to_vec;
use sockling::limits::Limits;
use sockling::websocket::{Assembler, FrameError, OpCode, Received, Violation};

type Row = (&'static str, &'static [u8], &'static [Got], End);

const INVALID: End = End::Fault(Violation::NotDeflated);

const ROWS: &[Row] = &[
    // The examples of 7.2.3, as a client sends them.
    (
        "7.2.3.1: one block",
        b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    (
        "7.2.3.1: in two fragments",
        b"\x41\x83\0\0\0\0\xf2\x48\xcd\x80\x84\0\0\0\0\xc9\xc9\x07\0",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    (
        "7.2.3.2: again, without the first as a part of it",
        b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0",
        &[Got::Text("Hello"), Got::Text("Hello")],
        End::Whole,
    ),
    (
        "7.2.3.2: again, with the first as a part of it",
        b"\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0\xc1\x85\0\0\0\0\xf2\0\x11",
        &[Got::Text("Hello")],
        INVALID,
    ),
    (
        "7.2.3.3: a block that is stored",
        b"\xc1\x8b\0\0\0\0\0\x05\0\xfa\xff\x48\x65\x6c\x6c\x6f\0",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    (
        "7.2.3.4: a final block",
        b"\xc1\x88\0\0\0\0\xf3\x48\xcd\xc9\xc9\x07\0\0",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    (
        "7.2.3.5: two blocks",
        b"\xc1\x8d\0\0\0\0\xf2\x48\x05\0\0\0\xff\xff\xca\xc9\xc9\x07\0",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    ("7.2.3.6: an empty message", b"\xc1\x81\0\0\0\0\0", &[Got::Text("")], End::Whole),
    // What the RFC leaves open.
    ("an empty payload", b"\xc2\x80\0\0\0\0", &[Got::Binary(b"")], End::Whole),
    (
        "an empty payload in two fragments",
        b"\x41\x80\0\0\0\0\x80\x80\0\0\0\0",
        &[Got::Text("")],
        End::Whole,
    ),
    (
        "a final block, and another one behind it",
        b"\xc1\x8e\0\0\0\0\xf3\x48\xcd\xc9\xc9\x07\0\xf2\x48\xcd\xc9\xc9\x07\0",
        &[Got::Text("HelloHello")],
        End::Whole,
    ),
    // Plain messages stay legal, and control frames change nothing.
    (
        "plain, compressed, plain",
        b"\x81\x81\0\0\0\0a\xc1\x87\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0\x82\x81\0\0\0\0b",
        &[Got::Text("a"), Got::Text("Hello"), Got::Binary(b"b")],
        End::Whole,
    ),
    (
        "a ping between fragments",
        b"\x41\x83\0\0\0\0\xf2\x48\xcd\x89\x81\0\0\0\0p\x80\x84\0\0\0\0\xc9\xc9\x07\0",
        &[Got::Ping(b"p"), Got::Text("Hello")],
        End::Whole,
    ),
    (
        "a masked one",
        b"\xc1\x87\x37\xfa\x21\x3d\xc5\xb2\xec\xf4\xfe\xfd\x21",
        &[Got::Text("Hello")],
        End::Whole,
    ),
    // RSV1 elsewhere.
    (
        "RSV1 on a continuation",
        b"\x41\x83\0\0\0\0\xf2\x48\xcd\xc0",
        &[],
        End::Fault(Violation::Frame(FrameError::Rsv1Inside)),
    ),
    (
        "RSV1 on a continuation of a plain message",
        b"\x01\x81\0\0\0\0a\xc0",
        &[],
        End::Fault(Violation::Frame(FrameError::Rsv1Inside)),
    ),
    ("RSV1 on a ping", b"\xc9", &[], End::Fault(Violation::Frame(FrameError::Rsv1Inside))),
    ("RSV1 on a Close frame", b"\xc8", &[], End::Fault(Violation::Frame(FrameError::Rsv1Inside))),
    ("RSV2", b"\xe1", &[], End::Fault(Violation::Frame(FrameError::ReservedBits))),
    ("RSV3", b"\xd1", &[], End::Fault(Violation::Frame(FrameError::ReservedBits))),
    (
        "a compressed message inside of another",
        b"\x41\x83\0\0\0\0\xf2\x48\xcd\xc1\x80\0\0\0\0",
        &[],
        End::Fault(Violation::DataInsideFragments),
    ),
    // What cannot be inflated.
    ("a reserved type of a block", b"\xc1\x81\0\0\0\0\x07", &[], INVALID),
    ("a stored block of a wrong length", b"\xc1\x85\0\0\0\0\0\x05\0\xfa\xfe", &[], INVALID),
    ("a distance beyond the beginning", b"\xc1\x85\0\0\0\0\xf2\0\x11", &[], INVALID),
    ("cut short", b"\xc1\x86\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07", &[], INVALID),
    ("cut shorter", b"\xc1\x83\0\0\0\0\xf2\x48\xcd", &[], INVALID),
    ("cut within a stored block", b"\xc1\x88\0\0\0\0\0\x05\0\xfa\xff\x48\x65\x6c", &[], INVALID),
    (
        "with its tail left on",
        b"\xc1\x8b\0\0\0\0\xf2\x48\xcd\xc9\xc9\x07\0\0\0\xff\xff",
        &[],
        INVALID,
    ),
    (
        "a final block with nothing behind it",
        b"\xc1\x87\0\0\0\0\xf3\x48\xcd\xc9\xc9\x07\0",
        &[],
        INVALID,
    ),
    // UTF-8, at the first invalid byte: a stored block of 5 bytes, of which the third is one.
    (
        "text that is not UTF-8",
        b"\xc1\x8b\0\0\0\0\0\x05\0\xfa\xff\x48\x65\xff",
        &[],
        End::Fault(Violation::NotUtf8),
    ),
    (
        "half a character at the end",
        b"\xc1\x88\0\0\0\0\0\x02\0\xfd\xff\x61\xc3\0",
        &[],
        End::Fault(Violation::NotUtf8),
    ),
    (
        "a character that is cut by fragments",
        b"\x41\x87\0\0\0\0\0\x03\0\xfc\xff\x61\xc3\x80\x82\0\0\0\0\xa9\0",
        &[Got::Text("a\u{e9}")],
        End::Whole,
    ),
    (
        "bytes that are not UTF-8",
        b"\xc2\x87\0\0\0\0\0\x01\0\xfe\xff\xff\0",
        &[Got::Binary(b"\xff")],
        End::Whole,
    ),
];

#[test]
fn compressed_messages_are_inflated_or_refused_however_they_are_cut() {
    for (gloss, bytes, got, end) in ROWS {
        let received: Vec<Received> = got.iter().map(|got| got.received()).collect();
        check_with(Assembler::inflating, gloss, bytes, &received, *end, &Limits::default());
    }
    for violation in [Violation::NotDeflated, Violation::TooManyBlocks] {
        assert!(!violation.to_string().is_empty());
    }
    assert_eq!(Violation::NotDeflated.close_code().0, 1007);
    assert_eq!(Violation::TooManyBlocks.close_code().0, 1008);
}

#[test]
fn rsv1_is_refused_where_compression_was_not_negotiated() {
    let fault = End::Fault(Violation::Frame(FrameError::Rsv1));
    check("a compressed message", b"\xc1", &[], fault, &Limits::default());
}

/// Returns a compressed message of one frame.
fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = frame(true, OpCode::Binary, [0; 4], payload);
    bytes[0] |= 0x40;
    bytes
}

/// Returns a message as a client sends it that ends it with a final block.
fn deflated(message: &[u8]) -> Vec<u8> {
    compressed(&[&compress_to_vec(message, 6)[..], b"\0"].concat())
}

/// Returns the length of the message that these bytes are, or the violation.
fn length_of(bytes: &[u8], limits: &Limits) -> Result<usize, Violation> {
    let heard = receive_with(Assembler::inflating(), &[bytes], limits);
    match (&heard.received[..], heard.end) {
        ([(_, Received::Message(message))], End::Whole) => Ok(message.as_bytes().len()),
        ([], End::Fault(violation)) => Err(violation),
        other => panic!("{:?}", other),
    }
}

#[test]
fn a_message_may_inflate_to_the_limit_and_to_no_byte_more() {
    for limit in [0, 1, 2, 257, 258, 259, 1023, 1024, 1025, 32_768, 65_536, 100_000] {
        let limits = Limits { message: limit, ..Limits::default() };
        for byte in [0, 1] {
            let bytes = |length| vec![byte; length];
            assert_eq!(length_of(&deflated(&bytes(limit)), &limits), Ok(limit));
            let more = deflated(&bytes(limit + 1));
            assert_eq!(length_of(&more, &limits), Err(Violation::TooBig), "{}", limit);
        }
        // One that does not shrink.
        let noise: Vec<u8> = (0..=limit).map(|at| (at * at / 7 + at / 3) as u8).collect();
        assert_eq!(length_of(&deflated(&noise[..limit]), &limits), Ok(limit), "{}", limit);
        assert_eq!(length_of(&deflated(&noise), &limits), Err(Violation::TooBig), "{}", limit);
    }
}

#[test]
fn ten_megabytes_in_ten_kilobytes_end_at_the_limit() {
    let bomb = deflated(&vec![0; 10_000_000]);
    assert!(bomb.len() < 10_000);
    assert_eq!(length_of(&bomb, &Limits::default()), Err(Violation::TooBig));
    assert_eq!(length_of(&bomb, &Limits::small()), Err(Violation::TooBig));
    let limits = Limits { message: 10_000_000, ..Limits::default() };
    assert_eq!(length_of(&bomb, &limits), Ok(10_000_000));
}

#[test]
fn compressed_bytes_have_a_bound_where_they_inflate_to_nothing() {
    // A message of at most 8,000 bytes may have 8,000 + 4,000 + 1,024 compressed ones: here in frames
    // of two blocks each, empty and stored, of 5 bytes each, of which the tail completes the last.
    let limits = Limits { message: 8_000, ..Limits::default() };
    let blocks = |bytes: usize| {
        let payload = b"\0\0\0\xff\xff".repeat(3_000);
        let mut frames = payload[..bytes].chunks(10).map(|part| (OpCode::Continuation, part));
        let first = frames.next().map(|(_, part)| frame(false, OpCode::Binary, [0; 4], part));
        let mut bytes = first.expect("a frame");
        bytes[0] |= 0x40;
        frames.for_each(|(opcode, part)| bytes.extend(frame(false, opcode, [0; 4], part)));
        [bytes, frame(true, OpCode::Continuation, [0; 4], b"\0")].concat()
    };
    assert_eq!(length_of(&blocks(13_020), &limits), Ok(0));
    assert_eq!(length_of(&blocks(13_025), &limits), Err(Violation::TooBig));
    // What does not shrink is far below: stored in the smallest blocks of common senders.
    let stored = [&b"\0\x00\x01\xff\xfe"[..], &[7; 256]].concat().repeat(8_000 / 256);
    let stored = compressed(&[stored, b"\0".to_vec()].concat());
    assert_eq!(length_of(&stored, &limits), Ok(8_000 / 256 * 256));
}

/// Returns bits as bytes, the least significant first (RFC 1951, 3.1.1).
fn packed(bits: &[u8]) -> Vec<u8> {
    let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit);
    bits.chunks(8).map(byte).collect()
}

/// A fixed block without a byte: not final, type 01, and the end of the block, which is seven zeros.
const EMPTY_BLOCK: [u8; 10] = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn the_blocks_of_a_message_have_a_bound_that_senders_with_frequent_flushes_keep() {
    // Four in five bytes, and then the stored block that a tail of four bytes completes, and a final
    // one of five.
    let blocks = |count: usize| {
        let mut bits = EMPTY_BLOCK.repeat(count);
        bits.resize(bits.len() + 3, 0);
        packed(&bits)
    };
    // 1,024, and one for each 16 bytes, of which the tail takes one.
    let limits = Limits::default();
    let length = |count: usize| length_of(&compressed(&blocks(count)), &limits);
    let least = (1090..).find(|count| length(*count).is_err()).expect("there is a bound");
    assert!((1100..1115).contains(&least), "{}", least);
    assert_eq!(length(least - 1), Ok(0));
    assert_eq!(length(least), Err(Violation::TooManyBlocks));

    // A sender that flushes within a frame, after every 26 bytes: a fixed block with these, and an
    // empty one that is stored.
    let flush = |length| {
        let mut bits = vec![0, 1, 0];
        (0..length).for_each(|_| bits.extend([1, 0, 0, 1, 0, 0, 0, 1]));
        bits.extend([0; 7 + 3]);
        [&packed(&bits)[..], b"\0\0\xff\xff"].concat()
    };
    let flushed = |length| compressed(&[flush(length).repeat(10_000), b"\0".to_vec()].concat());
    assert_eq!(length_of(&flushed(26), &limits), Ok(260_000));
    let exactly = Limits { message: 260_000, ..Limits::default() };
    assert_eq!(length_of(&flushed(26), &exactly), Ok(260_000));
    assert_eq!(length_of(&flushed(20), &limits), Err(Violation::TooManyBlocks));

    // And one that flushes after every byte, but sends each in a frame of its own.
    let mut bytes = frame(false, OpCode::Binary, [0; 4], &flush(1));
    bytes[0] |= 0x40;
    for _ in 1..10_000 {
        bytes.extend(frame(false, OpCode::Continuation, [0; 4], &flush(1)));
    }
    bytes.extend(frame(true, OpCode::Continuation, [0; 4], b"\0"));
    assert_eq!(length_of(&bytes, &limits), Ok(10_000));
}

/// Returns the number of these messages, one after the other, until one is refused.
fn count_messages(message: &[u8], most: usize) -> (usize, Option<Violation>) {
    let mut assembler = Assembler::inflating();
    for at in 0..most {
        let mut bytes = message.to_vec();
        match assembler.read(&mut bytes, &Limits::default()) {
            Ok((used, Some(_))) => assert_eq!(used, bytes.len()),
            Ok(other) => panic!("{:?}", other),
            Err(violation) => return (at, Some(violation)),
        }
    }
    (most, None)
}

#[test]
fn many_small_messages_have_no_more_blocks_than_a_large_one() {
    let blocks = |count: usize| {
        let mut bits = EMPTY_BLOCK.repeat(count);
        bits.resize(bits.len() + 3, 0);
        compressed(&packed(&bits))
    };
    let refused = |count, least: usize| {
        let (accepted, violation) = count_messages(&blocks(count), 2_000);
        assert_eq!(violation, Some(Violation::TooManyBlocks), "{} blocks", count);
        assert!((least..=least + least / 10).contains(&accepted), "{}: {}", count, accepted);
    };
    // Each message of 1,000 blocks takes them from the same 1,024, beside what it pays: 79.
    refused(1000, 1);
    refused(100, 11);
    refused(10, 124);
    refused(3, 900);
    // What senders do is never refused: one block and the flush, with and without a final block, and
    // in messages of a few bytes.
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\0";
    for legal in [compressed(hello), deflated(b""), deflated(b"a"), blocks(0), blocks(1)] {
        assert_eq!(count_messages(&legal, 3_000), (3_000, None));
    }
    for level in 0..=9 {
        let message: Vec<u8> = (0..500).map(|at: usize| (at * at / 7) as u8).collect();
        let message = [&compress_to_vec(&message, level)[..], b"\0"].concat();
        assert_eq!(count_messages(&compressed(&message), 1_200), (1_200, None), "{}", level);
    }
}

#[test]
fn a_message_in_fragments_of_one_byte_is_inflated_like_one_in_a_frame() {
    let message: Vec<u8> =
        (0..60_000u32).flat_map(|at| (at / 7 % 1000).to_string().into_bytes()).collect();
    let payload = [&compress_to_vec(&message, 1)[..], b"\0"].concat();
    let limits = Limits { fragments: payload.len(), ..Limits::default() };
    let mut bytes = Vec::new();
    for (at, byte) in payload.iter().enumerate() {
        let (first, last) = (at == 0, at == payload.len() - 1);
        let opcode = if first { OpCode::Binary } else { OpCode::Continuation };
        let begin = bytes.len();
        bytes.extend(frame(last, opcode, [at as u8, 1, 2, 3], &[*byte]));
        bytes[begin] |= if first { 0x40 } else { 0 };
    }
    let heard = receive_with(Assembler::inflating(), &[&bytes], &limits);
    assert_eq!(heard.received, [(bytes.len(), Received::Message(message.into()))]);
}
