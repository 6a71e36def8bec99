//! Counts, over loopback. They are the process's, so this is one test.

mod loopback;

use loopback::wire::transports;
use loopback::{wait_until, Client, Running};
use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;

struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        if message.as_text() == Some("join") {
            Comms::topic("room").subscribe(client);
        }
        Comms::here().ok_or("this is a handler")?.send(message)?;
        Ok(())
    }
}

impl Controller for Echo {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn start(limits: Limits) -> Running {
    Running::start(Server::new(vec![Handler::new("/ws", Echo)]).limits(limits))
}

#[test]
fn what_comes_goes_waits_and_is_lost_is_counted_and_sums_never_go_down() {
    let running = start(Limits { overflow: Overflow::Drop, ..Limits::default() });
    assert_eq!(Comms::stats(), Default::default());
    let (mut client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    for text in ["join", "four"] {
        client.text(text);
        assert_eq!(client.next_text(), text);
    }
    tab.frame(0x89, b"ping");
    assert_eq!(tab.next().opcode, 10);
    // The batch has ended when its messages are counted.
    wait_until("two messages are counted", || Comms::stats().messages_in == 2);
    wait_until("a ping is counted", || Comms::stats().bytes_in == 2 * (6 + 4) + 6 + 4);
    let stats = Comms::stats();
    assert_eq!((stats.connections, stats.sessions, stats.topics), (2, 1, 1));
    assert_eq!((stats.messages_in, stats.messages_out), (2, 2), "pings and pongs are none");
    // Two answers, two echoes of six bytes, a pong.
    let opened = 2 * reply.head.len() as u64;
    let without_cookie =
        format!("Set-Cookie: {}\r\n", reply.header("set-cookie").expect("a cookie"));
    let opened = opened - without_cookie.len() as u64;
    // Counted when the writer has come back from its call.
    wait_until("all is counted", || Comms::stats().bytes_out == opened + 2 * 6 + 6);
    let stats = Comms::stats();
    assert_eq!((stats.waiting, stats.dropped, stats.cut_off), (0, 0, 0));

    // What is dropped, and what waits, for a client that does not read.
    let large = vec![7; 256 * 1024];
    let id = Comms::sessions().remove(0);
    let mut dropped = 0;
    while dropped < 3 {
        // One tab reads, so that this is never an error.
        let taken = Comms::topic("room").send(large.clone()).expect("always Ok");
        assert_eq!(tab.next().payload.len(), large.len());
        dropped += 2 - taken as u64;
    }
    let stats = Comms::stats();
    assert_eq!((stats.dropped, stats.cut_off), (3, 0));
    assert!(stats.waiting > 0 && stats.waiting == Comms::websocket(id).backlog());
    drop((client, tab));
    wait_until("they have gone", || Comms::stats().connections == 0);
    wait_until("nothing waits", || Comms::stats().waiting == 0);
    let after = Comms::stats();
    assert_eq!((after.sessions, after.topics), (0, 0));
    assert_eq!((after.messages_in, after.messages_out), (2, stats.messages_out));
    assert!(after.bytes_out >= stats.bytes_out);

    // A client that is cut off for it.
    let running = start(Limits::default());
    let stalled = Client::websocket(running.address, "/ws", "");
    let id = Comms::sessions().remove(0);
    while Comms::websocket(id).send(large.clone()).is_ok() {}
    wait_until("it has gone", || Comms::stats().connections == 0);
    let last = Comms::stats();
    assert_eq!((last.dropped, last.cut_off), (4, 1));
    drop(stalled);
}

transports! {
    all {
    }
    only over TCP: "it counts the whole process from its start" {
        what_comes_goes_waits_and_is_lost_is_counted_and_sums_never_go_down
    }
}
