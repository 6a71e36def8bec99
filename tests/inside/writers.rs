//! The threads that write: what a sender does itself, and what it leaves to a flusher.

use super::client::Client;
use super::pauses::Alone;
use super::{wait_until, Stub};
use crate::ground::limits::{Limits, DIRECT_WRITE};
use crate::ground::peer::Peer;
use crate::net::outbox::{Full, Outbox, Patience, Sent, Shared};
use crate::net::queue::{Next, Owner};
use crate::websocket::frame::{Frame, OpCode};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const FRAME: &[u8] = b"\x81\x03one";

fn opening(limits: Limits) -> (Arc<Outbox>, Arc<Stub>) {
    let Client { outbox, stub } = Client::opening(&Shared::new(limits), b"");
    (outbox, stub)
}

fn open(limits: Limits) -> (Arc<Outbox>, Arc<Stub>) {
    let (outbox, stub) = opening(limits);
    assert!(outbox.open());
    stub.script().wrote.clear();
    (outbox, stub)
}

fn send(outbox: &Arc<Outbox>) -> Sent {
    outbox.send(&Frame::new(OpCode::Text, b"one"), &mut Patience::default()).expect("room")
}

/// Has others send a message during each of the next so many writes. After these the client reads no
/// more, if it stalls.
fn others_send(outbox: &Arc<Outbox>, stub: &Arc<Stub>, mut writes: usize, stalls: bool) {
    let (others, script) = (Arc::downgrade(outbox), Arc::downgrade(stub));
    stub.script().before_write = Some(Box::new(move || {
        let (others, script) = (others.upgrade().expect("open"), script.upgrade().expect("open"));
        if writes > 0 {
            writes -= 1;
            let appended = others.append(
                &Frame::new(OpCode::Text, b"one"),
                Owner::Courier,
                &mut Patience::default(),
            );
            assert!(!appended.expect("room").0, "a thread is writing");
        } else if stalls {
            script.script().pace = Some((0, Duration::MAX));
        }
    }));
}

fn has_writer(outbox: &Outbox) -> bool {
    outbox.change(|queue| queue.has_writer())
}

fn settle(outbox: &Outbox) {
    outbox.wait_until_written();
    assert_eq!(outbox.backlog(), 0);
}

#[test]
fn a_sender_writes_sixteen_times_for_others_and_then_leaves_the_rest_to_a_flusher() {
    let (outbox, stub) = open(Limits::default());
    others_send(&outbox, &stub, 20, false);
    assert_eq!(send(&outbox), Sent::Done);
    settle(&outbox);
    let own = thread::current().id();
    let script = stub.script();
    assert_eq!(script.output, FRAME.repeat(21));
    assert!(script.wrote[..16].iter().all(|thread| *thread == own));
    assert!(script.wrote[16..].iter().all(|thread| *thread != own));
}

#[test]
fn without_a_flusher_a_sender_writes_all_that_the_client_takes_and_cuts_off_one_that_stalls() {
    let _alone = Alone::from_here();
    for stalls in [false, true] {
        let (outbox, stub) = open(Limits::default());
        others_send(&outbox, &stub, 20, stalls);
        assert_eq!(send(&outbox), Sent::Done);
        assert_eq!(stub.script().output, FRAME.repeat(if stalls { 20 } else { 21 }));
        assert_eq!((outbox.backlog(), has_writer(&outbox)), (0, false));
        assert_eq!(stub.script().shut, stalls);
        outbox.close();
    }
}

#[test]
fn without_a_flusher_a_client_that_stalls_holds_its_sender_up_once() {
    let _alone = Alone::from_here();
    let (outbox, stub) = open(Limits::default());
    stub.script().pace = Some((0, Duration::MAX));
    assert_eq!(send(&outbox), Sent::Stalled);
    assert_eq!(stub.script().gave_up, [thread::current().id()]);
    assert!(stub.script().shut && !has_writer(&outbox));
}

#[test]
fn a_client_whose_flusher_comes_up_short_is_behind() {
    let (outbox, stub) = open(Limits::default());
    others_send(&outbox, &stub, 18, true);
    assert_eq!(send(&outbox), Sent::Done);
    wait_until("it is behind", || outbox.is_behind());
    outbox.close();
}

#[test]
fn a_flusher_whose_client_was_behind_stays_for_a_while_and_has_writes_give_up_soon_again() {
    // On a slow machine, it may have left before this thread looks.
    wait_until("it stays", || {
        let (outbox, stub) = open(Limits::default());
        others_send(&outbox, &stub, 18, true);
        assert_eq!(send(&outbox), Sent::Done);
        wait_until("it is behind", || outbox.is_behind());
        stub.script().before_write = None;
        let patient = || stub.script().timeouts[1] > DIRECT_WRITE;
        wait_until("the flusher waits for it", patient);
        stub.script().before_write = None;
        stub.script().pace = None;
        settle(&outbox);
        let stays = has_writer(&outbox);
        assert!(!outbox.is_behind());
        assert_eq!(stub.script().timeouts[1], DIRECT_WRITE);
        wait_until("it has left", || !has_writer(&outbox));
        stays
    });
}

#[test]
fn a_flusher_cuts_off_a_client_that_does_not_read_until_the_deadline() {
    let timeout = Duration::from_millis(10);
    let (outbox, stub) = open(Limits { write_timeout: timeout, ..Limits::default() });
    stub.script().pace = Some((0, Duration::MAX));
    assert_eq!(send(&outbox), Sent::Stalled);
    wait_until("it is cut off", || stub.script().shut);
    settle(&outbox);
    assert_eq!(stub.script().output, b"");
}

#[test]
fn a_connection_whose_write_timeout_cannot_be_set_ends_before_anything_is_written() {
    let (outbox, stub) = opening(Limits::default());
    stub.script().no_timeouts = true;
    assert!(!outbox.open());
    let script = stub.script();
    assert!(script.shut && script.output.is_empty());
}

#[test]
fn a_ping_is_written_and_frees_the_buffer_of_what_was_written_before() {
    let (outbox, stub) = open(Limits::default());
    let long = [7; 5000];
    outbox.send(&Frame::new(OpCode::Binary, &long), &mut Patience::default()).expect("room");
    stub.script().output.clear();
    outbox.ping();
    assert_eq!(stub.script().output, b"\x89\x00");
    match outbox.change(|queue| queue.send(&Frame::new(OpCode::Text, b"one"))) {
        Next::Write(lot) => assert!(lot.capacity() < 5000, "{} bytes", lot.capacity()),
        _ => panic!("nobody writes"),
    }
}

#[test]
fn what_is_on_its_way_was_written_since_the_client_was_heard_and_the_system_may_hold_it() {
    let limits = Limits { min_rate: 1000, ..Limits::default() };
    let (outbox, _) = open(limits.clone());
    assert_eq!((send(&outbox), outbox.way()), (Sent::Done, limits.earned(FRAME.len())));
    outbox.hear();
    assert_eq!(outbox.way(), Duration::ZERO);
    let (more, buffers) = (vec![7; 5 << 20], limits.earned(4 << 20));
    outbox.send(&Frame::new(OpCode::Binary, &more), &mut Patience::default()).expect("room");
    assert_eq!((outbox.written() > more.len(), outbox.way()), (true, buffers));
}

#[test]
fn a_message_that_a_closed_connection_does_not_take_is_not_counted() {
    let (outbox, _) = open(Limits::default());
    assert!(outbox.close());
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    outbox.overflow(&Full { peer, waiting: 0, closed: true });
    assert_eq!((outbox.counts().dropped, outbox.counts().cut_off), (0, 0));
}
