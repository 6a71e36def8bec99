//! A connection is answered the same however its bytes come, and ends when they end.

use super::ways;
use crate::ground::limits::Limits;
use crate::inside::served::transcript;
use crate::inside::{Script, Stub};

/// Small, so that they are met.
fn limits() -> Limits {
    Limits {
        request_line: 200,
        headers: 600,
        body: 100,
        message: 100,
        requests_per_connection: 5,
        ..Limits::default()
    }
}

/// Panics when a promise about a connection that sends these bytes is broken.
pub fn check(bytes: &[u8]) {
    let [whole, one_by_one, in_two] = ways(bytes).map(|pieces| answers(&pieces));
    assert_eq!(one_by_one, whole, "one byte at a time");
    assert_eq!(in_two, whole, "cut in two");
}

/// Returns what a client gets that sends these pieces and then ends its side, as text.
pub fn answers(pieces: &[&[u8]]) -> String {
    let stub = Stub::new(Script {
        input: pieces.concat().into(),
        // A read of none would be the end.
        reads: pieces.iter().map(|piece| Ok(piece.len())).filter(|most| *most != Ok(0)).collect(),
        ..Script::default()
    });
    let written = transcript(&stub, limits());
    let script = stub.script();
    assert!(script.asked.iter().all(|room| *room <= 64 * 1024), "{:?}", script.asked);
    written.escape_ascii().to_string()
}
