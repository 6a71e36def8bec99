//! The read half of a connection: a buffer that grows with what comes.
//!
//! Only the connection's own thread reads its socket. What wakes that thread from a read:
//!
//! ```text
//! the peer      bytes, the end of its side, a reset
//! the timeout   no read lasts past the next deadline (fill, fill_within)
//! a sender      Outbox::overflow shuts the socket of a client that is cut off
//! a writer      Outbox::lose shuts it after a failed write; Outbox::cut_off at the deadline of a
//!               write, or where no flusher can be started for a client that does not read
//! the clock     Outbox::cut_off_late shuts it if the client does not answer a Close frame in time
//! a newcomer    Connections::admit shuts the receiving side of the connection idle longest
//! a shutdown    Connections::close shuts the receiving side of whatever is not a WebSocket;
//!               Connections::cut_off shuts the socket of whatever has not ended in time
//! ```
//!
//! A Close frame that is sent does not wake it; the client's answer does.

use crate::ground::limits::READ_BUFFER;
use crate::net::stream::{after, is_timeout, Stream};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connected socket, with what was read from it and not used yet.
pub(crate) struct Socket {
    stream: Arc<dyn Stream>,
    buffer: Vec<u8>,
    most: usize,
    start: usize,
    end: usize,
    /// Whether the last read filled the buffer: most likely there is more.
    filled: bool,
    /// The read timeout that is set on the socket.
    timeout: Option<Duration>,
}

impl Socket {
    /// Returns a socket whose buffer grows to `most` bytes if reads fill it, and further only if
    /// none of them can be used. Boxed, to keep it off the stack.
    pub fn new(stream: Arc<dyn Stream>, most: usize) -> Box<Socket> {
        let buffer = vec![0; READ_BUFFER];
        Box::new(Socket { stream, buffer, most, start: 0, end: 0, filled: false, timeout: None })
    }

    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    /// Returns what was read and not used yet.
    pub fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Returns whether so many bytes or more were read and not used yet.
    pub fn has_unread(&self, bytes: usize) -> bool {
        self.end - self.start >= bytes
    }

    /// Marks so many bytes at the front as used.
    pub fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Removes so many bytes from what is unread, from this place on.
    pub fn remove(&mut self, at: usize, bytes: usize) {
        let begin = self.start + at;
        self.buffer.copy_within(begin + bytes..self.end, begin);
        self.end -= bytes;
    }

    /// Reads once and returns how many bytes came; 0 is the end of input. At the deadline, and not
    /// before it, the error is `TimedOut`, even if there is something to read.
    pub fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        loop {
            match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(ErrorKind::TimedOut.into()),
                left => match self.fill_within(left) {
                    // The system may round the timeout down.
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    result => return result,
                },
            }
        }
    }

    /// Reads once, waiting for `patience` at most, and returns how many bytes came; 0 is the end of
    /// input. The error is `TimedOut` if none came. Unlike [`fill`](Socket::fill) it does not read
    /// the clock, except after a signal.
    pub fn fill_within(&mut self, mut patience: Duration) -> io::Result<usize> {
        self.make_room();
        let mut interrupted = None;
        loop {
            // A shorter timeout that is set already costs another read when nothing comes. To set
            // it for each read would cost a system call each time.
            let timeout = match self.timeout {
                Some(timeout) if timeout <= patience => timeout,
                _ => self.set_timeout(patience)?,
            };
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(bytes) => {
                    self.end += bytes;
                    self.filled = self.end == self.buffer.len();
                    return Ok(bytes);
                }
                Err(error) if is_timeout(&error) => {
                    self.timeout = None;
                    patience = patience.saturating_sub(timeout);
                    if patience.is_zero() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                // The system's timeout begins anew. A program that gets signals all the time, as from
                // a profiler, would wait for ever.
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    let now = Instant::now();
                    let end = *interrupted.get_or_insert_with(|| after(patience));
                    patience = end.saturating_duration_since(now);
                    if patience.is_zero() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn set_timeout(&mut self, timeout: Duration) -> io::Result<Duration> {
        let timeout = timeout.max(Duration::from_millis(1));
        self.stream.set_read_timeout(timeout)?;
        self.timeout = Some(timeout);
        Ok(timeout)
    }

    /// Makes room in a buffer that the last read filled: moves the unread bytes to the front, and
    /// grows the buffer fourfold up to `most`. Beyond that it grows twofold, and only where no byte
    /// was used, since a request head may be allowed to be larger. The parsers bound how much stays
    /// unread.
    fn make_room(&mut self) {
        if !std::mem::take(&mut self.filled) {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = self.buffer.len();
        if size < self.most {
            self.buffer.resize((size * 4).min(self.most), 0);
        } else if self.end == size {
            self.buffer.resize(size * 2, 0);
        }
    }

    /// Shrinks the buffer of a quiet connection.
    pub fn shrink(&mut self) {
        if self.end == 0 && self.buffer.len() > READ_BUFFER {
            self.buffer = vec![0; READ_BUFFER];
        }
    }

    /// Ends the connection so that the peer can read the last answer: shuts the sending side, then
    /// reads and drops what the peer sends until its end, for so long at most (RFC 9112, 9.6). A
    /// peer that is quiet meanwhile may only be on a slow network.
    pub fn linger(&mut self, longest: Duration) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = after(longest);
        loop {
            self.consume(usize::MAX);
            match self.fill(deadline) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
