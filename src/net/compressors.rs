//! The compressors of a server, which are few because each takes 320 KiB, and are lent to the threads
//! that send. A thread that finds none sends its message as it is.
//!
//! They are made by a thread of their own, because that takes more stack than the thread of a
//! connection may have, and in front of the lock. One that a panic or its age has ended is replaced.

use crate::ground::system::start_thread;
use crate::websocket::deflate::{Compressor, MAKING};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

pub(crate) struct Compressors {
    level: u8,
    /// The length of the smallest message that is compressed, in bytes.
    pub smallest: usize,
    /// Locked to take one or to give it back.
    idle: Mutex<Vec<Compressor>>,
    /// Notified once those are made that were missing.
    made: Condvar,
    /// How many have ended and are not being replaced yet.
    missing: AtomicUsize,
    /// How many messages were compressed.
    #[cfg(test)]
    pub uses: AtomicUsize,
}

/// What the message was compressed to: nothing if that is not shorter.
pub(crate) type Compressed = Option<Vec<u8>>;

impl Compressors {
    /// Returns `count` compressors, made by now. Error: no thread can be started.
    pub fn new(level: u8, smallest: usize, count: usize) -> io::Result<Arc<Compressors>> {
        let compressors = Arc::new(Compressors {
            level,
            smallest,
            idle: Mutex::default(),
            made: Condvar::new(),
            missing: AtomicUsize::new(count),
            #[cfg(test)]
            uses: AtomicUsize::new(0),
        });
        compressors.replace()?;
        let few = |idle: &mut Vec<Compressor>| idle.len() < count;
        let made = compressors.made.wait_while(compressors.idle(), few);
        drop(made.unwrap_or_else(PoisonError::into_inner));
        Ok(compressors)
    }

    /// Compresses a payload for a window of so many bits, to `most` bytes. Returns `None` if no
    /// compressor is idle.
    #[inline(never)]
    pub fn compress(
        self: &Arc<Self>,
        payload: &[u8],
        window: u8,
        most: usize,
    ) -> Option<Compressed> {
        if self.missing.load(Ordering::Relaxed) > 0 {
            // Without a further thread they stay missing, until the next message.
            let _ = self.replace();
        }
        let compressor = self.idle().pop()?;
        let mut lent = Lent { of: self, compressor: Some(compressor) };
        #[cfg(test)]
        self.uses.fetch_add(1, Ordering::Relaxed);
        Some(lent.compress(payload, window, most))
    }

    /// Starts a thread that makes what is missing.
    fn replace(self: &Arc<Self>) -> io::Result<()> {
        let count = self.missing.swap(0, Ordering::Relaxed);
        if count == 0 {
            // There are to be none, or another thread replaces them.
            return Ok(());
        }
        let compressors = Arc::clone(self);
        let job = move || {
            for _ in 0..count {
                let new = Compressor::new(compressors.level);
                compressors.idle().push(new);
            }
            compressors.made.notify_all();
        };
        start_thread("sockling-deflate", MAKING, Box::new(job)).map_err(|error| {
            self.missing.fetch_add(count, Ordering::Relaxed);
            error
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Compressor>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub fn count_idle(&self) -> usize {
        self.idle().len()
    }
}

/// A compressor that is given back when this is dropped, also by a panic, after which another one
/// takes its place.
struct Lent<'a> {
    of: &'a Arc<Compressors>,
    compressor: Option<Compressor>,
}

impl Lent<'_> {
    fn compress(&mut self, payload: &[u8], window: u8, most: usize) -> Compressed {
        // Taken meanwhile, because a panic leaves it in no state to be used again.
        let mut compressor = self.compressor.take()?;
        #[cfg(test)]
        crate::inside::pauses::at("a compressor is lent");
        let form = compressor.compress(payload, window, most);
        self.compressor = Some(compressor).filter(Compressor::lasts);
        form
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        match self.compressor.take() {
            Some(compressor) => self.of.idle().push(compressor),
            None => drop(self.of.missing.fetch_add(1, Ordering::Relaxed)),
        }
    }
}
