//! A server in a child process, for what holds for a whole process: limits of the system, memory.
#![cfg(target_os = "linux")]
#![allow(dead_code)] // each test binary uses a part of it

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child as Process, ChildStderr, Command, Stdio};

/// A child that runs until it is dropped.
pub struct Child {
    process: Process,
    pub address: SocketAddr,
}

/// Returns what runs an ignored test of this binary in a shell that has set limits.
pub fn limited(limits: &str, test: &str) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("ulimit {} && exec \"$0\" \"$@\"", limits)])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", test, "--ignored", "--nocapture"]);
    shell
}

impl Child {
    /// Starts a test that prints where it listens. It has a pipe as its stdin, which ends when it is
    /// waited for.
    pub fn start(command: &mut Command) -> Child {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("a shell");
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        let address = lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
            .expect("the child says where it listens");
        // What else it prints must find a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Child { process, address }
    }

    /// Returns its end of the pipe for errors, if the command was given one.
    pub fn stderr(&mut self) -> ChildStderr {
        self.process.stderr.take().expect("a pipe")
    }

    /// Waits until it has ended as a test that passes.
    pub fn wait(&mut self) {
        drop(self.process.stdin.take());
        super::wait_until("the child ends", || {
            let ended = self.process.try_wait().expect("it is ours");
            let failed = ended.filter(|status| !status.success());
            assert!(failed.is_none(), "{:?}", failed);
            ended.is_some()
        });
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{}", self.process.id(), file)).expect("it lives")
    }

    /// Returns its processor time so far, in hundredths of a second.
    pub fn ticks(&self) -> u64 {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split(' ').collect();
        // User and system time are the fields 14 and 15; the second one ends with the parenthesis.
        [fields[12], fields[13]].iter().map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
    }

    /// Returns a number of its status, such as `Threads`, or, in KiB, `VmRSS`.
    pub fn status(&self, field: &str) -> usize {
        let status = self.proc("status");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let number = line.and_then(|line| line.trim().split(' ').next()?.parse().ok());
        number.expect("the system tells")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Fails when it has ended, which the test has seen.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
