//! A clock that does small jobs at their time, on the thread that called `Listening::serve`.
//!
//! A thread that is blocked in a read cannot keep another deadline. The clock can: it sleeps until
//! the first job is due. Jobs are short, and no lock is held while one runs, so a
//! job may schedule another.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Default)]
pub(crate) struct Clock {
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// The job that is due first is at the top.
    due: BinaryHeap<Job>,
    stopped: bool,
}

struct Job {
    time: Instant,
    work: Box<dyn FnOnce() + Send>,
}

impl Ord for Job {
    fn cmp(&self, other: &Job) -> Ordering {
        other.time.cmp(&self.time)
    }
}

impl PartialOrd for Job {
    fn partial_cmp(&self, other: &Job) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Job {
    fn eq(&self, other: &Job) -> bool {
        self.time == other.time
    }
}

impl Eq for Job {}

impl Clock {
    /// Schedules a job for that time or soon after. After `stop` the job is dropped.
    pub fn at(&self, time: Instant, work: Box<dyn FnOnce() + Send>) {
        let mut jobs = self.lock();
        if jobs.stopped {
            return;
        }
        let first = jobs.due.peek().map_or(true, |next| time < next.time);
        jobs.due.push(Job { time, work });
        drop(jobs);
        if first {
            self.changed.notify_all(); // it sleeps until a later one is due
        }
    }

    /// Runs the jobs until the clock is stopped.
    pub fn run(&self) {
        let mut jobs = self.lock();
        while !jobs.stopped {
            let left =
                jobs.due.peek().map(|job| job.time.saturating_duration_since(Instant::now()));
            jobs = match left {
                None => self.changed.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    let job = jobs.due.pop();
                    drop(jobs);
                    if let Some(job) = job {
                        (job.work)();
                    }
                    self.lock()
                }
                Some(left) => {
                    let waited = self.changed.wait_timeout(jobs, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Ends `run` and drops the jobs that have not run.
    pub fn stop(&self) {
        let dropped = {
            let mut jobs = self.lock();
            jobs.stopped = true;
            std::mem::take(&mut jobs.due)
        };
        // Without the lock: what a job holds is dropped with it, and may schedule.
        drop(dropped);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
