//! The read half of a connection: a buffer, and deadlines that are totals.
//!
//! A read timeout of the system starts anew with each call, so a peer that sends an octet now and
//! then never meets it. Here a deadline is a point in time, and each call gets what is left of it.

use crate::limits::{LINGER_QUIET, READ_BUFFER, WRITE_RATE};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A connected socket and what was read from it but not used.
pub(crate) struct Socket {
    stream: Arc<TcpStream>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The read timeout that the system has now.
    timeout: Option<Duration>,
}

impl Socket {
    pub fn new(stream: Arc<TcpStream>) -> Socket {
        Socket { stream, buffer: vec![0; READ_BUFFER.0], start: 0, end: 0, timeout: None }
    }

    pub fn stream(&self) -> &Arc<TcpStream> {
        &self.stream
    }

    /// Returns what was read and not used.
    pub fn unread(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    /// Marks octets at the front as used.
    pub fn consume(&mut self, octets: usize) {
        self.start = self.start.saturating_add(octets).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Reads once and returns how many octets came; 0 is the end. From the deadline on, not before,
    /// the error is `TimedOut`, whatever there is to read.
    pub fn fill(&mut self, deadline: Instant) -> io::Result<usize> {
        self.make_room();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.set_timeout(left)?;
            match (&*self.stream).read(&mut self.buffer[self.end..]) {
                Ok(octets) => {
                    self.end += octets;
                    return Ok(octets);
                }
                Err(error) if is_timeout(&error) => {
                    self.timeout = None;
                    if self.end == 0 && self.buffer.len() > READ_BUFFER.0 {
                        self.buffer = vec![0; READ_BUFFER.0]; // quiet: give the memory back
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Moves unread octets to the front, and grows a buffer that the last read filled: by 4 up to
    /// 64 KiB, then, since a request head may be allowed to be larger, by 2. What is kept unread
    /// is bounded by those who parse it.
    fn make_room(&mut self) {
        if self.end < self.buffer.len() {
            return;
        }
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let size = self.buffer.len();
        let larger = if size < READ_BUFFER.1 { size * 4 } else { size * 2 };
        if size < READ_BUFFER.1 || self.end == size {
            self.buffer.resize(larger, 0);
        }
    }

    /// Makes reads give up at the deadline or before. An earlier wake-up costs one look at the
    /// clock, a system call for each read would cost more; so a timeout is changed only when it
    /// would be late.
    fn set_timeout(&mut self, left: Duration) -> io::Result<()> {
        let left = left.max(Duration::from_millis(1));
        if self.timeout.map_or(true, |set| set > left) {
            self.stream.set_read_timeout(Some(left))?;
            self.timeout = Some(left);
        }
        Ok(())
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

/// Writes all of it before the deadline, or fails. The stream's write timeout is changed.
pub(crate) fn write_all(
    mut stream: &TcpStream,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(octets) => bytes = &bytes[octets..],
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.is_empty() {
            return Ok(());
        }
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
    }
}

/// Returns when a write of so many octets that begins at once must be done.
pub(crate) fn write_deadline(timeout: Duration, octets: usize) -> Instant {
    after(timeout.saturating_add(Duration::from_secs(octets as u64 / WRITE_RATE)))
}

/// Returns the point in time so long after now; a time that the system cannot count is a day.
pub(crate) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + Duration::from_secs(86_400))
}

/// Returns whether a call gave up at its timeout; Unix and Windows name it differently.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
