//! The body of a request on its way: reads it from the socket, whole or piece by piece, within its
//! limit and its time.
//!
//! What is read at once and what is streamed takes the same way, so both have the same limits,
//! deadlines and errors. Time counts only while this waits for the client: a handler that stores each
//! piece slowly costs its client nothing. What has come earns time at
//! [`Limits::min_rate`](crate::limits::Limits::min_rate).

use crate::ground::limits::{Limits, CROSSING, REST_CROSSING, UNREAD};
use crate::http::body::{Body, BodyError};
use crate::http::head::Head;
use crate::net::reader::Socket;
use crate::net::stream::{after, write_all, Waited};
use crate::server::connections::Slot;
use std::io::{self, ErrorKind};
use std::thread;
use std::time::{Duration, Instant};

/// A body that has not been read to its end.
pub(crate) struct Incoming {
    body: Body,
    /// The most bytes of content: what the route takes, and what the handler has allowed so far.
    route: u64,
    limit: u64,
    /// Whether the client waits for `100 Continue`.
    expects: bool,
    waited: Waited,
    /// The first error, which every later read returns.
    failed: Option<BodyError>,
}

/// The connection over which a body comes.
pub(crate) struct On<'a> {
    pub socket: &'a mut Socket,
    pub slot: &'a Slot,
    pub limits: &'a Limits,
}

impl Incoming {
    /// Returns the body that this head announces, of which the route takes at most `limit` bytes.
    pub fn new(head: &Head, limit: u64) -> Incoming {
        let (body, expects) = (Body::new(head.body), head.expects_continue());
        Incoming { body, route: limit, limit, expects, waited: Waited::default(), failed: None }
    }

    /// Allows so many more bytes of content, or what the route allows if that is less. Error: the
    /// client has announced more.
    pub fn allow(&mut self, more: u64) -> Result<(), BodyError> {
        self.limit = self.body.passed().saturating_add(more).min(self.route);
        let room = self.limit.saturating_sub(self.body.passed());
        match self.body.left() {
            Some(left) if left > room => Err(self.fail(BodyError::TooLarge)),
            _ => Ok(()),
        }
    }

    /// Passes the next content to `take`, at most `most` bytes of it, and returns their number; 0 is
    /// the end of the body. Blocks until there is some.
    pub fn read(
        &mut self,
        on: &mut On,
        most: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, BodyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let read = self.advance(on, most, take);
        read.map_err(|error| self.fail(error))
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.failed = Some(error);
        error
    }

    fn advance(
        &mut self,
        on: &mut On,
        most: usize,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<usize, BodyError> {
        loop {
            let unread = on.socket.unread();
            let place = self.body.advance(unread, most, self.limit, on.limits)?;
            if !place.is_empty() {
                take(&unread[place.clone()]);
            }
            on.socket.consume(place.end);
            if !place.is_empty() || self.body.is_done() {
                return Ok(place.len());
            }
            self.wait(on)?;
        }
    }

    /// Asks the client for a body that it holds back. `answered` tells whether the head of the answer
    /// is out. An error is that of the next read.
    pub fn ask(&mut self, on: &On, answered: bool) {
        if self.failed.is_some() || !std::mem::take(&mut self.expects) {
            return;
        }
        if answered {
            self.failed = Some(BodyError::Unasked);
        } else if on.slot.is_closing() {
            self.failed = Some(BodyError::Closing);
        } else {
            let bytes: &[&[u8]] = &[b"HTTP/1.1 100 Continue\r\n\r\n"];
            let timeout = on.limits.write_timeout;
            let written = write_all(&**on.socket.stream(), bytes, timeout, on.limits);
            self.failed = written.err().map(|_| BodyError::CutShort);
        }
    }

    /// Reads once from the socket.
    fn wait(&mut self, on: &mut On) -> Result<(), BodyError> {
        let begun = Instant::now();
        let deadline = after(self.waited.left(on.limits.body_timeout));
        let read = fill(on.socket, on.slot, deadline, true);
        self.waited.add(begun.elapsed());
        match read {
            // The client may have sent the rest, and must know that nothing was done.
            Ok(0) if on.slot.is_closing() => Err(BodyError::Closing),
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(BodyError::Late),
            Ok(0) | Err(_) => Err(BodyError::CutShort),
            Ok(bytes) => {
                self.waited.earn(bytes, on.limits);
                Ok(())
            }
        }
    }

    /// Reads the whole rest. Memory grows with the bytes that have come, not with those announced,
    /// and never beyond those.
    pub fn read_whole(&mut self, on: &mut On) -> Result<Vec<u8>, BodyError> {
        let left = self.body.left().and_then(|left| left.try_into().ok());
        let most = left.unwrap_or(usize::MAX);
        let mut body = Vec::new();
        while !self.body.is_done() {
            self.read(on, usize::MAX, &mut |bytes| {
                if body.capacity() - body.len() < bytes.len() {
                    let size = (body.capacity() * 2).min(most).max(body.len() + bytes.len());
                    body.reserve_exact(size - body.len());
                }
                body.extend_from_slice(bytes);
            })?;
        }
        Ok(body)
    }

    pub fn is_done(&self) -> bool {
        self.body.is_done()
    }

    /// Returns whether the connection must end after the answer: the body has met an error, or what
    /// is left of it is not worth reading, or may never come.
    pub fn ends_connection(&self) -> bool {
        let left = self.body.left();
        self.failed.is_some()
            || left != Some(0) && (self.expects || left.map_or(true, |left| left > UNREAD as u64))
    }

    /// Reads and drops what is left, so that another request can follow.
    pub fn drain(&mut self, on: &mut On) -> Result<(), BodyError> {
        while self.read(on, usize::MAX, &mut |_| {})? > 0 {}
        Ok(())
    }
}

/// So that whatever reads from a [`BodyReader`](crate::http::BodyReader) passes the error on.
impl From<BodyError> for io::Error {
    fn from(error: BodyError) -> io::Error {
        let kind = match error {
            BodyError::Late => ErrorKind::TimedOut,
            BodyError::CutShort | BodyError::Closing => ErrorKind::UnexpectedEof,
            BodyError::Unasked => ErrorKind::Other,
            BodyError::TooLarge | BodyError::Chunked(_) => ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}

/// Reads once, as [`Socket::fill`] does, but looks again where the connection was asked to end and
/// finds the end of input: a request may cross. Linux delivers what arrives after the receiving side
/// was shut, so the thread waits for [`CROSSING`] and reads once more; while a request has `begun` to
/// come it goes on for [`REST_CROSSING`]. Other systems may drop such bytes. There the client sees
/// the end, as with any server that closes an idle connection, and asks again on a new one (RFC 9112,
/// 9.3.1).
pub(crate) fn fill(
    socket: &mut Socket,
    slot: &Slot,
    deadline: Instant,
    begun: bool,
) -> io::Result<usize> {
    let mut read = socket.fill(deadline)?;
    if read == 0 && slot.is_closing() {
        let rest = after(if begun { REST_CROSSING } else { Duration::ZERO });
        loop {
            thread::sleep(CROSSING);
            read = socket.fill(deadline)?;
            if read > 0 || rest <= Instant::now() {
                break;
            }
        }
    }
    Ok(read)
}
