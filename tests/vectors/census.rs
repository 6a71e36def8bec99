//! Counts what a server must give back: threads and descriptors. Where there is no `/proc` both
//! counts are zero, and nothing is judged.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// The threads and descriptors of this process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Census {
    threads: usize,
    descriptors: usize,
}

impl Census {
    fn take() -> Census {
        let count = |list: &str| fs::read_dir(list).map_or(0, |entries| entries.count());
        Census { threads: count("/proc/self/task"), descriptors: count("/proc/self/fd") }
    }

    /// Returns counts that have stood still for a moment: a connection that is being closed is
    /// not to be taken for one that was open before.
    pub fn settled() -> Census {
        let deadline = Instant::now() + PATIENCE;
        let mut last = Census::take();
        loop {
            thread::sleep(Duration::from_millis(50));
            let now = Census::take();
            if now == last || Instant::now() > deadline {
                return now;
            }
            last = now;
        }
    }

    /// Waits until no more descriptors are open than at this census, and at most so many more
    /// threads run; returns what is wrong if that does not come.
    pub fn what_stays(&self, threads: usize) -> Option<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = Census::take();
            if now.descriptors <= self.descriptors && now.threads <= self.threads + threads {
                return None;
            }
            if Instant::now() > deadline {
                return Some(format!("census | {:?}, at the start {:?}", now, self));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}
