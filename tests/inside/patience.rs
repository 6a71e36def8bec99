//! How long a send may wait for clients that do not read, and what becomes of those.

use super::client::Client;
use super::{deliver, wait_until};
use crate::ground::limits::{Limits, DIRECT_WRITE, TOTAL_WAIT};
use crate::net::batch::{deliver_all, BatchGuard};
use crate::net::outbox::{Outbox, Refused, Sent, Shared};
use crate::net::queue::{Admission, Next, Owner, Queue};
use crate::websocket::frame::{Frame, OpCode};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

fn outboxes(clients: &[Client]) -> impl Iterator<Item = &Arc<Outbox>> {
    clients.iter().map(|client| &client.outbox)
}

#[test]
fn of_many_clients_that_stall_at_once_one_holds_a_broadcast_up() {
    for total_backlog in [usize::MAX, 0] {
        let shared = Shared::new(Limits { total_backlog, ..Limits::default() });
        let clients: Vec<Client> = (0..30).map(|_| Client::stalled(&shared, b"101")).collect();
        let frame = Frame::new(OpCode::Text, b"to all");
        let (taken, full) = deliver_all(outboxes(&clients), &frame, false);
        assert_eq!((taken, full.is_some()), (30, false), "nothing waited for any of them");
        let own = thread::current().id();
        let gave_up = |client: &Client| client.stub.script().gave_up.contains(&own);
        assert_eq!(clients.iter().filter(|client| gave_up(client)).count(), 1);
        assert!(clients.iter().all(|client| client.outbox.close()));
    }
}

#[test]
fn a_broadcast_beyond_the_total_waits_once_for_all_and_is_missed_by_those_for_whom_something_waits()
{
    let frame = Frame::new(OpCode::Text, b"to all");
    let shared = Shared::new(Limits { total_backlog: 100, ..Limits::default() });
    let busy: Vec<Client> = (0..300).map(|_| Client::opening(&shared, b"101")).collect();
    let idle = [Client::open(&shared, b"101"), Client::open(&shared, b"101")];
    // Nobody is behind: a writer that is in a write of 8 ms looks like these.
    let long = [7; 101];
    assert!(!busy[0].append(&Frame::new(OpCode::Binary, &long)), "its writer has it");
    assert!(busy[1..].iter().all(|client| client.outbox.write_pending() == Sent::Done));
    let begun = Instant::now();
    assert!(matches!(deliver(&busy[0].outbox, &frame), Err(Refused::Full(_))));
    assert!(begun.elapsed() >= TOTAL_WAIT, "{:?}", begun.elapsed());
    let begun = Instant::now();
    let (taken, full) = deliver_all(outboxes(&busy).chain(outboxes(&idle)), &frame, false);
    let all = begun.elapsed();
    // Three hundred waits take three hundred times as long.
    assert!(all >= TOTAL_WAIT && all < TOTAL_WAIT * 300, "{:?}", all);
    assert_eq!(taken, 2, "those for whom nothing waits get it");
    assert!(!full.expect("the others").closed);
    for (number, client) in busy.iter().enumerate() {
        let counts = client.outbox.counts();
        assert_eq!((counts.dropped, counts.cut_off), (if number == 0 { 2 } else { 1 }, 0));
        assert!(
            !client.outbox.is_closing(),
            "what others have waiting costs no client its connection"
        );
    }
    assert!(idle.iter().all(|client| client.stub.script().output == b"101\x81\x06to all"));
}

#[test]
fn a_send_that_waits_for_the_total_goes_on_once_another_client_has_caught_up() {
    let frame = Frame::new(OpCode::Text, b"x");
    let shared = Shared::new(Limits { total_backlog: 100, ..Limits::default() });
    let (slow, other) = (Client::opening(&shared, b"101"), Client::opening(&shared, b"101"));
    let long = [7; 101];
    assert!(!slow.append(&Frame::new(OpCode::Binary, &long)), "its writer has it");
    thread::scope(|scope| {
        let sender = scope.spawn(|| loop {
            match deliver(&other.outbox, &frame) {
                Ok(()) => return,
                Err(Refused::Full(full)) => assert!(!full.closed),
                Err(Refused::Gone) => panic!("it has not"),
            }
        });
        wait_until("it was refused", || other.outbox.counts().dropped > 0);
        assert!(slow.outbox.open());
        sender.join().expect("no panic");
    });
    assert!(other.outbox.open());
    assert_eq!(other.stub.script().output, b"101\x81\x01x");
}

#[test]
fn a_handler_that_waits_for_its_own_client_holds_up_no_message_to_another() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let (stalled, own) = (Client::stalled(&shared, b"101"), Client::opening(&shared, b"101"));
    let other = Client::open(&shared, b"101");
    let message = [7; 200];
    let frame = Frame::new(OpCode::Binary, &message);
    assert!(!own.append(&frame), "its writer has it");
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let _batch = BatchGuard::take(&own.outbox);
            let to = [&own.outbox, &stalled.outbox, &other.outbox];
            deliver_all(to.into_iter(), &frame, true).0
        });
        wait_until("the other has it", || other.stub.script().output.len() == 3 + 4 + 200);
        assert!(own.stub.script().output.is_empty(), "its own client is waited for");
        assert!(own.outbox.open());
        assert_eq!(sender.join().expect("no panic"), 3);
    });
    stalled.outbox.close();
}

#[test]
fn a_sender_waits_its_whole_moment_although_others_come_and_wait_too() {
    let limits = Limits { backlog_messages: 1, ..Limits::default() };
    let client = Client::opening(&Shared::new(limits), b"101");
    let frame = Frame::new(OpCode::Text, b"x");
    assert!(!client.append(&frame), "its writer has it");
    thread::scope(|scope| {
        let send = || {
            let begun = Instant::now();
            deliver(&client.outbox, &frame).expect("its writer is not behind");
            begun.elapsed()
        };
        let senders: Vec<_> = (0..8).map(|_| scope.spawn(send)).collect();
        for sender in senders {
            let waited = sender.join().expect("no panic");
            assert!(waited >= DIRECT_WRITE, "{:?}", waited);
        }
    });
    assert_eq!(client.outbox.counts().messages_out, 9);
}

#[test]
fn beyond_the_total_a_client_to_which_a_thread_just_writes_misses_nothing() {
    let limits = Limits { total_backlog: 0, ..Limits::default() };
    let mut queue = Queue::opening(b"101".to_vec());
    assert!(matches!(queue.first_lot(), Next::Write(_)));
    assert_eq!(queue.admission(10, 1, &limits), Admission::Room);
    let frame = Frame::new(OpCode::Text, b"x");
    assert_eq!(queue.send(&frame), Next::Leave);
    assert_eq!(queue.admission(10, 1, &limits), Admission::Total, "something waits behind it");
}

#[test]
fn what_a_batch_sends_on_after_its_list_went_to_a_courier_is_on_its_list_again() {
    let (batch, frame) = (Owner::Batch(1), Frame::new(OpCode::Text, b"x"));
    let mut queue = Queue::opening(Vec::new());
    queue.first_lot();
    assert_eq!(queue.written(Vec::new(), false), Next::Leave);
    assert!(queue.append(&frame, batch) && !queue.append(&frame, batch));
    assert_eq!(queue.publish().0, 0, "the batch is about to write it");
    queue.leave_to_courier();
    assert_eq!(queue.publish().0, 6, "now it waits");
    assert!(queue.append(&frame, batch));
}

#[test]
fn a_topic_waits_for_the_handlers_own_client_no_longer_than_for_any_other() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let (own, other) = (Client::opening(&shared, b"101"), Client::open(&shared, b"101"));
    let message = [7; 200];
    let frame = Frame::new(OpCode::Binary, &message);
    assert!(!own.append(&frame), "its writer has it");
    let batch = BatchGuard::take(&own.outbox);
    // Its writer does not come back meanwhile: a wait for it would never end.
    for corked in [false, true] {
        batch.cork(corked);
        let to = [&own.outbox, &other.outbox];
        let (taken, full) = deliver_all(to.into_iter(), &frame, false);
        assert!((taken, full.is_none()) == (2, true), "after its moment it is taken");
    }
    drop(batch);
    wait_until("the other has both", || other.stub.script().output.len() == 3 + 2 * (4 + 200));
}
