//! Request heads (RFC 9112, 2 to 7; RFC 9110, 5, 7, 9 and 10).

use crate::cuts::show;
use sockling::http::{BodyLength, Head, HeadError, Method};
use sockling::limits::{Limits, LEADING_CRLFS};

/// Bytes that a client may send after the head.
const TAILS: [&[u8]; 5] = [b"\0", b"\n", b"\r\n\r\n", b" x: y\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"];

/// Parses the bytes. Asserts that the result comes at the last of them and not before, and is the
/// same whatever follows; so it does not depend on how they arrive.
pub fn verdict(bytes: &[u8], limits: &Limits) -> Result<Head, HeadError> {
    for length in 0..bytes.len() {
        let early = Head::parse(&bytes[..length], limits);
        assert_eq!(early, Ok(None), "after {} of {}", length, show(bytes));
    }
    let verdict = Head::parse(bytes, limits);
    for tail in TAILS {
        let more = [bytes, tail].concat();
        assert_eq!(Head::parse(&more, limits), verdict, "{}", show(&more));
    }
    verdict.map(|done| {
        let (head, used) = done.unwrap_or_else(|| panic!("no verdict on {}", show(bytes)));
        assert_eq!(used, bytes.len(), "{}", show(bytes));
        head
    })
}

fn parse(bytes: &[u8]) -> Result<Head, HeadError> {
    verdict(bytes, &Limits::default())
}

struct Taken {
    bytes: &'static [u8],
    method: Method,
    target: (&'static str, &'static str),
    http11: bool,
    body: BodyLength,
    fields: &'static [(&'static str, &'static [u8])],
}

const TAKEN: &[Taken] = &[
    Taken {
        bytes: b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        method: Method::Get,
        target: ("/", ""),
        http11: true,
        body: BodyLength::Known(0),
        fields: &[("Host", b"h")],
    },
    // The example of RFC 9112, 3.2.1.
    Taken {
        bytes: b"GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        method: Method::Get,
        target: ("/where", "q=now"),
        http11: true,
        body: BodyLength::Known(0),
        fields: &[("Host", b"www.example.org")],
    },
    // HTTP/1.0 needs no Host (RFC 9112, 3.2) and no field at all.
    Taken {
        bytes: b"HEAD /a/b HTTP/1.0\r\n\r\n",
        method: Method::Head,
        target: ("/a/b", ""),
        http11: false,
        body: BodyLength::Known(0),
        fields: &[],
    },
    // Two empty lines before the request line are skipped (2.2).
    Taken {
        bytes: b"\r\n\r\nPOST /x HTTP/1.1\r\nHOST:h\r\ncontent-length:\t 3 \r\n\r\n",
        method: Method::Post,
        target: ("/x", ""),
        http11: true,
        body: BodyLength::Known(3),
        fields: &[("HOST", b"h"), ("content-length", b"3")],
    },
    Taken {
        bytes: b"PUT /%41?%41 HTTP/1.1\r\nHost: h:80\r\nTransfer-Encoding: Chunked\r\n\r\n",
        method: Method::Put,
        target: ("/A", "%41"),
        http11: true,
        body: BodyLength::Chunked,
        fields: &[("Host", b"h:80"), ("Transfer-Encoding", b"Chunked")],
    },
    // A value may be empty, repeat, hold a tab, and bytes from 0x80 up (RFC 9110, 5.5).
    Taken {
        bytes: b"PATCH / HTTP/1.1\r\nHost: h\r\nX:\r\nX: a\tb\r\nX: \xff\xfe\r\n\r\n",
        method: Method::Patch,
        target: ("/", ""),
        http11: true,
        body: BodyLength::Known(0),
        fields: &[("Host", b"h"), ("X", b""), ("X", b"a\tb"), ("X", b"\xff\xfe")],
    },
    Taken {
        bytes: b"DELETE http://h?a?b HTTP/1.1\r\nHost: h\r\n\r\n",
        method: Method::Delete,
        target: ("/", "a?b"),
        http11: true,
        body: BodyLength::Known(0),
        fields: &[("Host", b"h")],
    },
    Taken {
        bytes: b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        method: Method::Options,
        target: ("*", ""),
        http11: true,
        body: BodyLength::Known(0),
        fields: &[("Host", b"h")],
    },
];

#[test]
fn a_head_is_parsed_at_its_last_byte() {
    for want in TAKEN {
        let head =
            parse(want.bytes).unwrap_or_else(|error| panic!("{}: {}", show(want.bytes), error));
        let target = (head.path.as_str(), head.query.as_str());
        let got = (head.method, target, head.http11, head.body);
        assert_eq!(got, (want.method, want.target, want.http11, want.body), "{}", show(want.bytes));
        assert_eq!(head.headers.iter().collect::<Vec<_>>(), want.fields, "{}", show(want.bytes));
    }
}

/// Bytes that end with the one that causes the error.
const REFUSED: &[(&str, &[u8], HeadError)] = &[
    // Only CRLF ends a line (2.2).
    ("a bare LF ends the request line", b"GET / HTTP/1.1\n", HeadError::LineEnd),
    ("a bare LF before all", b"\n", HeadError::LineEnd),
    ("a bare LF ends a field", b"GET / HTTP/1.1\r\nHost: h\n", HeadError::LineEnd),
    ("a bare LF ends the head", b"GET / HTTP/1.1\r\nHost: h\r\n\n", HeadError::LineEnd),
    ("a bare LF in a target", b"GET /\n", HeadError::LineEnd),
    ("a bare CR before all", b"\rG", HeadError::LineEnd),
    ("a bare CR in a target", b"GET /\rx", HeadError::LineEnd),
    ("a bare CR in a name", b"GET / HTTP/1.1\r\nHo\rs", HeadError::LineEnd),
    ("a bare CR in a value", b"GET / HTTP/1.1\r\nHost: h\rX", HeadError::LineEnd),
    ("a bare CR ends the head", b"GET / HTTP/1.1\r\nHost: h\r\n\rG", HeadError::LineEnd),
    ("two CR before an LF", b"GET / HTTP/1.1\r\r", HeadError::LineEnd),
    ("CR and NUL", b"GET / HTTP/1.1\r\0", HeadError::LineEnd),
    // Control characters (RFC 9110, 5.5).
    ("a TLS hello", b"\x16", HeadError::Control),
    ("a NUL in a target", b"GET /\0", HeadError::Control),
    ("a NUL in a value", b"GET / HTTP/1.1\r\nX: a\0", HeadError::Control),
    ("a DEL in a value", b"GET / HTTP/1.1\r\nX: a\x7f", HeadError::Control),
    ("a vertical tab in a value", b"GET / HTTP/1.1\r\nX: \x0b", HeadError::Control),
    // method SP request-target SP HTTP-version (3).
    ("three empty lines (2.2)", b"\r\n\r\n\r\n", HeadError::RequestLine),
    ("a word", b"GET\r\n", HeadError::RequestLine),
    ("HTTP/0.9", b"GET /\r\n", HeadError::RequestLine),
    ("no method", b" / HTTP/1.1\r\n", HeadError::RequestLine),
    ("a space before the method", b" GET / HTTP/1.1\r\n", HeadError::RequestLine),
    ("two spaces before the target", b"GET  / HTTP/1.1\r\n", HeadError::RequestLine),
    ("two spaces after the target", b"GET /  HTTP/1.1\r\n", HeadError::RequestLine),
    ("a space after the version", b"GET / HTTP/1.1 \r\n", HeadError::RequestLine),
    ("a space in the target", b"GET /a b HTTP/1.1\r\n", HeadError::RequestLine),
    ("tabs for spaces", b"GET\t/\tHTTP/1.1\r\n", HeadError::RequestLine),
    ("a method that is not a token", b"G(T / HTTP/1.1\r\n", HeadError::RequestLine),
    ("a method with non-ASCII letters", b"G\xcbT / HTTP/1.1\r\n", HeadError::RequestLine),
    ("a field where the request line must be", b"Host: h\r\n", HeadError::RequestLine),
    // HTTP-version = HTTP-name "/" DIGIT "." DIGIT (2.3), in this case.
    ("no minor version", b"GET / HTTP/1\r\n", HeadError::RequestLine),
    ("a version without a dot", b"GET / HTTP/11\r\n", HeadError::RequestLine),
    ("a version of three digits", b"GET / HTTP/1.10\r\n", HeadError::RequestLine),
    ("a version with a comma", b"GET / HTTP/1,1\r\n", HeadError::RequestLine),
    ("a version with a letter", b"GET / HTTP/1.x\r\n", HeadError::RequestLine),
    ("a version and a dot", b"GET / HTTP/1.1.\r\n", HeadError::RequestLine),
    ("http in lower case", b"GET / http/1.1\r\n", HeadError::RequestLine),
    ("another name", b"GET / HTTPS/1.1\r\n", HeadError::RequestLine),
    ("no version", b"GET / \r\n", HeadError::RequestLine),
    ("other versions", b"GET / HTTP/0.9\r\n", HeadError::Version),
    ("a higher minor version", b"GET / HTTP/1.2\r\n", HeadError::Version),
    ("a higher major version", b"GET / HTTP/2.0\r\n", HeadError::Version),
    ("the preface of HTTP/2 (RFC 9113, 3.4)", b"PRI * HTTP/2.0\r\n", HeadError::Version),
    // Methods (RFC 9110, 9.1), which are case-sensitive.
    ("an unknown method", b"BREW / HTTP/1.1\r\n", HeadError::Method),
    ("a method in lower case", b"get / HTTP/1.1\r\n", HeadError::Method),
    ("a longer method", b"GETS / HTTP/1.1\r\n", HeadError::Method),
    ("TRACE", b"TRACE / HTTP/1.1\r\n", HeadError::Method),
    ("CONNECT", b"CONNECT h:443 HTTP/1.1\r\n", HeadError::Method),
    // Targets (3.2); the table of the forms is in `target`.
    ("no target", b"GET  HTTP/1.1\r\n", HeadError::Target),
    ("an asterisk for another method", b"GET * HTTP/1.1\r\n", HeadError::Target),
    ("a path with a double-dot segment", b"GET /../x HTTP/1.1\r\n", HeadError::Target),
    // field-line = field-name ":" OWS field-value OWS (5).
    ("no colon", b"GET / HTTP/1.1\r\nHost\r\n", HeadError::Field),
    ("no name", b"GET / HTTP/1.1\r\n: h\r\n", HeadError::Field),
    ("a space before the colon (5.1)", b"GET / HTTP/1.1\r\nHost : h\r\n", HeadError::Field),
    ("a tab before the colon", b"GET / HTTP/1.1\r\nHost\t: h\r\n", HeadError::Field),
    ("a space before the first name (2.2)", b"GET / HTTP/1.1\r\n Host: h\r\n", HeadError::Field),
    ("a folded line (5.2)", b"GET / HTTP/1.1\r\nHost: h\r\n x\r\n", HeadError::Field),
    ("a fold of a colon", b"GET / HTTP/1.1\r\nHost: h\r\n\tx: y\r\n", HeadError::Field),
    ("a line of a space", b"GET / HTTP/1.1\r\nHost: h\r\n \r\n", HeadError::Field),
    ("a field name that is not a token", b"GET / HTTP/1.1\r\nHo(st: h\r\n", HeadError::Field),
    (
        "a field name with non-ASCII letters",
        b"GET / HTTP/1.1\r\nH\xc3\xb6st: h\r\n",
        HeadError::Field,
    ),
    // Host (3.2); the table of its values is in `target`.
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", HeadError::Host),
    ("no Host beside other fields", b"GET / HTTP/1.1\r\nX: y\r\n\r\n", HeadError::Host),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n", HeadError::Host),
    ("an empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", HeadError::Host),
    ("two Hosts in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: h\r\nhost: i\r\n\r\n", HeadError::Host),
    ("a bad Host in HTTP/1.0", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n", HeadError::Host),
    ("an absolute target without Host", b"GET http://h/ HTTP/1.1\r\n\r\n", HeadError::Host),
    // The length of the body (6.3); its tables are below.
    (
        "a length that is not a number",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n",
        HeadError::ContentLength,
    ),
    (
        "two lengths of the body",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        HeadError::TransferEncoding,
    ),
    (
        "an unknown coding",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        HeadError::Coding,
    ),
    // Expect (RFC 9110, 10.1.1).
    (
        "an unknown expectation",
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\n\r\n",
        HeadError::Expectation,
    ),
    (
        "a known and an unknown expectation",
        b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nExpect: more\r\n\r\n",
        HeadError::Expectation,
    ),
];

#[test]
fn an_invalid_head_is_refused_at_its_first_invalid_byte() {
    for (gloss, bytes, error) in REFUSED {
        assert_eq!(parse(bytes).err(), Some(*error), "{}: {}", gloss, show(bytes));
    }
}

/// All errors with their statuses.
pub const STATUSES: &[(HeadError, u16)] = &[
    (HeadError::LineEnd, 400),
    (HeadError::Control, 400),
    (HeadError::RequestLine, 400),
    (HeadError::Version, 505),
    (HeadError::Method, 501),
    (HeadError::Target, 400),
    (HeadError::TargetTooLong, 414),
    (HeadError::Field, 400),
    (HeadError::TooLarge, 431),
    (HeadError::Host, 400),
    (HeadError::ContentLength, 400),
    (HeadError::TransferEncoding, 400),
    (HeadError::Coding, 501),
    (HeadError::Expectation, 417),
];

#[test]
fn each_error_maps_to_its_status_and_has_a_row_that_causes_it() {
    // Those two concern limits, which have tests of their own.
    let elsewhere = [HeadError::TargetTooLong, HeadError::TooLarge];
    for (error, status) in STATUSES {
        assert_eq!(error.status(), *status, "{}", error);
        let provoked = REFUSED.iter().any(|(_, _, known)| known == error);
        assert!(provoked || elsewhere.contains(error), "{:?}", error);
    }
}

/// Heads that any byte may follow.
const PLACES: [&[u8]; 7] = [
    b"",
    b"\r\n",
    b"G",
    b"GET /",
    b"GET / HTTP/1.1",
    b"GET / HTTP/1.1\r\nNa",
    b"GET / HTTP/1.1\r\nName: va",
];

#[test]
fn a_control_character_is_refused_at_its_own_byte() {
    for before in PLACES {
        for byte in 0..=255 {
            let bytes = [before, &[byte]].concat();
            let expected = match byte {
                b'\n' => Err(HeadError::LineEnd),
                b'\t' | b'\r' => Ok(None),
                0..=0x1f | 0x7f => Err(HeadError::Control),
                _ => Ok(None),
            };
            assert_eq!(Head::parse(&bytes, &Limits::default()), expected, "{}", show(&bytes));
            if byte == b'\r' {
                for after in (0..=255).filter(|after| *after != b'\n') {
                    let bytes = [&bytes[..], &[after]].concat();
                    assert_eq!(parse(&bytes).err(), Some(HeadError::LineEnd), "{}", show(&bytes));
                }
            }
        }
    }
}

/// The characters of a token (RFC 9110, 5.6.2).
const TCHAR: &[u8] = b"!#$%&'*+-.^_`|~0123456789\
      abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

#[test]
fn methods_and_field_names_accept_exactly_the_bytes_of_tokens() {
    for byte in (0x20..=255).filter(|byte| *byte != 0x7f) {
        let method = [b"X", &[byte][..], b"X / HTTP/1.1\r\n"].concat();
        let token = TCHAR.contains(&byte);
        let error = if token { HeadError::Method } else { HeadError::RequestLine };
        assert_eq!(parse(&method).err(), Some(error), "{}", show(&method));

        let field = [b"GET / HTTP/1.0\r\nX", &[byte][..], b"X: y\r\n\r\n"].concat();
        match Head::parse(&field, &Limits::default()) {
            Ok(Some((head, _))) if byte == b':' => {
                assert_eq!(head.headers.get("x"), Some(&b"X: y"[..]));
            }
            Ok(Some((head, _))) => {
                assert!(token, "{}", show(&field));
                let name = [b'X', byte, b'X'];
                let field = (std::str::from_utf8(&name).unwrap(), &b"y"[..]);
                assert_eq!(head.headers.iter().collect::<Vec<_>>(), [field]);
            }
            other => assert!(!token && other == Err(HeadError::Field), "{}", show(&field)),
        }
    }
}

#[test]
fn a_field_value_keeps_every_permitted_byte() {
    let value: Vec<u8> = (0x21..=255).filter(|byte| *byte != 0x7f).chain(*b" \t.").collect();
    let bytes = [b"GET / HTTP/1.0\r\nX: \t", &value[..], b" \t \r\n\r\n"].concat();
    assert_eq!(parse(&bytes).unwrap().headers.get("x"), Some(&value[..]));
}

#[test]
fn exactly_seven_methods_are_supported() {
    let served = [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("PUT", Method::Put),
        ("PATCH", Method::Patch),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
    ];
    for (token, method) in served {
        assert_eq!(method.as_str(), token);
        let bytes = format!("{} / HTTP/1.0\r\n\r\n", token);
        assert_eq!(parse(bytes.as_bytes()).unwrap().method, method);
    }
    for length in [1, 7, 8, 300] {
        let bytes = format!("{} / HTTP/1.1\r\n", "M".repeat(length));
        assert_eq!(parse(bytes.as_bytes()).err(), Some(HeadError::Method), "{} bytes", length);
    }
}

/// Field lines of a POST, each with its CRLF, and the length of the body (RFC 9112, 6).
const LENGTHS: &[(&str, &[u8], Result<BodyLength, HeadError>)] = &[
    ("no field", b"", Ok(BodyLength::Known(0))),
    ("zero", b"Content-Length: 0\r\n", Ok(BodyLength::Known(0))),
    ("five", b"Content-Length: 5\r\n", Ok(BodyLength::Known(5))),
    ("any case, other white space", b"CONTENT-length:\t5 \r\n", Ok(BodyLength::Known(5))),
    ("zeros before it", b"Content-Length: 007\r\n", Ok(BodyLength::Known(7))),
    (
        "more zeros than 64 bits have digits",
        b"Content-Length: 000000000000000000000000000005\r\n",
        Ok(BodyLength::Known(5)),
    ),
    (
        "the largest of 64 bits",
        b"Content-Length: 18446744073709551615\r\n",
        Ok(BodyLength::Known(u64::MAX)),
    ),
    ("one more", b"Content-Length: 18446744073709551616\r\n", Err(HeadError::ContentLength)),
    ("ten times that", b"Content-Length: 184467440737095516150\r\n", Err(HeadError::ContentLength)),
    ("empty", b"Content-Length:\r\n", Err(HeadError::ContentLength)),
    ("a plus", b"Content-Length: +5\r\n", Err(HeadError::ContentLength)),
    ("a minus", b"Content-Length: -5\r\n", Err(HeadError::ContentLength)),
    ("two numbers", b"Content-Length: 5 5\r\n", Err(HeadError::ContentLength)),
    ("a list, even of equals", b"Content-Length: 5,5\r\n", Err(HeadError::ContentLength)),
    ("a list of one", b"Content-Length: 5,\r\n", Err(HeadError::ContentLength)),
    ("hexadecimal", b"Content-Length: 0x5\r\n", Err(HeadError::ContentLength)),
    ("a letter", b"Content-Length: 5a\r\n", Err(HeadError::ContentLength)),
    ("an underscore", b"Content-Length: 1_0\r\n", Err(HeadError::ContentLength)),
    ("a point", b"Content-Length: 5.0\r\n", Err(HeadError::ContentLength)),
    ("an exponent", b"Content-Length: 1e3\r\n", Err(HeadError::ContentLength)),
    ("quotes", b"Content-Length: \"5\"\r\n", Err(HeadError::ContentLength)),
    ("an Arabic five", b"Content-Length: \xd9\xa5\r\n", Err(HeadError::ContentLength)),
    ("not UTF-8", b"Content-Length: \xff\r\n", Err(HeadError::ContentLength)),
    (
        "two equal lines",
        b"Content-Length: 5\r\nContent-Length: 5\r\n",
        Err(HeadError::ContentLength),
    ),
    (
        "two lines that differ",
        b"Content-Length: 5\r\ncontent-length: 6\r\n",
        Err(HeadError::ContentLength),
    ),
    ("a longer field name", b"Content-Lengths: x\r\n", Ok(BodyLength::Known(0))),
    ("chunked", b"Transfer-Encoding: chunked\r\n", Ok(BodyLength::Chunked)),
    ("chunked in any case", b"TRANSFER-ENCODING: cHUNKED\t\r\n", Ok(BodyLength::Chunked)),
    ("TE is another field", b"TE: chunked\r\n", Ok(BodyLength::Known(0))),
    ("another coding", b"Transfer-Encoding: gzip\r\n", Err(HeadError::TransferEncoding)),
    ("identity", b"Transfer-Encoding: identity\r\n", Err(HeadError::TransferEncoding)),
    ("a longer word", b"Transfer-Encoding: xchunked\r\n", Err(HeadError::TransferEncoding)),
    ("chunked twice", b"Transfer-Encoding: chunked, chunked\r\n", Err(HeadError::TransferEncoding)),
    ("chunked not last", b"Transfer-Encoding: chunked, gzip\r\n", Err(HeadError::TransferEncoding)),
    ("two codings, chunked last", b"Transfer-Encoding: gzip, chunked\r\n", Err(HeadError::Coding)),
    ("no name before it", b"Transfer-Encoding: , chunked\r\n", Err(HeadError::TransferEncoding)),
    ("an empty member", b"Transfer-Encoding: chunked,\r\n", Err(HeadError::TransferEncoding)),
    ("no coding", b"Transfer-Encoding:\r\n", Err(HeadError::TransferEncoding)),
    ("a parameter", b"Transfer-Encoding: chunked;q=1\r\n", Err(HeadError::TransferEncoding)),
    ("quotes", b"Transfer-Encoding: \"chunked\"\r\n", Err(HeadError::TransferEncoding)),
    ("a space inside", b"Transfer-Encoding: chun ked\r\n", Err(HeadError::TransferEncoding)),
    ("a space of Latin-1", b"Transfer-Encoding: chunked\xa0\r\n", Err(HeadError::TransferEncoding)),
    (
        "two lines",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(HeadError::TransferEncoding),
    ),
    (
        "two lines, the last one chunked",
        b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
        Err(HeadError::TransferEncoding),
    ),
    (
        "a length and then a coding",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Err(HeadError::TransferEncoding),
    ),
    (
        "a coding and then a length",
        b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        Err(HeadError::TransferEncoding),
    ),
    (
        "a coding and two lengths",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        Err(HeadError::TransferEncoding),
    ),
    (
        "an unknown coding and a length",
        b"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n",
        Err(HeadError::TransferEncoding),
    ),
];

#[test]
fn a_head_that_leaves_the_bodys_length_ambiguous_is_refused() {
    for (gloss, lines, expected) in LENGTHS {
        let bytes = [b"POST / HTTP/1.1\r\nHost: h\r\n", *lines, b"\r\n"].concat();
        assert_eq!(parse(&bytes).map(|head| head.body), *expected, "{}: {}", gloss, show(&bytes));
    }
}

#[test]
fn http10_has_no_transfer_codings() {
    for (gloss, lines, expected) in LENGTHS {
        let bytes = [b"POST / HTTP/1.0\r\n", *lines, b"\r\n"].concat();
        let expected = match expected {
            Ok(BodyLength::Chunked) | Err(HeadError::Coding) => Err(HeadError::TransferEncoding),
            same => *same,
        };
        assert_eq!(parse(&bytes).map(|head| head.body), expected, "{}: {}", gloss, show(&bytes));
    }
}

#[test]
fn a_connection_persists_unless_the_client_sends_close_and_in_http10_only_if_it_asks() {
    // RFC 9112, 9.3: whether it persists in HTTP/1.1, and in HTTP/1.0.
    let rows: &[(&str, &str, bool, bool)] = &[
        ("no field", "", true, false),
        ("close", "Connection: close\r\n", false, false),
        ("any case", "CONNECTION: Close\r\n", false, false),
        ("in a list", "Connection: keep-alive , close\r\n", false, false),
        ("in another line", "Connection: x\r\nConnection: y,close\r\n", false, false),
        ("after keep-alive", "Connection: keep-alive\r\nConnection: close\r\n", false, false),
        ("with empty members", "Connection: ,,close,\r\n", false, false),
        ("a longer word", "Connection: closed\r\n", true, false),
        ("a part of a word", "Connection: not-close\r\n", true, false),
        ("two words", "Connection: close it\r\n", true, false),
        ("another field", "X: close\r\n", true, false),
        ("keep-alive", "Connection: Keep-Alive\r\n", true, true),
        ("in a list", "Connection: x, keep-alive\r\n", true, true),
        ("another word", "Connection: keep-alives\r\n", true, false),
        ("only its parameters", "Keep-Alive: timeout=5\r\n", true, false),
    ];
    for (gloss, lines, kept, kept10) in rows {
        let head = |version| {
            parse(format!("GET / {}\r\nHost: h\r\n{}\r\n", version, lines).as_bytes()).unwrap()
        };
        assert_eq!(head("HTTP/1.1").keep_alive(), *kept, "{}", gloss);
        assert_eq!(head("HTTP/1.0").keep_alive(), *kept10, "{}", gloss);
    }
}

#[test]
fn http10_has_no_host_or_an_empty_one() {
    // RFC 9112, 3.2 asks for the field in HTTP/1.1 alone.
    for lines in ["", "Host:\r\n", "host: \t\r\n"] {
        let head = parse(format!("GET / HTTP/1.0\r\n{}\r\n", lines).as_bytes());
        assert!(head.is_ok(), "{:?}: {:?}", lines, head);
        let head = parse(format!("GET / HTTP/1.1\r\n{}\r\n", lines).as_bytes());
        assert_eq!(head.err(), Some(HeadError::Host), "{:?}", lines);
    }
    for lines in ["Host:\r\nHost:\r\n", "Host:\r\nHost: h\r\n", "Host: h\r\nHost:\r\n"] {
        let head = parse(format!("GET / HTTP/1.0\r\n{}\r\n", lines).as_bytes());
        assert_eq!(head.err(), Some(HeadError::Host), "{:?}", lines);
    }
}

#[test]
fn expect_is_a_list_of_known_members_and_is_ignored_in_http10() {
    // RFC 9110, 10.1.1: in HTTP/1.0 any expectation is ignored.
    let rows: &[(&str, &str, Result<bool, HeadError>)] = &[
        ("nothing", "", Ok(false)),
        ("the known expectation", "Expect: 100-continue\r\n", Ok(true)),
        ("any case", "EXPECT: 100-Continue\r\n", Ok(true)),
        ("another", "Expect: 101-continue\r\n", Err(HeadError::Expectation)),
        ("a parameter", "Expect: 100-continue;x=y\r\n", Err(HeadError::Expectation)),
        ("a list", "Expect: 100-continue, x\r\n", Err(HeadError::Expectation)),
        ("no member", "Expect:\r\n", Ok(false)),
        ("empty members", "Expect: , ,\r\n", Ok(false)),
        ("twice", "Expect: 100-continue, 100-Continue\r\n", Ok(true)),
        ("twice, in two lines", "Expect: 100-continue\r\nExpect: 100-continue\r\n", Ok(true)),
        ("beside an empty member", "Expect: 100-continue,\r\n", Ok(true)),
        ("beside an empty line", "Expect:\r\nExpect: 100-continue\r\n", Ok(true)),
        ("a foreign one after an empty one", "Expect: ,x\r\n", Err(HeadError::Expectation)),
    ];
    for (gloss, lines, expected) in rows {
        let expects = |version| {
            let bytes = format!("POST / {}\r\nHost: h\r\n{}\r\n", version, lines);
            parse(bytes.as_bytes()).map(|head| head.expects_continue())
        };
        assert_eq!(expects("HTTP/1.1"), *expected, "{}", gloss);
        assert_eq!(expects("HTTP/1.0"), Ok(false), "{}", gloss);
    }
}

#[test]
fn of_two_errors_in_a_head_the_earlier_byte_decides() {
    let rows: &[(&str, &[u8], HeadError)] = &[
        ("the method is read before the target", b"BREW nowhere HTTP/1.1\r\n", HeadError::Method),
        ("the version before the method", b"BREW / HTTP/2.0\r\n", HeadError::Version),
        ("the shape before the version", b"G(T / HTTP/2.0\r\n", HeadError::RequestLine),
        ("a field before Host", b"GET / HTTP/1.1\r\nX\r\n", HeadError::Field),
        ("Host before the length", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", HeadError::Host),
        (
            "the length before Expect",
            b"GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: x\r\n\r\n",
            HeadError::ContentLength,
        ),
    ];
    for (gloss, bytes, error) in rows {
        assert_eq!(parse(bytes).err(), Some(*error), "{}: {}", gloss, show(bytes));
    }
}

#[test]
fn a_request_line_longer_than_the_limit_is_refused() {
    let limits = Limits { request_line: 16, ..Limits::default() };
    let rows: &[(&str, &[u8], Option<HeadError>)] = &[
        ("16 bytes", b"GET /78 HTTP/1.0\r\n\r\n", None),
        ("empty lines do not count", b"\r\n\r\nGET /78 HTTP/1.0\r\n\r\n", None),
        ("17, at the 17th", b"GET /789 HTTP/1.0", Some(HeadError::TargetTooLong)),
        ("a target without an end", b"GET /678901234567", Some(HeadError::TargetTooLong)),
        ("a method without an end", b"ABCDEFGHIJKLMNOPQ", Some(HeadError::TargetTooLong)),
        ("no request line at all", b"                 ", Some(HeadError::TargetTooLong)),
    ];
    for (gloss, bytes, error) in rows {
        assert_eq!(verdict(bytes, &limits).err(), *error, "{}: {}", gloss, show(bytes));
    }
}

#[test]
fn a_header_section_larger_than_the_limit_is_refused() {
    let limits = Limits { headers: 12, ..Limits::default() };
    let rows: &[(&str, &[u8], Option<HeadError>)] = &[
        ("12 bytes in one line", b"Host: 7890\r\n\r\n", None),
        ("12 bytes in two lines", b"Host:6\r\nA:\r\n\r\n", None),
        ("13, at the LF", b"Host: 78901\r\n", Some(HeadError::TooLarge)),
        ("14, at the LF", b"Host: 789012\r\n", Some(HeadError::TooLarge)),
        ("a line without an end, at the 13th", b"Host: 7890123", Some(HeadError::TooLarge)),
        ("a second line, at the 13th", b"Host: h\r\nA: x", Some(HeadError::TooLarge)),
    ];
    for (gloss, lines, error) in rows {
        let bytes = [b"GET /a/target/that/does/not/count HTTP/1.1\r\n", *lines].concat();
        assert_eq!(verdict(&bytes, &limits).err(), *error, "{}: {}", gloss, show(&bytes));
    }
}

#[test]
fn a_head_of_more_fields_than_the_limit_is_refused() {
    let limits = Limits { header_count: 3, ..Limits::default() };
    let three = b"GET / HTTP/1.1\r\nHost: h\r\nA:\r\nA:\r\n";
    assert_eq!(verdict(&[&three[..], b"\r\n"].concat(), &limits).unwrap().headers.len(), 3);
    let four = [&three[..], b"B:\r\n"].concat();
    assert_eq!(verdict(&four, &limits).err(), Some(HeadError::TooLarge));

    let none = Limits { header_count: 0, ..Limits::default() };
    assert!(verdict(b"GET / HTTP/1.0\r\n\r\n", &none).is_ok());
    assert_eq!(verdict(b"GET / HTTP/1.0\r\nA:\r\n", &none).err(), Some(HeadError::TooLarge));
}

#[test]
fn the_default_limits_of_a_head_are_enforced() {
    let limits = Limits::default();
    let line = |target: usize| format!("GET /{} HTTP/1.1\r\n", "a".repeat(target - 1));
    let with = |target: usize| Head::parse((line(target) + "Host: h\r\n\r\n").as_bytes(), &limits);
    // RFC 9112, 3 recommends to take request lines of 8,000 bytes.
    assert!(with(8000).unwrap().is_some());
    assert!(with(8192 - "GET  HTTP/1.1".len()).unwrap().is_some());
    assert_eq!(with(8193 - "GET  HTTP/1.1".len()), Err(HeadError::TargetTooLong));

    let with = |section: usize| {
        let value = "v".repeat(section - "Host: h\r\nX: \r\n".len());
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", value);
        Head::parse(bytes.as_bytes(), &limits).map(|head| head.is_some())
    };
    assert_eq!((with(16_384), with(16_385)), (Ok(true), Err(HeadError::TooLarge)));

    let with = |fields: usize| {
        let bytes = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "A:\r\n".repeat(fields - 1));
        Head::parse(bytes.as_bytes(), &limits).map(|head| head.is_some())
    };
    assert_eq!((with(100), with(101)), (Ok(true), Err(HeadError::TooLarge)));

    let with = |lines: usize| {
        let bytes = "\r\n".repeat(lines) + "GET / HTTP/1.0\r\n\r\n";
        Head::parse(bytes.as_bytes(), &limits).map(|head| head.is_some())
    };
    assert_eq!(with(LEADING_CRLFS), Ok(true));
    assert_eq!(with(LEADING_CRLFS + 1), Err(HeadError::RequestLine));
}

#[test]
fn bytes_after_the_head_are_not_consumed() {
    let bytes = b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n\xff\0\n";
    let limits = Limits::default();
    let (first, used) = Head::parse(bytes, &limits).unwrap().unwrap();
    let (second, again) = Head::parse(&bytes[used..], &limits).unwrap().unwrap();
    assert_eq!((first.path.as_str(), second.path.as_str()), ("/1", "/2"));
    assert_eq!(&bytes[used + again..], b"\xff\0\n");
}
