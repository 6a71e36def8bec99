//! Everybody sends to everybody at once, and to nobody very often. The map is the process's, so
//! these are alone in it, one after the other.

mod loopback;

use loopback::wire::transports;
use loopback::{wait_until, Client, Running};
use sockling::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends each message to every session, one by one, and by a topic, by broadcast and to itself.
struct Gossip;

impl WebsocketController for Gossip {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        Comms::topic("all").subscribe(client);
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        for id in Comms::sessions() {
            Comms::websocket(id).send(message.clone())?;
        }
        Comms::topic("all").send(message.clone())?;
        Comms::broadcast(client).send(message.clone())?;
        Comms::here().ok_or("this is a handler")?.send(message)?;
        Ok(())
    }
}

impl Controller for Gossip {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn handlers_that_send_to_everybody_from_64_connections_at_once_come_to_an_end() {
    let _alone = alone();
    const CLIENTS: usize = 64;
    const MESSAGES: usize = 10;
    let running = Running::start(Server::new(vec![Handler::new("/ws", Gossip)]));
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    wait_until("all are in the topic", || Comms::topic("all").len() == CLIENTS);
    for client in &mut clients {
        for _ in 0..MESSAGES {
            client.text("all at once");
        }
    }
    // Of each message two by name and topic, one by broadcast or to oneself.
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(move || {
                for _ in 0..CLIENTS * MESSAGES * 3 {
                    assert_eq!(client.next_text(), "all at once");
                }
            });
        }
    });
    drop(clients);
    wait_until("they have gone", || Comms::connections() == 0);
    assert!(Comms::topic("all").is_empty());
}

#[test]
#[cfg(target_os = "linux")]
fn a_million_messages_to_nobody_leave_nothing() {
    let _alone = alone();
    let resident = || {
        let pages = std::fs::read_to_string("/proc/self/statm").expect("a process");
        pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number")
            * 4096
    };
    let ids: Vec<SessionId> = (0..1000).map(|_| Request::get("/").session_id()).collect();
    let send = |rounds: usize| {
        for round in 0..rounds {
            for (place, id) in ids.iter().enumerate() {
                let user = (round * ids.len() + place) as i64;
                assert_eq!(Comms::websocket(id).send("nobody").expect("nobody"), 0);
                assert_eq!(Comms::websocket(user).send("nobody").expect("nobody"), 0);
                assert_eq!(Comms::topic(user.to_string()).keep(9).send("x").expect("nobody"), 0);
                assert!(!Comms::topic("nobody").subscribe(id));
            }
        }
    };
    send(10);
    let before = resident();
    send(500);
    assert!(resident() < before + 1024 * 1024, "{} and then {}", before, resident());
    let stats = Comms::stats();
    assert_eq!((stats.connections, stats.sessions, stats.topics), (0, 0, 0));
}

#[test]
fn who_listens_gets_what_goes_to_everybody_but_not_what_goes_to_all_but_it() {
    let _alone = alone();
    let [one, other] = [(); 2].map(|()| Request::get("/").session_id());
    let receiver = Comms::receiver(one);
    assert_eq!(Comms::notify().send("to all").expect("always Ok"), 0);
    assert_eq!(Comms::broadcast(one).send("not to one").expect("always Ok"), 0);
    assert_eq!(Comms::broadcast(other).send("not to another").expect("always Ok"), 0);
    let got = || receiver.try_recv();
    assert_eq!([got(), got()], [Some("to all".into()), Some("not to another".into())]);
    assert_eq!(got(), None);
}

transports! {
    all {
        handlers_that_send_to_everybody_from_64_connections_at_once_come_to_an_end
        a_million_messages_to_nobody_leave_nothing
        who_listens_gets_what_goes_to_everybody_but_not_what_goes_to_all_but_it
    }
}
