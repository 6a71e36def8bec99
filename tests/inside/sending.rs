//! What senders are promised, and what is counted, where a socket could not show it.

use super::{wait_until, Script, Stub};
use crate::comms::registry::{join, with_topics, Registration};
use crate::ground::limits::{Limits, Overflow, TOPIC_KEEPS};
use crate::ground::peer::Peer;
use crate::net::batch::{deliver_all, BatchGuard};
use crate::net::outbox::{Outbox, Patience, Shared};
use crate::session::cookie::{Session, SessionCookie};
use crate::session::keys::SessionKeys;
use crate::websocket::frame::{Frame, FrameHeader, OpCode};
use crate::websocket::CloseCode;
use crate::{Comms, Error};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// A WebSocket of a session.
struct Tab {
    session: Session,
    stub: Arc<Stub>,
    outbox: Arc<Outbox>,
    registration: Registration,
}

fn new_session() -> Session {
    let keys = SessionKeys::new([[7; 32]]).expect("a long key");
    SessionCookie { name: "s".to_string(), secure: false, keys }.guest()
}

fn tab(session: &Session, shared: &Arc<Shared>) -> Tab {
    let stub = Stub::new(Script::default());
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let outbox = Outbox::new(*session, stub.clone(), peer, Arc::clone(shared), Vec::new());
    let registration = join(&outbox, 0).expect("room");
    assert!(outbox.open());
    Tab { session: *session, stub, outbox, registration }
}

impl Tab {
    fn new(shared: &Arc<Shared>) -> Tab {
        tab(&new_session(), shared)
    }

    /// Has the client read nothing from here on, and be behind for longer than that is borne.
    fn stop_reading(&self, bytes: usize) {
        self.stub.script().pace = Some((0, Duration::MAX));
        let send = |payload: &[u8]| {
            drop(self.outbox.send(&Frame::new(OpCode::Binary, payload), &mut Patience::default()))
        };
        send(&[0]);
        // A flusher has the first in its hands, so the second waits.
        let patient = || self.stub.script().timeouts[1] > Duration::from_secs(1);
        wait_until("the flusher writes", patient);
        send(&vec![0; bytes]);
        thread::sleep(Duration::from_millis(150));
        assert!(self.outbox.is_behind());
    }

    fn read_again(&self) {
        self.stub.script().pace = None;
    }

    /// Returns the payloads that were written, once all is.
    fn got(&self) -> Vec<Vec<u8>> {
        assert!(self.outbox.wait_until_written());
        let output = self.stub.script().output.clone();
        let (mut rest, mut got) = (&output[..], Vec::new());
        while let Ok(Some((header, used))) = FrameHeader::parse(rest) {
            let (payload, next) = rest[used..].split_at(header.length as usize);
            got.push(payload.to_vec());
            rest = next;
        }
        assert_eq!(rest, b"");
        got
    }
}

#[test]
fn of_what_a_topic_keeps_a_client_that_is_behind_gets_the_newest_that_fit_its_backlog() {
    for overflow in [Overflow::Drop, Overflow::Close] {
        let shared = Shared::new(Limits { backlog: 300, overflow, ..Limits::default() });
        let topic = Comms::topic(format!("kept/{:?}", overflow)).keep(10);
        let first = Tab::new(&shared);
        assert!(topic.subscribe(&first.session.id));
        for message in [&[1; 280][..], &[2], &[3]] {
            topic.send(message).expect("always Ok");
        }
        let late = Tab::new(&shared);
        late.stop_reading(100);
        assert!(topic.subscribe(&late.session.id));
        late.read_again();
        wait_until("it has caught up", || late.outbox.backlog() == 0);
        assert_eq!(topic.send(vec![4]).expect("always Ok"), 2);
        let got: Vec<u8> = late.got().iter().skip(2).map(|payload| payload[0]).collect();
        assert_eq!(got, [2, 3, 4], "{:?}: what waits leaves no room for the first", overflow);
        assert_eq!(late.outbox.counts().dropped, 1);
    }
}

#[test]
fn nothing_newer_comes_before_what_was_kept_to_any_tab_or_session_that_comes_while_others_send() {
    const MOST: u32 = 1000;
    for corked in [false, true] {
        let shared = Shared::new(Limits::default());
        let session = new_session();
        let first = tab(&session, &shared);
        let topic = Comms::topic(format!("newer/{}", corked)).keep(MOST as usize);
        assert!(topic.subscribe(&session.id));
        let (come, own) = (AtomicBool::new(false), Tab::new(&shared));
        let others: Vec<Tab> = (0..30).map(|_| Tab::new(&shared)).collect();
        let mut tabs = vec![first];
        let sent = thread::scope(|scope| {
            let sender = scope.spawn(|| {
                let guard = BatchGuard::take(&own.outbox);
                guard.cork(corked);
                let mut number = 0u32;
                while number < MOST && !come.load(Ordering::Relaxed) {
                    topic.send(number.to_be_bytes().to_vec()).expect("always Ok");
                    number += 1;
                    if number % 7 == 0 {
                        crate::net::batch::flush();
                    }
                }
                number
            });
            for other in &others {
                tabs.push(tab(&session, &shared));
                topic.subscribe(&other.session.id);
                thread::yield_now();
            }
            come.store(true, Ordering::Relaxed);
            sender.join().expect("no panic")
        });
        for client in tabs.iter().chain(&others) {
            let numbers: Vec<u32> = client
                .got()
                .iter()
                .map(|payload| u32::from_be_bytes(payload[..4].try_into().expect("four bytes")))
                .collect();
            assert_eq!(numbers, (0..sent).collect::<Vec<_>>(), "corked: {}", corked);
        }
    }
}

#[test]
fn also_empty_messages_are_kept_up_to_a_bound() {
    let shared = Shared::new(Limits { backlog_messages: usize::MAX, ..Limits::default() });
    let first = Tab::new(&shared);
    let topic = Comms::topic("empty").keep(usize::MAX);
    assert!(topic.subscribe(&first.session.id));
    for _ in 0..10_000 {
        topic.send("").expect("always Ok");
    }
    let late = Tab::new(&shared);
    assert!(topic.subscribe(&late.session.id));
    assert_eq!(late.got().len(), TOPIC_KEEPS / crate::ground::limits::MESSAGE_OVERHEAD);
}

#[test]
fn what_was_said_to_all_but_a_session_does_not_come_to_its_next_tab() {
    let shared = Shared::new(Limits::default());
    let (one, other) = (Tab::new(&shared), Tab::new(&shared));
    let topic = Comms::topic("except").keep(5);
    assert!(topic.subscribe(&one.session.id));
    topic.send_except(&one.session.id, "one is here").expect("always Ok");
    topic.send("to all").expect("always Ok");
    assert_eq!(tab(&one.session, &shared).got(), [b"to all".to_vec()]);
    assert!(topic.subscribe(&other.session.id));
    assert_eq!(other.got(), [b"one is here".to_vec(), b"to all".to_vec()]);
}

#[test]
fn a_session_of_many_topics_leaves_them_all_at_once() {
    let shared = Shared::new(Limits::default());
    let (one, other) = (Tab::new(&shared), Tab::new(&shared));
    let topics: Vec<_> = (0..1000).map(|number| Comms::topic(format!("of/{}", number))).collect();
    for topic in &topics {
        assert!(topic.subscribe(&one.session.id));
    }
    assert!(topics[7].subscribe(&other.session.id));
    drop(one.registration);
    assert!(topics.iter().filter(|topic| !topic.is_empty()).eq([&topics[7]]));
    assert!(topics[7].unsubscribe(&other.session.id));
    assert!(!with_topics(|_, sessions| sessions.contains_key(&one.session.id)));
}

#[test]
fn of_tabs_that_come_and_go_at_once_the_last_that_was_served_is_the_last() {
    let shared = Shared::new(Limits::default());
    let session = new_session();
    let served = tab(&session, &shared);
    let _serving = BatchGuard::take(&served.outbox);
    // Its 101 is not written yet, and never will be.
    let failing = tab(&session, &shared);
    served.registration.leave();
    assert!(Comms::was_last());
    assert!(Comms::is_connected(session.id));
    drop(failing.registration);
    assert!(!Comms::is_connected(session.id));
}

#[test]
fn a_handlers_own_client_is_waited_for_also_behind_one_that_has_stalled() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let (own, other) = (Tab::new(&shared), Tab::new(&shared));
    own.stop_reading(290);
    other.stub.script().pace = Some((0, Duration::MAX));
    let message = [0; 100];
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let _seat = BatchGuard::take(&own.outbox);
            let frame = Frame::new(OpCode::Binary, &message);
            deliver_all([&other.outbox, &own.outbox].into_iter(), &frame, true).0
        });
        wait_until("the other has stalled", || other.outbox.is_behind());
        own.read_again();
        assert_eq!(sender.join().expect("no panic"), 2);
    });
    assert_eq!((own.outbox.counts().dropped, own.outbox.counts().cut_off), (0, 0));
    assert_eq!(own.got().last().map(Vec::len), Some(100));
    other.outbox.close();
}

#[test]
fn a_client_that_is_too_slow_is_noted_also_behind_one_that_has_just_stalled() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let (stalled, slow) = (Tab::new(&shared), Tab::new(&shared));
    slow.stop_reading(290);
    stalled.stub.script().pace = Some((0, Duration::MAX));
    let message = [0; 100];
    let frame = Frame::new(OpCode::Binary, &message);
    let (taken, full) = deliver_all([&stalled.outbox, &slow.outbox].into_iter(), &frame, false);
    assert_eq!(taken, 1);
    assert!(full.expect("the slow one").closed);
    assert_eq!((slow.outbox.counts().dropped, slow.outbox.counts().cut_off), (1, 1));
    assert!(slow.stub.script().shut);
    stalled.outbox.close();
}

#[test]
fn nobody_waits_for_room_at_a_client_that_was_sent_a_close_frame() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let client = Tab::new(&shared);
    client.stop_reading(290);
    let handle = Comms::websocket(client.session.id);
    assert_eq!(handle.close(CloseCode(4000), "").expect("a good code"), 1);
    // It would wait for the whole time.
    assert_eq!(handle.send_timeout("late", Duration::from_secs(3600)).expect("nobody"), 0);
    client.outbox.close();
}

#[test]
fn what_was_corked_is_written_before_a_thread_waits_for_room() {
    let shared = Shared::new(Limits { backlog: 300, ..Limits::default() });
    let (own, other, slow) = (Tab::new(&shared), Tab::new(&shared), Tab::new(&shared));
    slow.stop_reading(290);
    let guard = BatchGuard::take(&own.outbox);
    guard.cork(true);
    assert_eq!(Comms::websocket(other.session.id).send("corked").expect("room"), 1);
    assert_eq!(other.stub.script().output, b"");
    let waited =
        Comms::websocket(slow.session.id).send_timeout([0; 100].to_vec(), Duration::from_millis(1));
    assert!(matches!(waited, Err(Error::Full { closed: false, .. })));
    assert_eq!(other.stub.script().output, b"\x81\x06corked");
    drop(guard);
    slow.outbox.close();
}

#[test]
fn what_was_not_written_is_not_counted_as_written() {
    let shared = Shared::new(Limits::default());
    let client = Tab::new(&shared);
    let serving = BatchGuard::take(&client.outbox);
    client.stop_reading(500_000);
    client.outbox.close();
    drop(serving);
    wait_until("the flusher has seen it", || !client.outbox.is_behind());
    assert_eq!(client.outbox.counts().bytes_out, 0);
    assert_eq!(client.outbox.counts().messages_out, 2);
}

#[test]
fn what_a_handlers_own_client_misses_of_a_topic_is_counted_and_overflow_decides() {
    for overflow in [Overflow::Drop, Overflow::Close] {
        let shared = Shared::new(Limits { backlog: 300, overflow, ..Limits::default() });
        let (own, other) = (Tab::new(&shared), Tab::new(&shared));
        let topic = Comms::topic(format!("own/{:?}", overflow));
        let guard = BatchGuard::take(&own.outbox);
        assert!(topic.join_here() && topic.subscribe(&other.session.id));
        own.stop_reading(290);
        // It is never read again: a wait for it would not end.
        assert_eq!(topic.send([0; 100].to_vec()).expect("always Ok"), 1);
        let cut_off = overflow == Overflow::Close;
        let counts = own.outbox.counts();
        assert_eq!((counts.dropped, counts.cut_off), (1, u64::from(cut_off)), "{:?}", overflow);
        assert_eq!(own.outbox.is_shut(), cut_off);
        assert_eq!(other.got(), [[0; 100].to_vec()]);
        own.outbox.close();
        drop(guard);
    }
}
