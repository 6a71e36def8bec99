//! The deadline of a write is a total: a peer that takes a byte now and then gains nothing by it.

use super::checks::conversation::HANDSHAKE;
use super::served::transcript;
use super::{wait_until, Script, Stub};
use crate::ground::limits::Limits;
use crate::net::stream::write_all;
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
    let written = write_all(&*stub, &[&[0; 3000]], TIMEOUT, &Limits::default());
    let took = begun.elapsed();
    assert_eq!(written.expect_err("too slow").kind(), ErrorKind::TimedOut);
    assert!(took >= TIMEOUT && took < PATIENCE, "{:?}", took);
    assert!((1..3000).contains(&stub.script().output.len()));
}

#[test]
fn a_write_that_went_on_with_less_time_leaves_the_whole_of_it_to_the_next_one() {
    let stub = slow(Vec::new(), &[Err(ErrorKind::WouldBlock)], 1000, 10);
    let limits = Limits { min_rate: usize::MAX, ..Limits::default() };
    write_all(&*stub, &[&[0; 2000]], PATIENCE, &limits).expect("there is time");
    assert_eq!(stub.script().timeouts[1], PATIENCE);
    // It is set before the first write and after the last, and for what is left in between.
    assert!(stub.script().calls >= 3 + 3, "{} calls", stub.script().calls);
}

#[test]
fn bytes_earn_the_time_that_they_take_at_the_slowest_rate() {
    let earned = |min_rate, bytes| Limits { min_rate, ..Limits::default() }.earned(bytes);
    for (rate, bytes, milliseconds) in [
        (8192, 0, 0),
        (8192, 8191, 999),
        (8192, 8192, 1000),
        (8192, 1024 * 1024, 128_000),
        (1, 1, 1000),
        (0, 1, 1000),
        (usize::MAX, 1024, 0),
    ] {
        assert_eq!(earned(rate, bytes).as_millis(), milliseconds, "{} bytes at {}", bytes, rate);
    }
    // A time that cannot be counted.
    assert!(earned(0, usize::MAX) > Duration::from_secs(3600));
}

#[test]
fn a_peer_that_takes_and_sends_at_the_slowest_rate_is_served_however_long_that_takes() {
    let limits = Limits {
        // A thousand bytes a second come and go, or fewer on a slow machine.
        min_rate: 5,
        write_timeout: TIMEOUT * 2,
        body_timeout: TIMEOUT * 2,
        message_timeout: TIMEOUT * 2,
        close_timeout: Duration::ZERO,
        ..Limits::default()
    };
    let post = b"POST /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1000\r\n\r\n";
    let text = b"\x81\xfe\x03\xe8\0\0\0\0";
    let close = b"\x88\x82\0\0\0\0\x03\xe8";
    thread::scope(|scope| {
        for (begin, head, end) in
            [(&b""[..], &post[..], &b""[..]), (HANDSHAKE, &text[..], &close[..])]
        {
            let limits = limits.clone();
            let opening: &[_] = if begin.is_empty() { &[] } else { &[Ok(usize::MAX)] };
            let stub = slow(begin.to_vec(), opening, 10, 10);
            let feed = Arc::clone(&stub);
            scope.spawn(move || transcript(&stub, limits));
            scope.spawn(move || {
                feed.script().input.extend([head, &[b'x'; 100]].concat());
                for _ in 0..90 {
                    thread::sleep(Duration::from_millis(10));
                    feed.script().input.extend([b'x'; 10]);
                }
                wait_until("all is written", || feed.script().output.ends_with(&[b'x'; 1000]));
                feed.script().input.extend(end);
                feed.script().stays = false;
            });
        }
    });
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
    // is at least.
    let rows = [
        ("a long answer", slow([&post[..], &[b'x'; 16_384]].concat(), &[], 10, 10), 16_384),
        ("an error", slow(b"GET /a HTTP/1.1\r\nHost: evil\r\n\r\n".to_vec(), &[], 1, 50), 200),
        ("100 Continue", slow(expect.to_vec(), &[], 1, 200), 25),
        ("a 101", slow(HANDSHAKE.to_vec(), &[], 1, 50), 250),
        ("a 101 of which much is taken at once", slow(HANDSHAKE.to_vec(), &[Ok(200)], 1, 250), 250),
        (
            "a long message",
            slow([HANDSHAKE, text, &[b'x'; 17_000]].concat(), &[all], 10, 10),
            17_000,
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
        for (what, stub, whole) in rows {
            let limits = limits.clone();
            scope.spawn(move || {
                let begun = Instant::now();
                transcript(&stub, limits);
                let took = begun.elapsed();
                assert!(took >= TIMEOUT && took < PATIENCE, "{}: {:?}", what, took);
                let taken = stub.script().output.len();
                assert!((1..whole).contains(&taken), "{}: {} bytes", what, taken);
            });
        }
    });
}

#[test]
fn a_pong_has_the_time_for_what_its_ping_travels_behind() {
    let short = Duration::from_millis(10);
    let limits =
        Limits { ping_interval: short, pong_timeout: short, min_rate: 1, ..Limits::default() };
    // What is echoed earns some minutes, of which the write timeout allows 30 s.
    let stub = Stub::new(Script {
        input: [HANDSHAKE, b"\x81\xfe\x03\xe8\0\0\0\0", &[b'x'; 1000]].concat().into(),
        stays: true,
        ..Script::default()
    });
    thread::scope(|scope| {
        scope.spawn(|| transcript(&stub, limits));
        let patient = || stub.script().timeouts[0] > Duration::from_secs(20);
        wait_until("the server waits for the pong", patient);
        stub.script().input.extend(b"\x88\x82\0\0\0\0\x03\xe8");
    });
    let output = &stub.script().output;
    assert!(output.ends_with(b"\x89\0\x88\x02\x03\xe8"), "{}", output.escape_ascii());
}
