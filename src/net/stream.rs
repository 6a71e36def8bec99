//! What a connection needs of the system: five calls on its socket, and deadlines that are totals.
//!
//! A timeout of the system starts anew with each call, so a peer that sends or takes a byte now
//! and then never meets it. A deadline is a point in time, and each call gets what is left of it.

use crate::ground::limits::WRITE_RATE;
use crate::ground::system::{BRITTLE, PIECE};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A connected socket. Its one descriptor is shared: one thread reads, any may write.
pub(crate) trait Stream: Send + Sync {
    /// Reads once and returns how many bytes came; 0 is the end.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes, and returns how many bytes the system took; one thread at a time, while another one may
    /// read or shut the socket. It goes on until all are taken, the write timeout has passed, or an
    /// error comes. Fewer than all say that it gave up. When none was taken that is an error,
    /// `WouldBlock` or `TimedOut`, and never 0; an error behind some that were taken comes at the
    /// next call. The next call begins with the bytes that were not taken, or there is none: a
    /// transport that encrypts may have sent a part of them already.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
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

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let most = if self.is_brittle() { PIECE } else { usize::MAX };
        Write::write(&mut &*self, &bytes[..bytes.len().min(most)])
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

/// Writes all of it before the deadline, or fails. The stream's write timeout is changed.
pub(crate) fn write_all(
    stream: &dyn Stream,
    mut bytes: &[u8],
    deadline: Instant,
) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        stream.set_write_timeout(left.max(Duration::from_millis(1)))?;
        match stream.write(bytes) {
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
