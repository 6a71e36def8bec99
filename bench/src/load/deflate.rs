//! Compressed messages: what a server makes of each is learned from the server and inflated once.
//!
//! As each message is compressed by itself, a server gives the same message the same form again.

use crate::load::frames::{frame, key, Forms, OpCode, Ring};
use crate::load::wrong;
use crate::servers::SMALLEST;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use std::io::{self, Read, Write};

/// The bit of the first byte that says that a message is compressed (RFC 7692, 7.2.3).
const RSV1: u8 = 0x40;
/// What a compressed message is sent without (RFC 7692, 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];
/// No reply is longer.
const LONGEST: usize = 256 * 1024;

/// Returns a ring of `count` texts of `length` bytes that start with `first`, after the server has
/// sent each of them back on this connection.
pub fn learn(
    stream: &mut (impl Read + Write),
    first: u8,
    length: usize,
    count: usize,
) -> io::Result<Ring> {
    let (mut messages, mut forms) = (Vec::new(), Vec::new());
    for number in 0..count {
        let text = json(first, length, number);
        let message = message(&text, key(number))?;
        stream.write_all(&message)?;
        messages.push(message);
        let plain = frame(OpCode::Text, &text, None);
        let compressed = read_frame(stream)?;
        if compressed != plain || length >= SMALLEST {
            check(&compressed, &text)?;
        }
        forms.push(Forms { compressed, plain });
    }
    Ok(Ring::of_forms(&messages, forms))
}

/// Returns a text as it is sent: compressed, unless a server would not compress it either.
fn message(text: &[u8], key: [u8; 4]) -> io::Result<Vec<u8>> {
    if text.len() < SMALLEST {
        return Ok(frame(OpCode::Text, text, Some(key)));
    }
    let mut message = frame(OpCode::Text, &deflate(text)?, Some(key));
    message[0] |= RSV1;
    Ok(message)
}

/// Returns a letter and then an array, different for each number.
fn json(first: u8, length: usize, number: usize) -> Vec<u8> {
    const RECORD: usize = 70;
    let mut state = number as u64 + 1;
    let mut random = |below: u64| {
        // Knuth's MMIX generator.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) % below
    };
    let mut text = format!("{}[", first as char);
    while text.len() + RECORD + 3 <= length {
        let (id, room) = (random(100_000), ["attic", "cellar", "kitchen"][random(3) as usize]);
        let (celsius, open) = (random(4000) as f64 / 100.0, random(2) == 1);
        text += &format!(r#"{{"id":{id},"room":"{room}","celsius":{celsius:.2},"open":{open}}},"#);
    }
    // The rest is filled up.
    text += &format!("\"{}\"]", ".".repeat(length - text.len() - 3));
    text.into_bytes()
}

fn deflate(text: &[u8]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() + 64);
    let mut compress = Compress::new(Compression::default(), false);
    compress.compress_vec(text, &mut bytes, FlushCompress::Sync)?;
    match bytes.strip_suffix(TAIL) {
        Some(message) if compress.total_in() == text.len() as u64 => Ok(message.to_vec()),
        _ => Err(wrong("a message was not compressed whole")),
    }
}

/// Checks that a frame is this text, compressed.
fn check(frame: &[u8], text: &[u8]) -> io::Result<()> {
    if frame[0] != 0x80 | RSV1 | OpCode::Text as u8 {
        return Err(wrong(format!("no compressed text: its frame starts with {:#x}", frame[0])));
    }
    let start = header(frame[1]).ok_or_else(|| wrong("a reply is masked"))?;
    let compressed = [&frame[start..], TAIL].concat();
    let mut inflated = Vec::with_capacity(text.len() + 64);
    let mut inflate = Decompress::new(false);
    inflate.decompress_vec(&compressed, &mut inflated, FlushDecompress::Sync)?;
    match inflated == text && inflate.total_in() == compressed.len() as u64 {
        true => Ok(()),
        false => Err(wrong("a reply is not what was sent once it is inflated")),
    }
}

fn read_frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 2];
    stream.read_exact(&mut frame)?;
    let start = header(frame[1]).ok_or_else(|| wrong("a reply is masked"))?;
    frame.resize(start, 0);
    stream.read_exact(&mut frame[2..])?;
    let length = match start {
        2 => frame[1].into(),
        _ => frame[2..].iter().fold(0, |length, byte| length << 8 | *byte as usize),
    };
    if length > LONGEST {
        return Err(wrong(format!("a reply of {length} bytes")));
    }
    frame.resize(start + length, 0);
    stream.read_exact(&mut frame[start..])?;
    Ok(frame)
}

/// Returns the length of the header of a server's frame by its second byte; nothing if the frame is
/// masked (RFC 6455, 5.2).
fn header(second: u8) -> Option<usize> {
    match second {
        0..=125 => Some(2),
        126 => Some(4),
        127 => Some(10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a server sends that compresses so.
    fn reply(text: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
        let mut reply = frame(OpCode::Text, &deflate(text).unwrap(), None);
        reply[0] |= RSV1;
        change(&mut reply);
        reply
    }

    #[test]
    fn a_compressed_frame_of_the_rfc_is_read_and_inflated() {
        // RFC 7692, 7.2.3.1, and the start of another frame.
        let mut bytes = &b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\xc1"[..];
        let frame = read_frame(&mut bytes).unwrap();
        assert_eq!((frame.len(), bytes), (9, &b"\xc1"[..]));
        check(&frame, b"Hello").unwrap();
        assert!(check(&frame, b"Hallo").is_err());
        assert!(check(&frame, b"Hell").is_err());
    }

    #[test]
    fn frames_of_all_lengths_are_read_and_masked_or_long_ones_refused() {
        for length in [0, 125, 126, 0xffff, 0x10000] {
            let bytes = frame(OpCode::Text, &vec![b'x'; length], None);
            assert_eq!(read_frame(&mut &bytes[..]).unwrap(), bytes);
            assert!(read_frame(&mut &bytes[..bytes.len() - 1]).is_err());
        }
        assert!(read_frame(&mut &b"\xc1\x80\0\0\0\0"[..]).is_err());
        assert!(read_frame(&mut &b"\xc1\x7f\xff\xff\xff\xff\xff\xff\xff\xff"[..]).is_err());
    }

    #[test]
    fn replies_that_are_not_the_text_compressed_are_refused() {
        let text = json(b'e', 1024, 5);
        let unchanged = reply(&text, |_| ());
        assert!(unchanged.len() < 600, "{}", unchanged.len());
        check(&unchanged, &text).unwrap();
        assert!(check(&reply(&text, |frame| frame[0] &= !RSV1), &text).is_err());
        assert!(check(&reply(&text, |frame| frame[0] &= 0x7f), &text).is_err());
        assert!(check(&reply(&text, |frame| frame.truncate(frame.len() / 2)), &text).is_err());
        assert!(check(&reply(&json(b'e', 1024, 6), |_| ()), &text).is_err());
        // A second message, empty, behind the text.
        assert!(
            check(&reply(&text, |frame| frame.extend([0, 0, 0, 0xff, 0xff, 3, 0])), &text).is_err()
        );
    }

    #[test]
    fn texts_have_their_length_and_are_different() {
        for length in [125, 1024, 16 * 1024] {
            assert_eq!(json(b'b', length, 1).len(), length);
            assert_ne!(json(b'b', length, 1), json(b'b', length, 2));
        }
        assert!(json(b'b', 1024, 1).starts_with(b"b[{\"id\":"));
    }
}
