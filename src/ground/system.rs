//! What the systems that this runs on do differently, and how a thread is started. No other file
//! asks which system it is.

use std::fs::File;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether a socket is of no use any more once a write has given up at its timeout (Windows says so
/// of SO_SNDTIMEO). There a client that takes no [`PIECE`] within a [`HOLD`] is cut off.
pub(crate) const BRITTLE: bool = cfg!(windows);
/// Most bytes of one write to such a socket.
pub(crate) const PIECE: usize = 16 * 1024;
/// Time that a write to such a socket may hold the sending thread.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

/// Whether a segment of a path may name a drive, a stream or a device.
pub(crate) const WINDOWS_NAMES: bool = cfg!(windows);

/// The library's threads that run.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread with so many bytes of stack that does one job. Error: the system has no room for
/// it.
pub(crate) fn start_thread(
    name: &str,
    stack: usize,
    job: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    let counted = Counted(THREADS.fetch_add(1, Ordering::Relaxed) + 1);
    // Read only when there are very many: it is a file.
    if counted.0 > MANY && !fits(counted.0, most_mappings()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // Boxed by the caller, so that this is compiled once.
    let run = move || {
        let _counted = counted;
        job();
    };
    thread::Builder::new().name(name.to_string()).stack_size(stack).spawn(run).map(drop)
}

/// Threads for which any Linux has room.
const MANY: usize = 4096;

/// Returns whether the system has mappings for so many threads. Each takes four on Linux: its
/// stack, the stack of its signal handlers, and a guard before each. Where they run out in a thread
/// that has started, std ends the process; so an eighth is left for everything else.
pub(crate) fn fits(threads: usize, mappings: Option<usize>) -> bool {
    mappings.map_or(true, |most| threads.saturating_mul(4) <= most - most / 8)
}

/// Returns the most mappings that Linux gives a process.
fn most_mappings() -> Option<usize> {
    let mut text = [0; 16];
    let length = File::open("/proc/sys/vm/max_map_count").ok()?.read(&mut text).ok()?;
    let digits = text[..length].iter().take_while(|byte| byte.is_ascii_digit());
    let number = |number: usize, digit: &u8| number * 10 + usize::from(digit - b'0');
    Some(digits.take(9).fold(0, number)).filter(|number| *number > 0)
}

/// A thread that is counted until it ends, or could not start.
struct Counted(usize);

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
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

/// Returns the seconds since 1970; 0 on a system whose clock is before.
pub(crate) fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Returns the milliseconds since 1970; 0 on a system whose clock is before.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Calls a function in a stack frame of its own, which is gone when it returns.
///
/// A thread spends its life blocked in a read or in a handler, with the frames of its callers
/// beneath it, and a page of stack that was touched once stays in memory until the thread ends.
/// Left alone, the compiler merges small functions into their caller, whose frame then has room for
/// the locals of all of them at once. So whatever runs before or after the long call is kept apart:
/// functions by `#[inline(never)]`, all over this crate, and closures by this. It is what lets a
/// silent connection do with two pages of stack, and `tests/small` measures it.
#[inline(never)]
pub(crate) fn apart<T>(function: impl FnOnce() -> T) -> T {
    function()
}
