//! What the systems that this runs on do differently, and how a thread is started. No other file
//! asks which system it is.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Whether a socket is of no use any more once a write has given up at its timeout (Windows says so
/// of SO_SNDTIMEO). There a client that takes no [`PIECE`] within a [`HOLD`] is cut off.
pub(crate) const BRITTLE: bool = cfg!(windows);
/// Most octets of one write to such a socket.
pub(crate) const PIECE: usize = 16 * 1024;
/// Time that a write to such a socket may hold the sending thread.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

/// Whether a segment of a path may name a drive, a stream or a device.
pub(crate) const WINDOWS_NAMES: bool = cfg!(windows);

/// Starts a thread with so many octets of stack that does one job. Error: the system has no room
/// for it.
pub(crate) fn start_thread(
    name: &str,
    stack: usize,
    job: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    // Boxed by the caller, so that this is compiled once.
    thread::Builder::new().name(name.to_string()).stack_size(stack).spawn(job).map(drop)
}

/// Returns 256 bits that nobody can guess, or `None` on a system that has no file of them. Where it
/// has, its failure is an error, and nothing weaker takes its place.
pub(crate) fn entropy() -> Option<io::Result<[u8; 32]>> {
    fn read() -> io::Result<[u8; 32]> {
        let mut bits = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bits)?;
        Ok(bits)
    }
    cfg!(unix).then(read)
}

/// Returns what wakes all threads that are blocked in `accept` at once, where the system can: on
/// Linux a listening socket can be shut like a connected one.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn waker(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    use std::os::unix::io::OwnedFd;
    Ok(Some(TcpStream::from(OwnedFd::from(listener.try_clone()?))))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn waker(_: &TcpListener) -> io::Result<Option<TcpStream>> {
    Ok(None)
}
