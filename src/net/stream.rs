//! What a connection needs of its transport: a few calls on its socket, and deadlines that are
//! totals.
//!
//! A timeout of the system starts anew with each call, so a peer that sends or takes a byte now and
//! then never exceeds it. A deadline is a point in time, and each call gets what is left until
//! then.

use crate::ground::limits::{Limits, CREDIT};
use crate::ground::system::{BRITTLE, PIECE};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// A connection as the server needs it: one thread reads it, one thread at a time writes, and any
/// thread may end it. They share one descriptor.
///
/// [`TcpStream`] is one, and on Unix `UnixStream`; a transport of the application's own, such as one
/// that encrypts, goes around another one. [`testing::conformance`](crate::testing::conformance)
/// proves that it keeps this contract.
///
/// ```
/// use sockling::net::Stream;
/// use std::net::{Shutdown, TcpListener, TcpStream};
/// use std::time::{Duration, Instant};
/// use std::io;
///
/// /// Adds one to each byte that is sent.
/// struct Shifted<S>(S);
///
/// impl<S: Stream> Stream for Shifted<S> {
///     fn open(&self, deadline: Instant) -> io::Result<()> {
///         self.0.open(deadline)
///     }
///     fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
///         self.0.read(buffer)
///     }
///     fn write(&self, bytes: &[u8]) -> io::Result<usize> {
///         self.0.write(&bytes.iter().map(|byte| byte.wrapping_add(1)).collect::<Vec<u8>>())
///     }
///     fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
///         self.0.set_read_timeout(timeout)
///     }
///     fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
///         self.0.set_write_timeout(timeout)
///     }
///     fn shutdown(&self, how: Shutdown) -> io::Result<()> {
///         self.0.shutdown(how)
///     }
///     fn is_brittle(&self) -> bool {
///         self.0.is_brittle()
///     }
/// }
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let near = Shifted(TcpStream::connect(listener.local_addr()?)?);
/// let (far, _) = listener.accept()?;
/// assert_eq!((near.write(b"HAL")?, near.is_brittle()), (3, cfg!(windows)));
/// let mut bytes = [0; 3];
/// Stream::read(&far, &mut bytes)?;
/// assert_eq!(&bytes, b"IBM");
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait Stream: Send + Sync {
    /// Does what must precede the first byte, such as a handshake: once, on the connection's own
    /// thread, after the server has admitted it and before the first read. `deadline` is total.
    /// Default: nothing.
    ///
    /// After an error the connection ends without an answer. A client that is refused for lack of
    /// room is written to and read from without a call of this; an encrypting stream then fails.
    fn open(&self, deadline: Instant) -> io::Result<()> {
        let _ = deadline;
        Ok(())
    }
    /// Reads once, and returns the number of bytes. One thread at a time calls it. It never writes,
    /// nor waits for a thread that does.
    ///
    /// 0 is the end: the peer said that nothing follows, or the receiving side was shut here and all
    /// that had come is read. `UnexpectedEof` is a peer that has gone without saying so.
    /// `WouldBlock` or `TimedOut`: the read timeout has passed in total, however many reads of the
    /// system it took. `Interrupted`: nothing has happened, and the caller tries again.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes, and returns the number of bytes that the system took. One thread at a time may call
    /// it, while others read or shut the connection down.
    ///
    /// It goes on until everything is taken, the write timeout has passed, or an error occurs. A
    /// number below the length means that it gave up. If it gave up with nothing taken, that is an
    /// error, `WouldBlock` or `TimedOut`, and never 0; an error after some bytes were taken is
    /// returned by the next call. The next call begins with the bytes that were not taken, or there
    /// is no next call: a transport that encrypts may have sent a part of them already.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Makes reads give up after this time. Zero is the shortest that the system has.
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Makes writes give up after this time. What was taken until then is taken. Zero is the
    /// shortest that the system has.
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()>;
    /// Shuts down one direction or both, and wakes a thread that is blocked there. What came before
    /// can still be read. Any thread calls it at any time. It takes no lock that is held in a read
    /// or a write, and blocks for 8 ms at most, for a farewell of the transport's own.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    /// Returns whether nothing may be written after a write that gave up, because the system does
    /// not say how much of it was taken: sockets of Windows. A stream around another one returns
    /// what that one does. Default false.
    fn is_brittle(&self) -> bool {
        false
    }
}

/// The standard library refuses a timeout of zero, which would be none, and rounds this one up.
const SHORTEST: Duration = Duration::from_nanos(1);

macro_rules! socket {
    ($socket:ty, $brittle:expr) => {
        impl Stream for $socket {
            fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
                Read::read(&mut &*self, buffer)
            }

            fn write(&self, bytes: &[u8]) -> io::Result<usize> {
                let most = if self.is_brittle() { PIECE } else { usize::MAX };
                Write::write(&mut &*self, &bytes[..bytes.len().min(most)])
            }

            fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_read_timeout(self, Some(timeout.max(SHORTEST)))
            }

            fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
                <$socket>::set_write_timeout(self, Some(timeout.max(SHORTEST)))
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                <$socket>::shutdown(self, how)
            }

            fn is_brittle(&self) -> bool {
                $brittle
            }
        }
    };
}

socket!(TcpStream, BRITTLE);
#[cfg(unix)]
socket!(std::os::unix::net::UnixStream, false);

/// How long this side has waited for a peer, and the time that the peer's progress has earned.
#[derive(Clone, Copy, Default)]
pub(crate) struct Waited {
    time: Duration,
    earned: Duration,
}

impl Waited {
    pub fn add(&mut self, time: Duration) {
        self.time = self.time.saturating_add(time);
    }

    /// Adds what so many bytes earn. What is earned in advance is bounded, or the peer of a long
    /// stream could pause for hours.
    pub fn earn(&mut self, bytes: usize, limits: &Limits) {
        let most = self.time.saturating_add(limits.earned(CREDIT));
        self.earned = self.earned.saturating_add(limits.earned(bytes)).min(most);
    }

    /// Returns how much longer this side waits.
    pub fn left(self, timeout: Duration) -> Duration {
        timeout.saturating_add(self.earned).saturating_sub(self.time)
    }
}

/// Sets the stream's write timeout, and writes all parts, or fails once the wait exceeds `timeout` and
/// what the bytes that were taken have earned.
pub(crate) fn write_all(
    stream: &dyn Stream,
    parts: &[&[u8]],
    timeout: Duration,
    limits: &Limits,
) -> io::Result<()> {
    stream.set_write_timeout(timeout)?;
    write_parts(stream, parts, timeout, limits)
}

/// Does the same on a stream that has this write timeout, before and after, so that what the system's
/// buffers take is one call for each part.
pub(crate) fn write_parts(
    stream: &dyn Stream,
    parts: &[&[u8]],
    timeout: Duration,
    limits: &Limits,
) -> io::Result<()> {
    let mut waited = Waited::default();
    parts.iter().try_for_each(|part| write_part(stream, part, timeout, limits, &mut waited))
}

/// Writes the bytes, like [`write_parts`], and goes on with the wait of earlier writes.
pub(crate) fn write_part(
    stream: &dyn Stream,
    mut bytes: &[u8],
    timeout: Duration,
    limits: &Limits,
    waited: &mut Waited,
) -> io::Result<()> {
    let mut begun = Instant::now();
    let mut set = timeout;
    while !bytes.is_empty() {
        let left = waited.left(timeout).min(timeout).max(Duration::from_millis(1));
        if set != left {
            stream.set_write_timeout(left)?;
            set = left;
        }
        let written = stream.write(bytes);
        let now = Instant::now();
        waited.add(now.saturating_duration_since(begun));
        begun = now;
        match written {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(taken) => {
                bytes = &bytes[taken..];
                waited.earn(taken, limits);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if !is_timeout(&error) => return Err(error),
            Err(_) => {}
        }
        if waited.left(timeout).is_zero() && !bytes.is_empty() {
            return Err(ErrorKind::TimedOut.into());
        }
    }
    if set != timeout {
        stream.set_write_timeout(timeout)?;
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
