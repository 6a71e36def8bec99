//! Clients that do not read, and what their senders chose to do.

mod loopback;

use loopback::wire::transports;
use loopback::{wait_until, Client, Running};
use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;
use std::sync::mpsc::{channel, Sender};
use std::sync::Mutex;
use std::time::Duration;

/// Tells who is there.
struct Quiet(Mutex<Sender<SessionId>>);

impl WebsocketController for Quiet {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        // Fails when the test has ended.
        let _ = self.0.lock().map_err(|_| "poisoned")?.send(*client);
        Ok(())
    }

    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        Comms::here().ok_or("this is a handler")?.send(message)?;
        Ok(())
    }
}

impl Controller for Quiet {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn start(limits: Limits) -> (Running, Client, SessionId) {
    let (sender, ids) = channel();
    let running = Running::start(
        Server::new(vec![Handler::new("/ws", Quiet(Mutex::new(sender)))]).limits(limits),
    );
    let client = Client::websocket(running.address, "/ws", "");
    let id = ids.recv().expect("it is there");
    (running, client, id)
}

/// Sends numbered messages of 64 KiB until one is not taken; returns how many were.
fn fill(id: &SessionId) -> (u32, Error) {
    for number in 0u32.. {
        let mut message = vec![0; 64 * 1024];
        message[..4].copy_from_slice(&number.to_be_bytes());
        match Comms::websocket(id).send(message) {
            Ok(taken) => assert_eq!(taken, 1),
            Err(error) => return (number, error),
        }
    }
    unreachable!("the numbers do not end")
}

/// Reads numbered messages and returns the numbers of so many.
fn numbers(client: &mut Client, count: u32) -> Vec<u32> {
    let number = |frame: loopback::Frame| {
        u32::from_be_bytes(frame.payload[..4].try_into().expect("four bytes"))
    };
    (0..count).map(|_| number(client.next())).collect()
}

#[test]
fn where_messages_may_be_dropped_the_newest_is_and_the_client_stays() {
    let limits = Limits { overflow: Overflow::Drop, backlog: 256 * 1024, ..Limits::default() };
    let (_running, mut client, id) = start(limits);
    let (taken, error) = fill(&id);
    let own = client.stream.peer();
    assert!(
        matches!(error, Error::Full { ref peer, closed: false, .. } if *peer == own),
        "{}",
        error
    );
    assert!(error.to_string().ends_with("the message was dropped"), "{}", error);
    let topic = Comms::topic("slow");
    assert!(topic.subscribe(&id));
    for _ in 0..10 {
        assert!(matches!(Comms::websocket(id).send("dropped"), Err(Error::Full { .. })));
        assert_eq!(topic.send("dropped").expect("always Ok"), 0);
    }
    // A ping is not dropped, and neither is what comes when there is room again.
    client.frame(0x89, b"are you there?");
    assert_eq!(numbers(&mut client, taken), (0..taken).collect::<Vec<_>>());
    let pong = client.next();
    assert_eq!((pong.opcode, &*pong.payload), (10, &b"are you there?"[..]));
    wait_until("there is room", || Comms::websocket(id).send("new").map_or(false, |n| n == 1));
    assert_eq!(client.next_text(), "new");
}

#[test]
fn who_is_closed_for_not_reading_is_named_to_the_sender() {
    let (_running, mut client, id) = start(Limits::default());
    let own = client.stream.peer();
    let (taken, error) = fill(&id);
    assert!(
        matches!(error, Error::Full { ref peer, closed: true, .. } if *peer == own),
        "{}",
        error
    );
    assert!(taken > 0 && error.to_string().contains(&own.to_string()), "{}", error);
    wait_until("it has left", || !Comms::is_connected(id));
    client.read_to_end();
}

#[test]
fn a_thread_that_waits_for_room_streams_everything_to_a_client_that_reads_slowly() {
    let limits = Limits { backlog: 256 * 1024, ..Limits::default() };
    let (_running, mut client, id) = start(limits);
    let count = 400;
    let sending = std::thread::spawn(move || {
        for number in 0u32..count {
            let mut message = vec![0; 64 * 1024];
            message[..4].copy_from_slice(&number.to_be_bytes());
            let sent = Comms::websocket(id).send_timeout(message, loopback::PATIENCE);
            assert_eq!(sent.expect("it reads"), 1);
        }
    });
    for number in 0..count {
        assert_eq!(numbers(&mut client, 1), [number]);
        if number % 50 == 0 {
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    sending.join().expect("no panic");
}

#[test]
fn a_thread_that_has_waited_long_enough_is_told_and_the_client_stays() {
    let limits = Limits { backlog: 256 * 1024, ..Limits::default() };
    let (_running, mut client, id) = start(limits);
    let mut taken = 0;
    let error = loop {
        let message = vec![0; 64 * 1024];
        match Comms::websocket(id).send_timeout(message, Duration::from_millis(300)) {
            Ok(one) => taken += one,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Full { closed: false, .. }), "{}", error);
    for _ in 0..taken {
        assert_eq!(client.next().payload.len(), 64 * 1024);
    }
    client.text("still here");
    assert_eq!(client.next_text(), "still here");
    assert_eq!(Comms::websocket(id).send_timeout("x", Duration::ZERO).expect("room"), 1);
    drop(client);
    wait_until("it has left", || !Comms::is_connected(id));
    assert_eq!(Comms::websocket(id).send_timeout("x", loopback::PATIENCE).expect("nobody"), 0);
}

transports! {
    all {
        where_messages_may_be_dropped_the_newest_is_and_the_client_stays
        who_is_closed_for_not_reading_is_named_to_the_sender
        a_thread_that_waits_for_room_streams_everything_to_a_client_that_reads_slowly
        a_thread_that_has_waited_long_enough_is_told_and_the_client_stays
    }
}
