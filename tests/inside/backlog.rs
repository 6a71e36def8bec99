//! What waits for a client that does not read is bounded, in bytes and in messages.

use super::{deliver, guest, wait_until, Script, Stub};
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::net::outbox::{Outbox, Patience, Refused, Sent, Shared};
use crate::net::queue::Owner;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::frame::{Frame, OpCode};
use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

fn outbox(shared: &Arc<Shared>) -> (Arc<Outbox>, Arc<Stub>) {
    let stub = Stub::new(Script { writes: [Ok(3)].into(), ..Script::default() });
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let outbox = Outbox::new(guest(), stub.clone(), peer, Arc::clone(shared), b"101".to_vec());
    assert!(outbox.open());
    (outbox, stub)
}

/// Returns the outbox of a client that takes nothing after the 101, not even this frame, which a
/// flusher holds in its hands.
fn stuck(shared: &Arc<Shared>, frame: &Frame) -> (Arc<Outbox>, Arc<Stub>) {
    let (outbox, stub) = outbox(shared);
    stub.script().pace = Some((0, Duration::MAX));
    assert_eq!(
        outbox.send(frame, &mut Patience::default()).expect("one message is always taken"),
        Sent::Stalled
    );
    // The sender's timeout, then those of the flusher's direct write and of its patient one.
    let patient = |stub: &Stub| stub.script().timeouts[1] > Duration::from_secs(1);
    wait_until("a flusher has the frame", || patient(&stub));
    assert_eq!((outbox.backlog(), outbox.is_behind()), (frame.len(), true));
    (outbox, stub)
}

/// Waits until a client that is behind is not just a sender who is too fast.
fn grace() {
    thread::sleep(Duration::from_millis(200));
}

/// Sends until no more is taken. Returns how many frames were, and what then waits.
fn fill(outbox: &Arc<Outbox>, frame: &Frame) -> (usize, usize) {
    for taken in 0..10_000 {
        match outbox.send(frame, &mut Patience::default()) {
            Ok(_) => {}
            Err(Refused::Full(full)) => return (taken, full.waiting),
            Err(Refused::Gone) => panic!("gone after {}", taken),
        }
    }
    panic!("it takes everything");
}

#[test]
fn what_waits_is_bounded_in_bytes_and_in_messages_and_one_message_is_always_taken() {
    let limits = Limits::default;
    // Bounds; the payload of each message; how many wait behind the one that is being written.
    let rows = [
        (Limits { backlog_messages: 10, ..limits() }, 1, 10),
        (Limits { backlog_messages: 1, ..limits() }, 1, 1),
        (Limits { backlog_messages: 0, ..limits() }, 1, 1),
        (limits(), 1, 1024),
        (Limits { backlog: 98, ..limits() }, 1, 32),
        (Limits { backlog: 99, ..limits() }, 1, 33),
        (Limits { backlog: 100, ..limits() }, 1, 33),
        (Limits { backlog: 100, ..limits() }, 200, 1),
        (Limits { backlog: 0, ..limits() }, 1, 1),
        (limits(), 10_000, 104),
        // This one counts what is being written, too.
        (Limits { total_backlog: 50, ..limits() }, 1, 16),
        (Limits { total_backlog: 0, ..limits() }, 1, 0),
    ];
    thread::scope(|scope| {
        for (limits, length, most) in rows {
            scope.spawn(move || {
                let payload = vec![7; length];
                let frame = Frame::new(OpCode::Binary, &payload);
                let (outbox, stub) = stuck(&Shared::new(limits.clone()), &frame);
                grace();
                let all = frame.len() * (1 + most);
                assert_eq!(fill(&outbox, &frame), (most, all), "{:?}", limits);
                assert_eq!(fill(&outbox, &frame), (0, all), "what is refused does not wait");
                assert_eq!(outbox.backlog(), all);
                // The way of all senders also cuts the client off.
                assert!(matches!(deliver(&outbox, &frame), Err(Refused::Full(_))));
                assert!(outbox.is_closing() && stub.script().shut);
                wait_until("its flusher has ended", || outbox.backlog() == 0);
                assert!(matches!(deliver(&outbox, &frame), Err(Refused::Gone)));
                assert_eq!(stub.script().output, b"101");
            });
        }
    });
}

#[test]
fn a_client_that_has_just_stopped_reading_slows_its_senders_down_before_it_is_full() {
    let frame = Frame::new(OpCode::Text, b"x");
    let shared = Shared::new(Limits { backlog_messages: 1, ..Limits::default() });
    let begun = Instant::now();
    let (outbox, _) = stuck(&shared, &frame);
    let (taken, _) = fill(&outbox, &frame);
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(100), "{:?}", took);
    // But for the first, each had to wait; that bounds what piles up.
    assert!(taken <= 2 + took.as_millis() as usize / 8, "{} in {:?}", taken, took);
    outbox.close();
}

#[test]
fn what_waits_for_all_clients_together_is_bounded_and_only_those_who_are_behind_are_refused() {
    let payload = [7; 9_996];
    let frame = Frame::new(OpCode::Binary, &payload);
    let shared = Shared::new(Limits { total_backlog: 100_000, ..Limits::default() });
    let stuck = || stuck(&shared, &frame);
    // Eleven make more than the bound: one that is being written, ten that wait.
    let (alone, _) = stuck();
    grace();
    assert_eq!(fill(&alone, &frame), (10, 110_000));
    alone.close();
    // The same with two clients, seven for one of them.
    let ((one, reads_again), (other, resets)) = (stuck(), stuck());
    grace();
    for _ in 0..6 {
        assert!(one.send(&frame, &mut Patience::default()).is_ok(), "below the bound");
    }
    assert_eq!(fill(&other, &frame), (3, 40_000));
    assert_eq!(fill(&one, &frame), (0, 70_000));
    // Who reads is not held to it.
    let (quick, all) = outbox(&shared);
    for _ in 0..50 {
        assert_eq!(quick.send(&frame, &mut Patience::default()).expect("it reads"), Sent::Done);
    }
    assert_eq!(all.script().output.len(), 3 + 50 * 10_000);
    // What was written, and what was given up, counts no more.
    reads_again.script().pace = None;
    wait_until("one has caught up", || !one.is_behind());
    assert_eq!(reads_again.script().output.len(), 3 + 70_000);
    resets.script().writes.push_back(Err(ErrorKind::ConnectionReset));
    wait_until("the other has ended", || other.is_shut());
    let (alone, _) = stuck();
    grace();
    assert_eq!(fill(&alone, &frame), (10, 110_000));
    alone.close();
}

#[test]
fn what_waits_for_all_clients_together_is_bounded_also_for_one_that_has_just_stopped_reading() {
    let payload = [7; 9_996];
    let frame = Frame::new(OpCode::Binary, &payload);
    let shared = Shared::new(Limits { total_backlog: 100_000, ..Limits::default() });
    let (outbox, _) = stuck(&shared, &frame);
    assert_eq!(fill(&outbox, &frame), (10, 110_000));
    // Nor does a courier's share go beyond it.
    assert!(matches!(
        outbox.append(&frame, Owner::Courier, &mut Patience::default()),
        Err(Refused::Full(_))
    ));
    outbox.close();
}

#[test]
fn of_the_pongs_for_a_client_that_is_behind_the_newest_is_sent_after_the_data() {
    let frame = Frame::new(OpCode::Text, b"one");
    let pong =
        |outbox: &Outbox, payload: &[u8]| outbox.may_pong(&Frame::new(OpCode::Pong, payload));
    let shared = Shared::new(Limits::default());
    let (outbox, stub) = stuck(&shared, &frame);
    assert_eq!([&b"1"[..], b"2", b"3"].map(|payload| pong(&outbox, payload)), [false; 3]);
    assert!(outbox.send(&Frame::new(OpCode::Text, b"two"), &mut Patience::default()).is_ok());
    stub.script().pace = None;
    wait_until("it has caught up", || !outbox.is_behind());
    assert_eq!(stub.script().output, b"101\x81\x03one\x81\x03two\x8a\x013");
    assert!(pong(&outbox, b"4"), "now a pong is a frame like any other");
    outbox.close();
    assert_eq!(stub.script().output.len(), 16, "and the caller's to send");
}

#[test]
fn no_pong_follows_a_close_frame() {
    let frame = Frame::new(OpCode::Text, b"one");
    let close = CloseFrame { code: CloseCode::NORMAL, reason: String::new() };
    let (outbox, stub) = stuck(&Shared::new(Limits::default()), &frame);
    assert!(!outbox.may_pong(&Frame::new(OpCode::Pong, b"1")));
    assert!(outbox.queue_close(&close));
    assert!(!outbox.may_pong(&Frame::new(OpCode::Pong, b"2")));
    stub.script().pace = None;
    wait_until("it has caught up", || !outbox.is_behind());
    assert_eq!(stub.script().output, b"101\x81\x03one\x8a\x011\x88\x02\x03\xe8");
    outbox.close();
}
