//! Faults of the system: calls that are interrupted, come up short, time out or fail, at any step.

use super::checks::conversation::HANDSHAKE;
use super::served::transcript;
use super::{Script, Stub};
use crate::ground::limits::Limits;
use std::fmt::Debug;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

/// Two requests on one connection, the second with a body that it asks for.
const REQUESTS: &[&[u8]] = &[
    b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"3\r\nabc\r\n0\r\n\r\n",
];

/// The same for a handler that reads bodies as streams and writes its answers as such: with a length,
/// with neither a body that is read nor one that is sent, and in chunks.
const STREAMS: &[&[u8]] = &[
    b"PUT /stream?length=4 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
    b"ab",
    b"cHEAD /stream HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
    b"abcPOST /stream HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n",
    b"Transfer-Encoding: chunked\r\n\r\n",
    b"3\r\nab",
    b"c\r\n0\r\n\r\n",
];

/// A whole conversation.
const FRAMES: &[&[u8]] = &[
    HANDSHAKE,
    b"\x81\x82\0\0\0\0hi",
    b"\x01\x81\0\0\0\0a\x89\x81\0\0\0\0p\x80\x81\0\0\0\0b",
    b"\x82\x83\0\0\0\0\x01\x02\x03\x88\x82\0\0\0\0\x03\xe8",
];

/// Long enough for a machine of any speed, but for a peer that is dead.
fn patient() -> Limits {
    Limits { ping_interval: Duration::ZERO, ..Limits::default() }
}

fn stub(pieces: &[&[u8]]) -> Script {
    Script {
        input: pieces.concat().into(),
        reads: pieces.iter().map(|piece| Ok(piece.len())).collect(),
        ..Script::default()
    }
}

/// Returns what is answered without a fault, and the stub.
fn without_fault(pieces: &[&[u8]]) -> (Vec<u8>, Arc<Stub>) {
    let stub = Stub::new(stub(pieces));
    let answer = transcript(&stub, patient());
    let ends = [&b"abc"[..], b"c\r\n1\r\n!\r\n0\r\n\r\n", b"\x88\x02\x03\xe8"];
    assert!(ends.iter().any(|end| answer.ends_with(end)), "{}", answer.escape_ascii());
    (answer, stub)
}

fn assert_same(seen: Vec<u8>, answer: &[u8], fault: impl Debug, step: impl Debug) {
    let [seen, answer] = [&seen, answer].map(|bytes| bytes.escape_ascii().to_string());
    assert_eq!(seen, answer, "{:?} at {:?}", fault, step);
}

#[test]
fn a_read_that_is_interrupted_or_times_out_too_soon_changes_nothing() {
    for pieces in [REQUESTS, STREAMS, FRAMES] {
        let (answer, good) = without_fault(pieces);
        for kind in [ErrorKind::Interrupted, ErrorKind::WouldBlock, ErrorKind::TimedOut] {
            for step in 0..good.script().asked.len() {
                let mut script = stub(pieces);
                let at = step.min(script.reads.len());
                script.reads.insert(at, Err(kind));
                assert_same(transcript(&Stub::new(script), patient()), &answer, kind, step);
            }
        }
    }
}

/// Takes out the pong, which may come later when the client is behind.
fn without_pong(answer: &[u8]) -> Vec<u8> {
    let pong = b"\x8a\x01p";
    match answer.windows(pong.len()).position(|bytes| bytes == pong) {
        Some(at) => [&answer[..at], &answer[at + pong.len()..]].concat(),
        None => answer.to_vec(),
    }
}

#[test]
fn writes_that_are_interrupted_time_out_or_come_up_short_lose_and_double_nothing() {
    let all = 2000;
    for pieces in [REQUESTS, STREAMS, FRAMES] {
        let (answer, _) = without_fault(pieces);
        for fault in [Err(ErrorKind::Interrupted), Err(ErrorKind::WouldBlock), Ok(1), Ok(7)] {
            for (step, times) in (0..8).map(|step| (step, 1)).chain([(0, all)]) {
                // Writes that never take anything are the next test's.
                if times == all && fault.is_err() {
                    continue;
                }
                let before = vec![Ok(usize::MAX); step];
                let writes = before.into_iter().chain(vec![fault; times]).collect();
                let seen = transcript(&Stub::new(Script { writes, ..stub(pieces) }), patient());
                assert_eq!(seen.len(), answer.len(), "{:?} at {}", fault, step);
                assert_same(without_pong(&seen), &without_pong(&answer), fault, step);
            }
        }
    }
}

#[test]
fn a_socket_that_fails_at_any_step_ends_its_connection_and_nothing_else() {
    for pieces in [REQUESTS, STREAMS, FRAMES] {
        let (answer, good) = without_fault(pieces);
        let calls = good.script().calls;
        assert!(calls >= 10, "{}", calls);
        for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::Other] {
            for step in 1..=calls {
                let script = Script { broken: Some((step, kind)), ..stub(pieces) };
                let some = transcript(&Stub::new(script), patient());
                assert!(answer.starts_with(&some), "{:?} {}: {:?}", kind, step, some);
            }
        }
    }
}

#[test]
fn a_peer_that_is_dead_from_any_step_on_is_given_up_in_time() {
    let short = Duration::from_millis(10);
    let limits = Limits {
        head_timeout: short,
        body_timeout: short,
        message_timeout: short,
        write_timeout: short,
        idle_timeout: short,
        close_timeout: short,
        ping_interval: short,
        pong_timeout: short,
        ..Limits::default()
    };
    for pieces in [REQUESTS, STREAMS, FRAMES] {
        let calls = without_fault(pieces).1.script().calls;
        for step in 1..=calls {
            let broken = Some((step, ErrorKind::WouldBlock));
            // That it returns is the promise.
            transcript(&Stub::new(Script { broken, ..stub(pieces) }), limits.clone());
        }
    }
}
