//! How an encrypted stream ends, gives up and fails, seen beneath the server: over a stream in
//! memory, of which the test holds the other end.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{
    client_over, open, opened, receive, sealed, send, server_over, update_keys, Client, Served,
    PATIENCE, TLS12, TLS13,
};
use sockling::net::Stream;
use sockling::testing::{Memory, MemoryListener};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(100);

/// A stream that the test goes on to use beneath an encrypted one. It can be told to change a byte
/// of the next write, to end without a word, and to take so many bytes and no more.
struct Shared(Arc<Inner>);

struct Inner {
    memory: Memory,
    spoils: AtomicBool,
    takes: AtomicUsize,
    given: AtomicUsize,
}

impl Inner {
    fn pair() -> (Arc<Inner>, Memory) {
        let (memory, other) = Memory::pair();
        let (spoils, takes) = (AtomicBool::new(false), AtomicUsize::new(usize::MAX));
        (Arc::new(Inner { memory, spoils, takes, given: AtomicUsize::new(0) }), other)
    }
}

impl Stream for Shared {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.memory.read(buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let takes = self.0.takes.load(Ordering::SeqCst);
        let mut bytes = bytes[..bytes.len().min(takes)].to_vec();
        if bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        if self.0.spoils.swap(false, Ordering::SeqCst) {
            *bytes.last_mut().expect("a byte") ^= 1;
        }
        let taken = self.0.memory.write(&bytes)?;
        if takes < usize::MAX {
            self.0.takes.fetch_sub(taken, Ordering::SeqCst);
        }
        self.0.given.fetch_add(taken, Ordering::SeqCst);
        Ok(taken)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.memory.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.0.memory.set_write_timeout(timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.memory.shutdown(how)
    }
}

/// Returns the server's end, the client's, and what is beneath the client's.
fn above() -> (Served, Client, Arc<Inner>) {
    let (inner, memory) = Inner::pair();
    let near = server_over(Box::new(memory), &[&TLS13]);
    let far = client_over(Box::new(Shared(Arc::clone(&inner))), &[&TLS13]);
    open(&near, &far);
    (near, far, inner)
}

fn kind(read: io::Result<usize>) -> ErrorKind {
    read.expect_err("an error").kind()
}

#[test]
fn an_end_without_close_notify_is_told_apart_and_stays_so() {
    for version in [&TLS13, &TLS12] {
        let (near, far) = opened(&[version]);
        send(&far, b"hello");
        drop(far.inner);
        assert_eq!(receive(&near, 5), b"hello");
        for _ in 0..3 {
            assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::UnexpectedEof);
        }
    }
}

#[test]
fn after_close_notify_a_read_returns_0_for_ever_and_writes_go_on() {
    for version in [&TLS13, &TLS12] {
        let (near, far) = opened(&[version]);
        send(&far, b"hello");
        far.shutdown(Shutdown::Write).expect("it can be shut");
        assert_eq!(receive(&near, 5), b"hello");
        for _ in 0..3 {
            assert_eq!(near.read(&mut [0; 9]).expect("an end in order"), 0);
        }
        send(&near, &[7; 100_000]);
        assert_eq!(receive(&far, 100_000), [7; 100_000]);
    }
}

#[test]
fn what_follows_close_notify_is_dropped() {
    let (near, far, inner) = above();
    far.shutdown(Shutdown::Read).expect("it can be shut");
    // The farewell without the end of the stream beneath.
    let mut session = far.session.lock().expect("no panic");
    session.say_farewell();
    let farewell = std::mem::take(&mut session.owed);
    inner.memory.write(&[&farewell[..], &[0xff; 999]].concat()).expect("there is room");
    assert_eq!(near.read(&mut [0; 4096]).expect("an end in order"), 0);
    inner.memory.write(&[0xff; 999]).expect("there is room");
    assert_eq!(near.read(&mut [0; 4096]).expect("an end in order"), 0);
}

#[test]
fn an_error_comes_behind_the_plaintext_before_it_and_then_at_each_read() {
    for buffer in [4096, 3] {
        let (near, far, inner) = above();
        send(&far, b"hello");
        inner.spoils.store(true, Ordering::SeqCst);
        send(&far, b"spoilt");
        let mut got = Vec::new();
        while got.len() < 5 {
            let mut bytes = vec![0; buffer];
            let read = near.read(&mut bytes).expect("what came before the error");
            got.extend_from_slice(&bytes[..read]);
        }
        assert_eq!(got, b"hello");
        for _ in 0..3 {
            assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::InvalidData);
        }
        assert_eq!(kind(near.write(b"?")), ErrorKind::BrokenPipe);
        // The alert was owed, and leaves with the farewell.
        near.shutdown(Shutdown::Write).expect("it can be shut");
        let error = far.read(&mut [0; 9]).expect_err("an alert");
        assert!(error.to_string().contains("BadRecordMac"), "{}", error);
    }
}

#[test]
fn after_an_error_and_our_end_ciphertext_is_dropped_until_the_peer_ends() {
    let (near, far, inner) = above();
    inner.spoils.store(true, Ordering::SeqCst);
    send(&far, b"spoilt");
    assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::InvalidData);
    near.shutdown(Shutdown::Write).expect("it can be shut");
    near.set_read_timeout(PATIENCE).expect("a timeout");
    std::thread::scope(|scope| {
        // More than the stream holds that nobody has read.
        scope.spawn(|| {
            for _ in 0..100 {
                send(&far, &[7; 10_000]);
            }
            far.shutdown(Shutdown::Write).expect("it can be shut");
        });
        assert_eq!(kind(near.read(&mut [0; 999])), ErrorKind::InvalidData);
    });
    assert_eq!(inner.memory.write(b"?").map_err(|error| error.kind()), Err(ErrorKind::BrokenPipe));
}

#[test]
fn plaintext_that_is_left_in_the_session_comes_before_the_stream_is_asked() {
    let (near, far) = opened(&[&TLS13]);
    let sent: Vec<u8> = (0..16_000).map(|at| at as u8).collect();
    send(&far, &sent);
    near.set_read_timeout(SHORT).expect("a timeout");
    let mut got = Vec::new();
    for _ in 0..16 {
        got.extend(receive(&near, 1000));
    }
    assert_eq!(got, sent);
    assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::WouldBlock);
}

#[test]
fn the_read_timeout_is_a_total_over_a_record_that_trickles_in() {
    let (near, far, inner) = above();
    let record = sealed(&mut far.session.lock().expect("no panic"), &[7; 5000]);
    near.set_read_timeout(SHORT).expect("a timeout");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut bytes = record.iter();
            while !ended.load(Ordering::SeqCst) {
                if let Some(byte) = bytes.next() {
                    inner.memory.write(&[*byte]).expect("there is room");
                }
                std::thread::sleep(SHORT / 20);
            }
            let rest: Vec<u8> = bytes.copied().collect();
            inner.memory.write(&rest).expect("there is room");
        });
        let begun = Instant::now();
        let error = kind(near.read(&mut [0; 9999]));
        let passed = begun.elapsed();
        ended.store(true, Ordering::SeqCst);
        assert_eq!(error, ErrorKind::WouldBlock);
        // 5,000 bytes would take far longer.
        assert!(passed < PATIENCE / 3, "{:?}", passed);
    });
    near.set_read_timeout(PATIENCE).expect("a timeout");
    assert_eq!(receive(&near, 5000), [7; 5000]);
}

#[test]
fn a_retry_goes_on_behind_the_residue_and_counts_whole_records() {
    let (near, far, inner) = above();
    let sent: Vec<u8> = (0..60_000).map(|at| (at ^ at >> 8) as u8).collect();
    far.set_write_timeout(Duration::ZERO).expect("a timeout");
    // One record and a half.
    inner.takes.store(24_000, Ordering::SeqCst);
    let first = far.write(&sent).expect("one record is out");
    assert_eq!(first, 16 * 1024);
    assert_eq!(kind(far.write(&sent[first..])), ErrorKind::WouldBlock);
    inner.takes.store(usize::MAX, Ordering::SeqCst);
    // A caller may give less than it did before.
    let second = far.write(&sent[first..first + 10]).expect("the residue is out");
    assert_eq!(second, 10);
    assert_eq!(far.write(&sent[first + 10..]).expect("the rest"), sent.len() - first - 10);
    assert_eq!(receive(&near, sent.len()), sent);
    near.set_read_timeout(SHORT).expect("a timeout");
    assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::WouldBlock);
}

#[test]
fn no_farewell_goes_behind_half_a_record() {
    let (near, far, inner) = above();
    far.set_write_timeout(Duration::ZERO).expect("a timeout");
    inner.takes.store(100, Ordering::SeqCst);
    assert_eq!(kind(far.write(&[7; 5000])), ErrorKind::WouldBlock);
    inner.takes.store(usize::MAX, Ordering::SeqCst);
    let given = inner.given.load(Ordering::SeqCst);
    far.shutdown(Shutdown::Write).expect("it can be shut");
    assert_eq!(inner.given.load(Ordering::SeqCst), given);
    assert_eq!(kind(near.read(&mut [0; 9])), ErrorKind::UnexpectedEof);
}

#[test]
fn a_farewell_for_which_there_is_no_room_does_not_hold_a_shutdown() {
    let (_near, far, inner) = above();
    inner.takes.store(0, Ordering::SeqCst);
    let begun = Instant::now();
    far.shutdown(Shutdown::Both).expect("it can be shut");
    let passed = begun.elapsed();
    // Eight milliseconds; the rest is for a machine that does other things.
    assert!(passed < Duration::from_secs(2), "{:?}", passed);
}

#[test]
fn a_client_that_is_refused_gets_no_plain_text_inside_its_handshake() {
    use sockling::net::Listener;
    let config = kit::server_config(kit::made(), &[&TLS13]);
    let memory = Arc::new(MemoryListener::new("memory"));
    let tls = sockling_tls::Tls::new(Arc::clone(&memory), Arc::new(config));
    let client = memory.connect().expect("it listens");
    let (near, _) = tls.accept().expect("a client");
    // As the server does it, without `open`.
    near.set_write_timeout(SHORT).expect("a timeout");
    assert_eq!(kind(near.write(b"HTTP/1.1 503 ..")), ErrorKind::NotConnected);
    near.shutdown(Shutdown::Write).expect("it can be shut");
    client.write(&[0x16; 999]).expect("there is room");
    client.shutdown(Shutdown::Write).expect("it can be shut");
    near.set_read_timeout(PATIENCE).expect("a timeout");
    assert_eq!(kind(near.read(&mut [0; 99])), ErrorKind::NotConnected);
    assert_eq!(client.read(&mut [0; 99]).expect("an end"), 0);
}

#[test]
fn the_answer_to_a_key_update_leaves_in_front_of_the_next_write() {
    let (near, far) = opened(&[&TLS13]);
    for round in 0..3 {
        update_keys(&far);
        send(&far, &[round; 1000]);
        assert_eq!(receive(&near, 1000), [round; 1000]);
        send(&near, &[round; 100_000]);
        assert_eq!(receive(&far, 100_000), [round; 100_000]);
    }
}
