//! A request head has one verdict however it comes, and what is written of it is read the same.

use crate::ground::limits::Limits;
use crate::http::head::HeadParser;
use crate::http::{Head, HeadError, Request};

/// Small, so that they are met.
fn limits() -> Limits {
    Limits { request_line: 120, headers: 240, header_count: 6, ..Limits::default() }
}

/// Panics when a promise about this head is broken.
pub fn check(bytes: &[u8]) {
    let whole = Head::parse(bytes, &limits());
    let (arrived, verdict) = byte_by_byte(bytes);
    assert_eq!(verdict, whole, "one byte at a time");
    if let Ok(Some((head, used))) = whole {
        assert_eq!(used, arrived, "nothing behind the head is needed or used");
        assert!(head.headers.iter().count() <= limits().header_count);
        for segment in head.path.split('/') {
            assert!(segment != "." && segment != "..", "{:?}", head.path);
        }
        assert!(!head.path.contains("//"), "{:?}", head.path);
        assert!(
            !head.path.contains(|c: char| c == '\\' || c.is_ascii_control()),
            "{:?}",
            head.path
        );
        read_again(&head);
    }
    let query = Request::get(&format!("/?{}", String::from_utf8_lossy(bytes))).query("a");
    assert!(query.map_or(0, |value| value.len()) <= 3 * bytes.len());
}

/// Returns how many bytes had come when there was a verdict, and the verdict.
fn byte_by_byte(bytes: &[u8]) -> (usize, Result<Option<(Head, usize)>, HeadError>) {
    let mut parser = HeadParser::default();
    for arrived in 0..=bytes.len() {
        let verdict = parser.advance(&bytes[..arrived], &limits());
        if verdict != Ok(None) {
            return (arrived, verdict);
        }
    }
    (bytes.len(), Ok(None))
}

fn read_again(head: &Head) {
    let mut written = format!("{} ", head.method.as_str()).into_bytes();
    match head.path.as_str() {
        "*" => written.push(b'*'),
        path => path.split('/').skip(1).for_each(|segment| {
            written.push(b'/');
            segment.bytes().for_each(|byte| written.extend(format!("%{:02x}", byte).bytes()));
        }),
    }
    if !head.query.is_empty() {
        written.extend(format!("?{}", head.query).bytes());
    }
    written.extend(format!(" HTTP/1.{}\r\n", u8::from(head.http11)).bytes());
    for (name, value) in head.headers.iter() {
        written.extend([name.as_bytes(), b":", value, b"\r\n"].concat());
    }
    written.extend(b"\r\n");
    let again = Head::parse(&written, &Limits::default());
    let (mut again, used) = again.expect("what was read is valid").expect("and whole");
    // That of an absolute target is not written.
    again.authority.clone_from(&head.authority);
    assert_eq!((&again, used), (head, written.len()));
}
