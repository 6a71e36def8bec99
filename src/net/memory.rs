//! A stream in memory: two ends, and between them one buffer for each direction, as the system has
//! them for a socket. It behaves as a socket of Linux does.
//!
//! ```text
//! client's end ── write ──▶ [ up to 256 KiB ] ── read ──▶ server's end
//!              ◀── read ── [ up to 256 KiB ] ◀── write ──
//! ```
//!
//! A read waits while its buffer is empty, and a write while it is full, each for its timeout in
//! all. Nothing is lost at an end: a read returns what came before it, and only then 0. An end that
//! is dropped is a peer that has gone: what it sent can still be read, and writing to it fails.

use crate::ground::peer::Peer;
use crate::net::listener::Listener;
use crate::net::stream::{after, Stream};
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The most bytes in one direction that nobody has read.
const CAPACITY: usize = 256 * 1024;

/// One end of a [`Stream`](crate::net::Stream) in memory. Dropped, it is a peer that has gone.
///
/// ```
/// use sockling::{net::Stream, testing::Memory};
///
/// let (near, far) = Memory::pair();
/// assert_eq!(near.write(b"hello")?, 5);
/// let mut bytes = [0; 8];
/// assert_eq!(far.read(&mut bytes)?, 5);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Memory {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

/// One direction.
#[derive(Default)]
struct Pipe {
    /// Held to copy bytes, never while a thread waits.
    state: Mutex<State>,
    /// Notified at every change.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// Whether the writing end sends no more.
    ended: bool,
    /// Whether the reading end does not wait any more.
    stopped: bool,
    /// Whether the reading end has gone.
    gone: bool,
    /// Whether a thread waits in a read.
    reading: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl State {
    fn waits_for_bytes(&mut self) -> bool {
        self.bytes.is_empty() && !self.ended && !self.stopped
    }

    fn waits_for_room(&mut self) -> bool {
        self.bytes.len() >= CAPACITY && !self.ended && !self.gone
    }
}

impl Pipe {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, State>,
        until: Instant,
        so: impl FnMut(&mut State) -> bool,
    ) -> MutexGuard<'a, State> {
        let left = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout_while(state, left, so);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.change(|state| state.reading = true);
        let state = self.lock();
        let until = after(state.read_timeout.unwrap_or(Duration::MAX));
        let mut state = self.wait(state, until, State::waits_for_bytes);
        state.reading = false;
        match state.waits_for_bytes() {
            true => Err(ErrorKind::WouldBlock.into()),
            false => {
                self.changed.notify_all(); // there is room
                state.bytes.read(buffer)
            }
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let (mut state, mut rest) = (self.lock(), bytes);
        let until = after(state.write_timeout.unwrap_or(Duration::MAX));
        while !rest.is_empty() {
            state = self.wait(state, until, State::waits_for_room);
            let error = match () {
                _ if state.ended || state.gone => ErrorKind::BrokenPipe,
                _ if state.waits_for_room() => ErrorKind::WouldBlock,
                _ => {
                    let (now, later) = rest.split_at(rest.len().min(CAPACITY - state.bytes.len()));
                    state.bytes.extend(now);
                    rest = later;
                    self.changed.notify_all();
                    continue;
                }
            };
            match bytes.len() - rest.len() {
                0 => return Err(error.into()),
                taken => return Ok(taken),
            }
        }
        Ok(bytes.len())
    }
}

impl Memory {
    /// Returns the two ends of a new stream. Each direction holds 256 KiB that nobody has read.
    pub fn pair() -> (Memory, Memory) {
        let (one, other) = (Arc::<Pipe>::default(), Arc::<Pipe>::default());
        let near = Memory { incoming: Arc::clone(&one), outgoing: Arc::clone(&other) };
        (near, Memory { incoming: other, outgoing: one })
    }

    /// Waits until the other end has read everything and waits for more, or reads no more. Returns
    /// false if it has not by then.
    pub(crate) fn wait_until_read(&self, deadline: Instant) -> bool {
        let has_read = |state: &State| {
            state.gone || state.bytes.is_empty() && (state.reading || state.stopped)
        };
        let pipe = &self.outgoing;
        has_read(&pipe.wait(pipe.lock(), deadline, |state| !has_read(state)))
    }
}

impl Stream for Memory {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.incoming.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.outgoing.write(bytes)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.incoming.lock().read_timeout = Some(timeout);
        Ok(())
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.outgoing.lock().write_timeout = Some(timeout);
        Ok(())
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        if how != Shutdown::Write {
            self.incoming.change(|state| {
                state.stopped = true;
                state.gone |= how == Shutdown::Both;
            });
        }
        if how != Shutdown::Read {
            self.outgoing.change(|state| state.ended = true);
        }
        Ok(())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // It cannot fail.
        let _ = self.shutdown(Shutdown::Both);
    }
}

/// A [`Listener`](crate::net::Listener) whose clients are in memory: an
/// [`http::Server`](crate::http::Server) that is started as in the program, without a port.
///
/// ```
/// use sockling::{net::Stream, prelude::*, testing::MemoryListener};
/// use std::sync::Arc;
///
/// let listener = Arc::new(MemoryListener::new("memory"));
/// let listening = Server::new(vec![]).listen(Arc::clone(&listener))?;
/// let handle = listening.handle();
/// let server = std::thread::spawn(move || listening.serve());
/// let client = listener.connect()?;
/// client.write(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
/// let mut bytes = [0; 1024];
/// assert!(client.read(&mut bytes)? > 0 && bytes.starts_with(b"HTTP/1.1 404 Not Found\r\n"));
/// handle.shutdown();
/// server.join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
pub struct MemoryListener {
    peer: Peer,
    /// Clients that were not accepted yet; `None` once it has closed.
    waiting: Mutex<Option<VecDeque<Memory>>>,
    changed: Condvar,
}

impl MemoryListener {
    /// Returns a listener; its address and its clients display as this text.
    pub fn new(name: &str) -> MemoryListener {
        let (waiting, changed) = (Mutex::new(Some(VecDeque::new())), Condvar::new());
        MemoryListener { peer: Peer::named(name), waiting, changed }
    }

    /// Connects a client, and returns its end. Error: the listener has closed.
    pub fn connect(&self) -> io::Result<Memory> {
        let (near, far) = Memory::pair();
        self.lock().as_mut().ok_or(ErrorKind::ConnectionRefused)?.push_back(far);
        self.changed.notify_one();
        Ok(near)
    }

    fn lock(&self) -> MutexGuard<'_, Option<VecDeque<Memory>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for MemoryListener {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        let empty =
            |waiting: &mut Option<VecDeque<_>>| matches!(waiting, Some(all) if all.is_empty());
        let waited = self.changed.wait_while(self.lock(), empty);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner);
        let first = waiting.as_mut().and_then(VecDeque::pop_front);
        Ok((Box::new(first.ok_or(ErrorKind::NotConnected)?), self.peer.clone()))
    }

    fn address(&self) -> Peer {
        self.peer.clone()
    }

    fn close(&self) {
        // Dropped outside the lock: each is a client that has gone.
        let waiting = self.lock().take();
        self.changed.notify_all();
        drop(waiting);
    }
}
