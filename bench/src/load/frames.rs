//! What is sent and what must come back, prepared once.

use crate::servers::Wire;

/// The opcodes that are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpCode {
    Text = 1,
    Binary = 2,
    Close = 8,
}

/// Returns a whole frame, masked when there is a key: as a client sends it, or as a server does
/// (RFC 6455, 5.2).
pub fn frame(opcode: OpCode, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mask = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![0x80 | opcode as u8];
    match payload.len() {
        short @ 0..=125 => bytes.push(mask | short as u8),
        medium @ 126..=0xffff => {
            bytes.push(mask | 126);
            bytes.extend((medium as u16).to_be_bytes());
        }
        long => {
            bytes.push(mask | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    match key {
        None => bytes.extend(payload),
        Some(key) => {
            bytes.extend(key);
            bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
        }
    }
    bytes
}

/// An endless stream of different messages of one size, as a ring.
pub struct Ring {
    /// Bytes of one message as it is sent, and as it comes back.
    pub sent_length: u64,
    pub reply_length: u64,
    // Both twice, so that any piece of a ring's length is in one piece.
    sent: Vec<u8>,
    replies: Vec<u8>,
}

impl Ring {
    /// Returns a ring of `count` messages of `length` bytes that start with `first`.
    pub fn new(wire: Wire, opcode: OpCode, first: u8, length: usize, count: usize) -> Ring {
        let (mut sent, mut replies) = (Vec::new(), Vec::new());
        for number in 0..count {
            let payload = payload(first, length, number);
            let message = frame(opcode, &payload, Some(key(number)));
            match wire {
                Wire::WebSocket | Wire::Tls => replies.extend(frame(opcode, &payload, None)),
                Wire::Raw => replies.extend(&message),
            }
            sent.extend(message);
        }
        let (sent_length, reply_length) = (sent.len() / count, replies.len() / count);
        sent.extend_from_within(..);
        replies.extend_from_within(..);
        Ring { sent_length: sent_length as u64, reply_length: reply_length as u64, sent, replies }
    }

    /// Returns what is sent from the byte `from` of the stream to `to`, or as much of it as is in
    /// one piece.
    pub fn to_send(&self, from: u64, to: u64) -> &[u8] {
        let ring = self.sent.len() / 2;
        let at = (from % ring as u64) as usize;
        &self.sent[at..at + ((to - from) as usize).min(ring)]
    }

    /// Returns whether these bytes are what must come back from the byte `from` on.
    pub fn matches(&self, from: u64, bytes: &[u8]) -> bool {
        let ring = self.replies.len() / 2;
        let at = (from % ring as u64) as usize;
        // After a whole ring it is at the same place again.
        bytes.chunks(ring).all(|piece| piece == &self.replies[at..at + piece.len()])
    }
}

/// Letters only, so that it is a text; different for each number.
fn payload(first: u8, length: usize, number: usize) -> Vec<u8> {
    let mut state = number as u64 + 1;
    let mut payload = vec![first];
    payload.extend((1..length).map(|_| {
        // Knuth's MMIX generator.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        b'a' + ((state >> 33) % 26) as u8
    }));
    payload
}

fn key(number: usize) -> [u8; 4] {
    [0x37, 0xfa, 0x21, 0x3d].map(|byte: u8| byte.wrapping_add(number as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_the_rfc() {
        // RFC 6455, 5.7.
        let key = Some([0x37, 0xfa, 0x21, 0x3d]);
        assert_eq!(
            frame(OpCode::Text, b"Hello", key),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(frame(OpCode::Text, b"Hello", None), b"\x81\x05Hello");
        assert_eq!(frame(OpCode::Binary, &[0; 256], None)[..4], [0x82, 126, 1, 0]);
        assert_eq!(
            frame(OpCode::Binary, &[0; 65536], None)[..10],
            [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(frame(OpCode::Close, &[3, 232], Some([0; 4])), [0x88, 0x82, 0, 0, 0, 0, 3, 232]);
    }

    #[test]
    fn a_ring_goes_round() {
        let ring = Ring::new(Wire::WebSocket, OpCode::Text, b'e', 125, 3);
        assert_eq!((ring.sent_length, ring.reply_length), (131, 127));
        let (mut sent, mut at) = (Vec::new(), 0);
        while at < 10 * 131 {
            let piece = ring.to_send(at, 10 * 131);
            at += piece.len() as u64;
            sent.extend(piece);
        }
        assert_eq!(sent.len(), 1310);
        assert_eq!(sent[..131], sent[3 * 131..4 * 131]);
        assert_ne!(sent[..131], sent[131..262]);
        // Unmasked, the second message is the second reply.
        let mut second = sent[131 + 6..262].to_vec();
        sockling::websocket::apply_mask(&mut second, [sent[133], sent[134], sent[135], sent[136]]);
        assert!(second.starts_with(b"e"));
        assert!(ring.matches(127 + 2, &second));
    }

    #[test]
    fn a_wrong_byte_is_seen() {
        let ring = Ring::new(Wire::WebSocket, OpCode::Text, b'e', 125, 3);
        let mut replies = ring.replies.repeat(2);
        assert!(ring.matches(0, &replies));
        assert!(ring.matches(127 * 5 + 3, &replies[127 * 5 + 3..]));
        assert!(!ring.matches(1, &replies));
        *replies.last_mut().unwrap() ^= 1;
        assert!(!ring.matches(0, &replies));
    }

    #[test]
    fn raw_comes_back_as_it_went() {
        let ring = Ring::new(Wire::Raw, OpCode::Binary, b'e', 1000, 2);
        assert_eq!(ring.sent_length, ring.reply_length);
        assert!(ring.matches(7, ring.to_send(7, 1500)));
    }
}
