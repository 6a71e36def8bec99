//! A process that forks after its keys were made, or a server was bound: parent and child draw from the
//! same secret and must not give two clients the same session, and each writes log lines of its own.
//!
//! The only unsafe code of the project is here: std has no fork.
#![cfg(target_os = "linux")]

mod loopback;

use loopback::{Client, Running};
use sockling::prelude::*;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};

extern "C" {
    fn fork() -> i32;
    fn alarm(seconds: u32) -> u32;
    fn waitpid(process: i32, status: *mut i32, options: i32) -> i32;
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

/// Binds a server, forks, and serves in the forked process. Not a test: one starts it.
#[test]
#[ignore]
fn forks_after_a_server_was_bound() {
    let refuse = |_: &Request| Err("no luck".into());
    let keys = SessionKeys::random().expect("random numbers");
    let server = Server::new(vec![Handler::new("/", refuse)]).session_keys(keys);
    let listening = loopback::bind(server);
    // Nothing was logged so far: the log's thread sleeps, and holds no lock meanwhile.
    loopback::wait_until("it sleeps", || {
        let tasks = std::fs::read_dir("/proc/self/task").expect("Linux").flatten();
        let stats = tasks.map(|task| std::fs::read_to_string(task.path().join("stat")));
        stats.flatten().any(|stat| stat.contains("(sockling-log) S"))
    });
    // SAFETY: fork has no precondition, and no other thread holds a lock that the child needs.
    let child = unsafe { fork() };
    if child == 0 {
        // SAFETY: it has no precondition.
        unsafe { alarm(60) };
        let running = Running::serve(listening);
        let reply = Client::connect(running.address).get("/", "");
        drop(running);
        // SAFETY: it has no precondition.
        unsafe { _exit(i32::from(reply.status != 500)) };
    }
    let mut status = -1;
    // SAFETY: the pointer is that of the variable.
    assert_eq!((unsafe { waitpid(child, &mut status, 0) }, status), (child, 0));
}

#[test]
#[cfg(not(feature = "log"))]
fn a_forked_process_writes_its_own_log_lines() {
    let mut command = Command::new(std::env::current_exe().expect("a path"));
    command
        .args(["--exact", "forks_after_a_server_was_bound", "--ignored", "--nocapture"])
        .env("SOCKLING_LOG", "info");
    let output = command.output().expect("a process");
    assert!(output.status.success(), "{:?}", output);
    let told = String::from_utf8(output.stderr).expect("text");
    assert_eq!(told.matches("failed: \"no luck\"").count(), 1, "{}", told);
    assert_eq!(told.matches("listening on").count(), 1, "{}", told);
}
