//! A proxy that prints each WebSocket frame that passes, bit by bit, in the picture of RFC 6455, 5.2.
//!
//! Try it: `cargo run --example echo`, beside it `cargo run --example trace`, and open
//! `http://127.0.0.1:8001/`. For a server elsewhere: `cargo run --example trace -- 127.0.0.1:9000`.

use sockling::websocket::{apply_mask, FrameHeader};
use std::io::{BufReader, BufWriter, Error, ErrorKind::*, Read, Result, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::{env, thread};

const PICTURE: &str = "|F|R|R|R| opcode|M| length      |\n|I|S|S|S|       |A|             |\n\
                       |N|V|V|V|       |S|             |\n| |1|2|3|       |K|             |";

/// Describes a frame whose header has so many bytes. Of a long payload the beginning is shown.
fn describe(header: &FrameHeader, at: usize, frame: &[u8]) -> String {
    let hex: Vec<_> = frame.iter().map(|byte| format!("{:02x}", byte)).collect();
    let wall = |at| if matches!(at, 0..=4 | 8 | 9) { '|' } else { ' ' };
    let bits = format!("{:08b}{:08b}", frame[0], frame[1]);
    let bits: String = bits.chars().enumerate().flat_map(|(at, bit)| [wall(at), bit]).collect();
    let mut payload = frame[at..].to_vec();
    apply_mask(&mut payload, header.masking_key.unwrap_or_default());
    let text = String::from_utf8_lossy(&payload).escape_debug().to_string();
    let fin = if header.fin { "FIN" } else { "more follows" };
    let kind = format!("{:?}", header.opcode).to_lowercase();
    let mask = if header.masking_key.is_some() { "masked" } else { "not masked" };
    let words = format!("{}, {}, {}, {} bytes, '{}'", fin, kind, mask, header.length, text);
    format!("{}\n{}\n{}|\n{}", hex.join(" "), PICTURE, bits, words)
}

/// Passes on what one side sends, byte by byte, and prints it: heads, then frames.
fn pass(name: &str, from: &TcpStream, to: &TcpStream) -> Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    let mut next = || {
        from.buffer().is_empty().then(|| to.flush()).transpose()?;
        let byte = from.by_ref().bytes().next().ok_or(UnexpectedEof)??;
        to.write_all(&[byte]).map(|()| byte)
    };
    // Heads, and perhaps bodies, until the head that has the key, or its answer. Then come frames.
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") || !head.contains("Sec-WebSocket-") {
        head.push(next()?.into());
    }
    println!("{}:\n{}", name, head.trim_end());
    loop {
        let mut frame = vec![next()?];
        let (header, at) = loop {
            match FrameHeader::parse(&frame).map_err(|error| Error::new(InvalidData, error))? {
                Some(found) => break found,
                None => frame.push(next()?),
            }
        };
        for place in 0..header.length {
            frame.extend(Some(next()?).filter(|_| place < 60));
        }
        println!("\n{}: {}", name, describe(&header, at, &frame));
    }
}

fn main() -> Result<()> {
    let to = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_string());
    let listener = TcpListener::bind(env::var("SOCKLING_ADDR").unwrap_or("127.0.0.1:8001".into()))?;
    println!("{} at http://{}/\n", to, listener.local_addr()?);
    for client in listener.incoming().flatten() {
        let server = TcpStream::connect(&to).map_err(|error| println!("{}: {}", to, error));
        let ways = |server| [("client", &client, server), ("server", server, &client)];
        for (name, from, to) in server.iter().flat_map(ways) {
            let (from, to) = (from.try_clone()?, to.try_clone()?);
            // When one side has ended, or sends what is no frame, the other one hears the end.
            thread::spawn(move || pass(name, &from, &to).or_else(|_| to.shutdown(Shutdown::Write)));
        }
    }
    Ok(())
}
