//! What batches cork, and how it comes to be written: at their end, by the clock, or by a courier.

use super::client::Client;
use super::pauses::{self, Alone};
use super::{deliver, wait_until};
use crate::ground::limits::{Limits, TOTAL_WAIT};
use crate::net::batch::{
    close_all, deliver_all, deliver_patiently, flush, own, tick, write_list, BatchGuard,
};
use crate::net::outbox::{Patience, Shared};
use crate::net::queue::Owner;
use crate::net::stream::after;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::frame::{Frame, OpCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

const FRAME: &[u8] = b"\x81\x03one";

impl Client {
    fn send(&self) {
        deliver(&self.outbox, &Frame::new(OpCode::Text, b"one")).expect("room");
    }

    /// Returns how many frames were written.
    fn got(&self) -> usize {
        let script = self.stub.script();
        assert_eq!(script.output, FRAME.repeat(script.output.len() / FRAME.len()));
        script.output.len() / FRAME.len()
    }
}

/// Returns a batch that corks.
fn corking(own: &Client) -> BatchGuard {
    let batch = BatchGuard::take(&own.outbox);
    batch.cork(true);
    batch
}

/// Waits until a thread waits for a change of the outbox.
fn wait_until_awaited(client: &Client) {
    wait_until("a thread waits", || client.outbox.change(|queue| queue.awaited));
}

#[test]
fn what_a_batch_corks_is_written_at_its_end_and_what_is_sent_after_that_at_once() {
    let shared = Shared::new(Limits::default());
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    let batch = corking(&served);
    assert!(served.outbox.is_served());
    other.send();
    assert_eq!(other.got(), 0);
    batch.end();
    assert_eq!(other.got(), 1);
    other.send();
    assert_eq!(other.got(), 2);
}

#[test]
fn a_batch_that_is_dropped_writes_what_it_corked_and_leaves_the_thread_without_one() {
    let shared = Shared::new(Limits::default());
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    let batch = corking(&served);
    other.send();
    drop(batch);
    assert_eq!(other.got(), 1);
    assert!(own().is_none());
}

#[test]
fn what_is_corked_is_written_before_the_end_of_the_batch_when_it_is_more_than_a_buffer() {
    let shared = Shared::new(Limits { buffer: 12, ..Limits::default() });
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    let _batch = corking(&served);
    for written in [0, 0, 3, 3, 3, 6] {
        other.send();
        assert_eq!(other.got(), written);
    }
}

#[test]
fn when_much_waits_for_one_client_the_whole_list_is_written() {
    let shared = Shared::new(Limits { buffer: 8, ..Limits::default() });
    let [served, other, crowded] = [(); 3].map(|()| Client::open(&shared, b""));
    let _batch = corking(&served);
    other.send();
    crowded.send();
    assert_eq!((other.got(), crowded.got()), (0, 0));
    crowded.send();
    assert_eq!((other.got(), crowded.got()), (1, 2));
}

#[test]
fn when_much_waits_it_is_written_also_if_the_clock_has_just_taken_it_from_the_list() {
    let shared = Shared::new(Limits { buffer: 8, ..Limits::default() });
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    let _batch = corking(&served);
    let batch = Owner::Batch(Arc::as_ptr(&served.outbox) as usize);
    let frame = Frame::new(OpCode::Text, b"one");
    // As it is between the tick that takes the list and the courier's first step.
    assert!(other.outbox.append(&frame, batch, &mut Patience::default()).expect("room").0);
    other.send();
    assert_eq!(other.got(), 2);
}

#[test]
fn a_client_that_delays_the_write_of_what_was_corked_is_the_only_one_that_delays_the_send() {
    let shared = Shared::new(Limits { buffer: 4, ..Limits::default() });
    let served = Client::open(&shared, b"");
    let clients = [(); 3].map(|()| Client::stalled(&shared, b""));
    let _batch = corking(&served);
    let frame = Frame::new(OpCode::Text, b"one");
    assert_eq!(deliver_all(clients.iter().map(|client| &client.outbox), &frame, true).0, 3);
    let own = thread::current().id();
    let gave_up = |client: &&Client| client.stub.script().gave_up.contains(&own);
    assert_eq!(clients.iter().filter(gave_up).count(), 1);
    assert!(clients.iter().all(|client| client.outbox.close()));
}

#[test]
fn beyond_the_total_a_courier_begins_before_the_send_goes_on_and_is_waited_for() {
    let shared = Shared::new(Limits { total_backlog: 0, ..Limits::default() });
    let (stalled, other) = (Client::stalled(&shared, b""), Client::open(&shared, b""));
    let last = Client::open(&shared, b"");
    let mut begun = None;
    let to = [&stalled, &other, &last].into_iter().enumerate().map(|(place, client)| {
        match place {
            1 => begun = Some(Instant::now()),
            2 => {
                let took = begun.map(|begun| begun.elapsed());
                assert!(took >= Some(TOTAL_WAIT), "{:?}", took);
                wait_until("the courier has written", || other.got() == 1);
            }
            _ => {}
        }
        &client.outbox
    });
    assert_eq!(deliver_all(to, &Frame::new(OpCode::Text, b"one"), true).0, 3);
    wait_until("all have it", || last.got() == 1);
    stalled.outbox.close();
}

#[test]
fn what_the_clock_leaves_to_a_courier_counts_in_the_total_until_it_is_written() {
    let shared = Shared::new(Limits { total_backlog: 0, ..Limits::default() });
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    let _alone = Alone::from_here();
    let _batch = corking(&served);
    other.send();
    assert!(!other.outbox.is_total_exceeded());
    let (outbox, counted) = (Arc::downgrade(&other.outbox), Arc::new(AtomicBool::new(false)));
    let seen = Arc::clone(&counted);
    other.stub.script().before_write = Some(Box::new(move || {
        let outbox = outbox.upgrade().expect("it is open");
        seen.store(outbox.is_total_exceeded(), Ordering::Relaxed);
    }));
    (0..2).for_each(|_| tick(Arc::clone(&shared)));
    assert_eq!(other.got(), 1);
    assert!(counted.load(Ordering::Relaxed) && !other.outbox.is_total_exceeded());
}

#[test]
fn the_clock_writes_what_one_tick_has_seen_and_the_next_one_finds_again() {
    let shared = Shared::new(Limits::default());
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    // Each thing that is due is written on this thread.
    let _alone = Alone::from_here();
    let _batch = corking(&served);
    let tick = || tick(Arc::clone(&shared));
    for round in 0..3 {
        other.send();
        tick();
        assert_eq!(other.got(), 3 * round, "seen");
        tick();
        assert_eq!(other.got(), 3 * round + 1, "found again");
        other.send();
        tick();
        flush();
        assert_eq!(other.got(), 3 * round + 2, "the thread has written it");
        other.send();
        tick();
        assert_eq!(other.got(), 3 * round + 2, "this one was not there before");
        tick();
        assert_eq!(other.got(), 3 * round + 3);
        // Nothing is corked now, and the clock lets go of the batch; the next round begins anew.
        assert_eq!(shared.watched().batches.len(), 1);
        if round > 0 {
            tick();
            assert!(shared.watched().batches.is_empty());
        }
    }
}

#[test]
fn the_clock_ticks_once_for_all_batches_and_as_long_as_there_are_any() {
    let shared = Shared::new(Limits::default());
    let [one, two, other, another] = [(); 4].map(|()| Client::open(&shared, b""));
    let _alone = Alone::from_here();
    // Each job of the clock, which nothing runs, has the server's share.
    let before = Arc::strong_count(&shared);
    let jobs = || Arc::strong_count(&shared) - before;
    let first = corking(&one);
    other.send();
    another.send();
    assert_eq!((jobs(), shared.watched().batches.len()), (1, 1));
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let second = corking(&two);
            other.send();
            assert_eq!((jobs(), shared.watched().batches.len()), (1, 2));
            drop(second);
        });
        second.join().expect("no panic");
    });
    // One batch is over.
    tick(Arc::clone(&shared));
    assert_eq!((jobs(), shared.watched().batches.len()), (2, 1));
    drop(first);
    tick(Arc::clone(&shared));
    assert_eq!((jobs(), shared.watched().batches.len()), (2, 0));
    assert!(!shared.watched().ticking);
    let _third = corking(&one);
    other.send();
    assert_eq!((jobs(), shared.watched().batches.len()), (3, 1));
}

#[test]
fn a_batch_that_lasts_is_written_by_the_clock_and_not_on_its_thread() {
    let shared = Shared::new(Limits::default());
    let (served, other) = (Client::open(&shared, b""), Client::open(&shared, b""));
    thread::scope(|scope| {
        let clock = scope.spawn(|| shared.clock.run());
        let _batch = corking(&served);
        for written in 1..=2 {
            other.stub.script().wrote.clear();
            let begun = Instant::now();
            other.send();
            wait_until("it is written", || other.got() == written);
            assert!(begun.elapsed() >= Duration::from_millis(10));
            let writer = other.stub.script().wrote[0];
            assert!(writer != thread::current().id() && writer != clock.thread().id());
            wait_until("the clock rests", || !shared.watched().ticking);
        }
        shared.clock.stop();
    });
}

#[test]
fn after_a_client_that_holds_a_send_up_the_others_get_it_from_a_courier() {
    let shared = Shared::new(Limits::default());
    let (stalled, other) = (Client::stalled(&shared, b""), Client::open(&shared, b""));
    let to = [&stalled.outbox, &other.outbox];
    assert_eq!(deliver_all(to.into_iter(), &Frame::new(OpCode::Text, b"one"), true).0, 2);
    wait_until("the other has it", || other.got() == 1);
    assert_ne!(other.stub.script().wrote.last(), Some(&thread::current().id()));
    stalled.outbox.close();
}

#[test]
fn without_a_courier_the_others_are_written_on_the_thread_that_sends() {
    let shared = Shared::new(Limits::default());
    let (stalled, other) = (Client::stalled(&shared, b""), Client::open(&shared, b""));
    let _alone = Alone::from_here();
    let to = [&stalled.outbox, &other.outbox];
    assert_eq!(deliver_all(to.into_iter(), &Frame::new(OpCode::Text, b"one"), true).0, 2);
    assert_eq!(other.got(), 1);
    assert!(stalled.stub.script().shut, "no flusher can wait for it");
}

#[test]
fn of_a_list_one_client_holds_the_thread_up_and_a_courier_that_is_held_up_hands_on_half() {
    let shared = Shared::new(Limits::default());
    let clients: Vec<Client> = (0..8).map(|_| Client::stalled(&shared, b"")).collect();
    for client in &clients {
        client.append(&Frame::new(OpCode::Binary, b"x"));
    }
    write_list(clients.iter().map(|client| Arc::clone(&client.outbox)).collect());
    let own = thread::current().id();
    // The first that gave up is the one that went through the list; the next is a flusher.
    let gave_up = |client: &Client| client.stub.script().gave_up.first().copied();
    wait_until("all were tried", || clients.iter().all(|client| gave_up(client).is_some()));
    let mut threads: Vec<_> = clients.iter().filter_map(gave_up).collect();
    assert_eq!(threads.iter().filter(|thread| **thread == own).count(), 1);
    threads.dedup();
    assert!(threads.len() > 2, "one courier went through all of them");
    assert!(clients.iter().all(|client| client.outbox.close()));
}

#[test]
fn a_handler_waits_for_its_own_client_when_half_of_what_it_may_have_waits_for_it() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let served = Client::opening(&shared, b"");
    served.append(&Frame::new(OpCode::Binary, &[7; 200]));
    thread::scope(|scope| {
        let handler = scope.spawn(|| {
            let _batch = BatchGuard::take(&served.outbox);
            served.send();
        });
        wait_until_awaited(&served);
        assert!(served.outbox.open());
        handler.join().expect("no panic");
    });
}

#[test]
fn a_handler_writes_what_it_corked_before_it_waits_for_its_own_client() {
    let shared = Shared::new(Limits { total_backlog: 100, ..Limits::default() });
    let (served, other) = (Client::opening(&shared, b""), Client::open(&shared, b""));
    served.append(&Frame::new(OpCode::Binary, &[7; 101]));
    thread::scope(|scope| {
        let handler = scope.spawn(|| {
            let _batch = corking(&served);
            other.send();
            served.send();
        });
        wait_until("the other has it", || other.got() == 1);
        wait_until_awaited(&served);
        assert!(served.outbox.open());
        handler.join().expect("no panic");
    });
}

#[test]
fn a_thread_that_waits_for_room_waits_again_when_others_were_faster() {
    let shared = Shared::new(Limits { total_backlog: 100, ..Limits::default() });
    let client = Client::opening(&shared, b"");
    let others = AtomicBool::new(false);
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let faster = Arc::clone(&client.outbox);
            pauses::once("there is room", move || {
                let frame = Frame::new(OpCode::Binary, &[7; 101]);
                faster.append(&frame, Owner::Courier, &mut Patience::default()).expect("room");
            });
            let deadline = Instant::now() + Duration::from_secs(3600);
            let frame = Frame::new(OpCode::Text, b"one");
            let taken = deliver_patiently([&client.outbox].into_iter(), &frame, deadline).0;
            others.store(true, Ordering::Relaxed);
            taken
        });
        wait_until("others were faster", || client.outbox.backlog() > 0);
        // Longer than the send itself waits for the total.
        thread::sleep(TOTAL_WAIT * 3);
        assert!(!others.load(Ordering::Relaxed), "it has given up");
        wait_until_awaited(&client);
        assert!(client.outbox.open());
        assert_eq!(sender.join().expect("no panic"), 1);
    });
    assert_eq!(client.outbox.counts().dropped, 0);
}

#[test]
fn a_message_for_which_there_was_no_room_until_the_deadline_counts_as_dropped() {
    let shared = Shared::new(Limits { total_backlog: 100, ..Limits::default() });
    let client = Client::opening(&shared, b"");
    client.append(&Frame::new(OpCode::Binary, &[7; 101]));
    let frame = Frame::new(OpCode::Text, b"one");
    let (taken, full) = deliver_patiently([&client.outbox].into_iter(), &frame, Instant::now());
    assert_eq!((taken, full.is_some()), (0, true));
    assert_eq!((client.outbox.counts().dropped, client.outbox.counts().cut_off), (1, 0));
}

#[test]
fn a_close_frame_is_written_at_once_and_the_clock_cuts_off_a_client_that_does_not_answer() {
    let limits = Limits { close_timeout: Duration::from_millis(1), ..Limits::default() };
    let shared = Shared::new(limits);
    let client = Client::open(&shared, b"");
    let close = CloseFrame { code: CloseCode::NORMAL, reason: String::new() };
    assert_eq!(close_all(vec![Arc::clone(&client.outbox)], &close), 1);
    assert_eq!(client.stub.script().output, b"\x88\x02\x03\xe8");
    assert!(!client.stub.script().shut, "the clock does not run yet");
    thread::scope(|scope| {
        scope.spawn(|| shared.clock.run());
        wait_until("it is cut off", || client.stub.script().shut);
        shared.clock.stop();
    });
}

#[test]
fn the_clock_cuts_off_no_client_whose_close_frame_has_not_been_written() {
    let limits = Limits { close_timeout: Duration::from_millis(1), ..Limits::default() };
    let shared = Shared::new(limits);
    // Its first bytes are being written, so the Close frame waits behind them.
    let client = Client::opening(&shared, b"101");
    let close = CloseFrame { code: CloseCode::NORMAL, reason: String::new() };
    assert_eq!(close_all(vec![Arc::clone(&client.outbox)], &close), 1);
    let looked = Arc::new(AtomicBool::new(false));
    let looks = Arc::clone(&looked);
    let look = move || looks.store(true, Ordering::Relaxed);
    shared.clock.at(after(Duration::from_millis(2)), Box::new(look));
    thread::scope(|scope| {
        scope.spawn(|| shared.clock.run());
        wait_until("the clock has looked", || looked.load(Ordering::Relaxed));
        let early = client.stub.script().shut;
        client.outbox.open();
        wait_until("it is cut off", || client.stub.script().shut);
        shared.clock.stop();
        assert!(!early, "the client is cut off before it can answer");
    });
    assert_eq!(client.stub.script().output, b"101\x88\x02\x03\xe8");
}
