//! The read half of a connection: a buffer that grows with what comes.
//!
//! A thread that is blocked in a read is woken by
//!
//! ```text
//! the peer        bytes, the end of its side, a reset
//! its own clock   the read timeout: no read lasts past the next deadline (fill, fill_within)
//! a sender        Outbox::close, when the client is cut off: shuts the socket in both directions
//! a newcomer      Connections::admit shuts the reading half of what has been idle longest
//! a shutdown      Connections::close shuts the reading half of what is no WebSocket; Connections::cut_off,
//!                 of what has not ended in time, both
//! ```
//!
//! A Close frame that is sent wakes nobody here: the client's answer does, or the clock, which shuts
//! the socket when none comes.

use crate::ground::limits::{LINGER_QUIET, READ_BUFFER};
use crate::net::stream::{after, is_timeout, Stream};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connected socket and what was read from it but not used.
pub(crate) struct Socket {
    stream: Arc<dyn Stream>,
    buffer: Vec<u8>,
    most: usize,
    start: usize,
    end: usize,
    /// The last read filled the buffer: most likely there is more.
    filled: bool,
    /// The read timeout that the system has now.
    timeout: Option<Duration>,
}

impl Socket {
    /// Returns a socket whose buffer grows to so many bytes if it is filled, and further only if
    /// nothing of that is used. Boxed, since it is handed from room to room on a stack that should
    /// stay small.
    pub fn new(stream: Arc<dyn Stream>, most: usize) -> Box<Socket> {
        let buffer = vec![0; READ_BUFFER];
        Box::new(Socket { stream, buffer, most, start: 0, end: 0, filled: false, timeout: None })
    }

    pub fn stream(&self) -> &Arc<dyn Stream> {
        &self.stream
    }

    /// Returns what was read and not used.
    pub fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Marks bytes at the front as used.
    pub fn consume(&mut self, bytes: usize) {
        self.start = self.start.saturating_add(bytes).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Reads once and returns how many bytes came; 0 is the end. From the deadline on, not before,
    /// the error is `TimedOut`, whatever there is to read.
    pub fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        loop {
            match deadline.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Err(ErrorKind::TimedOut.into()),
                left => match self.fill_within(left) {
                    // The system may round.
                    Err(error) if error.kind() == ErrorKind::TimedOut => {}
                    result => return result,
                },
            }
        }
    }

    /// Reads once, for which it waits for so long, and returns how many bytes came; 0 is the end.
    /// The error is `TimedOut` when none came. It needs no look at the clock.
    pub fn fill_within(&mut self, mut patience: Duration) -> io::Result<usize> {
        self.make_room();
        loop {
            // A shorter timeout that was set before costs one more call when nothing comes; a
            // system call for each read would cost more.
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
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
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

    /// Moves unread bytes to the front, and grows a buffer that the last read filled: by 4 up to
    /// `most`, then, since a request head may be allowed to be larger, by 2. What is kept unread
    /// is bounded by those who parse it.
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

    /// Makes the buffer of a quiet connection small again.
    pub fn shrink(&mut self) {
        if self.end == 0 && self.buffer.len() > READ_BUFFER {
            self.buffer = vec![0; READ_BUFFER];
        }
    }

    /// Ends the connection so that the peer can read the last answer: says that nothing follows,
    /// and drops what the peer still sends.
    pub fn linger(&mut self, longest: Duration) {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let deadline = after(longest);
        loop {
            self.consume(usize::MAX);
            match self.fill(deadline.min(after(LINGER_QUIET))) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }
}
