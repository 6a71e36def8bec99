//! A process that forks after its keys were made: parent and child draw from the same secret, and
//! must not give two clients the same session.
//!
//! The only unsafe code of the project is here: std has no fork.
#![cfg(target_os = "linux")]

use sockling::prelude::*;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

extern "C" {
    fn fork() -> i32;
    fn alarm(seconds: u32) -> u32;
    fn write(descriptor: i32, bytes: *const u8, count: usize) -> isize;
    fn _exit(status: i32) -> !;
}

/// How many children the process has, one after the other, that draw at the same count.
const CHILDREN: usize = 4;
/// Opens a line of the report.
const DREW: &str = "\ndrew ";

/// Not a test: one starts it, in a process of its own. Parent and children report what they drew.
#[test]
#[ignore]
fn forks() {
    let keys = SessionKeys::new(["a key that the tests know"]).expect("a long key");
    // Has keys of its own, which are made here, and draws when it is asked for the session.
    let request = Request::get("/");
    for _ in 0..CHILDREN {
        // SAFETY: fork has no precondition. The child takes no lock that another thread may hold:
        // the request is this thread's, the system's allocator may be used after a fork, and the
        // report goes past std's output. It ends by _exit, so it runs nothing that is the parent's.
        if unsafe { fork() } == 0 {
            // A child that hung would keep the pipe open. SAFETY: it has no precondition.
            unsafe { alarm(60) };
            report(&request.session_id().to_token(&keys));
            // SAFETY: it has no precondition.
            unsafe { _exit(0) };
        }
    }
    report(&request.session_id().to_token(&keys));
}

/// Writes a line in one piece, which a pipe keeps together.
fn report(token: &str) {
    let line = format!("{}{}\n", DREW, token);
    // SAFETY: the pointer and the count are those of the line.
    let written = unsafe { write(1, line.as_ptr(), line.len()) };
    assert_eq!(written, line.len() as isize);
}

#[test]
fn a_process_and_its_forked_children_draw_different_sessions() {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command.args(["--exact", "forks", "--ignored", "--nocapture"]);
    // Ends when the children have ended too: they hold the same pipe.
    let output = command.stderr(Stdio::inherit()).output().expect("a process");
    assert!(output.status.success(), "{:?}", output);
    let text = String::from_utf8(output.stdout).expect("text");
    let drawn: Vec<&str> =
        text.split(DREW).skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(drawn.len(), CHILDREN + 1, "{}", text);
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), drawn.len(), "{:?}", drawn);
}
