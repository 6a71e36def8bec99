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

/// What the request ends with where compression is wanted, of each message by itself (RFC 7692,
/// 7.1.1).
const OFFER: &[u8] = b"\r\nSec-WebSocket-Extensions: permessage-deflate; \
    server_no_context_takeover; client_no_context_takeover\r\n\r\n";

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
    let greeting = match wire {
        Wire::WebSocket | Wire::Tls => REQUEST.to_vec(),
        Wire::Deflate => [REQUEST.trim_ascii_end(), OFFER].concat(),
        Wire::Raw => HELLO.to_vec(),
    };
    while streams.len() < count {
        let from = streams.len();
        for _ in from..count.min(from + AT_A_TIME) {
            let tcp = TcpStream::connect(address)?;
            tcp.set_nodelay(true)?;
            tcp.set_read_timeout(Some(SILENCE))?;
            let mut stream = Connection::new(tcp, wire)?;
            stream.write_all(&greeting)?;
            streams.push(stream);
        }
        streams[from..].iter_mut().try_for_each(|stream| match wire {
            Wire::Raw => stream.read_exact(&mut [0; HELLO.len()]),
            _ => match read_head(stream)? {
                head if wire == Wire::Deflate && !is_agreed(&head) => {
                    Err(wrong("the server does not agree to compress each message by itself"))
                }
                _ => Ok(()),
            },
        })?;
    }
    Ok(streams)
}

fn read_head(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = [0; 1024];
    while !is_whole_head(&head)? {
        match stream.read(&mut buffer)? {
            0 => return Err(wrong("the server has closed before its answer")),
            count => head.extend(&buffer[..count]),
        }
    }
    Ok(head)
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

/// Returns whether the answer's head agrees to the offer: the server need not repeat what binds the
/// client alone.
fn is_agreed(head: &[u8]) -> bool {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let extensions = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions:"));
    let mut parts = extensions.unwrap_or_default().split(';').map(str::trim);
    parts.next() == Some("permessage-deflate")
        && parts.any(|part| part == "server_no_context_takeover")
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

    #[test]
    fn compression_is_agreed_on_only_for_each_message_by_itself() {
        let head = |line: &str| format!("HTTP/1.1 101 Yes\r\n{line}\r\n\r\n").into_bytes();
        assert!(is_agreed(&head(
            "Sec-WebSocket-Extensions: permessage-deflate; \
            client_no_context_takeover; server_no_context_takeover"
        )));
        assert!(!is_agreed(&head("Sec-WebSocket-Extensions: permessage-deflate")));
        assert!(!is_agreed(&head("Sec-WebSocket-Extensions: x; server_no_context_takeover")));
        assert!(!is_agreed(&head("Server: permessage-deflate; server_no_context_takeover")));
    }
}
