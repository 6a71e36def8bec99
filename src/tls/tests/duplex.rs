//! Both directions at once: a client that sends nothing is sent everything, and one that sends much
//! is sent as much meanwhile. `SOCKLING_TLS_RUNS` says how often (3).

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{masked, quiet, receive, receive_frame, send, websocket, Running};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc;
use std::thread;

const SENDERS: usize = 8;
const EACH: usize = 10_000;
const MANY: usize = 64 * 1024 * 1024;
const MESSAGE: usize = 64 * 1024;

fn runs() -> usize {
    std::env::var("SOCKLING_TLS_RUNS").map_or(3, |runs| runs.parse().expect("a number"))
}

/// So that nothing is refused: that a client may be behind is not what is tested here.
fn roomy() -> Limits {
    Limits {
        backlog: 2 * MANY,
        backlog_messages: 2 * SENDERS * EACH,
        total_backlog: 4 * MANY,
        ..Limits::default()
    }
}

/// A message of a sender: kinds and lengths vary, so that a mix-up shows.
fn numbered(sender: usize, number: usize) -> String {
    format!("{} {} {}", sender, number, ".".repeat((sender * 31 + number * 7) % 300))
}

#[test]
fn a_client_that_sends_nothing_gets_every_message_of_eight_threads_in_order() {
    quiet();
    let (handles, websockets) = mpsc::channel();
    let conversation = move |request: &Request| {
        let handles = handles.clone();
        request.upgrade(&[], move |client: &mut Connection| {
            handles.send(client.websocket()).expect("the test waits");
            while client.receive()?.is_some() {}
            Ok(())
        })
    };
    let server = Running::start(Server::new(vec![Handler::new("/", conversation)]).limits(roomy()));
    for _ in 0..runs() {
        let client = websocket(server.address, "/");
        let to = websockets.recv().expect("it is connected");
        thread::scope(|scope| {
            for sender in 0..SENDERS {
                let to = to.clone();
                scope.spawn(move || {
                    for number in 0..EACH {
                        let sent = to.send(numbered(sender, number));
                        assert_eq!(sent.expect("there is room"), 1);
                    }
                });
            }
            let mut next = [0; SENDERS];
            for _ in 0..SENDERS * EACH {
                let (first, payload) = receive_frame(&client);
                let sender = usize::from(payload[0] - b'0');
                let expected = numbered(sender, next[sender]);
                assert_eq!((first, payload), (0x81, expected.into_bytes()));
                next[sender] += 1;
            }
        });
        send(&client, &masked(0x88, b"\x03\xe8"));
        assert_eq!(receive_frame(&client), (0x88, b"\x03\xe8".to_vec()));
    }
}

fn content(way: usize, number: usize) -> Vec<u8> {
    (0..MESSAGE).map(|at| (at ^ (at >> 8) ^ (way * 85) ^ (number * 3)) as u8).collect()
}

#[test]
fn a_client_sends_64_mib_while_it_is_sent_64_mib() {
    quiet();
    let conversation = |request: &Request| {
        request.upgrade(&[], |client: &mut Connection| {
            let to = client.websocket();
            let sender = thread::spawn(move || {
                (0..MANY / MESSAGE).all(|number| to.send(content(1, number)).is_ok())
            });
            for number in 0..MANY / MESSAGE {
                let message = client.receive()?.ok_or("an early end")?;
                if message != Message::Binary(content(0, number)) {
                    return Err("another message came than was sent".into());
                }
            }
            assert!(sender.join().expect("no panic"), "a message was refused");
            Ok(())
        })
    };
    let server = Running::start(Server::new(vec![Handler::new("/", conversation)]).limits(roomy()));
    for _ in 0..runs() {
        let client = websocket(server.address, "/");
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..MANY / MESSAGE {
                    send(&client, &masked(0x82, &content(0, number)));
                }
            });
            for number in 0..MANY / MESSAGE {
                let frame = receive_frame(&client);
                assert!(frame == (0x82, content(1, number)), "message {} is another", number);
            }
        });
        assert_eq!(receive_frame(&client), (0x88, b"\x03\xe8".to_vec()));
        send(&client, &masked(0x88, b"\x03\xe8"));
        assert_eq!(kit::receive_all(&client), b"");
    }
}

#[test]
fn a_client_that_stops_reading_for_a_while_gets_everything() {
    quiet();
    let conversation = |request: &Request| {
        request.upgrade(&[], |client: &mut Connection| {
            let to = client.websocket();
            for number in 0..200 {
                to.send(content(1, number))?;
            }
            while client.receive()?.is_some() {}
            Ok(())
        })
    };
    let server = Running::start(Server::new(vec![Handler::new("/", conversation)]).limits(roomy()));
    let client = websocket(server.address, "/");
    // The system's buffers are full, the server's writer has been replaced by a flusher.
    receive(&client, 1);
    thread::sleep(std::time::Duration::from_millis(300));
    receive(&client, 9);
    receive(&client, MESSAGE);
    for number in 1..200 {
        assert!(receive_frame(&client) == (0x82, content(1, number)), "message {}", number);
    }
}
