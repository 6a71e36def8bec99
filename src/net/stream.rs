//! What a connection needs of the system: five calls on its socket, and deadlines that are totals.
//!
//! A timeout of the system starts anew with each call, so a peer that sends or takes a byte now and
//! then never exceeds it. A deadline is a point in time, and each call gets what is left until
//! then.

use crate::ground::limits::Limits;
use crate::ground::system::{BRITTLE, PIECE};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A connected socket. One thread reads it, and one thread at a time writes; they share one
/// descriptor.
pub(crate) trait Stream: Send + Sync {
    /// Reads once, and returns the number of bytes: 0 at the end of the input, and once the receiving
    /// side was shut and all that had come is read.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes, and returns the number of bytes that the system took. One thread at a time may call
    /// it, while another one reads or shuts the socket down.
    ///
    /// It goes on until everything is taken, the write timeout has passed, or an error occurs. A
    /// number below the length means that it gave up. If it gave up with nothing taken, that is an
    /// error, `WouldBlock` or `TimedOut`, and never 0; an error after some bytes were taken is
    /// returned by the next call. The next call begins with the bytes that were not taken, or there
    /// is no next call: a transport that encrypts may have sent a part of them already.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes reads give up after this time.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Makes writes give up after this time. What was taken until then is taken.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Shuts down one direction or both, and wakes a thread that is blocked there. What came before
    /// can still be read.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    /// Returns whether nothing may be written after a write that gave up, because the system does
    /// not say how much of it was taken.
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

/// Writes all parts, or fails once `timeout`, and what the bytes that were taken have earned, has
/// passed. Changes the stream's write timeout.
pub(crate) fn write_all(
    stream: &dyn Stream,
    parts: &[&[u8]],
    timeout: Duration,
    limits: &Limits,
) -> io::Result<()> {
    let begun = Instant::now();
    let mut total = 0;
    for part in parts {
        let mut bytes = *part;
        while !bytes.is_empty() {
            let time = timeout.saturating_add(limits.earned(total));
            let left = time.saturating_sub(begun.elapsed());
            stream.set_write_timeout(left.max(Duration::from_millis(1)))?;
            match stream.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    bytes = &bytes[taken..];
                    total += taken;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if !is_timeout(&error) => return Err(error),
                Err(_) => {}
            }
            if left.is_zero() && !bytes.is_empty() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
    Ok(())
}

/// Returns the point in time that is `time` from now, or a day from now if the system cannot
/// represent it.
pub(crate) fn after(time: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(time).unwrap_or(now + Duration::from_secs(86_400))
}

/// Returns whether a call gave up at its timeout. Unix and Windows have different names for that.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
