//! Compressed messages: the result does not depend on how they are cut, and keeps the limits.

use super::frame::hear_with;
use super::ways;
use crate::ground::limits::Limits;
use crate::websocket::message::{Assembler, Received};

/// The first byte chooses the limit of a message.
pub fn check(bytes: &[u8]) {
    let (first, bytes) = match bytes {
        [first, rest @ ..] => (*first, rest),
        [] => return,
    };
    let message = [0, 1, 5, 100, 1000, 10_000, 100_000, 1 << 20][usize::from(first) % 8];
    let limits = Limits { message, ..Limits::default() };
    let hear = |pieces: Vec<&[u8]>| hear_with(Assembler::inflating(), &pieces, &limits);
    let [whole, one_by_one, in_two] = ways(bytes).map(hear);
    assert_eq!(one_by_one, whole, "one byte at a time");
    assert_eq!(in_two, whole, "cut in two");
    for received in &whole.0 {
        if let Received::Message(text) = received {
            assert!(text.as_bytes().len() <= message);
        }
    }
}
