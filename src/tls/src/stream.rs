//! An encrypted stream around another one: both directions at once, though the session is one
//! object.
//!
//! ```text
//! read   inner.read into the caller's buffer ── no lock
//!        rustls decrypts ─────────────────────── `session`
//! write  rustls seals up to 32 KiB into a lot ── `out`, then `session`
//!        inner.write of the lot ──────────────── `out`
//! ```
//!
//! # Theory of operation
//!
//! *Locks.* `session` is held for cryptography alone, never while anything is read, written or
//! waited for. `out` is held across a write, and is locked first. A reader takes `session` only, so
//! it never waits for a client that does not read; and it writes nothing. What it owes the peer, an
//! alert or the answer to a key update, stays in the session and leaves in front of what is written
//! next, or with the farewell.
//!
//! *Reading.* Ciphertext goes into the caller's buffer, behind a free part, and is decrypted there.
//! Its plaintext goes to the front of the same buffer; only a record that had begun earlier, or one
//! longer than the free part, may leave some in the session, 16 KiB at most, which the next read
//! returns before the stream is asked again. A record that has not come whole waits there too. An
//! error behind delivered plaintext comes at the next read.
//!
//! *Writing.* A byte counts as taken when the system has the whole record that carries it. What is
//! left of a lot after a short write stays here and is written first. The next call begins with the
//! bytes that were not taken, so those that the lot carries are skipped.
//!
//! *The end.* `shutdown` says farewell (`close_notify`) only where nobody writes and no record is
//! half out; what followed half a record would be taken for its rest. From then on, a session that
//! has ended, by the peer's `close_notify` or by an error, reads ciphertext and drops it until the
//! peer ends, or closing the socket would reset the connection and the last answer with it.

use super::session::{Session, Unbuffered, LOT, RECORD};
use sockling::net::{Peer, Stream};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// The longest wait for the system to take the farewell.
const FAREWELL: Duration = Duration::from_millis(8);

/// A TLS connection over another stream.
pub struct Encrypted<S> {
    pub(crate) inner: Box<dyn Stream>,
    pub(crate) peer: Peer,
    /// Locked before `session`, and held across a write.
    pub(crate) out: Mutex<Out>,
    /// Held for cryptography, never for input or output.
    pub(crate) session: Mutex<Session<S>>,
    /// Held to copy.
    times: Mutex<Times>,
    /// Whether the receiving side was shut here: then the end of input is no truncation.
    receiving_shut: AtomicBool,
    sending_shut: AtomicBool,
}

/// The timeouts that were set.
#[derive(Clone, Copy)]
struct Times {
    read: Duration,
    write: Duration,
}

/// What is sealed and not yet taken by the system.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) lot: Vec<u8>,
    /// How much of the lot is taken.
    at: usize,
    /// Where each record ends that is not taken whole, and how much plaintext it carries.
    pub(crate) records: VecDeque<(usize, usize)>,
    /// Plaintext that was taken beyond what the last call gave: it gave less than the one before.
    ahead: usize,
    /// The error behind bytes that were taken.
    failed: Option<io::Error>,
}

impl Out {
    pub(crate) fn left(&self) -> &[u8] {
        &self.lot[self.at..]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lot.is_empty()
    }

    /// Notes that the system has taken so many more bytes. Returns how much plaintext that
    /// completes.
    fn advance(&mut self, bytes: usize) -> usize {
        self.at += bytes;
        let mut taken = 0;
        while let Some((end, plaintext)) = self.records.front().copied() {
            if end > self.at {
                break;
            }
            taken += plaintext;
            self.records.pop_front();
        }
        if self.at == self.lot.len() {
            self.lot.clear();
            self.at = 0;
        }
        taken
    }

    /// Writes once to the stream. Returns the plaintext that this completes, and whether all is
    /// out.
    pub(crate) fn write(&mut self, to: &dyn Stream) -> io::Result<(usize, bool)> {
        match to.write(self.left())? {
            0 => Err(ErrorKind::WriteZero.into()),
            bytes => {
                let whole = bytes == self.left().len();
                Ok((self.advance(bytes), whole))
            }
        }
    }

    /// Gives the memory of a lot that is out back: most streams are quiet.
    pub(crate) fn shrink(&mut self) {
        if self.lot.is_empty() {
            self.lot = Vec::new();
        }
    }
}

impl<S: Unbuffered> Encrypted<S> {
    /// Returns a stream that encrypts what it writes to `inner`, once it is open.
    pub fn new(inner: Box<dyn Stream>, peer: Peer, tls: S) -> Encrypted<S> {
        let times = Times { read: Duration::MAX, write: Duration::MAX };
        Encrypted {
            inner,
            peer,
            out: Mutex::default(),
            session: Mutex::new(Session::new(tls)),
            times: Mutex::new(times),
            receiving_shut: AtomicBool::new(false),
            sending_shut: AtomicBool::new(false),
        }
    }

    /// Sets the timeouts of the inner stream to those that this one was given.
    pub(crate) fn restore_timeouts(&self) -> io::Result<()> {
        let times = *lock(&self.times);
        self.inner.set_read_timeout(times.read)?;
        self.inner.set_write_timeout(times.write)
    }

    /// Takes from the time of a read that goes on what has passed. Error: it is over.
    fn shorten(&self, begun: Instant, set: &mut Option<Duration>) -> io::Result<()> {
        let timeout = lock(&self.times).read;
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::WouldBlock.into());
        }
        // A sixteenth too much is allowed, or a record in many pieces would set it for each.
        if set.unwrap_or(timeout) > left.saturating_add(timeout / 16) {
            self.inner.set_read_timeout(left)?;
            *set = Some(left);
        }
        Ok(())
    }

    fn read_on(
        &self,
        buffer: &mut [u8],
        begun: Instant,
        set: &mut Option<Duration>,
    ) -> io::Result<usize> {
        // The free part in front takes the plaintext of what is read behind it.
        let (from, mut got) = ((buffer.len() / 4).min(RECORD), 0);
        loop {
            let end = {
                let mut session = lock(&self.session);
                let given = match got {
                    0 => session.give(buffer),
                    got => session.decrypt(buffer, from, got),
                };
                if given > 0 {
                    return Ok(given);
                }
                session.end()
            };
            if let Some(end) = end {
                if self.sending_shut.load(Ordering::Acquire) {
                    self.drop_rest(buffer, begun, set);
                }
                return end;
            }
            if got > 0 {
                self.shorten(begun, set)?;
            }
            got = match self.inner.read(&mut buffer[from..]) {
                Ok(0) if self.receiving_shut.load(Ordering::Acquire) => return Ok(0),
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                read => read?,
            };
        }
    }

    /// Reads ciphertext and drops it, until the peer ends or the time is over.
    fn drop_rest(&self, buffer: &mut [u8], begun: Instant, set: &mut Option<Duration>) {
        loop {
            match self.inner.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            if self.shorten(begun, set).is_err() {
                return;
            }
        }
    }

    /// Returns whether a write that the system cut short has given up at its timeout. The system
    /// counts time in ticks, and may be early by one.
    fn has_given_up(&self, begun: Instant) -> bool {
        !self.inner.is_brittle() && begun.elapsed() >= lock(&self.times).write / 2
    }

    /// Writes until `length` bytes of plaintext are taken, which is the length of `bytes`.
    fn write_on(&self, bytes: &[u8], out: &mut Out, taken: &mut usize) -> io::Result<()> {
        let begun = Instant::now();
        while *taken < bytes.len() {
            if out.is_empty() {
                lock(&self.session).seal(&bytes[*taken..], out)?;
            }
            match out.write(&*self.inner) {
                Ok((more, whole)) => {
                    *taken += more;
                    if !whole && self.has_given_up(begun) {
                        return Err(ErrorKind::WouldBlock.into());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Tells the peer that nothing follows, if that is possible at once.
    fn say_farewell(&self) {
        let mut out = match self.out.try_lock() {
            Ok(out) => out,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if !out.is_empty() {
            return;
        }
        {
            let mut session = lock(&self.session);
            if session.tls.is_handshaking() {
                return; // `open` writes what must be said, and a refused client awaits a handshake
            }
            session.say_farewell();
            session.drain(&mut out);
        }
        let until = Instant::now() + FAREWELL;
        // An error means that the peer has gone, or that there is no room.
        let _ = write_until(&*self.inner, &mut out, until);
    }
}

/// Writes all that is sealed, by then.
pub(crate) fn write_until(inner: &dyn Stream, out: &mut Out, until: Instant) -> io::Result<()> {
    while !out.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        inner.set_write_timeout(left)?;
        match out.write(inner) {
            Err(error) if !is_passing(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Returns whether a call may succeed when it is tried again.
pub(crate) fn is_passing(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

/// Locked for what the field says. A panic under it is a fault of rustls; the session then fails by
/// itself.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: Unbuffered> Stream for Encrypted<S> {
    fn open(&self, deadline: Instant) -> io::Result<()> {
        let opened = self.shake_hands(deadline);
        if let Err(error) = &opened {
            sockling::log::debug!("the TLS handshake with {} failed: {}", self.peer, error);
        }
        opened.and_then(|()| self.restore_timeouts())
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let mut set = None;
        let read = self.read_on(buffer, Instant::now(), &mut set);
        if set.is_some() {
            self.inner.set_read_timeout(lock(&self.times).read)?;
        }
        read
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut out = lock(&self.out);
        if let Some(error) = out.failed.take() {
            return Err(error);
        }
        let mut taken = std::mem::take(&mut out.ahead);
        let written = self.write_on(bytes, &mut out, &mut taken);
        if bytes.len() < LOT {
            out.shrink(); // otherwise more will follow
        }
        let told = taken.min(bytes.len());
        out.ahead = taken - told;
        match written {
            Err(error) if told == 0 => Err(error),
            Err(error) if !is_passing(&error) => {
                out.failed = Some(error);
                Ok(told)
            }
            _ => Ok(told),
        }
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        lock(&self.times).read = timeout;
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        lock(&self.times).write = timeout;
        self.inner.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.receiving_shut.store(true, Ordering::Release);
        }
        if how != Shutdown::Read {
            self.sending_shut.store(true, Ordering::Release);
            self.say_farewell();
        }
        self.inner.shutdown(how)
    }

    fn is_brittle(&self) -> bool {
        self.inner.is_brittle()
    }
}
