//! A chunked body is the same body however it comes, and never longer than allowed.

use super::ways;
use crate::ground::limits::Limits;
use crate::http::{Chunked, ChunkedError};

/// Small, so that they are met.
fn limits() -> Limits {
    Limits { body: 40, headers: 60, header_count: 3, ..Limits::default() }
}

/// Panics when a promise about this body is broken.
pub fn check(bytes: &[u8]) {
    let [whole, one_by_one, in_two] = ways(bytes).map(|pieces| decode(&pieces));
    assert_eq!(one_by_one, whole, "one byte at a time");
    assert_eq!(in_two, whole, "cut in two");
    assert!(whole.body.len() <= limits().body);
    if let Ok((used, true)) = whole.end {
        let again = decode(&[&chunk(&whole.body)]);
        assert_eq!(again.body, whole.body);
        let alone = decode(&[&bytes[..used]]);
        assert_eq!(alone, whole, "nothing behind the body is needed");
        assert_ne!(decode(&[&bytes[..used - 1]]).end, Ok((used - 1, true)), "nor less");
    }
}

#[derive(Debug, PartialEq)]
struct Decoded {
    body: Vec<u8>,
    /// Bytes that were used, and whether the body ended.
    end: Result<(usize, bool), ChunkedError>,
}

fn decode(pieces: &[&[u8]]) -> Decoded {
    let (mut chunked, mut body, mut used) = (Chunked::default(), Vec::new(), 0);
    for piece in pieces {
        match chunked.decode(piece, &mut body, &limits()) {
            Ok(some) => {
                assert!(some == piece.len() || chunked.is_done() && some < piece.len());
                used += some;
            }
            Err(error) => return Decoded { body, end: Err(error) },
        }
    }
    Decoded { body, end: Ok((used, chunked.is_done())) }
}

/// Returns the body as two chunks.
fn chunk(body: &[u8]) -> Vec<u8> {
    let (one, other) = body.split_at(body.len() / 2);
    let mut written = Vec::new();
    for part in [one, other].iter().filter(|part| !part.is_empty()) {
        written.extend(format!("{:x}\r\n", part.len()).bytes());
        written.extend([part, &b"\r\n"[..]].concat());
    }
    written.extend(b"0\r\n\r\n");
    written
}
