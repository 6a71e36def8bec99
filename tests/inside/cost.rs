//! What bytes cost does not grow with how many came before them, whatever the pieces.
//!
//! There is no stopwatch here: a million bytes take a moment when each is looked at once. When all
//! are looked at again for each, that is half a million times as much, and no test waits for it.

use super::checks::conversation::HANDSHAKE;
use super::served::transcript;
use super::{Script, Stub};
use crate::ground::limits::Limits;
use crate::http::head::HeadParser;
use crate::http::Chunked;
use crate::websocket::{Assembler, Message, Received};
use std::time::{Duration, Instant};

const BYTES: usize = 1_000_000;

fn wide() -> Limits {
    let most = 16 * BYTES;
    Limits {
        request_line: most,
        headers: most,
        header_count: most,
        body: most,
        message: most,
        fragments: most,
        ..Limits::default()
    }
}

/// Ends a test that would never end.
struct Patience(Instant);

impl Patience {
    fn new() -> Patience {
        Patience(Instant::now())
    }

    fn check(&self, bytes: usize) {
        assert!(self.0.elapsed() < Duration::from_secs(60), "after {} bytes", bytes);
    }
}

#[test]
fn a_request_on_a_kept_connection_is_one_read_and_one_write() {
    let calls = |requests: usize| {
        let get = &b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"[..];
        let reads = [Ok(get.len())].repeat(requests).into();
        let stub =
            Stub::new(Script { input: get.repeat(requests).into(), reads, ..Script::default() });
        let answers = transcript(&stub, Limits::default());
        assert_eq!(answers.windows(12).filter(|line| line == b"HTTP/1.1 200").count(), requests);
        let calls = stub.script().calls;
        calls
    };
    assert_eq!(calls(9) - calls(3), 6 * 2);
}

#[test]
fn of_a_head_each_byte_is_judged_once() {
    let long_target = [&b"GET /"[..], &[b'a'; BYTES]].concat();
    let long_value = [&b"GET / HTTP/1.1\r\nX: "[..], &[b'a'; BYTES]].concat();
    let many_fields = [&b"GET / HTTP/1.1\r\n"[..], &b"a: b\r\n".repeat(BYTES / 6)].concat();
    for head in [long_target, long_value, many_fields] {
        let (patience, mut parser) = (Patience::new(), HeadParser::default());
        for arrived in 0..=head.len() {
            let verdict = parser.advance(&head[..arrived], &wide());
            assert!(matches!(verdict, Ok(None)), "at {}", arrived);
            patience.check(arrived);
        }
    }
}

#[test]
fn of_a_chunked_body_each_byte_is_judged_once() {
    let chunks = b"1\r\na\r\n".repeat(BYTES / 6);
    let long_trailer = [&b"0\r\nX: "[..], &[b'a'; BYTES]].concat();
    let many_trailers = [&b"0\r\n"[..], &b"a: b\r\n".repeat(BYTES / 6)].concat();
    for bytes in [chunks, long_trailer, many_trailers] {
        let (patience, mut chunked, mut body) = (Patience::new(), Chunked::default(), Vec::new());
        for (at, byte) in bytes.iter().enumerate() {
            let used = chunked.decode(&[*byte], &mut body, &wide());
            assert!(used == Ok(1) && !chunked.is_done(), "at {}", at);
            patience.check(at);
        }
    }
}

#[test]
fn of_a_text_each_byte_is_checked_once() {
    let text = "a\u{e9}\u{20ac}\u{1f600}".repeat(BYTES / 10);
    let length = (text.len() as u64).to_be_bytes();
    let mut whole = [&b"\x81\xff"[..], &length, &[0; 4], text.as_bytes()].concat();
    // Each byte a fragment of its own: the header as one piece, then the byte.
    let of = |byte: &u8, first: u8| [first, 0x81, 0, 0, 0, 0, *byte];
    let mut fragments: Vec<u8> = text.as_bytes().iter().flat_map(|byte| of(byte, 0)).collect();
    let last = fragments.len() - 7;
    fragments[0] = 0x01;
    fragments[last] = 0x80;
    for (bytes, header, every) in [(&mut whole, 14, 0), (&mut fragments, 6, 7)] {
        let (patience, mut assembler) = (Patience::new(), Assembler::default());
        let (mut at, mut read) = (0, None);
        while at < bytes.len() {
            assert_eq!(read, None, "at {}", at);
            let is_header = at == 0 || every > 0 && at % every == 0;
            let piece = if is_header { header } else { 1 };
            let (used, received) =
                assembler.read(&mut bytes[at..at + piece], &wide()).expect("good bytes");
            assert_eq!(used, piece, "at {}", at);
            at += piece;
            read = received;
            patience.check(at);
        }
        match read {
            Some(Received::Message(Message::Text(read))) => assert!(read == text),
            other => panic!("{:?}", other),
        }
    }
}

#[test]
fn a_connection_whose_bytes_come_one_by_one_looks_at_none_twice() {
    const PART: usize = BYTES / 2;
    let part = |byte: u8| vec![byte; PART];
    let chunk = format!("\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n", PART);
    let length = (PART as u64).to_be_bytes();
    let pieces = [
        &b"POST /a HTTP/1.1\r\nHost: h\r\nX: "[..],
        &part(b'v'),
        chunk.as_bytes(),
        &part(b'b'),
        b"\r\n0\r\nX: ",
        &part(b't'),
        b"\r\n\r\n",
        HANDSHAKE,
        b"\x81\xff",
        &length,
        b"\0\0\0\0",
        &part(b'm'),
        b"\x88\x82\0\0\0\0\x03\xe8",
    ];
    let input = pieces.concat();
    let reads = vec![Ok(1); input.len()].into();
    let stub = Stub::new(Script { input: input.into(), reads, ..Script::default() });
    let (patience, long) = (Patience::new(), Duration::from_secs(60));
    let limits = Limits {
        head_timeout: long,
        body_timeout: long,
        message_timeout: long,
        idle_timeout: long,
        ping_interval: Duration::ZERO,
        ..wide()
    };
    let answer = transcript(&stub, limits);
    patience.check(4 * PART);
    let body = [&b"\r\n\r\n"[..], &part(b'b'), b"HTTP/1.1 101 "].concat();
    assert!(answer.windows(body.len()).any(|bytes| bytes == body));
    let echo = [&b"\x81\x7f"[..], &length, &part(b'm'), b"\x88\x02\x03\xe8"].concat();
    assert!(answer.ends_with(&echo));
}

#[test]
fn what_has_no_end_is_refused_at_the_byte_that_is_too_much_when_bytes_come_one_by_one() {
    let chunked = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n";
    // What is allowed of it, and the answer to one byte more.
    for (start, endless, most, answer) in [
        (&b""[..], &b"GET /"[..], 8 * 1024, "HTTP/1.1 414 "),
        (b"GET / HTTP/1.1\r\n", b"X: ", 16 * 1024, "HTTP/1.1 431 "),
        (b"GET / HTTP/1.1\r\nHost: h\r\n", b"X: ", 16 * 1024 - 9, "HTTP/1.1 431 "),
        (chunked, b"X: ", 16 * 1024, "HTTP/1.1 431 "),
    ] {
        for more in [0, 1, 600] {
            let mut input = [start, endless].concat();
            input.resize(start.len() + most + more, b'a');
            let reads = vec![Ok(1); input.len()].into();
            let stub = Stub::new(Script { input: input.into(), reads, ..Script::default() });
            let seen = transcript(&stub, Limits::default());
            let seen = String::from_utf8_lossy(&seen).into_owned();
            assert_eq!(seen.get(..13).unwrap_or(""), if more == 0 { "" } else { answer });
        }
    }
}
