//! What a connection needs of the system: five calls on its socket, and deadlines that are totals.
//!
//! A timeout of the system starts anew with each call, so a peer that sends or takes a byte now
//! and then never meets it. A deadline is a point in time, and each call gets what is left of it.

use crate::ground::limits::WRITE_RATE;
use crate::ground::system::{BRITTLE, PIECE};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// Bytes up to which two parts are joined, on the stack and on the heap; longer ones are written
/// one after the other. No list of parts is handed to the system: std's call for that lets a peer
/// that has gone raise SIGPIPE, which ends a host program that does not ignore it.
const JOINED: (usize, usize) = (128, 16 * 1024);

/// A connected socket. Its one descriptor is shared: one thread reads, any may write.
pub(crate) trait Stream: Send + Sync {
    /// Reads once and returns how many bytes came; 0 is the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes the bytes of both parts and returns how many the system took.
    fn write(&self, parts: [&[u8]; 2]) -> io::Result<usize>;
    /// Has reads give up after so long.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Has writes give up after so long. What was taken until then is taken.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Ends one direction or both, and wakes who is blocked there.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    /// Returns whether nothing may be written any more after a write that gave up: of what was taken
    /// the system then says nothing.
    fn is_brittle(&self) -> bool;
}

impl Stream for TcpStream {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &*self, buffer)
    }

    fn write(&self, parts: [&[u8]; 2]) -> io::Result<usize> {
        if self.is_brittle() {
            let part = if parts[0].is_empty() { parts[1] } else { parts[0] };
            return Write::write(&mut &*self, &part[..part.len().min(PIECE)]);
        }
        write_parts(parts, |bytes| Write::write(&mut &*self, bytes))
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_read_timeout(self, Some(timeout))
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        TcpStream::set_write_timeout(self, Some(timeout))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        TcpStream::shutdown(self, how)
    }

    fn is_brittle(&self) -> bool {
        BRITTLE
    }
}

/// Writes the bytes of both parts by one call that takes one, or by two. Returns how many were
/// taken; an error says that none was.
#[inline]
pub(crate) fn write_parts(
    parts: [&[u8]; 2],
    mut once: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<usize> {
    let [first, second] = parts;
    let all = first.len() + second.len();
    if second.is_empty() {
        once(first)
    } else if all <= JOINED.0 {
        let mut joined = [0; JOINED.0];
        joined[..first.len()].copy_from_slice(first);
        joined[first.len()..all].copy_from_slice(second);
        once(&joined[..all])
    } else if all <= JOINED.1 {
        once(&parts.concat())
    } else {
        match once(first)? {
            some if some == first.len() => loop {
                match once(second) {
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // Another error comes again at the next call.
                    result => break Ok(some + result.unwrap_or(0)),
                }
            },
            some => Ok(some),
        }
    }
}

/// Writes all of it before the deadline, or fails. The stream's write timeout is changed.
pub(crate) fn write_all(
    stream: &dyn Stream,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_write_timeout(left.max(Duration::from_millis(1)))?;
        match stream.write([bytes, &[]]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => bytes = &bytes[taken..],
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

/// Returns when a write of so many bytes that begins at once must be done.
pub(crate) fn write_deadline(timeout: Duration, bytes: usize) -> Instant {
    after(timeout.saturating_add(Duration::from_secs(bytes as u64 / WRITE_RATE)))
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
