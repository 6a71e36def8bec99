//! All behaviours in turn, by a few threads at once.

use crate::behaviours::ALL;
use crate::child::Child;
use crate::report::{grouped, progress, text_of, Report};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Threads that are clients.
const CLIENTS: usize = 16;
/// Failures after which it is given up.
const ENOUGH: usize = 5;

/// Makes the connections from the number `from` to before `to`. Panics when some of them did not
/// end as promised.
pub fn connect(child: &Child, part: &str, from: usize, to: usize) {
    let (begun, next, wrong) = (Instant::now(), AtomicUsize::new(from), Mutex::new(Vec::new()));
    let client = || loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= to || wrong.lock().expect("no panic").len() >= ENOUGH {
            return;
        }
        let (turn, kind) = (number / ALL.len(), number % ALL.len());
        let (name, behave) = ALL[kind];
        let door = child.doors[turn % child.doors.len()];
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| behave(door, turn))) {
            let line = format!("{:?}, turn {}: {}", name, turn, text_of(&*panic));
            wrong.lock().expect("no panic").push(line);
        }
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        let mut shown = Instant::now();
        while !clients.iter().all(|client| client.is_finished()) {
            std::thread::sleep(Duration::from_millis(10));
            if shown.elapsed() >= Duration::from_secs(1) {
                shown = Instant::now();
                let done = next.load(Ordering::Relaxed).min(to) - from;
                let rate = done as f64 / begun.elapsed().as_secs_f64();
                let [done, all] = [done, to - from].map(|count| grouped(count as u64));
                progress(&format!("{}: {} of {} connections, {:.0}/s", part, done, all, rate));
            }
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

pub fn run(child: &Child, connections: usize, report: &mut Report) {
    let begun = Instant::now();
    connect(child, "churn", 0, connections);
    let seconds = begun.elapsed().as_secs_f64();
    for (kind, (name, _)) in ALL.iter().enumerate() {
        let count = (connections + ALL.len() - 1 - kind) / ALL.len();
        report.row(name, &grouped(count as u64), "all so");
    }
    let rate = connections as f64 / seconds;
    let all = format!("{} in {:.0} s, {:.0}/s", grouped(connections as u64), seconds, rate);
    report.row("all connections", &all, "none otherwise");
}
