//! The protocol without a socket: a head, a handshake and frames, from bytes to values and back.
//!
//! Try it: `cargo run --example codec`. Then change a byte, and see what is said of it.

use sockling::http::Head;
use sockling::limits::Limits;
use sockling::websocket::{accept_key, apply_mask, Assembler, FrameHeader, OpCode};

const REQUEST: &[u8] = b"GET /chat?name=Ada HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// "Hello" with a mask (RFC 6455, 5.7); then "Hello" in two pieces with a ping between them.
const FRAMES: &[u8] = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\
    \x01\x83\0\0\0\0Hel\x89\x80\0\0\0\0\x80\x82\0\0\0\0lo";

fn main() {
    if let Err(error) = run() {
        println!("refused: {}", error);
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let limits = Limits::default();

    let half = Head::parse(&REQUEST[..40], &limits)?;
    println!("of 40 bytes: {}", if half.is_none() { "more are needed" } else { "a head" });
    let (head, used) = Head::parse(REQUEST, &limits)?.ok_or("a whole head")?;
    println!("of {}: {} {} with the query {:?}", used, head.method.as_str(), head.path, head.query);
    let key = head.headers.get_str("sec-websocket-key").ok_or("a key")?;
    println!("the answer to its key: {}", accept_key(key));

    let (mut bytes, mut assembler, mut at) = (FRAMES.to_vec(), Assembler::default(), 0);
    while at < bytes.len() {
        let (header, _) = FrameHeader::parse(&bytes[at..])?.ok_or("a whole header")?;
        println!("at {}: {:?}", at, header);
        let (used, received) = assembler.read(&mut bytes[at..], &limits)?;
        println!("  {} bytes used, received: {:?}", used, received);
        at += used;
    }

    let mut frame = Vec::new();
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut header = FrameHeader::new(OpCode::Text, 5);
    header.masking_key = Some(key);
    header.write(&mut frame);
    let at = frame.len();
    frame.extend_from_slice(b"Hello");
    apply_mask(&mut frame[at..], key);
    println!("and back: {:02x?}", frame);
    Ok(())
}
