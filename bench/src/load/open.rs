//! Opening connections: in the blocking way, some at a time.

use crate::load::connection::Connection;
use crate::load::{wrong, SILENCE};
use crate::servers::Wire;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Connections that are opened at a time: fewer than wait at the door of a server with the smallest
/// common backlog, 100.
pub const AT_A_TIME: usize = 64;

pub const REQUEST: &[u8] = b"GET /websocket HTTP/1.1\r\nHost: localhost\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// A raw connection is open when this has come back.
const HELLO: &[u8] = b"hello";

/// The answer to that key (RFC 6455, 1.3).
const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Returns connections that have their WebSocket, if one is spoken.
pub fn open(
    address: SocketAddr,
    wire: Wire,
    count: usize,
) -> io::Result<Vec<Connection<TcpStream>>> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let from = streams.len();
        for _ in from..count.min(from + AT_A_TIME) {
            let tcp = TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            tcp.set_read_timeout(Some(SILENCE))?;
            let mut stream = Connection::new(tcp, wire)?;
            stream.write_all(match wire {
                Wire::WebSocket | Wire::Tls => REQUEST,
                Wire::Raw => HELLO,
            })?;
            streams.push(stream);
        }
        streams[from..].iter_mut().try_for_each(|stream| match wire {
            Wire::WebSocket | Wire::Tls => read_head(stream),
            Wire::Raw => stream.read_exact(&mut [0; HELLO.len()]),
        })?;
    }
    Ok(streams)
}

fn read_head(stream: &mut impl Read) -> io::Result<()> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !is_whole_head(&head)? {
        match stream.read(&mut buffer)? {
            0 => return Err(wrong("the server has closed before its answer")),
            count => head.extend(&buffer[..count]),
        }
    }
    Ok(())
}

/// Returns whether the answer's head is there. Error: it is no 101 for the key that was sent, or
/// the server speaks before the client does.
pub fn is_whole_head(bytes: &[u8]) -> io::Result<bool> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return Ok(false);
    }
    let accepted = bytes.windows(ACCEPT.len()).any(|window| window == ACCEPT);
    if bytes.starts_with(b"HTTP/1.1 101 ") && accepted {
        Ok(true)
    } else {
        Err(wrong(format!("no WebSocket: {}", String::from_utf8_lossy(bytes).escape_debug())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head =
            b"HTTP/1.1 101 Yes\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
        assert!(is_whole_head(head).unwrap());
        assert!(!is_whole_head(&head[..head.len() - 1]).unwrap());
        assert!(is_whole_head(b"HTTP/1.1 503 No\r\n\r\n").is_err());
        assert!(is_whole_head(b"HTTP/1.1 101 Yes\r\n\r\n").is_err());
    }
}
