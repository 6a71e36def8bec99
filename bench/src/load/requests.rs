//! HTTP requests: each connection keeps a number of them in flight, and sends one for each answer,
//! or connects anew where each ends its connection.

use crate::load::connection::Connection;
use crate::load::wait::{write_some, Waiter};
use crate::load::{wrong, Load};
use crate::servers::{Wire, LARGE, LETTER, SMALL};
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Instant;

/// The longest head of an answer, in bytes: what is longer is none.
const HEAD: usize = 4096;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub large: bool,
    /// Whether each request ends its connection.
    pub close: bool,
    pub in_flight: usize,
}

pub struct Requests {
    waiter: Waiter,
    clients: Vec<Client>,
    script: Script,
    buffer: Vec<u8>,
    done: u64,
}

struct Script {
    address: SocketAddr,
    /// So many requests as may be in flight, of the same length each.
    requests: Vec<u8>,
    length: usize,
    body: usize,
    close: bool,
}

struct Client {
    stream: Connection<TcpStream>,
    /// Bytes that were sent, and requests that were answered, on this connection.
    sent: usize,
    answered: usize,
    reply: Reply,
}

/// What has come of an answer.
enum Reply {
    Head(Vec<u8>),
    /// Bytes of the body that are missing.
    Body(usize),
}

impl Requests {
    pub fn new(address: SocketAddr, connections: usize, ask: Ask) -> io::Result<Requests> {
        let target = if ask.large { "/large" } else { "/" };
        let connection = if ask.close { "Connection: close\r\n" } else { "" };
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n{connection}\r\n");
        let script = Script {
            address,
            requests: request.repeat(ask.in_flight).into_bytes(),
            length: request.len(),
            body: if ask.large { LARGE } else { SMALL },
            close: ask.close,
        };
        let waiter = Waiter::new()?;
        let clients = (0..connections).map(|index| Client::new(&script, &waiter, index));
        let clients = clients.collect::<io::Result<_>>()?;
        Ok(Requests { waiter, clients, script, buffer: vec![0; 256 * 1024], done: 0 })
    }
}

impl Load for Requests {
    fn run_until(&mut self, end: Instant) -> io::Result<()> {
        let Requests { waiter, clients, script, buffer, done } = self;
        while Instant::now() < end {
            let mut over = Vec::new();
            waiter.wait(end, |index| {
                let client = &mut clients[index];
                let before = client.answered;
                if client.read(script, buffer)? {
                    over.push(index);
                } else {
                    client.write(script)?;
                }
                *done += (client.answered - before) as u64;
                Ok(())
            })?;
            for index in over {
                clients[index] = Client::new(script, waiter, index)?;
            }
        }
        Ok(())
    }

    fn done(&self) -> f64 {
        self.done as f64
    }

    fn in_flight(&self) -> f64 {
        (self.clients.len() * self.script.requests.len() / self.script.length) as f64
    }
}

impl Client {
    fn new(script: &Script, waiter: &Waiter, index: usize) -> io::Result<Client> {
        let mut stream = Connection::new(TcpStream::connect(script.address)?, Wire::Raw)?;
        waiter.add(&mut stream.tcp, index)?;
        Ok(Client { stream, sent: 0, answered: 0, reply: Reply::Head(Vec::new()) })
    }

    /// Reads what is there. Returns whether the server has ended the connection, as it was asked to.
    fn read(&mut self, script: &Script, buffer: &mut [u8]) -> io::Result<bool> {
        loop {
            match self.stream.read(buffer) {
                Ok(0) if script.close && self.answered == 1 => return Ok(true),
                Ok(0) => return Err(wrong("the server has closed a connection")),
                Ok(count) => self.take(script, &buffer[..count])?,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn take(&mut self, script: &Script, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.reply {
                Reply::Head(head) => {
                    let before = head.len();
                    head.extend(&bytes[..bytes.len().min(HEAD)]);
                    let Some(length) = whole_head(head, script.body)? else { return Ok(()) };
                    bytes = &bytes[length - before..];
                    self.reply = Reply::Body(script.body);
                }
                Reply::Body(missing) => {
                    let (body, rest) = bytes.split_at(bytes.len().min(*missing));
                    if body.iter().any(|byte| *byte != LETTER) {
                        return Err(wrong("a body is not what was asked for"));
                    }
                    *missing -= body.len();
                    bytes = rest;
                    if *missing == 0 {
                        self.answered += 1;
                        self.reply = Reply::Head(Vec::new());
                    }
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, script: &Script) -> io::Result<()> {
        let whole = script.requests.len();
        let most = if script.close { whole } else { self.answered * script.length + whole };
        while self.sent < most {
            let from = self.sent % script.length;
            let to_send = &script.requests[from..whole.min(from + most - self.sent)];
            match write_some(&mut self.stream, to_send) {
                Ok(0) => return Ok(()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns the length of the head, once it is whole. Error: it is not that of an answer with a body of
/// this length.
fn whole_head(bytes: &[u8], body: usize) -> io::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return match bytes.len() {
            0..HEAD => Ok(None),
            _ => Err(wrong("the head of an answer does not end")),
        };
    };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let right = head.starts_with("http/1.1 200 ")
        && head.lines().any(|line| line == format!("content-length: {body}"));
    match right {
        true => Ok(Some(end + 4)),
        false => Err(wrong(format!("not an answer: {}", head.escape_debug()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_whole_at_its_empty_line_and_names_the_length_that_was_asked_for() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 125\r\n\r\nx";
        assert_eq!(whole_head(head, 125).unwrap(), Some(head.len() - 1));
        assert_eq!(whole_head(&head[..head.len() - 2], 125).unwrap(), None);
        assert!(whole_head(head, 12).is_err());
        assert!(whole_head(b"HTTP/1.1 503 No\r\nContent-Length: 125\r\n\r\n", 125).is_err());
        assert!(whole_head(&[b'x'; HEAD], 125).is_err());
    }
}
