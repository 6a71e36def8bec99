//! The contract of a stream: those of the library keep it, each breach of it is found, and the tests
//! over loopback run over each.

#[allow(dead_code)] // it lists the source files, too
mod tree;

use sockling::net::Stream;
use sockling::testing::{conformance, Memory, Tearing};
use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Mutex;
use std::time::{Duration, Instant};

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let far = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    (listener.accept().expect("a client").0, far)
}

fn keeps_the_contract<S: Stream + 'static>(pair: fn() -> (S, S)) {
    conformance(|| {
        let (near, far) = pair();
        (Box::new(near), Box::new(far))
    });
    for seed in [1, 2, 3] {
        conformance(|| {
            let (near, far) = pair();
            (Box::new(Tearing::new(near, seed)), Box::new(far))
        });
    }
}

#[test]
fn tcp_keeps_the_contract() {
    keeps_the_contract(tcp);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_keeps_the_contract() {
    keeps_the_contract(|| std::os::unix::net::UnixStream::pair().expect("descriptors"));
}

#[test]
fn a_stream_in_memory_keeps_the_contract() {
    keeps_the_contract(Memory::pair);
}

/// Files whose tests run over TCP alone, with the reason.
const ONLY_TCP: &[(&str, &str)] = &[
    ("tests/examples.rs", "the examples listen on addresses"),
    ("tests/fork.rs", "it is about descriptors of a process and its child"),
    ("tests/logging.rs", "it compares lines that name addresses"),
    ("tests/relay.rs", "it is about what servers tell each other"),
    ("tests/seed.rs", "the page's code listens on an address"),
    ("tests/protocol/main.rs", "it is about bytes, without a server"),
    ("tests/small/main.rs", "it measures processes"),
    ("tests/soak/src/main.rs", "it runs for hours, against a program of its own"),
    ("tests/server/exhaustion.rs", "it takes the descriptors and threads of a process"),
    ("tests/server/listeners.rs", "it is about listeners"),
    ("tests/server/stderr.rs", "it is about the log of a process"),
    ("tests/server/unix.rs", "it is about Unix sockets"),
];

#[test]
fn every_test_over_loopback_runs_over_each_transport_or_says_why_not() {
    let read = |path: &str| fs::read_to_string(tree::root().join(path)).expect(path);
    let named = |file: &str| ONLY_TCP.iter().any(|(name, _)| *name == file);
    let mut files = Vec::new();
    for entry in fs::read_dir(tree::root().join("tests")).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = match entry.path().is_dir() {
            true => format!("tests/{}/main.rs", name),
            false => format!("tests/{}", name),
        };
        if tree::root().join(&path).is_file()
            && read(&path).lines().any(|line| line == "mod loopback;")
        {
            files.push(path);
        }
    }
    for entry in fs::read_dir(tree::root().join("tests/server")).expect("a folder").flatten() {
        files.push(format!("tests/server/{}", entry.file_name().to_string_lossy()));
    }
    let (mut count, mut missing) = (0, Vec::new());
    for file in files.iter().filter(|file| !named(file)) {
        let text = read(file);
        let (tests, list) = text.split_once("transports! {").unwrap_or((&text, ""));
        let listed: Vec<&str> = list.split_whitespace().collect();
        for test in tests.split("#[test]\n").skip(1) {
            let name = test.split("fn ").nth(1).and_then(|rest| rest.split('(').next());
            let name = name.expect("a function");
            count += 1;
            if !test.contains("#[ignore") && !listed.contains(&name) {
                missing.push(format!("{}: {}", file, name));
            }
        }
    }
    assert!(count > 200, "only {} tests were found", count);
    assert!(missing.is_empty(), "not in `transports!`:\n{}", missing.join("\n"));
}

/// What a stream does wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    WritesZeroAtTheTimeout,
    ReadsZeroAtTheTimeout,
    TakesWhatItSaysItDidNot,
    Swaps,
    ReadsUnderTheLockOfWrites,
    WritesUnderTheLockOfShutdown,
    ForgetsTheReadTimeout,
    RefusesATimeoutOfZero,
    ShutsNothing,
    KeepsItsEndToItself,
    FailsAfterTheEnd,
    DropsWhatCameAtItsShutdown,
    DoesNotOpen,
}

struct Faulty {
    inner: Memory,
    fault: Fault,
    lock: Mutex<()>,
    /// Whether a read has found the end; whether the receiving side is shut.
    state: Mutex<(bool, bool)>,
}

impl Stream for Faulty {
    fn open(&self, _: Instant) -> io::Result<()> {
        match self.fault {
            Fault::DoesNotOpen => Err(ErrorKind::InvalidData.into()),
            _ => Ok(()),
        }
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let under = self.fault == Fault::ReadsUnderTheLockOfWrites;
        let _guard = under.then(|| self.lock.lock().expect("no panic"));
        let (ended, shut) = *self.state.lock().expect("no panic");
        match (self.fault, self.inner.read(buffer)) {
            (Fault::ReadsZeroAtTheTimeout, Err(_)) => Ok(0),
            (Fault::FailsAfterTheEnd, Ok(0)) if ended => Err(ErrorKind::NotConnected.into()),
            (Fault::DropsWhatCameAtItsShutdown, Ok(_)) if shut => Ok(0),
            (_, Ok(bytes)) => {
                self.state.lock().expect("no panic").0 |= bytes == 0;
                if self.fault == Fault::Swaps && bytes > 9_000 {
                    buffer.swap(5, 4242);
                }
                Ok(bytes)
            }
            (_, result) => result,
        }
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let under = [Fault::ReadsUnderTheLockOfWrites, Fault::WritesUnderTheLockOfShutdown];
        let _guard = under.contains(&self.fault).then(|| self.lock.lock().expect("no panic"));
        match (self.fault, self.inner.write(bytes)) {
            (Fault::WritesZeroAtTheTimeout, Err(error))
                if error.kind() == ErrorKind::WouldBlock =>
            {
                Ok(0)
            }
            (Fault::TakesWhatItSaysItDidNot, Ok(taken)) if taken < bytes.len() => {
                Err(ErrorKind::WouldBlock.into())
            }
            (_, result) => result,
        }
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        match (self.fault, timeout) {
            (Fault::ForgetsTheReadTimeout, _) => {
                self.inner.set_read_timeout(Duration::from_secs(6))
            }
            (Fault::RefusesATimeoutOfZero, Duration::ZERO) => Err(ErrorKind::InvalidInput.into()),
            _ => self.inner.set_read_timeout(timeout),
        }
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let under = self.fault == Fault::WritesUnderTheLockOfShutdown;
        let _guard = under.then(|| self.lock.lock().expect("no panic"));
        match (self.fault, how) {
            (Fault::ShutsNothing, Shutdown::Both | Shutdown::Read) => Ok(()),
            (Fault::KeepsItsEndToItself, Shutdown::Write) => Ok(()),
            _ => {
                self.state.lock().expect("no panic").1 |= how == Shutdown::Read;
                self.inner.shutdown(how)
            }
        }
    }
}

/// Returns what the test says of a stream with this fault.
fn verdict(fault: Fault) -> Option<String> {
    let tested = catch_unwind(AssertUnwindSafe(|| {
        conformance(|| {
            let (inner, far) = Memory::pair();
            let near = Faulty { inner, fault, lock: Mutex::default(), state: Mutex::default() };
            (Box::new(near), Box::new(far))
        });
    }));
    let panic = tested.err()?;
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned())
}

#[test]
fn each_breach_of_the_contract_is_found_and_named() {
    let rows = [
        (Fault::WritesZeroAtTheTimeout, "a write that took nothing returned 0"),
        (Fault::ReadsZeroAtTheTimeout, "a read returned 0 before the end of the peer"),
        (Fault::TakesWhatItSaysItDidNot, "other bytes came than were written|no progress"),
        (Fault::Swaps, "other bytes came than were written|no progress"),
        (Fault::ReadsUnderTheLockOfWrites, "waits for a"),
        (Fault::WritesUnderTheLockOfShutdown, "waits for a write|is not woken"),
        (Fault::ForgetsTheReadTimeout, "the read timeout is not kept"),
        (Fault::RefusesATimeoutOfZero, "a read timeout can be set, to zero, too"),
        (Fault::ShutsNothing, "is not woken"),
        (Fault::KeepsItsEndToItself, "the peer is told of the end"),
        (Fault::FailsAfterTheEnd, "a read returns 0, and again"),
        (Fault::DropsWhatCameAtItsShutdown, "a read returned 0 before the end of the peer"),
        (Fault::DoesNotOpen, "it opens"),
    ];
    let verdicts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            rows.iter().map(|(fault, _)| scope.spawn(move || verdict(*fault))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it is caught")).collect()
    });
    for ((fault, expected), verdict) in rows.iter().zip(verdicts) {
        let verdict = verdict.unwrap_or_else(|| panic!("{:?} is not found", fault));
        let found = expected.split('|').any(|expected| verdict.contains(expected));
        assert!(found, "{:?}: {}", fault, verdict);
    }
}
