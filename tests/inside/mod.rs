//! Tests of what cannot be seen over a socket, with a stub in a socket's place. They are compiled
//! into the library's own test binary.

mod reads;
mod writes;

use crate::stream::Stream;
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A socket that gives and takes what a test says, and notes what it is asked for.
#[derive(Default)]
struct Stub(Mutex<Script>);

#[derive(Default)]
struct Script {
    /// What there is to read.
    input: VecDeque<u8>,
    /// Room of the buffer of each read.
    asked: Vec<usize>,
    /// What the next writes do: take at most so many octets, or fail. Later ones take all.
    writes: VecDeque<Result<usize, ErrorKind>>,
    /// What was written.
    output: Vec<u8>,
    shut: bool,
}

impl Stub {
    fn new(script: Script) -> Arc<Stub> {
        Arc::new(Stub(Mutex::new(script)))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Stub {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut script = self.script();
        script.asked.push(buffer.len());
        let octets = buffer.len().min(script.input.len());
        buffer.iter_mut().zip(script.input.drain(..octets)).for_each(|(to, from)| *to = from);
        Ok(octets)
    }

    fn write(&self, parts: [&[u8]; 2]) -> io::Result<usize> {
        let mut script = self.script();
        let all = parts.concat();
        if script.shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let octets = script.writes.pop_front().unwrap_or(Ok(all.len()))?.min(all.len());
        script.output.extend_from_slice(&all[..octets]);
        Ok(octets)
    }

    fn set_read_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn set_write_timeout(&self, _: Duration) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        self.script().shut = true;
        Ok(())
    }
}
