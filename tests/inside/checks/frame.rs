//! Frames are the same messages however they come, and a header has one form.

use super::ways;
use crate::ground::limits::Limits;
use crate::websocket::{Assembler, FrameHeader, Message, Received, Violation};

/// Small, so that they are met.
fn limits() -> Limits {
    Limits { message: 300, fragments: 5, ..Limits::default() }
}

/// Panics when a promise about these frames is broken.
pub fn check(bytes: &[u8]) {
    header(bytes);
    let [whole, one_by_one, in_two] = ways(bytes).map(|pieces| hear(&pieces, &limits()));
    assert_eq!(one_by_one, whole, "one byte at a time");
    assert_eq!(in_two, whole, "cut in two");
    for received in &whole.0 {
        match received {
            Received::Message(message) => assert!(message.as_bytes().len() <= limits().message),
            Received::Ping(payload) | Received::Pong(payload) => assert!(payload.len() <= 125),
            Received::Close(close) => assert!(close.payload().len() <= 125),
        }
    }
}

fn header(bytes: &[u8]) {
    let whole = FrameHeader::parse(bytes);
    let end = bytes.len().min(16);
    let verdict = (0..=end).map(|length| FrameHeader::parse(&bytes[..length]));
    let first = verdict.enumerate().find(|(_, verdict)| *verdict != Ok(None));
    match (first, whole) {
        (None, whole) => assert_eq!(whole, Ok(None)),
        (Some((length, verdict)), whole) => {
            assert_eq!(verdict, whole, "the first bytes decide");
            if let Ok(Some((header, used))) = whole {
                assert_eq!(used, length);
                let mut written = Vec::new();
                header.write(&mut written);
                assert_eq!(written, bytes[..used]);
            }
        }
    }
}

/// Returns what is received up to a Close frame or a fault, which is last.
pub fn hear(pieces: &[&[u8]], limits: &Limits) -> (Vec<Received>, Option<Violation>) {
    hear_with(Assembler::default(), pieces, limits)
}

/// Does the same with this assembler.
pub fn hear_with(
    mut assembler: Assembler,
    pieces: &[&[u8]],
    limits: &Limits,
) -> (Vec<Received>, Option<Violation>) {
    let (mut all, mut unread) = (Vec::new(), Vec::new());
    for piece in pieces {
        unread.extend_from_slice(piece);
        loop {
            let given = unread.len();
            match assembler.read(&mut unread, limits) {
                Err(violation) => return (all, Some(violation)),
                Ok((used, received)) => {
                    assert!(used <= given);
                    assert!(received.is_some() || given - used < 14, "a header at most is kept");
                    unread.drain(..used);
                    match received {
                        None => break,
                        Some(Received::Close(close)) => {
                            all.push(Received::Close(close));
                            return (all, None);
                        }
                        Some(received) => all.push(received),
                    }
                }
            }
        }
    }
    (all, None)
}

/// Returns the frame in which a server sends a message.
pub fn framed(message: &Message) -> Vec<u8> {
    message.frame().parts().concat()
}
