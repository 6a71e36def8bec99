//! What every [`Stream`] has to do, as a test that any of them can be put through, and a stream that
//! makes it hard for one that goes around it.

use crate::net::stream::{is_timeout, Stream};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before the test fails. Far more than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(10);
/// A time that a stream is given to give up in.
const SHORT: Duration = Duration::from_millis(30);
/// The bytes that go each way at once.
const MANY: usize = 1024 * 1024;
/// More than any transport holds that nobody has read.
const TOO_MANY: usize = 256 * 1024 * 1024;

/// A stream around another one that tears what passes: it cuts reads and writes at random, and fails
/// between with `Interrupted`, or with `WouldBlock` as at a timeout.
///
/// It panics if a write does not begin with the bytes that the last one has left, which no stream
/// around it may do.
///
/// ```
/// use sockling::{net::Stream, testing::{Memory, Tearing}};
///
/// let (near, far) = Memory::pair();
/// let torn = Tearing::new(near, 7301);
/// let mut left = &b"hello"[..];
/// while !left.is_empty() {
///     left = &left[torn.write(left).unwrap_or(0)..];
/// }
/// let mut bytes = [0; 8];
/// assert_eq!((far.read(&mut bytes)?, &bytes[..5]), (5, &b"hello"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Tearing<S> {
    inner: S,
    random: AtomicUsize,
    /// The first bytes that the last write has left.
    left: Mutex<Vec<u8>>,
}

impl<S: Stream> Tearing<S> {
    /// Returns a stream that tears in the way that the seed gives.
    pub fn new(inner: S, seed: u64) -> Tearing<S> {
        Tearing { inner, random: AtomicUsize::new(seed as usize), left: Mutex::default() }
    }

    /// Returns how many of so many bytes pass, or the error.
    fn draw(&self, length: usize) -> io::Result<usize> {
        let step = self.random.fetch_add(0x9e37_79b9, Ordering::Relaxed) as u64;
        // The mix of SplitMix64.
        let mut random = step.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random = (random ^ random >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        random = (random ^ random >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let random = (random ^ random >> 31) as usize;
        match random % 8 {
            0 => Err(ErrorKind::Interrupted.into()),
            1 => Err(ErrorKind::WouldBlock.into()),
            2 | 3 => Ok(length.min(1 + random / 8 % 8)),
            _ => Ok(length.min(1 + random / 8 % 10_000)),
        }
    }
}

impl<S: Stream> Stream for Tearing<S> {
    fn open(&self, deadline: Instant) -> io::Result<()> {
        self.inner.open(deadline)
    }

    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.draw(buffer.len())?;
        self.inner.read(&mut buffer[..most])
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let same = left.iter().zip(bytes).all(|(left, byte)| left == byte);
        assert!(same, "a write did not begin with the bytes that the last one left");
        *left = bytes.iter().take(64).copied().collect();
        let taken = self.inner.write(&bytes[..self.draw(bytes.len())?])?;
        *left = bytes[taken..].iter().take(64).copied().collect();
        Ok(taken)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn is_brittle(&self) -> bool {
        self.inner.is_brittle()
    }
}

/// Panics if a stream does not keep the contract of [`Stream`](crate::net::Stream). The closure
/// returns a new connection with each call: the stream to test, and the client's end of it, whose
/// [`open`](crate::net::Stream::open) runs at the same time.
///
/// A transport that goes around another stream is tested around a [`Tearing`], too, with several
/// seeds. A deadlock makes a test last for some ten seconds before it fails.
///
/// ```
/// use sockling::testing::{conformance, Memory, Tearing};
///
/// for seed in 0..3 {
///     conformance(|| {
///         let (near, far) = Memory::pair();
///         (Box::new(Tearing::new(near, seed)), Box::new(far)) // the transport around the first one
///     });
/// }
/// ```
pub fn conformance(mut pair: impl FnMut() -> (Box<dyn Stream>, Box<dyn Stream>)) {
    let checks: [fn(&dyn Stream, &dyn Stream); 9] = [
        both_ways_at_once,
        a_read_gives_up_in_time,
        a_write_that_gives_up_goes_on_where_it_was,
        neither_direction_waits_for_the_other,
        the_end_of_the_peer_follows_its_bytes,
        our_end_follows_our_bytes,
        shutting_the_receiving_side_wakes_a_read,
        shutting_both_wakes_a_read_and_a_write,
        question_and_answer,
    ];
    for check in checks {
        let (near, far) = pair();
        open(&*near, &*far);
        check(&*near, &*far);
    }
    let (near, far) = pair();
    open(&*near, &*far);
    drop(far);
    a_peer_that_has_gone_is_noticed(&*near);
}

fn open(near: &dyn Stream, far: &dyn Stream) {
    let deadline = Instant::now() + PATIENCE;
    at_once(
        || far.open(deadline).expect("the client's end opens"),
        || near.open(deadline).expect("it opens"),
    );
    for stream in [near, far] {
        stream.set_read_timeout(SHORT).expect("a read timeout can be set");
        stream.set_write_timeout(SHORT).expect("a write timeout can be set");
    }
}

/// Runs two closures at once.
fn at_once<T>(other: impl FnOnce() + Send, own: impl FnOnce() -> T) -> T {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        let own = own();
        other.join().unwrap_or_else(|panic| resume_unwind(panic));
        own
    })
}

/// Calls again while the stream gives up or is interrupted, until that has taken too long.
fn patiently<T>(what: &str, mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match call() {
            Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => {
                assert!(Instant::now() < end, "{}", what);
            }
            result => return result,
        }
    }
}

fn pattern(at: usize) -> u8 {
    (at ^ at >> 8 ^ at >> 16) as u8
}

/// Writes bytes of the pattern.
fn send(stream: &dyn Stream, bytes: usize) {
    let all: Vec<u8> = (0..bytes).map(pattern).collect();
    let mut left = &all[..];
    while !left.is_empty() {
        let taken = patiently("a write makes no progress", || stream.write(left));
        let taken = taken.expect("a write succeeds while the peer reads");
        assert!(taken > 0, "a write that took nothing returned 0");
        left = &left[taken..];
    }
}

/// Reads so many bytes of the pattern.
fn receive(stream: &dyn Stream, from: usize, bytes: usize) {
    let (mut buffer, mut at) = (vec![0; 20_000], from);
    while at < from + bytes {
        let most = buffer.len().min(from + bytes - at);
        let read = patiently("what was written does not come", || stream.read(&mut buffer[..most]));
        let read = read.expect("a read succeeds while the peer writes");
        assert!(read > 0, "a read returned 0 before the end of the peer");
        let right =
            buffer[..read].iter().enumerate().all(|(more, byte)| *byte == pattern(at + more));
        assert!(right, "other bytes came than were written");
        at += read;
    }
}

/// Asserts that nothing more comes, whenever it is asked.
fn assert_end(stream: &dyn Stream, what: &str) {
    for _ in 0..3 {
        assert_eq!(patiently(what, || stream.read(&mut [0; 8])).expect(what), 0, "{}", what);
    }
}

/// Asserts that writes fail, at once or soon.
fn assert_refuses(stream: &dyn Stream, what: &str) {
    let end = Instant::now() + PATIENCE;
    while patiently(what, || stream.write(b"?")).is_ok() {
        assert!(Instant::now() < end, "{}", what);
    }
}

fn both_ways_at_once(near: &dyn Stream, far: &dyn Stream) {
    let duplex = |stream: &dyn Stream| at_once(|| send(stream, MANY), || receive(stream, 0, MANY));
    at_once(|| duplex(far), || duplex(near));
}

fn a_read_gives_up_in_time(near: &dyn Stream, far: &dyn Stream) {
    for timeout in [Duration::ZERO, SHORT] {
        near.set_read_timeout(timeout).expect("a read timeout can be set, to zero, too");
        let begun = Instant::now();
        let error = loop {
            match near.read(&mut [0; 8]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                result => break result.expect_err("a read returns nothing where nothing came"),
            }
        };
        assert!(is_timeout(&error), "a read that gives up is WouldBlock or TimedOut: {}", error);
        assert!(begun.elapsed() < PATIENCE / 2, "the read timeout is not kept");
    }
    send(far, 1);
    receive(near, 0, 1);
}

fn a_write_that_gives_up_goes_on_where_it_was(near: &dyn Stream, far: &dyn Stream) {
    near.set_write_timeout(Duration::ZERO).expect("a write timeout can be set, to zero, too");
    near.set_write_timeout(SHORT).expect("a write timeout can be set");
    let piece: Vec<u8> = (0..100_000).map(pattern).collect();
    let (mut taken, mut given_up) = (0, 0);
    // So often in a row with nothing taken: it is full.
    while given_up < 20 {
        assert!(taken < TOO_MANY, "a write never gives up though nobody reads");
        match near.write(&piece[taken % piece.len()..]) {
            Ok(bytes) => {
                assert!(bytes > 0, "a write that took nothing returned 0");
                (taken, given_up) = (taken + bytes, 0);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => {
                assert!(is_timeout(&error), "a write that gives up is a timeout, not {}", error);
                given_up += 1;
            }
        }
    }
    if near.is_brittle() {
        return;
    }
    // The rest of the piece, while the peer reads.
    let rest = &piece[taken % piece.len()..];
    at_once(
        || {
            let mut left = rest;
            while !left.is_empty() {
                let bytes = patiently("a write makes no progress", || near.write(left));
                left = &left[bytes.expect("a write succeeds while the peer reads")..];
            }
        },
        || (0..(taken + rest.len()) / piece.len()).for_each(|_| receive(far, 0, piece.len())),
    );
    far.set_read_timeout(SHORT).expect("a read timeout can be set");
    let more = far.read(&mut [0; 8]);
    assert!(more.is_err(), "more bytes came than were written");
}

fn neither_direction_waits_for_the_other(near: &dyn Stream, far: &dyn Stream) {
    near.set_read_timeout(PATIENCE).expect("a read timeout can be set");
    near.set_write_timeout(PATIENCE).expect("a write timeout can be set");
    let end = || Instant::now() + PATIENCE / 2;
    // A write while a read waits.
    at_once(
        || receive(near, 0, 1),
        || {
            let end = end();
            send(near, MANY / 16);
            receive(far, 0, MANY / 16);
            send(far, 1);
            assert!(Instant::now() < end, "a write waits for a read");
        },
    );
    // A read while a write waits.
    let written = AtomicUsize::new(0);
    at_once(
        || {
            let _ = fill(near, &written);
        },
        || {
            wait_for_standstill(&written);
            let end = end();
            send(far, 3);
            receive(near, 0, 3);
            near.shutdown(Shutdown::Both).expect("it can be shut");
            assert!(Instant::now() < end, "a read, or the shutdown, waits for a write");
        },
    );
}

/// Writes until that fails for good, and counts the bytes.
fn fill(stream: &dyn Stream, written: &AtomicUsize) -> io::Error {
    let bytes = vec![0; 100_000];
    let mut left = 0;
    loop {
        match patiently("a write is not woken", || stream.write(&bytes[left..])) {
            Ok(taken) => {
                left = (left + taken) % bytes.len();
                written.fetch_add(taken, Ordering::Relaxed);
            }
            Err(error) => return error,
        }
    }
}

/// Waits until a count has not changed for a while.
fn wait_for_standstill(count: &AtomicUsize) {
    let mut before = usize::MAX;
    while count.load(Ordering::Relaxed) != before {
        before = count.load(Ordering::Relaxed);
        thread::sleep(SHORT * 2);
    }
}

fn the_end_of_the_peer_follows_its_bytes(near: &dyn Stream, far: &dyn Stream) {
    send(far, 1000);
    far.shutdown(Shutdown::Write).expect("the client's end can be shut");
    receive(near, 0, 1000);
    assert_end(near, "after the end of the peer, and its bytes, a read returns 0, and again");
    at_once(|| send(near, MANY), || receive(far, 0, MANY));
}

fn our_end_follows_our_bytes(near: &dyn Stream, far: &dyn Stream) {
    send(near, 1000);
    near.shutdown(Shutdown::Write).expect("the sending side can be shut");
    receive(far, 0, 1000);
    assert_end(far, "the peer is told of the end");
    assert_refuses(near, "a write fails once the sending side is shut");
    at_once(|| send(far, MANY), || receive(near, 0, MANY));
}

fn shutting_the_receiving_side_wakes_a_read(near: &dyn Stream, far: &dyn Stream) {
    send(far, 1000);
    receive(near, 0, 1); // so that all has come
    near.shutdown(Shutdown::Read).expect("the receiving side can be shut");
    receive(near, 1, 999);
    assert_end(near, "with its receiving side shut, and all read, a read returns 0, and again");
    at_once(|| send(near, MANY), || receive(far, 0, MANY));
}

fn shutting_both_wakes_a_read_and_a_write(near: &dyn Stream, _: &dyn Stream) {
    near.set_read_timeout(PATIENCE).expect("a read timeout can be set");
    near.set_write_timeout(PATIENCE).expect("a write timeout can be set");
    let (written, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let read = || {
        // 0, or an error; the peer has sent nothing.
        let end = patiently("a read is not woken", || near.read(&mut [0; 8]));
        assert_eq!(end.unwrap_or(0), 0, "bytes came from nowhere");
        ended.store(true, Ordering::Release);
    };
    let begun = at_once(read, || {
        let write = || drop(fill(near, &written));
        at_once(write, || {
            wait_for_standstill(&written);
            assert!(!ended.load(Ordering::Acquire), "a read returned before the end");
            let begun = Instant::now();
            near.shutdown(Shutdown::Both).expect("it can be shut");
            begun
        })
    });
    assert!(begun.elapsed() < PATIENCE / 2, "a shutdown does not wake a read and a write");
    // An error means that it is shut already.
    let _ = near.shutdown(Shutdown::Both);
}

fn question_and_answer(near: &dyn Stream, far: &dyn Stream) {
    for length in 1..50 {
        send(near, length);
        receive(far, 0, length);
        send(far, length);
        receive(near, 0, length);
    }
}

fn a_peer_that_has_gone_is_noticed(near: &dyn Stream) {
    // It may be an end in order, or an error.
    let end = patiently("a peer that has gone is not noticed", || near.read(&mut [0; 8]));
    assert_eq!(end.unwrap_or(0), 0, "bytes came from nowhere");
    assert_refuses(near, "a write to a peer that has gone fails, at once or soon");
}
