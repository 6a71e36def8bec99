//! What topics and receivers may take. The bounds of topics are the process's, the largest of its
//! servers, so these tests have a process of their own.

mod loopback;

use loopback::wire::transports;
use loopback::{upgrade_request, wait_until, Client, Running};
use sockling::limits::{Limits, Overflow, MESSAGE_OVERHEAD, RECEIVER, RECEIVER_BYTES};
use sockling::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The topics are the process's too: one test at a time.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does as a message says, and answers only `say` and `ask`: `join room`, `leave room`,
/// `here room`, `away room`, `say room`, `ask`.
struct Rooms;

impl WebsocketController for Rooms {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or("");
        let (order, room) = text.split_once(' ').unwrap_or((text, ""));
        let here = Comms::here().ok_or("this is a handler")?;
        let topic = Comms::topic(room);
        match order {
            "join" => drop(topic.subscribe(client)),
            "here" => drop(topic.join_here()),
            "away" => drop(topic.leave_here()),
            "leave" => drop(topic.unsubscribe(client)),
            "say" => drop(here.send(topic.send("said")?.to_string())?),
            _ => drop(here.send("answer")?),
        }
        Ok(())
    }
}

impl Controller for Rooms {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

const KEEP: usize = 4000;

fn start() -> Running {
    let limits = Limits {
        topics_per_session: 3,
        topic_name: 8,
        topics_keep: KEEP,
        backlog: 16 * 1024,
        overflow: Overflow::Drop,
        ..Limits::default()
    };
    Running::start(Server::new(vec![Handler::new("/ws", Rooms)]).limits(limits))
}

fn ask(client: &mut Client) {
    client.text("ask");
    assert_eq!(client.next_text(), "answer");
}

#[test]
fn a_session_is_in_so_many_topics_and_gets_into_another_when_it_leaves_one() {
    let (_turn, running) = (turn(), start());
    let (mut client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    for room in ["join a", "here b", "join c", "join d", "here e", "join a", "here b"] {
        client.text(room);
    }
    ask(&mut client);
    let there = |room: &str| !Comms::topic(room).is_empty();
    assert_eq!(["a", "b", "c", "d", "e"].map(there), [true, true, true, false, false]);
    // Its other tab counts for the same session, a stranger for itself.
    tab.text("here f");
    ask(&mut tab);
    let mut stranger = Client::websocket(running.address, "/ws", "");
    stranger.text("here f");
    ask(&mut stranger);
    assert_eq!(Comms::topic("f").len(), 1);
    client.text("away b");
    client.text("join d");
    ask(&mut client);
    assert!(there("d") && !there("b"));
    assert_eq!(Comms::stats().topics, 4);
    drop((client, tab, stranger));
    wait_until("everybody has left", || Comms::stats().topics == 0);
}

#[test]
fn a_topic_with_too_long_a_name_has_no_members_and_to_send_to_it_is_an_error() {
    let (_turn, running) = (turn(), start());
    let mut client = Client::websocket(running.address, "/ws", "");
    client.text("join 12345678");
    client.text("join 123456789");
    client.text("here \u{20ac}\u{20ac}\u{20ac}");
    client.text("say 12345678");
    assert_eq!((client.next_text(), client.next_text()), ("said".into(), "1".into()));
    assert_eq!(Comms::stats().topics, 1);
    let user = Comms::receiver(7);
    assert!(!Comms::topic("123456789").subscribe(&7.into()));
    let error = Comms::topic("123456789").send_except(&7.into(), "x").expect_err("a long name");
    assert!(matches!(error, Error::TopicName { bytes: 9, most: 8 }), "{}", error);
    assert_eq!(error.to_string(), "the topic name has 9 bytes, more than the limit of 8");
    assert_eq!((error.status(), error.close_code()), (400, CloseCode::POLICY_VIOLATION));
    drop(user);
    // The client that named it is told so.
    client.text("say 123456789");
    assert_eq!(client.next_close().0, 1008);
    wait_until("it has left", || Comms::stats().topics == 0);
}

#[test]
fn all_topics_together_keep_so_much_and_the_oldest_message_of_any_goes_first() {
    let (_turn, running) = (turn(), start());
    let mut first = Client::websocket(running.address, "/ws", "");
    for room in ["join a", "join b", "join c"] {
        first.text(room);
    }
    ask(&mut first);
    let [a, b] = ["a", "b"].map(|room| Comms::topic(room).keep(1000));
    // Four of these are all that is kept.
    let message = |letter: &str| letter.repeat(KEEP / 4 - MESSAGE_OVERHEAD);
    let send = |topic: &sockling::Topic, letter| topic.send(message(letter)).expect("a short name");
    send(&a, "1");
    send(&b, "2");
    send(&a, "3");
    send(&b, "4");
    send(&b, "5"); // instead of the first
    let mut late = Client::websocket(running.address, "/ws", "");
    let mut kept = |order: &str| {
        late.text(order);
        late.text("ask");
        let texts = std::iter::from_fn(|| Some(late.next_text()).filter(|text| text != "answer"));
        texts.map(|text| text[..1].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(kept("here a"), ["3"]);
    assert_eq!(kept("here b"), ["2", "4", "5"]);
    kept("away a");
    kept("away b");
    // What a topic kept goes with its last member, and makes room for others.
    first.text("leave a");
    wait_until("the topic has ended", || Comms::topic("a").is_empty());
    send(&b, "6");
    assert_eq!(kept("here b"), ["2", "4", "5", "6"], "in the room of 3");
    drop((first, late));
    wait_until("everybody has left", || Comms::stats().topics == 0);
}

#[test]
fn joins_and_leaves_of_a_client_that_does_not_read_take_no_more_than_its_backlog() {
    let (_turn, running) = (turn(), start());
    let first = Client::websocket(running.address, "/ws", "");
    let before = Comms::stats().dropped;
    let user = Comms::receiver(9);
    let topic = Comms::topic("kept").keep(1000);
    assert!(topic.subscribe(&9.into()));
    topic.send("x".repeat(KEEP - MESSAGE_OVERHEAD)).expect("a short name");
    let mut deaf = Client::connect(running.address);
    deaf.send(upgrade_request("/ws", "").as_bytes());
    // 4 KB for each of them, of which the system takes some megabytes.
    for _ in 0..5000 {
        deaf.text("here kept");
        deaf.text("away kept");
    }
    deaf.text("here last");
    deaf.frame(0x89, b"the end");
    // Half of its backlog is full, so the server does not read from it any more.
    wait_until("much waits for it", || Comms::stats().waiting > 8 * 1024);
    let stats = Comms::stats();
    assert!(stats.waiting <= 32 * 1024, "{} bytes wait", stats.waiting);
    assert_eq!(Comms::topic("last").len(), 0, "it is not read from");
    // As it reads, the rest is handled; what did not fit is counted.
    assert_eq!(deaf.reply().status, 101);
    let mut got = 0;
    while deaf.any_frame().opcode != 10 {
        got += 1;
    }
    assert_eq!(Comms::topic("last").len(), 1, "all are handled");
    assert_eq!(got + Comms::stats().dropped - before, 5000);
    drop((first, user, deaf));
    wait_until("everybody has left", || Comms::stats().topics == 0);
}

#[test]
fn a_new_tab_of_a_session_in_many_topics_gets_the_newest_of_them_all_in_order() {
    let _turn = turn();
    let limits = Limits {
        backlog: 1000,
        topics_per_session: 3,
        topic_name: 8,
        topics_keep: KEEP,
        ..Limits::default()
    };
    let running = Running::start(Server::new(vec![Handler::new("/ws", Rooms)]).limits(limits));
    let (mut client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    for room in ["join a", "join b", "join c"] {
        client.text(room);
    }
    ask(&mut client);
    for (number, room) in ["a", "b", "c", "b", "a", "c", "a", "b"].into_iter().enumerate() {
        let message = format!("{}{}", number, "x".repeat(200));
        Comms::topic(room).keep(5).send(message).expect("a short name");
    }
    let before = Comms::stats().dropped;
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    tab.text("ask");
    let texts = std::iter::from_fn(|| Some(tab.next_text()).filter(|text| text != "answer"));
    let numbers: Vec<String> = texts.map(|text| text[..1].to_string()).collect();
    // The 101 with its fields comes before them, and leaves room for four of 205 bytes.
    assert_eq!(numbers, ["4", "5", "6", "7"]);
    assert_eq!(Comms::stats().dropped - before, 4);
    drop((client, tab));
    wait_until("everybody has left", || Comms::stats().topics == 0);
}

#[test]
fn a_receiver_that_nobody_empties_holds_so_many_bytes_or_one_message() {
    let _turn = turn();
    let receiver = Comms::receiver(70);
    let send = |bytes: usize| {
        assert_eq!(Comms::websocket(70).send(vec![7; bytes]).expect("nobody is here"), 0);
    };
    let held = || std::iter::from_fn(|| receiver.try_recv()).count();
    (0..10).for_each(|_| send(RECEIVER_BYTES / 4 - MESSAGE_OVERHEAD));
    assert_eq!((receiver.missed(), held()), (6, 4));
    // One is always taken, and nothing beside a larger one.
    send(2 * RECEIVER_BYTES);
    send(1);
    assert_eq!((receiver.missed(), held()), (7, 1));
    (0..RECEIVER + 5).for_each(|_| send(0));
    assert_eq!((receiver.missed(), held()), (12, RECEIVER));
    // What was taken out makes room.
    send(RECEIVER_BYTES - MESSAGE_OVERHEAD);
    assert_eq!(held(), 1);
    send(RECEIVER_BYTES - MESSAGE_OVERHEAD);
    assert_eq!((receiver.missed(), held()), (12, 1));
}

transports! {
    all {
        a_session_is_in_so_many_topics_and_gets_into_another_when_it_leaves_one
        a_topic_with_too_long_a_name_has_no_members_and_to_send_to_it_is_an_error
        all_topics_together_keep_so_much_and_the_oldest_message_of_any_goes_first
        a_new_tab_of_a_session_in_many_topics_gets_the_newest_of_them_all_in_order
        a_receiver_that_nobody_empties_holds_so_many_bytes_or_one_message
    }
    not over Unix: "the socket tells a client that still sends that nobody reads" {
        joins_and_leaves_of_a_client_that_does_not_read_take_no_more_than_its_backlog
    }
}
