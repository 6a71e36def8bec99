//! The child, what it says of itself and what the system says of it.

use crate::behaviours;
use crate::loopback::{wait_until, Client};
use crate::report::{grouped, Report};
use crate::server::{DOORS, ROOM};
use sockling::limits::SPARE_THREADS;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Threads of a server that is at rest and was once full: the main thread, the log's, one that runs each
/// server's clock, and those that wait at its door, never more and never less.
const THREADS: usize = 2 + DOORS * (1 + SPARE_THREADS);
/// How long the server gets to come to rest. Nothing in it waits longer for a client that has gone
/// than five seconds.
const REST: Duration = Duration::from_secs(60);

pub struct Child {
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    pub doors: Vec<SocketAddr>,
    /// Descriptors at the start.
    descriptors: usize,
}

/// What must be back at its start.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Figures {
    threads: usize,
    descriptors: usize,
    /// WebSockets in the session map.
    open: u64,
    /// WebSockets that handlers were told the beginning of, and the end of.
    opened: u64,
    ended: u64,
    /// What panics said that nobody asked for.
    panics: String,
}

impl Child {
    pub fn start() -> Child {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .arg("serve")
            // What the allocator of glibc does from the start. Otherwise, once a large buffer was
            // freed, it keeps such ones for later, some megabytes for each of its 16 arenas: up to
            // 60 MiB at rest, and more or less by 10 at each look, behind which a leak would hide.
            .env("MALLOC_MMAP_THRESHOLD_", "131072")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // A line for each bad client.
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut child = Child { process, stdin, stdout, doors: Vec::new(), descriptors: 0 };
        let addresses = child.read_line();
        child.doors = addresses.split(' ').map(|door| door.parse().expect("an address")).collect();
        child.descriptors = child.count("fd");
        child
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, line: &str) -> String {
        let stdin = self.stdin.as_mut().expect("it has not ended");
        writeln!(stdin, "{}", line).expect("the server runs");
        self.read_line()
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line of text");
        assert!(line.ends_with('\n'), "the server has ended: {:?}", self.process.wait());
        line.trim_end().to_string()
    }

    /// Waits until all is back at its start, then shows that each server has room for as many as
    /// at its start, which is all that it says of its connections, and waits again.
    pub fn settle(&mut self) -> String {
        self.wait_for_rest(false);
        for door in self.doors.clone() {
            let open = |_| {
                let mut client = Client::connect(door);
                // In the middle of a request: an idle connection would make room.
                client.send(
                    b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\
                      Content-Length: 1\r\n\r\n",
                );
                assert_eq!(client.reply().status, 100, "there is room at {}", door);
                client
            };
            let clients: Vec<Client> = (0..ROOM).map(open).collect();
            assert_eq!(Client::connect(door).get("/echo", "").status, 503, "{} is full", door);
            drop(clients);
        }
        let Figures { threads, descriptors, opened, .. } = self.wait_for_rest(true);
        format!(
            "{} threads, {} descriptors, 0 of {} connections, 0 of {} WebSockets",
            threads,
            descriptors,
            DOORS * ROOM,
            grouped(opened)
        )
    }

    /// Waits until nobody is connected; `exactly` as many threads are left as ever are.
    pub fn wait_for_rest(&mut self, exactly: bool) -> Figures {
        let end = Instant::now() + REST;
        loop {
            let seen = behaviours::opened();
            let figures = self.figures();
            let threads = if exactly { THREADS } else { figures.threads.min(THREADS) };
            let descriptors = self.descriptors;
            let wanted =
                Figures { threads, descriptors, opened: seen, ended: seen, ..Figures::default() };
            if figures == wanted {
                return figures;
            }
            assert!(Instant::now() < end, "not at rest: {:?}, and not {:?}", figures, wanted);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn figures(&mut self) -> Figures {
        let counts = self.ask("counts");
        let mut words = counts.splitn(4, ' ');
        let mut number = || words.next().and_then(|word| word.parse().ok()).expect("a number");
        let (open, opened, ended) = (number(), number(), number());
        let panics = words.next().unwrap_or("").to_string();
        let (threads, descriptors) = (self.count("task"), self.count("fd"));
        Figures { threads, descriptors, open, opened, ended, panics }
    }

    /// Counts a folder of /proc.
    fn count(&self, folder: &str) -> usize {
        let folder = format!("/proc/{}/{}", self.process.id(), folder);
        fs::read_dir(folder).expect("/proc, so Linux").count()
    }

    /// Returns the memory that the server has (VmRSS).
    pub fn memory_kib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("/proc, so Linux");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("a line of memory")
    }

    /// Shuts the servers down, after which nothing of them may be left.
    pub fn end(&mut self, report: &mut Report) -> String {
        let stuck = self.ask("end");
        assert_eq!(stuck, "0", "connections had to be cut off");
        // The first thread, and the log's, which outlasts every server.
        wait_until("its threads have ended", || self.count("task") == 2);
        wait_until("its sockets are closed", || self.count("fd") == self.descriptors - 2 * DOORS);
        self.stdin = None;
        let mut status = None;
        wait_until("the server has ended", || {
            status = self.process.try_wait().expect("a child");
            status.is_some()
        });
        let status = status.expect("it has ended");
        assert!(status.success(), "the server ended with {}", status);
        report.row("connections that it had to cut off", &stuck, "0");
        String::from("1 thread, no socket; the process ended in order")
    }
}

/// A run that fails leaves no server behind.
impl Drop for Child {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
