//! Chunked bodies (RFC 9112, 7.1).

use crate::cuts::{cuts, show};
use sockling::http::{Chunked, ChunkedError};
use sockling::limits::{Limits, CHUNK_EXTENSIONS, CHUNK_SIZE_DIGITS};

/// Whether the body has ended, or the error.
type End = Result<bool, ChunkedError>;

/// The result of decoding a body that arrives in pieces.
#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    /// The bytes that had arrived when the body ended or failed, or when no more came.
    arrived: usize,
    /// The bytes consumed by all calls together, except by a call that failed.
    used: usize,
    end: End,
}

fn decode(pieces: &[&[u8]], limits: &Limits) -> Decoded {
    let (mut chunked, mut body) = (Chunked::default(), Vec::new());
    let (mut arrived, mut used) = (0, 0);
    for piece in pieces {
        arrived += piece.len();
        match chunked.decode(piece, &mut body, limits) {
            Ok(some) if some == piece.len() || chunked.is_done() => used += some,
            Ok(some) => panic!("{} of {}", some, show(piece)),
            Err(error) => return Decoded { body, arrived, used: 0, end: Err(error) },
        }
        if chunked.is_done() {
            break;
        }
    }
    Decoded { body, arrived, used, end: Ok(chunked.is_done()) }
}

/// Asserts that these bytes decode to this body, or this error, at the last of them and however
/// they are cut, and that nothing after them changes it.
fn check(gloss: &str, bytes: &[u8], body: &[u8], end: End, limits: &Limits) {
    let used = if end.is_ok() { bytes.len() } else { 0 };
    let expected = Decoded { body: body.to_vec(), arrived: bytes.len(), used, end };
    for pieces in cuts(bytes) {
        let got = decode(&pieces, limits);
        assert_eq!(got, expected, "{}: {} as {:?}", gloss, show(bytes), pieces);
    }
    if end != Ok(false) {
        for tail in [&b"\0"[..], b"\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"] {
            let more = [bytes, tail].concat();
            let got = decode(&[&more], limits);
            assert_eq!((got.used, got.end), (used, end), "{}: {}", gloss, show(&more));
            assert_eq!(got.body, body, "{}: {}", gloss, show(&more));
        }
    }
}

#[test]
fn chunks_become_one_body_that_ends_at_its_last_byte() {
    let rows: &[(&str, &[u8], &[u8])] = &[
        ("no chunk", b"0\r\n\r\n", b""),
        ("one", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        ("two", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
        (
            "hexadecimal",
            b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n",
            b"01234567890123456789",
        ),
        ("zeros before the size", b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
        ("16 digits", b"0000000000000001\r\nx\r\n0000000000000000\r\n\r\n", b"x"),
        ("data like the frame of a chunk", b"5\r\n\r\n0\r\n\r\n0\r\n\r\n", b"\r\n0\r\n"),
        ("any byte", b"4\r\n\0\xff\n\r\r\n0\r\n\r\n", b"\0\xff\n\r"),
        // chunk-ext = *( BWS ";" BWS chunk-ext-name [ "=" chunk-ext-val ] ) (7.1.1).
        ("an extension", b"1;a=b\r\nx\r\n0\r\n\r\n", b"x"),
        ("an extension of the last chunk", b"0;a\r\n\r\n", b""),
        ("many extensions", b"1;a;b=c;d=\"e f\"\r\nx\r\n0;g\r\n\r\n", b"x"),
        ("white space in an extension", b"1; a\t= b\r\nx\r\n0\r\n\r\n", b"x"),
        ("an empty extension", b"1;\r\nx\r\n0\r\n\r\n", b"x"),
        ("bytes from 0x80 up in an extension", b"1;a=\"\xff\"\r\nx\r\n0\r\n\r\n", b"x"),
        // Trailers are checked and dropped (7.1.2).
        ("a trailer", b"0\r\nX-Sum: 42\r\n\r\n", b""),
        ("trailers", b"1\r\nx\r\n0\r\nA: b\r\nA: \xff\r\nC:\r\n\r\n", b"x"),
        ("a trailer that only looks like framing", b"0\r\nContent-Lengths: 5\r\n\r\n", b""),
    ];
    for (gloss, bytes, body) in rows {
        check(gloss, bytes, body, Ok(true), &Limits::default());
    }
}

/// Bytes that end with the one that causes the error, the body until then, and the error.
const REFUSED: &[(&str, &[u8], &[u8], ChunkedError)] = &[
    ("no size", b"\r", b"", ChunkedError::Size),
    ("an LF for a size", b"\n", b"", ChunkedError::Size),
    ("a space before the size", b" ", b"", ChunkedError::Size),
    ("a plus", b"+", b"", ChunkedError::Size),
    ("a minus", b"-", b"", ChunkedError::Size),
    ("a prefix of hexadecimal", b"0x", b"", ChunkedError::Size),
    ("an underscore", b"1_", b"", ChunkedError::Size),
    ("another letter", b"5g", b"", ChunkedError::Size),
    ("an extension without a size", b";", b"", ChunkedError::Size),
    ("a space after the size", b"5 ", b"", ChunkedError::Size),
    ("a NUL after the size", b"5\0", b"", ChunkedError::Size),
    ("a bare LF after the size", b"5\n", b"", ChunkedError::Size),
    ("17 digits", b"00000000000000001", b"", ChunkedError::Size),
    ("17 digits of a size that overflows", b"fffffffffffffffff", b"", ChunkedError::Size),
    ("no size of the second chunk", b"1\r\nx\r\n\r", b"x", ChunkedError::Size),
    ("two CR after the size", b"5\r\r", b"", ChunkedError::LineEnd),
    ("a bare CR after the size", b"5\rx", b"", ChunkedError::LineEnd),
    ("a bare CR after an extension", b"5;a\rb", b"", ChunkedError::LineEnd),
    ("more data than the size says", b"5\r\nhello!", b"hello", ChunkedError::LineEnd),
    ("a bare LF after the data", b"5\r\nhello\n", b"hello", ChunkedError::LineEnd),
    ("a bare CR after the data", b"5\r\nhello\r0", b"hello", ChunkedError::LineEnd),
    ("a bare LF for the end", b"0\r\n\n", b"", ChunkedError::LineEnd),
    ("a bare CR for the end", b"0\r\n\rG", b"", ChunkedError::LineEnd),
    ("a bare LF after a trailer", b"0\r\nA: b\n", b"", ChunkedError::LineEnd),
    ("a bare CR in a trailer", b"0\r\nA: b\rc", b"", ChunkedError::LineEnd),
    ("a bare LF in an extension", b"5;a\n", b"", ChunkedError::Extension),
    ("a NUL in an extension", b"5;a\0", b"", ChunkedError::Extension),
    ("a DEL in an extension", b"5;a=\x7f", b"", ChunkedError::Extension),
    ("a trailer without a colon", b"0\r\nA\r\n", b"", ChunkedError::Trailer),
    ("a trailer without a name", b"0\r\n: b\r\n", b"", ChunkedError::Trailer),
    ("a space before the colon", b"0\r\nA : b\r\n", b"", ChunkedError::Trailer),
    ("a folded trailer", b"0\r\nA: b\r\n c\r\n", b"", ChunkedError::Trailer),
    ("a request for a trailer", b"0\r\nGET / HTTP/1.1\r\n", b"", ChunkedError::Trailer),
    ("a NUL in a trailer", b"0\r\nA: \0\r\n", b"", ChunkedError::Trailer),
    ("a DEL in a trailer", b"0\r\nA: \x7f\r\n", b"", ChunkedError::Trailer),
    // Trailers that change how the message was read (RFC 9110, 6.5.1).
    ("Content-Length", b"0\r\nContent-Length: 5\r\n", b"", ChunkedError::Trailer),
    ("Transfer-Encoding", b"0\r\ntransfer-ENCODING: chunked\r\n", b"", ChunkedError::Trailer),
    ("Host after another", b"0\r\nA: b\r\nHost: h\r\n", b"", ChunkedError::Trailer),
];

#[test]
fn an_invalid_chunk_is_refused_at_its_first_invalid_byte() {
    for (gloss, bytes, body, error) in REFUSED {
        check(gloss, bytes, body, Err(*error), &Limits::default());
    }
}

/// All errors with their statuses.
pub const STATUSES: &[(ChunkedError, u16)] = &[
    (ChunkedError::Size, 400),
    (ChunkedError::LineEnd, 400),
    (ChunkedError::Extension, 400),
    (ChunkedError::Trailer, 400),
    (ChunkedError::TrailersTooLarge, 431),
    (ChunkedError::TooLarge, 413),
];

#[test]
fn each_error_maps_to_its_status_and_has_a_row_that_causes_it() {
    // Those two concern limits, which have tests of their own.
    let elsewhere = [ChunkedError::TrailersTooLarge, ChunkedError::TooLarge];
    for (error, status) in STATUSES {
        assert_eq!(error.status(), *status, "{}", error);
        let provoked = REFUSED.iter().any(|(_, _, _, known)| known == error);
        assert!(provoked || elsewhere.contains(error), "{:?}", error);
    }
}

#[test]
fn a_chunk_extension_has_no_control_characters_except_tabs() {
    for byte in (0..=255).filter(|byte| *byte != b'\r') {
        let end = match byte {
            b'\t' => Ok(false),
            0..=0x1f | 0x7f => Err(ChunkedError::Extension),
            _ => Ok(false),
        };
        check("a byte", &[b'1', b';', byte], b"", end, &Limits::default());
    }
}

#[test]
fn a_body_larger_than_the_limit_is_refused() {
    let limits = Limits { body: 5, ..Limits::default() };
    let too_large = Err(ChunkedError::TooLarge);
    let rows: &[(&str, &[u8], &[u8], End)] = &[
        ("5 bytes", b"5\r\nhello\r\n0\r\n\r\n", b"hello", Ok(true)),
        ("5 bytes in two", b"4\r\nhell\r\n1\r\no\r\n0\r\n\r\n", b"hello", Ok(true)),
        ("6, before any comes", b"6\r\n", b"", too_large),
        ("5 and 1", b"5\r\nhello\r\n1\r\n", b"hello", too_large),
        ("3 and 3", b"3\r\nhel\r\n3\r\n", b"hel", too_large),
        ("the largest size of 64 bits", b"ffffffffffffffff\r\n", b"", too_large),
        ("1 and the largest, which overflows", b"1\r\nx\r\nFFFFFFFFFFFFFFFF\r\n", b"x", too_large),
        ("a size that overflows a signed number", b"8000000000000000\r\n", b"", too_large),
    ];
    for (gloss, bytes, body, end) in rows {
        check(gloss, bytes, body, *end, &limits);
    }
    let none = Limits { body: 0, ..Limits::default() };
    check("nothing", b"0\r\n\r\n", b"", Ok(true), &none);
    check("one byte of none", b"1\r\n", b"", too_large, &none);
}

#[test]
fn the_default_body_limit_is_enforced() {
    check("1 MiB", b"100000\r\n", b"", Ok(false), &Limits::default());
    check("one more", b"100001\r\n", b"", Err(ChunkedError::TooLarge), &Limits::default());
}

#[test]
fn a_chunk_size_of_more_digits_than_64_bits_hold_is_refused() {
    for (digits, end) in [(CHUNK_SIZE_DIGITS, Ok(false)), (17, Err(ChunkedError::Size))] {
        check("zeros", "0".repeat(digits).as_bytes(), b"", end, &Limits::default());
    }
    // The count begins anew with each chunk.
    let bytes = format!("{:0>16}\r\nx\r\n{:0>16}\r\n\r\n", 1, 0);
    check("twice", bytes.as_bytes(), b"x", Ok(true), &Limits::default());
}

#[test]
fn all_chunk_extensions_of_a_body_share_one_limit() {
    let a = |count| "a".repeat(count);
    let too_long = Err(ChunkedError::Extension);
    let rows = [
        ("one", format!("1;{}\r\nx\r\n0\r\n\r\n", a(CHUNK_EXTENSIONS)), "x", Ok(true)),
        ("one too long", format!("1;{}", a(CHUNK_EXTENSIONS + 1)), "", too_long),
        ("two", format!("1;{}\r\nx\r\n0;{}\r\n\r\n", a(4000), a(96)), "x", Ok(true)),
        ("two too long", format!("1;{}\r\nx\r\n0;{}", a(4000), a(97)), "x", too_long),
    ];
    for (gloss, bytes, body, end) in rows {
        check(gloss, bytes.as_bytes(), body.as_bytes(), end, &Limits::default());
    }
}

#[test]
fn trailer_fields_have_the_limits_of_header_fields() {
    let too_large = Err(ChunkedError::TrailersTooLarge);
    let limits = Limits { header_count: 3, ..Limits::default() };
    check("3 trailers", b"0\r\nA:\r\nA:\r\nA:\r\n\r\n", b"", Ok(true), &limits);
    check("4 trailers", b"0\r\nA:\r\nA:\r\nA:\r\nA:\r\n", b"", too_large, &limits);
    let limits = Limits { headers: 10, ..Limits::default() };
    check("a line without an end, at the 11th", b"0\r\nA: 45678901", b"", too_large, &limits);
}

/// `Limits::headers` counts lines with their CRLFs, and says that trailers count the same.
#[test]
fn trailer_lines_count_with_their_crlfs_as_header_lines_do() {
    let limits = Limits { headers: 12, ..Limits::default() };
    check("12 bytes in one line", b"0\r\nName: 7890\r\n\r\n", b"", Ok(true), &limits);
    check("12 bytes in two lines", b"0\r\nName:6\r\nA:\r\n\r\n", b"", Ok(true), &limits);
    let error = Err(ChunkedError::TrailersTooLarge);
    check("13, at the LF", b"0\r\nName: 78901\r\n", b"", error, &limits);
}

#[test]
fn memory_grows_with_the_received_bytes_and_not_with_the_chunk_size() {
    let limits = Limits { body: usize::MAX, ..Limits::default() };
    for size in ["100000", "7fffffffffffffff", "ffffffffffffffff"] {
        let (mut chunked, mut body) = (Chunked::default(), Vec::new());
        let bytes = format!("{}\r\nsome of it", size);
        if usize::MAX as u64 >= u64::from_str_radix(size, 16).unwrap() {
            assert_eq!(chunked.decode(bytes.as_bytes(), &mut body, &limits), Ok(bytes.len()));
            assert_eq!((&body[..], chunked.is_done()), (&b"some of it"[..], false));
            assert!(body.capacity() < 1024, "{} for {}", body.capacity(), bytes);
        }
    }
}

#[test]
fn no_bytes_are_consumed_after_the_end_of_the_body() {
    let (mut chunked, mut body) = (Chunked::default(), Vec::new());
    let limits = Limits::default();
    assert_eq!(chunked.decode(b"1\r\nx\r\n0\r\n\r\n5\r\n", &mut body, &limits), Ok(11));
    assert_eq!(chunked.decode(b"5\r\nhello\r\n", &mut body, &limits), Ok(0));
    assert_eq!((body.as_slice(), chunked.is_done()), (&b"x"[..], true));
}
