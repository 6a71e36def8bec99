//! A floor: what one event loop costs when nothing is parsed.

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};

const DOOR: Token = Token(0);

struct Client {
    stream: TcpStream,
    /// Read and not yet written, from `at` on.
    waiting: Vec<u8>,
    at: usize,
}

pub fn serve() -> io::Result<()> {
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    let mut listener = TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, DOOR, Interest::READABLE)?;
    let (mut events, mut clients, mut newest) = (Events::with_capacity(1024), HashMap::new(), 0);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != DOOR {
                let Some(client) = clients.get_mut(&event.token()) else { continue };
                if !matches!(echo(client, &mut buffer), Ok(true)) {
                    clients.remove(&event.token());
                }
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                newest += 1;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(newest), both)?;
                clients.insert(Token(newest), Client { stream, waiting: Vec::new(), at: 0 });
            }
        }
    }
}

/// Moves what can be moved. Returns whether the client is still there.
fn echo(client: &mut Client, buffer: &mut [u8]) -> io::Result<bool> {
    loop {
        while client.at < client.waiting.len() {
            match client.stream.write(&client.waiting[client.at..]) {
                Ok(count) => client.at += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        client.waiting.clear();
        client.at = 0;
        let count = match client.stream.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let written = match client.stream.write(&buffer[..count]) {
            Ok(written) => written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        client.waiting.extend_from_slice(&buffer[written..count]);
    }
}
