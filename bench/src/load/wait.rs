//! Waiting for sockets.

use crate::load::connection::Connection;
use crate::load::{wrong, SILENCE};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, ErrorKind, Read, Write};
use std::time::{Duration, Instant};

/// The event loop's heart.
pub struct Waiter {
    poll: Poll,
    events: Events,
    last: Instant,
}

impl Waiter {
    pub fn new() -> io::Result<Waiter> {
        let events = Events::with_capacity(1024);
        Ok(Waiter { poll: Poll::new()?, events, last: Instant::now() })
    }

    /// Tells this waiter to look after a socket. It tells once when something changes, so whoever
    /// is told reads and writes until nothing is left.
    pub fn add(&self, stream: &mut TcpStream, index: usize) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(stream, Token(index), both)
    }

    /// Takes over sockets that were opened in the blocking way.
    pub fn adopt(
        &self,
        streams: Vec<Connection<std::net::TcpStream>>,
    ) -> io::Result<Vec<Connection<TcpStream>>> {
        let adopted = streams.into_iter().enumerate().map(|(index, stream)| {
            stream.map(|tcp| {
                tcp.set_nonblocking(true)?;
                let mut tcp = TcpStream::from_std(tcp);
                self.add(&mut tcp, index)?;
                Ok(tcp)
            })
        });
        adopted.collect()
    }

    /// Waits, but not past `end`, and calls `ready` for each socket that may have news.
    pub fn wait(
        &mut self,
        end: Instant,
        mut ready: impl FnMut(usize) -> io::Result<()>,
    ) -> io::Result<()> {
        let now = Instant::now();
        let left = end.saturating_duration_since(now).min(Duration::from_millis(100));
        match self.poll.poll(&mut self.events, Some(left)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => result?,
        }
        if !self.events.is_empty() {
            self.last = now;
        } else if now.duration_since(self.last) > SILENCE {
            return Err(wrong("the server has gone silent"));
        }
        for event in &self.events {
            ready(event.token().0)?;
        }
        Ok(())
    }
}

/// Reads what is there, piece by piece.
pub fn read_all(
    stream: &mut Connection<TcpStream>,
    buffer: &mut [u8],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return Err(wrong("the server has closed a connection")),
            Ok(count) => {
                take(&buffer[..count])?;
                if count < buffer.len() && stream.is_drained() {
                    return Ok(());
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Writes as much as the socket takes. Returns how much.
pub fn write_some(stream: &mut Connection<TcpStream>, bytes: &[u8]) -> io::Result<usize> {
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}
