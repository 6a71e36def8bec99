//! The deadline of a write is a total: a peer that takes a byte now and then gains nothing by it.

use super::checks::conversation::HANDSHAKE;
use super::served::transcript;
use super::{Script, Stub};
use crate::ground::limits::{Limits, WRITE_RATE};
use crate::net::stream::{after, write_all, write_deadline};
use std::io::ErrorKind;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_millis(300);
/// Far more than a slow machine needs. The peers would take longer than this to take all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a peer that stays, and takes all that the writes say, then so many bytes each so many
/// milliseconds.
fn slow(
    input: Vec<u8>,
    writes: &[Result<usize, ErrorKind>],
    bytes: usize,
    milliseconds: u64,
) -> Arc<Stub> {
    Stub::new(Script {
        input: input.into(),
        stays: true,
        writes: writes.iter().copied().collect(),
        pace: Some((bytes, Duration::from_millis(milliseconds))),
        ..Script::default()
    })
}

#[test]
fn a_write_is_given_up_at_its_deadline_though_bytes_are_taken_all_the_time() {
    let stub = slow(Vec::new(), &[], 1, 10);
    let begun = Instant::now();
    let written = write_all(&*stub, &[0; 3000], after(TIMEOUT));
    let took = begun.elapsed();
    assert_eq!(written.expect_err("too slow").kind(), ErrorKind::TimedOut);
    assert!(took >= TIMEOUT && took < PATIENCE, "{:?}", took);
    assert!((1..3000).contains(&stub.script().output.len()));
}

#[test]
fn a_long_write_has_the_time_that_its_size_takes_at_the_slowest_rate() {
    let second = Duration::from_secs(1);
    for (bytes, seconds) in [
        (0, 1),
        (1, 1),
        (WRITE_RATE as usize - 1, 1),
        (WRITE_RATE as usize, 2),
        (160 * 1024, 11),
        (16 * 1024 * 1024, 1025),
    ] {
        let before = Instant::now();
        let deadline = write_deadline(second, bytes);
        assert!(deadline >= before + second * seconds, "{} bytes", bytes);
        assert!(deadline <= Instant::now() + second * seconds, "{} bytes", bytes);
    }
    // Times that the system cannot count.
    for bytes in [0, usize::MAX] {
        assert!(write_deadline(Duration::MAX, bytes) > Instant::now() + second * 3600);
    }
}

#[test]
fn a_peer_that_takes_its_answer_byte_by_byte_is_given_up_at_one_deadline_for_all_of_it() {
    let all = Ok(usize::MAX);
    let second = Duration::from_secs(1);
    let post = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 16384\r\n\r\n";
    let expect =
        b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n";
    let text = b"\x81\xfe\x42\x68\0\0\0\0";
    // What is answered, to what; how much of it the peer takes at which pace; how long the answer
    // is at least, and what time its size earns it.
    let rows = [
        (
            "a long answer",
            slow([&post[..], &[b'x'; 16_384]].concat(), &[], 10, 10),
            16_384,
            TIMEOUT + second,
        ),
        (
            "an error",
            slow(b"GET /a HTTP/1.1\r\nHost: evil\r\n\r\n".to_vec(), &[], 1, 50),
            200,
            TIMEOUT,
        ),
        ("100 Continue", slow(expect.to_vec(), &[], 1, 200), 25, TIMEOUT),
        ("a 101", slow(HANDSHAKE.to_vec(), &[], 1, 50), 250, TIMEOUT),
        (
            "a 101 of which much is taken at once",
            slow(HANDSHAKE.to_vec(), &[Ok(200)], 1, 250),
            250,
            TIMEOUT,
        ),
        (
            "a long message",
            slow([HANDSHAKE, text, &[b'x'; 17_000]].concat(), &[all], 10, 10),
            17_000,
            TIMEOUT + second,
        ),
    ];
    let limits = Limits {
        write_timeout: TIMEOUT,
        // They end only those that the deadline has not ended.
        ping_interval: second,
        pong_timeout: second,
        ..Limits::default()
    };
    thread::scope(|scope| {
        for (what, stub, whole, least) in rows {
            let limits = limits.clone();
            scope.spawn(move || {
                let begun = Instant::now();
                transcript(&stub, limits);
                let took = begun.elapsed();
                assert!(took >= least && took < PATIENCE, "{}: {:?}", what, took);
                let taken = stub.script().output.len();
                assert!((1..whole).contains(&taken), "{}: {} bytes", what, taken);
            });
        }
    });
}
