//! The differences between operating systems: sockets, names of files, entropy, clocks, and the
//! start of a thread. No other file asks which system it runs on, but that Unix alone has Unix sockets.

use std::any::Any;
use std::fmt::Arguments;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::net::TcpStream;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether a socket cannot be used any more after a write has timed out, as Windows documents for
/// SO_SNDTIMEO. On such a system, a client that does not take [`PIECE`] bytes within [`HOLD`] is
/// cut off.
pub(crate) const BRITTLE: bool = cfg!(windows);
/// The most bytes of one write to such a socket.
pub(crate) const PIECE: usize = 16 * 1024;
/// The longest that one write to such a socket holds the sending thread.
pub(crate) const HOLD: Duration = Duration::from_secs(1);

/// How long a thread that reads may miss a Close frame that another thread has sent, before its
/// receiving side is shut to wake it. The client's answer wakes it, too, mostly sooner; on Windows,
/// one that comes later resets the connection.
pub(crate) const WAKE: Duration = Duration::from_millis(if cfg!(windows) { 1000 } else { 100 });

/// The most bytes of a Unix socket's path: `sun_path`, with a zero behind them.
#[cfg(unix)]
pub(crate) const SOCKET_PATH: usize =
    if cfg!(any(target_os = "linux", target_os = "android")) { 107 } else { 103 };

/// Whether a segment of a path may name a drive, a stream, or a device.
pub(crate) const WINDOWS_NAMES: bool = cfg!(windows);

/// The number of the library's threads that are running.
static THREADS: AtomicUsize = AtomicUsize::new(0);

/// Starts a thread that runs one job on a stack of `stack` bytes. Returns an error if the system
/// has no room for a further thread.
pub(crate) fn start_thread(
    name: &str,
    stack: usize,
    job: Box<dyn FnOnce() + Send>,
) -> io::Result<()> {
    #[cfg(test)]
    if crate::inside::pauses::is_alone() {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let counted = Counted(THREADS.fetch_add(1, Ordering::Relaxed) + 1);
    // The setting is in a file, so it is read only when there are very many threads.
    if counted.0 > MANY && !fits(counted.0, most_mappings()) {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    // The caller boxes the job, so that this function is compiled only once.
    let run = move || {
        let _counted = counted;
        job();
    };
    thread::Builder::new().name(name.to_string()).stack_size(stack).spawn(run).map(drop)
}

/// A number of threads for which every Linux system has room.
const MANY: usize = 4096;

/// Returns whether the process may have enough memory mappings for this number of threads. On
/// Linux, each takes four: its stack, the stack of its signal handlers, and a guard page for each.
/// If they run out in a thread that has already started, std aborts the process; so an eighth stays
/// free for everything else.
pub(crate) fn fits(threads: usize, mappings: Option<usize>) -> bool {
    mappings.map_or(true, |most| threads.saturating_mul(4) <= most - most / 8)
}

/// Returns the most memory mappings that a process may have, or `None` on a system that does not
/// say.
fn most_mappings() -> Option<usize> {
    let mut text = [0; 16];
    let length = File::open("/proc/sys/vm/max_map_count").ok()?.read(&mut text).ok()?;
    let digits = text[..length].iter().take_while(|byte| byte.is_ascii_digit());
    let number = |number: usize, digit: &u8| number * 10 + usize::from(digit - b'0');
    Some(digits.take(9).fold(0, number)).filter(|number| *number > 0)
}

/// Counts a thread until it ends or fails to start.
struct Counted(usize);

impl Drop for Counted {
    fn drop(&mut self) {
        THREADS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns 256 random bits for cryptographic use, or `None` on a system without `/dev/urandom`.
/// Where that file exists, failing to read it is an error, and nothing weaker replaces it.
pub(crate) fn entropy() -> Option<io::Result<[u8; 32]>> {
    fn read() -> io::Result<[u8; 32]> {
        let mut bits = [0; 32];
        File::open("/dev/urandom")?.read_exact(&mut bits)?;
        Ok(bits)
    }
    cfg!(unix).then(read)
}

/// What wakes the threads that are blocked in `accept` of a listener `L`.
pub(crate) enum Wake<L> {
    /// The `shutdown` of its socket wakes all of them.
    Shutdown(TcpStream),
    /// A connection to it wakes one.
    Connect(fn(&L)),
}

/// Returns what wakes the threads in `accept` of a socket that no other process has: `shutdown` on
/// Linux, whatever the socket's family is; elsewhere it does not, and they connect.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn wake<S: std::os::unix::io::AsFd, L>(socket: &S, _: fn(&L)) -> io::Result<Wake<L>> {
    Ok(Wake::Shutdown(TcpStream::from(socket.as_fd().try_clone_to_owned()?)))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn wake<S, L>(_: &S, connect: fn(&L)) -> io::Result<Wake<L>> {
    Ok(Wake::Connect(connect))
}

/// Returns the seconds since 1970, or 0 if the clock of the system is earlier.
pub(crate) fn unix_seconds() -> u64 {
    unix_millis() / 1000
}

/// Returns the year, the month (from 0), and the day of the month of a day that is counted from
/// 1970. The calculation lets years begin in March, so that a leap day is the last day of its year.
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468; // 1 March of the year 0
    let (era, day) = (since / 146_097, since % 146_097); // 400 years
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, (month + 2) % 12);
    (if month < 2 { year + 1 } else { year }, month, day)
}

/// Returns the milliseconds since 1970, or 0 if the clock of the system is earlier.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis().try_into().unwrap_or(u64::MAX)
}

/// Returns a time in nanoseconds since 1970, negative before that.
pub(crate) fn unix_nanos(time: SystemTime) -> i128 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i128,
        Err(before) => -(before.duration().as_nanos() as i128),
    }
}

/// Returns the path of an open file, without links, or `None` where the system does not tell.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn path_of(file: &File) -> Option<PathBuf> {
    use std::os::unix::io::AsRawFd;
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn path_of(_: &File) -> Option<PathBuf> {
    None
}

/// Returns whether both describe one file. Only Unix says so; elsewhere nothing speaks against it.
#[cfg(unix)]
pub(crate) fn is_same_file(one: &Metadata, other: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

#[cfg(not(unix))]
pub(crate) fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

/// Runs code of the application. Returns `None` if it panics.
// A frame of its own would lie beneath every handler.
#[inline(always)]
pub(crate) fn contained<T>(code: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(code)).map_err(discard).ok()
}

/// What is told of failures; only [`testing`](crate::testing) sets it.
static WATCHER: Mutex<Option<Watcher>> = Mutex::new(None);

pub(crate) type Watcher = fn(Failure);

/// What goes wrong by the fault of the application, or of the system.
pub(crate) enum Failure<'a> {
    /// What it panicked with. A line in the log follows.
    Panic(&'a (dyn Any + Send)),
    /// An error in the library's log.
    Logged(Arguments<'a>),
}

/// Sets what is told of failures, on the thread of each.
pub(crate) fn watch_failures(watcher: Watcher) {
    *WATCHER.lock().unwrap_or_else(PoisonError::into_inner) = Some(watcher);
}

/// Tells the watcher, if there is one.
#[inline(never)]
pub(crate) fn report(failure: Failure) {
    let watcher = *WATCHER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(watcher) = watcher {
        watcher(failure);
    }
}

/// Drops what the application panicked with, whose own `Drop` may panic. What that panics with is
/// leaked, because the next `Drop` might panic, too.
#[inline(never)]
fn discard(payload: Box<dyn Any + Send>) {
    report(Failure::Panic(&*payload));
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(another);
    }
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
