//! A poll as in `examples/poll.rs`: a vote and a login take the same lock, and the vote sends the
//! results to a topic under it. Somebody else's login must hardly take longer while a voter floods
//! votes and never reads.

use crate::behaviours::open;
use crate::child::Child;
use crate::loopback::{masked, Client};
use crate::report::{progress, Report};
use crate::server::{ENDED, OPENED};
use sockling::prelude::*;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Messages that tell the results of a vote, and their bytes: twice what may wait for a client. With
/// less, the voter's thread waits for it between two votes, when it holds no lock.
const RESULTS: (usize, usize) = (32, 64 * 1024);
/// Bytes of a vote: few wait in the system, and are still handled, when the voter is cut off.
const VOTE: usize = 512 * 1024;
/// Logins of each measurement, and the time from one to the next: what is over within 120 ms,
/// such as the 100 ms in which senders are slowed down first, delays no more than one in a hundred.
const LOGINS: usize = 400;
const PACE: Duration = Duration::from_millis(30);
/// How many times as long a login may take beside the flood, in the best of so many attempts.
const RATIO: f64 = 3.0;
const ATTEMPTS: usize = 3;

/// Votes and logins so far. Locked while the results are sent, so that all get them in order.
static STATE: Mutex<[u64; 2]> = Mutex::new([0; 2]);

/// Serves a voter: each message is a vote.
pub fn vote(request: &Request) -> Result<Response, Error> {
    let room = Comms::topic("poll");
    let answer = request.upgrade(&[], |client| {
        OPENED.fetch_add(1, Ordering::Relaxed);
        assert!(room.join_here(), "there is room for it");
        while client.receive()?.is_some() {
            let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
            state[0] += 1;
            for _ in 0..RESULTS.0 {
                room.send(vec![state[0] as u8; RESULTS.1])?;
            }
        }
        Ok(())
    });
    ENDED.fetch_add(1, Ordering::Relaxed);
    answer
}

pub fn login(request: &Request) -> Result<Response, Error> {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state[1] += 1;
    Ok(request.login(1_000))
}

/// Logs in again and again, and returns the p99 in milliseconds. Each login counts from when it is
/// due, so that one that waits for long is not one of many but delays those behind it.
fn p99(door: SocketAddr) -> f64 {
    let (mut client, begun) = (Client::connect(door), Instant::now());
    let mut log_in = |number| {
        let due = begun + PACE * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        assert_eq!(client.post("/login", "", "").status, 200);
        due.elapsed()
    };
    let mut times: Vec<Duration> = (0..LOGINS as u32).map(&mut log_in).collect();
    times.sort();
    times[LOGINS * 99 / 100 - 1].as_secs_f64() * 1e3
}

/// Votes as fast as the server reads, and never reads, until it is cut off or told to end.
fn flood(door: SocketAddr, ends: &AtomicBool) {
    let votes = masked(0x82, &[0; VOTE]);
    let (mut voter, mut at) = (open(door, "/poll").0, 0);
    voter.stream.set_write_timeout(Some(PACE)).expect("a socket option");
    while !ends.load(Ordering::Relaxed) {
        match voter.stream.write(&votes[at..]) {
            Ok(written) => at = (at + written) % votes.len(),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

pub fn run(child: &mut Child, report: &mut Report) {
    let (door, mut ratios) = (child.doors[0], Vec::new());
    let (without, with) = loop {
        progress(&format!("poll: attempt {} of {}", ratios.len() + 1, ATTEMPTS));
        // No vote of the attempt before is still handled.
        child.wait_for_rest(false);
        let (without, ends) = (p99(door), AtomicBool::new(false));
        let with = std::thread::scope(|scope| {
            scope.spawn(|| flood(door, &ends));
            let with = scope.spawn(|| p99(door)).join();
            ends.store(true, Ordering::Relaxed);
            with.unwrap_or_else(|why| resume_unwind(why))
        });
        ratios.push(with / without);
        if with <= RATIO * without || ratios.len() == ATTEMPTS {
            break (without, with);
        }
    };
    report.row("p99 of a login, nobody floods", &format!("{:.2} ms", without), "");
    report.row("... a voter floods and never reads", &format!("{:.2} ms", with), "");
    let tried: Vec<String> = ratios.iter().map(|ratio| format!("{:.1}", ratio)).collect();
    let tried = tried.join(", then ");
    report.row("... is so many times as long", &tried, "3.0 at most, in one of 3 attempts");
    assert!(with <= RATIO * without, "a login waits for a voter that does not read: {}", tried);
}
