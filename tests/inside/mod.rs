//! Tests of what cannot be seen over a socket, with a stub in a socket's place. They are compiled
//! into the library's own test binary; the stub and the checks, also into that of the fuzz targets.

pub mod checks;
mod served;

#[cfg(test)]
mod backlog;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod client;
#[cfg(test)]
mod closing;
#[cfg(test)]
mod conversations;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod deadlines;
#[cfg(all(test, feature = "deflate"))]
mod deflate;
#[cfg(test)]
mod draws;
#[cfg(test)]
mod eviction;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod forwarded;
#[cfg(test)]
mod joining;
#[cfg(test)]
mod logger;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod model;
#[cfg(test)]
mod names;
#[cfg(test)]
mod patience;
#[cfg(test)]
pub mod pauses;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod representation;
#[cfg(test)]
mod revoked;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod slots;
#[cfg(test)]
mod steps;
#[cfg(test)]
mod threads;
#[cfg(test)]
mod topics;
#[cfg(test)]
mod writers;
#[cfg(test)]
mod writes;

use crate::net::stream::Stream;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

/// Waits for a condition that another thread brings about.
#[cfg(test)]
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < end, "never happened: {}", what);
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Sends a frame to one connection, as a handle to it does.
#[cfg(test)]
fn deliver(
    to: &Arc<crate::net::outbox::Outbox>,
    frame: &crate::websocket::frame::Frame,
) -> Result<(), crate::net::outbox::Refused> {
    let (taken, full) = crate::net::batch::deliver_all([to].into_iter(), frame, true);
    match (taken, full) {
        (1, _) => Ok(()),
        (_, Some(full)) => Err(crate::net::outbox::Refused::Full(full)),
        (_, None) => Err(crate::net::outbox::Refused::Gone),
    }
}

/// Returns the login of a guest.
#[cfg(test)]
fn guest() -> crate::session::cookie::Session {
    let keys = crate::SessionKeys::new([[7; 32]]).expect("a long key");
    let name = "s".to_string();
    crate::session::cookie::SessionCookie { name, secure: false, keys }.guest()
}

/// A socket that gives and takes what a test says, and notes what it is asked for.
#[derive(Default)]
struct Stub(Mutex<Script>);

#[derive(Default)]
struct Script {
    /// What there is to read.
    input: VecDeque<u8>,
    /// What the next reads do: give at most so many bytes, or fail. Later ones give all, and then
    /// the end.
    reads: VecDeque<Result<usize, ErrorKind>>,
    /// The peer stays: where the end would be, a read waits for more until its timeout.
    stays: bool,
    /// Room of the buffer of each read.
    asked: Vec<usize>,
    /// What the next writes do: take at most so many bytes, or fail. Later ones take all.
    writes: VecDeque<Result<usize, ErrorKind>>,
    /// The later ones take at most so many bytes, after so long; nothing when their timeout is
    /// shorter.
    pace: Option<(usize, Duration)>,
    /// What was written.
    output: Vec<u8>,
    /// The threads whose writes gave up, and those whose writes took bytes.
    gave_up: Vec<ThreadId>,
    wrote: Vec<ThreadId>,
    /// Called before each write.
    before_write: Option<Box<dyn FnMut() + Send>>,
    /// Timeouts cannot be set.
    no_timeouts: bool,
    shut: bool,
    /// The bytes of input that had not been read when the sending side was shut.
    unread_at_end: Option<usize>,
    /// The receiving side was shut: a read finds what there is, and then the end.
    receives_no_more: bool,
    /// What arrives even so: a piece after each end that a read has found.
    crosses: VecDeque<&'static [u8]>,
    /// As on a system where a write that gave up is the last.
    brittle: bool,
    /// Calls so far, and the one from which on all fail in this way; a shutdown still works.
    calls: usize,
    broken: Option<(usize, ErrorKind)>,
    /// The read timeout and the write timeout.
    timeouts: [Duration; 2],
}

impl Stub {
    fn new(script: Script) -> Arc<Stub> {
        Arc::new(Stub(Mutex::new(script)))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call, which fails if it is time for that; at its timeout, if that is how.
    fn call(&self, timeout: impl Fn(&Script) -> Duration) -> io::Result<MutexGuard<'_, Script>> {
        let mut script = self.script();
        script.calls += 1;
        match script.broken {
            Some((first, kind)) if script.calls >= first && !script.shut => {
                let timeout = timeout(&script);
                drop(script);
                if kind == ErrorKind::WouldBlock {
                    std::thread::sleep(timeout);
                }
                Err(kind.into())
            }
            _ => Ok(script),
        }
    }

    /// Waits until something is so after some time, or the socket is shut. Fails at the timeout.
    fn wait<'a>(
        &'a self,
        mut script: MutexGuard<'a, Script>,
        timeout: Duration,
        so: impl Fn(&Script, Duration) -> bool,
    ) -> io::Result<MutexGuard<'a, Script>> {
        let begun = Instant::now();
        while !script.shut && !so(&script, begun.elapsed()) {
            drop(script);
            if begun.elapsed() >= timeout {
                return Err(ErrorKind::WouldBlock.into());
            }
            std::thread::sleep(Duration::from_millis(1));
            script = self.script();
        }
        Ok(script)
    }

    fn set_timeout(&self, which: usize, timeout: Duration) -> io::Result<()> {
        let mut script = self.call(|_| Duration::ZERO)?;
        if script.no_timeouts {
            return Err(ErrorKind::Other.into());
        }
        script.timeouts[which] = timeout;
        Ok(())
    }
}

impl Stream for Stub {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut script = self.call(|script| script.timeouts[0])?;
        script.asked.push(buffer.len());
        let timeout = script.timeouts[0];
        script = self.wait(script, timeout, |script, _| {
            !script.stays || script.receives_no_more || !script.input.is_empty()
        })?;
        if script.shut {
            return Ok(0);
        }
        if script.receives_no_more && script.input.is_empty() {
            let crosses = script.crosses.pop_front().unwrap_or_default();
            script.input.extend(crosses);
            return Ok(0);
        }
        let most = script.reads.pop_front().unwrap_or(Ok(buffer.len()))?;
        let bytes = most.min(buffer.len()).min(script.input.len());
        buffer.iter_mut().zip(script.input.drain(..bytes)).for_each(|(to, from)| *to = from);
        Ok(bytes)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.script().before_write.take();
        if let Some(mut before) = before {
            before();
            self.script().before_write = Some(before);
        }
        let script = self.call(|script| script.timeouts[1])?;
        let timeout = script.timeouts[1];
        let waited = self.wait(script, timeout, |script, waited| {
            !script.writes.is_empty() || script.pace.map_or(true, |(_, time)| waited >= time)
        });
        if waited.is_err() {
            self.script().gave_up.push(std::thread::current().id());
        }
        let mut script = waited?;
        if script.shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let later = script.pace.map_or(bytes.len(), |(most, _)| most);
        let taken = script.writes.pop_front().unwrap_or(Ok(later))?.min(bytes.len());
        script.wrote.push(std::thread::current().id());
        script.output.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_timeout(0, timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.set_timeout(1, timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let mut script = self.script();
        let unread = script.input.len();
        if how != Shutdown::Read {
            script.unread_at_end.get_or_insert(unread);
        }
        script.shut |= how == Shutdown::Both;
        script.receives_no_more |= how == Shutdown::Read;
        Ok(())
    }

    fn is_brittle(&self) -> bool {
        self.script().brittle
    }
}
