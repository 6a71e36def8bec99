//! A WebSocket's conversation is the one that RFC 6455 says, however its bytes come.

use super::connection::answers;
use super::frame::{framed, hear};
use super::ways;
use crate::ground::limits::Limits;
use crate::websocket::frame::{Frame, OpCode};
use crate::websocket::{CloseCode, CloseFrame, Message, Received};

pub const HANDSHAKE: &[u8] =
    b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\n";

/// Panics when a promise about a client that sends these frames is broken.
pub fn check(bytes: &[u8]) {
    let expected = [ANSWER, b"\r\n", &said(bytes)].concat().escape_ascii().to_string();
    let early = [HANDSHAKE, bytes].concat();
    assert_eq!(answers(&[&early]), expected, "in one segment with the handshake");
    for pieces in ways(bytes) {
        let pieces: Vec<&[u8]> = [&[HANDSHAKE][..], &pieces].concat();
        assert_eq!(answers(&pieces), expected, "in {} pieces", pieces.len());
    }
}

/// Returns what the server has to say to these frames.
fn said(bytes: &[u8]) -> Vec<u8> {
    let limits = Limits { message: 100, ..Limits::default() };
    let (received, violation) = hear(&[bytes], &limits);
    let mut said = Vec::new();
    let close = |code, reason: &str| {
        let payload = CloseFrame { code, reason: reason.to_string() }.payload();
        Frame::new(OpCode::Close, &payload).parts().concat()
    };
    for event in received {
        match event {
            Received::Message(Message::Text(text)) if text == "f" => {
                said.extend(close(CloseCode::INTERNAL_ERROR, ""));
                return said;
            }
            // Nothing is said after a Close frame.
            Received::Message(Message::Text(text)) if text == "c" => {
                said.extend(close(CloseCode(4000), "as told"));
                return said;
            }
            Received::Message(message) => said.extend(framed(&message)),
            Received::Ping(payload) => {
                said.extend(Frame::new(OpCode::Pong, &payload).parts().concat())
            }
            Received::Pong(_) => {}
            Received::Close(frame) => said.extend(close(frame.code, &frame.reason)),
        }
    }
    violation.iter().for_each(|why| said.extend(close(why.close_code(), &why.to_string())));
    said
}
