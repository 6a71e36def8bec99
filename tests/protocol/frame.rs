//! Frame headers, both ways, and masks (RFC 6455, 5.2, 5.3 and 5.7).

use crate::cuts::show;
use sockling::websocket::{apply_mask, FrameError, FrameHeader, OpCode, Violation};

const KEY: Option<[u8; 4]> = Some([0x37, 0xfa, 0x21, 0x3d]);

const fn header(
    fin: bool,
    opcode: OpCode,
    masking_key: Option<[u8; 4]>,
    length: u64,
) -> FrameHeader {
    let mut header = FrameHeader::new(opcode, length);
    header.fin = fin;
    header.masking_key = masking_key;
    header
}

/// Asserts that these bytes, and no fewer, give this header or error, whatever follows them.
fn check(gloss: &str, bytes: &[u8], expected: Result<FrameHeader, FrameError>) {
    for length in 0..bytes.len() {
        assert_eq!(FrameHeader::parse(&bytes[..length]), Ok(None), "{}: {}", gloss, show(bytes));
    }
    let expected = expected.map(|header| Some((header, bytes.len())));
    for tail in [&b""[..], b"\0", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"] {
        let more = [bytes, tail].concat();
        assert_eq!(FrameHeader::parse(&more), expected, "{}: {}", gloss, show(&more));
    }
}

/// Headers, which are parsed and written.
const HEADERS: &[(&str, &[u8], FrameHeader)] = &[
    // The headers of the examples in 5.7.
    ("an unmasked text", b"\x81\x05", header(true, OpCode::Text, None, 5)),
    ("a masked text", b"\x81\x85\x37\xfa\x21\x3d", header(true, OpCode::Text, KEY, 5)),
    ("a first fragment", b"\x01\x03", header(false, OpCode::Text, None, 3)),
    ("a last fragment", b"\x80\x02", header(true, OpCode::Continuation, None, 2)),
    ("an unmasked ping", b"\x89\x05", header(true, OpCode::Ping, None, 5)),
    ("a masked pong", b"\x8a\x85\x37\xfa\x21\x3d", header(true, OpCode::Pong, KEY, 5)),
    ("256 bytes", b"\x82\x7e\x01\x00", header(true, OpCode::Binary, None, 256)),
    ("64 KiB", b"\x82\x7f\0\0\0\0\0\x01\0\0", header(true, OpCode::Binary, None, 65_536)),
    // The rest of the opcodes, and a key like a length.
    ("a fragment between", b"\x00\x01", header(false, OpCode::Continuation, None, 1)),
    ("a first fragment of bytes", b"\x02\x00", header(false, OpCode::Binary, None, 0)),
    ("a Close frame", b"\x88\x80\xff\xff\xff\xff", header(true, OpCode::Close, Some([0xff; 4]), 0)),
    ("a key of zeros", b"\x81\x80\0\0\0\0", header(true, OpCode::Text, Some([0; 4]), 0)),
    // The boundaries of the three forms of a length, with a key and without.
    ("0", b"\x82\x00", header(true, OpCode::Binary, None, 0)),
    ("1", b"\x82\x01", header(true, OpCode::Binary, None, 1)),
    ("125", b"\x82\x7d", header(true, OpCode::Binary, None, 125)),
    ("126", b"\x82\x7e\x00\x7e", header(true, OpCode::Binary, None, 126)),
    ("127", b"\x82\x7e\x00\x7f", header(true, OpCode::Binary, None, 127)),
    ("65535", b"\x82\x7e\xff\xff", header(true, OpCode::Binary, None, 65_535)),
    ("65536", b"\x82\x7f\0\0\0\0\0\x01\0\0", header(true, OpCode::Binary, None, 65_536)),
    (
        "2^32-1",
        b"\x82\x7f\0\0\0\0\xff\xff\xff\xff",
        header(true, OpCode::Binary, None, 0xffff_ffff),
    ),
    ("2^32", b"\x82\x7f\0\0\0\x01\0\0\0\0", header(true, OpCode::Binary, None, 1 << 32)),
    ("2^62", b"\x82\x7f\x40\0\0\0\0\0\0\0", header(true, OpCode::Binary, None, 1 << 62)),
    (
        "2^63-1, the largest",
        b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
        header(true, OpCode::Binary, None, (1 << 63) - 1),
    ),
    ("0 masked", b"\x82\x80\x37\xfa\x21\x3d", header(true, OpCode::Binary, KEY, 0)),
    ("125 masked", b"\x82\xfd\x37\xfa\x21\x3d", header(true, OpCode::Binary, KEY, 125)),
    ("126 masked", b"\x82\xfe\x00\x7e\x37\xfa\x21\x3d", header(true, OpCode::Binary, KEY, 126)),
    (
        "65535 masked",
        b"\x82\xfe\xff\xff\x37\xfa\x21\x3d",
        header(true, OpCode::Binary, KEY, 65_535),
    ),
    (
        "65536 masked",
        b"\x82\xff\0\0\0\0\0\x01\0\0\x37\xfa\x21\x3d",
        header(true, OpCode::Binary, KEY, 65_536),
    ),
    (
        "2^63-1 masked",
        b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x37\xfa\x21\x3d",
        header(true, OpCode::Binary, KEY, (1 << 63) - 1),
    ),
    ("the largest ping", b"\x89\x7d", header(true, OpCode::Ping, None, 125)),
];

#[test]
fn a_frame_header_is_parsed_at_its_last_byte_and_written_back_unchanged() {
    for (gloss, bytes, header) in HEADERS {
        check(gloss, bytes, Ok(*header));
        // The content of the buffer stays.
        let mut written = b"before".to_vec();
        header.write(&mut written);
        assert_eq!(written, [b"before", *bytes].concat(), "{}", gloss);
    }
}

/// Bytes that end with the one that causes the error.
const REFUSED: &[(&str, &[u8], FrameError)] = &[
    ("RSV1", b"\xc1", FrameError::Rsv1),
    ("RSV2", b"\xa1", FrameError::ReservedBits),
    ("RSV3", b"\x91", FrameError::ReservedBits),
    ("all three", b"\xf1", FrameError::ReservedBits),
    ("RSV1 of a control frame", b"\xc9", FrameError::Rsv1),
    ("RSV1 before a reserved opcode", b"\xc3", FrameError::Rsv1),
    ("a reserved bit before a reserved opcode", b"\xff", FrameError::ReservedBits),
    ("the first reserved opcode", b"\x83", FrameError::Opcode),
    ("the last reserved opcode of data", b"\x87", FrameError::Opcode),
    ("the first reserved opcode of control", b"\x8b", FrameError::Opcode),
    ("the last reserved opcode", b"\x8f", FrameError::Opcode),
    ("a reserved opcode before a fragment of control", b"\x0f", FrameError::Opcode),
    ("a fragment of a Close frame", b"\x08", FrameError::ControlFragment),
    ("a fragment of a ping", b"\x09", FrameError::ControlFragment),
    ("a fragment of a pong", b"\x0a", FrameError::ControlFragment),
    ("a ping of 126 bytes", b"\x89\x7e", FrameError::ControlLength),
    ("a masked ping of 126 bytes", b"\x89\xfe", FrameError::ControlLength),
    ("a pong with 64 bits of length", b"\x8a\x7f", FrameError::ControlLength),
    ("a Close frame with 64 bits of length", b"\x88\xff", FrameError::ControlLength),
    ("2^63", b"\x82\x7f\x80", FrameError::LengthTopBit),
    ("2^64-1", b"\x82\xff\xff", FrameError::LengthTopBit),
    ("0 in 16 bits", b"\x82\x7e\0\0", FrameError::LengthForm),
    ("125 in 16 bits", b"\x82\x7e\x00\x7d", FrameError::LengthForm),
    ("125 in 16 bits, masked", b"\x82\xfe\x00\x7d", FrameError::LengthForm),
    ("0 in 64 bits", b"\x82\x7f\0\0\0\0\0\0\0\0", FrameError::LengthForm),
    ("125 in 64 bits", b"\x82\x7f\0\0\0\0\0\0\0\x7d", FrameError::LengthForm),
    ("126 in 64 bits", b"\x82\x7f\0\0\0\0\0\0\0\x7e", FrameError::LengthForm),
    ("65535 in 64 bits", b"\x82\x7f\0\0\0\0\0\0\xff\xff", FrameError::LengthForm),
    ("65535 in 64 bits, masked", b"\x82\xff\0\0\0\0\0\0\xff\xff", FrameError::LengthForm),
];

#[test]
fn an_invalid_frame_header_is_refused_at_its_first_invalid_byte() {
    for (gloss, bytes, error) in REFUSED {
        check(gloss, bytes, Err(*error));
        assert_eq!(Violation::Frame(*error).close_code().0, 1002, "{}", gloss);
    }
}

#[test]
fn each_frame_error_has_a_row_that_causes_it() {
    let all = [
        FrameError::ReservedBits,
        FrameError::Rsv1,
        FrameError::Opcode,
        FrameError::ControlFragment,
        FrameError::ControlLength,
        FrameError::LengthTopBit,
        FrameError::LengthForm,
    ];
    for error in all {
        assert!(REFUSED.iter().any(|(_, _, known)| *known == error), "{:?}", error);
        assert!(!error.to_string().is_empty());
    }
}

#[test]
fn only_nine_first_bytes_begin_a_valid_frame() {
    let known = [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a];
    for first in 0..=255u8 {
        let expected = match first {
            first if known.contains(&first) => Ok(None),
            first if first & 0x30 != 0 => Err(FrameError::ReservedBits),
            first if first & 0x40 != 0 => Err(FrameError::Rsv1),
            0x08..=0x0a => Err(FrameError::ControlFragment),
            _ => Err(FrameError::Opcode),
        };
        assert_eq!(FrameHeader::parse(&[first]), expected, "{:#04x}", first);
    }
}

#[cfg(feature = "deflate")]
#[test]
fn with_compression_rsv1_may_be_set_on_the_first_frame_of_a_message_alone() {
    let known = [0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a];
    for first in 0..=255u8 {
        let expected = match first {
            0x41 | 0x42 | 0xc1 | 0xc2 => Ok(None),
            first if known.contains(&first) => Ok(None),
            first if first & 0x30 != 0 => Err(FrameError::ReservedBits),
            0x40 | 0xc0 | 0x48..=0x4a | 0xc8..=0xca => Err(FrameError::Rsv1Inside),
            0x08..=0x0a => Err(FrameError::ControlFragment),
            _ => Err(FrameError::Opcode),
        };
        assert_eq!(FrameHeader::parse_with_rsv1(&[first]), expected, "{:#04x}", first);
    }
    for (first, opcode, fin) in [(0x41, OpCode::Text, false), (0xc2, OpCode::Binary, true)] {
        let (header, used) = FrameHeader::parse_with_rsv1(&[first, 0]).unwrap().unwrap();
        assert!(header.rsv1 && header.opcode == opcode && header.fin == fin && used == 2);
        let mut written = Vec::new();
        header.write(&mut written);
        assert_eq!(written, [first, 0]);
    }
    for error in [FrameError::Rsv1, FrameError::Rsv1Inside] {
        assert!(error.to_string().contains("RSV1"), "{}", error);
        assert_eq!(Violation::Frame(error).close_code().0, 1002);
    }
}

#[test]
fn the_top_bit_of_an_opcode_marks_control_frames() {
    let rows = [
        (OpCode::Continuation, 0, false),
        (OpCode::Text, 1, false),
        (OpCode::Binary, 2, false),
        (OpCode::Close, 8, true),
        (OpCode::Ping, 9, true),
        (OpCode::Pong, 10, true),
    ];
    for (opcode, bits, control) in rows {
        assert_eq!((opcode.bits(), opcode.is_control()), (bits, control));
        check("an opcode", &[0x80 | bits, 0], Ok(header(true, opcode, None, 0)));
    }
}

#[test]
fn a_length_is_accepted_only_in_its_shortest_form() {
    // All lengths of 16 bits, in the 16-bit and in the 64-bit form.
    for length in 0..=u16::MAX {
        let [high, low] = length.to_be_bytes();
        let medium = FrameHeader::parse(&[0x82, 126, high, low]);
        if length < 126 {
            assert_eq!(medium, Err(FrameError::LengthForm), "{}", length);
        } else {
            let expected = header(true, OpCode::Binary, None, length.into());
            assert_eq!(medium, Ok(Some((expected, 4))), "{}", length);
        }
        let long = FrameHeader::parse(&[0x82, 127, 0, 0, 0, 0, 0, 0, high, low]);
        assert_eq!(long, Err(FrameError::LengthForm), "{}", length);
    }
}

#[test]
fn masking_xors_each_byte_with_its_byte_of_the_key() {
    // RFC 6455, 5.3: byte i XOR key[i MOD 4]; here all lengths around the words of 8.
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let clear: Vec<u8> = (0..70).map(|byte: u8| byte.wrapping_mul(37)).collect();
    for length in 0..clear.len() {
        let expected: Vec<u8> = (0..length).map(|i| clear[i] ^ key[i % 4]).collect();
        let mut masked = clear[..length].to_vec();
        apply_mask(&mut masked, key);
        assert_eq!(masked, expected, "{} bytes", length);
        apply_mask(&mut masked, key);
        assert_eq!(masked, clear[..length], "{} bytes, twice", length);
    }
}

#[test]
fn the_rfcs_masked_hello_unmasks_and_masks_again() {
    let mut bytes = *b"\x7f\x9f\x4d\x51\x58";
    apply_mask(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(&bytes, b"Hello");
    apply_mask(&mut bytes, [0x37, 0xfa, 0x21, 0x3d]);
    assert_eq!(&bytes, b"\x7f\x9f\x4d\x51\x58");
}
