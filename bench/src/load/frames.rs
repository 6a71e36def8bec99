//! What is sent and what must come back, prepared once.

use crate::servers::Wire;
use std::cell::Cell;

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
    /// What one reply is of the positions of [`after`](Ring::after): its bytes, or [`ROOM`].
    pub reply_length: u64,
    /// Where each message ends in what is sent.
    ends: Vec<u64>,
    // Both twice, so that any piece of a ring's length is in one piece.
    sent: Vec<u8>,
    replies: Vec<u8>,
    /// In place of `replies`, each in both forms that it may have.
    forms: Vec<Forms>,
    /// Replies that were not compressed.
    plain: Cell<u64>,
}

/// A reply, as whole frames of different lengths.
pub struct Forms {
    pub compressed: Vec<u8>,
    pub plain: Vec<u8>,
}

/// What a reply that has two forms takes of the positions, whatever its bytes: the compressed form
/// starts at the beginning, the plain one in the middle.
pub const ROOM: u64 = 1 << 20;

impl Ring {
    /// Returns a ring of `count` messages of `length` bytes that start with `first`.
    pub fn new(wire: Wire, opcode: OpCode, first: u8, length: usize, count: usize) -> Ring {
        let (mut sent, mut replies) = (Vec::new(), Vec::new());
        for number in 0..count {
            let payload = payload(first, length, number);
            let message = frame(opcode, &payload, Some(key(number)));
            match wire {
                Wire::Raw => replies.extend(&message),
                _ => replies.extend(frame(opcode, &payload, None)),
            }
            sent.push(message);
        }
        let reply_length = (replies.len() / count) as u64;
        replies.extend_from_within(..);
        Ring { reply_length, replies, ..Ring::of_forms(&sent, Vec::new()) }
    }

    /// Returns a ring of these messages, each of which comes back in one of two forms.
    pub fn of_forms(messages: &[Vec<u8>], forms: Vec<Forms>) -> Ring {
        let end = |end: &mut u64, message: &Vec<u8>| {
            *end += message.len() as u64;
            Some(*end)
        };
        let ends = messages.iter().scan(0, end).collect();
        let mut sent = messages.concat();
        sent.extend_from_within(..);
        let (replies, plain) = (Vec::new(), Cell::new(0));
        Ring { reply_length: ROOM, ends, sent, replies, forms, plain }
    }

    /// Returns the bytes of so many messages as they are sent.
    pub fn sent_by(&self, messages: u64) -> u64 {
        let count = self.ends.len() as u64;
        let before = self.ends[..(messages % count) as usize].last().unwrap_or(&0);
        messages / count * (self.sent.len() / 2) as u64 + before
    }

    /// Returns what is sent from the byte `from` of the stream to `to`, or as much of it as is in
    /// one piece.
    pub fn to_send(&self, from: u64, to: u64) -> &[u8] {
        let ring = self.sent.len() / 2;
        let at = (from % ring as u64) as usize;
        &self.sent[at..at + ((to - from) as usize).min(ring)]
    }

    /// Returns the position after these bytes, or nothing if they are not what must come back at
    /// the position `from`. Each whole reply takes [`reply_length`](Ring::reply_length) of them.
    pub fn after(&self, from: u64, bytes: &[u8]) -> Option<u64> {
        if self.forms.is_empty() {
            return self.matches(from, bytes).then_some(from + bytes.len() as u64);
        }
        let (mut at, mut bytes) = (from, bytes);
        while let Some(first) = bytes.first() {
            let Forms { compressed, plain } = &self.forms[(at / ROOM) as usize % self.forms.len()];
            if at % ROOM == 0 && *first == plain[0] {
                at += ROOM / 2;
                self.plain.set(self.plain.get() + 1);
            }
            let (start, form) =
                if at % ROOM < ROOM / 2 { (0, compressed) } else { (ROOM / 2, plain) };
            let rest = &form[(at % ROOM - start) as usize..];
            let (piece, others) = bytes.split_at(rest.len().min(bytes.len()));
            if !rest.starts_with(piece) {
                return None;
            }
            let whole = piece.len() == rest.len();
            at = if whole { (at / ROOM + 1) * ROOM } else { at + piece.len() as u64 };
            bytes = others;
        }
        Some(at)
    }

    /// Returns how many replies were not compressed, if they may be.
    pub fn plain(&self) -> Option<u64> {
        (!self.forms.is_empty()).then(|| self.plain.get())
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

pub fn key(number: usize) -> [u8; 4] {
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
        assert_eq!((ring.sent_by(1), ring.reply_length), (131, 127));
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
    fn a_reply_may_have_either_form() {
        let forms = |compressed: &[u8], plain: &[u8]| Forms {
            compressed: compressed.to_vec(),
            plain: plain.to_vec(),
        };
        let ring = Ring::of_forms(
            &[b"one".to_vec(), b"three".to_vec()],
            vec![forms(b"\xc11", b"\x81one"), forms(b"\xc13", b"\x81three")],
        );
        assert_eq!([0, 1, 2, 3].map(|messages| ring.sent_by(messages)), [0, 3, 8, 11]);
        let replies = b"\xc11\x81three\x81one\xc13";
        for cut in 0..=replies.len() {
            let (head, tail) = replies.split_at(cut);
            let after = ring.after(0, head).and_then(|at| ring.after(at, tail));
            assert_eq!(after, Some(4 * ROOM));
        }
        assert_eq!(ring.plain(), Some(2 * (replies.len() as u64 + 1)));
        for wrong in [&b"\xc13"[..], b"\x81onf", b"\x82", b"\xc11\xc11"] {
            assert_eq!(ring.after(0, wrong), None);
        }
    }

    #[test]
    fn raw_comes_back_as_it_went() {
        let ring = Ring::new(Wire::Raw, OpCode::Binary, b'e', 1000, 2);
        assert_eq!(ring.sent_by(1), ring.reply_length);
        assert!(ring.matches(7, ring.to_send(7, 1500)));
    }
}
