//! Does small jobs at their time, on the thread that called `serve`.
//!
//! A thread that is blocked in a read cannot keep another deadline. The clock can: it sleeps until
//! the first job is due. Jobs are short and never block.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Clock {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// By time, then by number, since two jobs may have one time.
    due: BTreeMap<(Instant, u64), Job>,
    count: u64,
    stopped: bool,
}

impl Clock {
    /// Has the job done at that time or soon after. After `stop` it is dropped.
    pub fn at(&self, time: Instant, job: impl FnOnce() + Send + 'static) {
        let mut jobs = self.lock();
        if jobs.stopped {
            return;
        }
        jobs.count += 1;
        let number = jobs.count;
        jobs.due.insert((time, number), Box::new(job));
        let first = jobs.due.keys().next() == Some(&(time, number));
        drop(jobs);
        if first {
            self.changed.notify_all(); // who sleeps until a later one must wake earlier
        }
    }

    /// Does the jobs until the clock is stopped.
    pub fn run(&self) {
        let mut jobs = self.lock();
        while !jobs.stopped {
            let first = jobs.due.keys().next().copied();
            jobs = match first {
                None => self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                Some(key) => match key.0.checked_duration_since(Instant::now()) {
                    Some(left) if !left.is_zero() => {
                        self.changed
                            .wait_timeout(jobs, left)
                            .unwrap_or_else(PoisonError::into_inner)
                            .0
                    }
                    _ => {
                        let job = jobs.due.remove(&key);
                        drop(jobs);
                        if let Some(job) = job {
                            job();
                        }
                        self.lock()
                    }
                },
            };
        }
    }

    /// Ends `run` and drops what is not done.
    pub fn stop(&self) {
        let dropped = {
            let mut jobs = self.lock();
            jobs.stopped = true;
            std::mem::take(&mut jobs.due)
        };
        // Outside the lock: what a job holds may end with it.
        drop(dropped);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
