//! Topics, and who is there, over loopback. The map is the process's, so each test has names and
//! sessions of its own.

mod loopback;

use loopback::wire::transports;
use loopback::{wait_until, Client, Running};
use sockling::prelude::*;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Mutex;
use std::time::Duration;

/// Does as a message says: `join room`, `leave room`, `here room`, `away room`, `say room text`,
/// `others room text`, `tabs room text`, `me text`; answers what the call returned, where it returns
/// something.
struct Rooms(Mutex<Sender<String>>);

impl WebsocketController for Rooms {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or("");
        let mut words = text.splitn(3, ' ');
        let (order, room) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let text = words.next().unwrap_or("");
        let topic = match room.split_once('#') {
            Some((name, keep)) => Comms::topic(name).keep(keep.parse().map_err(Error::other)?),
            None => Comms::topic(room),
        };
        let here = Comms::here().ok_or("this is a handler")?;
        let answer = match order {
            "join" => topic.subscribe(client).to_string(),
            "leave" => topic.unsubscribe(client).to_string(),
            "here" => topic.join_here().to_string(),
            "away" => topic.leave_here().to_string(),
            "say" => topic.send(text)?.to_string(),
            "others" => topic.send_except(client, text)?.to_string(),
            "tabs" => topic.send_others(text)?.to_string(),
            "me" => room.to_string(),
            "close" => {
                here.close(CloseCode(4001), "as told")?;
                return Ok(());
            }
            _ => return Err("no such order".into()),
        };
        here.send(answer)?;
        Ok(())
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        let told = format!("last: {}, here: {}", Comms::was_last(), Comms::here().is_some());
        // Fails when the test has ended.
        let _ = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).send(told);
        Ok(())
    }
}

impl Controller for Rooms {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn start() -> (Running, Receiver<String>) {
    let (sender, ends) = channel();
    let id = |request: &Request| Ok(Response::new().text(format!("{}", request.session_id())));
    // The same in straight lines, in one room.
    let straight = |request: &Request| {
        request.upgrade(&[], |client| {
            let room = Comms::topic("straight");
            assert!(room.join_here());
            while let Some(message) = client.receive()? {
                let sent = room.send_others(message)?;
                client.send(sent.to_string())?;
            }
            Ok(())
        })
    };
    let mut routes = vec![Handler::new("/ws", Rooms(Mutex::new(sender)))];
    routes.extend([Handler::new("/id", id), Handler::new("/straight", straight)]);
    (Running::start(Server::new(routes)), ends)
}

/// Returns a client of a new session, and its Cookie line for further tabs.
fn browser(running: &Running) -> (Client, String) {
    let (client, reply) = Client::upgrade(running.address, "/ws", "");
    (client, format!("Cookie: {}\r\n", reply.cookie().expect("a first contact")))
}

fn ask(client: &mut Client, order: &str) -> String {
    client.text(order);
    client.next_text()
}

#[test]
fn a_session_hears_with_all_its_tabs_what_is_said_in_its_topics_and_only_that() {
    let (running, _ends) = start();
    let (mut one, cookie) = browser(&running);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    let (mut other, _) = browser(&running);
    assert_eq!(ask(&mut other, "say a/1 nobody"), "0");
    assert_eq!(ask(&mut one, "join a/1"), "true");
    assert_eq!(ask(&mut one, "join a/1"), "true", "again changes nothing");
    assert_eq!(ask(&mut other, "join a/2"), "true");
    assert_eq!(Comms::topic("a/1").len(), 1);

    assert_eq!(ask(&mut other, "say a/1 hello"), "2");
    assert_eq!((one.next_text(), tab.next_text()), ("hello".into(), "hello".into()));
    // A tab that opens later hears too.
    let mut late = Client::websocket(running.address, "/ws", &cookie);
    assert_eq!(ask(&mut late, "me first"), "first");
    assert_eq!(ask(&mut other, "say a/1 again"), "3");
    for client in [&mut one, &mut tab, &mut late] {
        assert_eq!(client.next_text(), "again");
    }
    // One of several that goes leaves the others in.
    drop(tab);
    wait_until("the tab has left", || ask(&mut other, "say a/1 two") == "2");
    assert_eq!(ask(&mut other, "join a/1"), "true");
    assert_eq!(ask(&mut other, "others a/1 not me"), "2");
    assert_eq!(Comms::topic("a/1").members().len(), 2);
    assert_eq!(ask(&mut other, "leave a/1"), "true");
    assert_eq!(ask(&mut other, "leave a/1"), "false");
    drop((one, late));
    wait_until("nobody is in", || Comms::topic("a/1").is_empty());
    assert_eq!(ask(&mut other, "say a/1 nobody"), "0");
    assert_eq!(Comms::topic("a/2").len(), 1);
}

#[test]
fn two_tabs_in_two_rooms_hear_one_room_each() {
    let (running, _ends) = start();
    let (mut left, cookie) = browser(&running);
    let mut right = Client::websocket(running.address, "/ws", &cookie);
    let (mut other, _) = browser(&running);
    assert_eq!(ask(&mut left, "here b/left"), "true");
    assert_eq!(ask(&mut right, "here b/right"), "true");
    assert_eq!(ask(&mut right, "here b/right"), "true", "again changes nothing");
    assert_eq!(ask(&mut other, "say b/left to the left"), "1");
    assert_eq!(ask(&mut other, "say b/right to the right"), "1");
    assert_eq!(left.next_text(), "to the left");
    assert_eq!(right.next_text(), "to the right");
    // In it for itself and with its session: once.
    assert_eq!(ask(&mut left, "join b/left"), "true");
    assert_eq!(ask(&mut other, "say b/left both"), "2");
    assert_eq!((left.next_text(), right.next_text()), ("both".into(), "both".into()));
    assert_eq!(ask(&mut left, "away b/left"), "true");
    assert_eq!(ask(&mut left, "away b/left"), "false");
    assert_eq!(ask(&mut other, "say b/left still"), "2");
    // A tab that goes takes its place along, its session's others stay.
    drop(right);
    wait_until("the tab has left", || Comms::topic("b/right").is_empty());
    assert_eq!(Comms::topic("b/left").len(), 1);
    assert!(!Comms::topic("b/left").join_here(), "this thread serves nobody");
    assert!(!Comms::topic("b/left").leave_here());
}

#[test]
fn what_a_topic_keeps_comes_first_and_in_order() {
    let (running, _ends) = start();
    let (mut first, _) = browser(&running);
    assert_eq!(ask(&mut first, "join c/1#3"), "true");
    for text in ["one", "two", "three", "four"] {
        first.text(&format!("others c/1 {}", text));
        assert_eq!(first.next_text(), "0");
    }
    let (mut second, cookie) = browser(&running);
    second.text("join c/1");
    for text in ["two", "three", "four", "true"] {
        assert_eq!(second.next_text(), text);
    }
    assert_eq!(ask(&mut second, "join c/1"), "true", "once only");
    // Another tab of a member hears what its session would have heard.
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    for text in ["two", "three", "four"] {
        assert_eq!(tab.next_text(), text);
    }
    assert_eq!(ask(&mut first, "others c/1#1 five"), "2");
    assert_eq!((second.next_text(), tab.next_text()), ("five".into(), "five".into()));
    let (mut third, _) = browser(&running);
    third.text("here c/1");
    assert_eq!((third.next_text(), third.next_text()), ("five".into(), "true".into()));
    // What was kept goes with the last member.
    drop((first, second, tab, third));
    wait_until("nobody is in", || Comms::topic("c/1").is_empty());
    let (mut fourth, _) = browser(&running);
    assert_eq!(ask(&mut fourth, "join c/1#3"), "true");
}

#[test]
fn what_a_topic_keeps_is_bounded_in_bytes() {
    let (running, _ends) = start();
    let (mut first, _) = browser(&running);
    assert_eq!(ask(&mut first, "here d/1#1000"), "true");
    let most = sockling::limits::TOPIC_KEEPS;
    let large = vec![7u8; most / 2 + 1];
    for _ in 0..3 {
        assert_eq!(Comms::topic("d/1").send(large.clone()).expect("always Ok"), 1);
        assert_eq!(first.next().payload.len(), large.len());
    }
    assert_eq!(Comms::topic("d/1").send("small").expect("always Ok"), 1);
    let (mut second, _) = browser(&running);
    second.text("here d/1");
    assert_eq!(second.next().payload.len(), large.len(), "one of them fits");
    assert_eq!((second.next_text(), second.next_text()), ("small".into(), "true".into()));
    // One that is larger than all that may be kept is not kept, and takes the others' place.
    let reached = Comms::topic("d/1").send(vec![7u8; most + 1]).expect("always Ok");
    assert_eq!(reached, 2);
    let (mut third, _) = browser(&running);
    assert_eq!(ask(&mut third, "here d/1"), "true");
}

#[test]
fn nothing_newer_comes_before_what_was_kept() {
    let (running, _ends) = start();
    let (mut first, _) = browser(&running);
    assert_eq!(ask(&mut first, "here e/1#100000"), "true");
    std::thread::scope(|scope| {
        // How many may be sent: what is kept must hold all of them, however long this takes.
        let (allow, allowed) = channel::<usize>();
        scope.spawn(move || {
            let mut numbers = 0u32..;
            for count in allowed {
                for number in numbers.by_ref().take(count) {
                    Comms::topic("e/1").send(format!("{}", number)).expect("always Ok");
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        allow.send(1).expect("it waits");
        assert_eq!(first.next_text(), "0");
        for _ in 0..20 {
            allow.send(80).expect("it waits");
            let (mut late, _) = browser(&running);
            late.text("here e/1");
            let mut expected = 0;
            loop {
                let text = late.next_text();
                if text == "true" {
                    break;
                }
                assert_eq!(text, expected.to_string());
                expected += 1;
            }
            allow.send(5).expect("it waits");
            for _ in 0..5 {
                assert_eq!(late.next_text(), expected.to_string());
                expected += 1;
            }
        }
    });
}

#[test]
fn an_answer_to_the_one_who_speaks_does_not_go_to_its_other_tabs() {
    let (running, ends) = start();
    let (mut one, cookie) = browser(&running);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    assert_eq!(ask(&mut one, "me alone"), "alone");
    assert_eq!(ask(&mut tab, "me too"), "too");
    assert!(Comms::here().is_none(), "a test is no handler");
    let mut third = Client::websocket(running.address, "/ws", &cookie);
    third.text("close");
    assert_eq!(third.next_close(), (4001, "as told".to_string()));
    drop(third);
    assert_eq!(ends.recv().expect("an end"), "last: false, here: false");
    // The last of several tabs is one, also when they go at once.
    drop((one, tab));
    let mut told: Vec<String> = (0..2).map(|_| ends.recv().expect("an end")).collect();
    told.sort();
    assert_eq!(told, ["last: false, here: false", "last: true, here: false"]);
}

#[test]
fn what_a_tab_sends_to_others_comes_to_the_other_tabs_of_its_session_and_not_to_itself() {
    let (running, _ends) = start();
    let (mut one, cookie) = browser(&running);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    let (mut other, _) = browser(&running);
    for client in [&mut one, &mut tab, &mut other] {
        assert_eq!(ask(client, "here i/1#5"), "true");
    }
    assert_eq!(ask(&mut one, "tabs i/1 hello"), "2");
    assert_eq!((tab.next_text(), other.next_text()), ("hello".into(), "hello".into()));
    assert_eq!(ask(&mut one, "me only the answer"), "only");
    // A thread that serves no tab has none to leave out.
    assert_eq!(Comms::topic("i/1").send_others("to all").expect("always Ok"), 3);
    for client in [&mut one, &mut tab, &mut other] {
        assert_eq!(client.next_text(), "to all");
    }
    // It is kept for all, as its documentation says.
    assert_eq!(ask(&mut one, "away i/1"), "true");
    one.text("here i/1");
    let got = [(); 3].map(|()| one.next_text());
    assert_eq!(got, ["hello", "to all", "true"]);
}

#[test]
fn a_conversation_in_straight_lines_sends_to_all_but_its_own_tab() {
    let (running, _ends) = start();
    let (mut one, reply) = Client::upgrade(running.address, "/straight", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    assert_eq!(ask(&mut one, "alone"), "0");
    let mut tab = Client::websocket(running.address, "/straight", &cookie);
    assert_eq!(ask(&mut tab, "hello"), "1");
    assert_eq!(one.next_text(), "hello");
    assert_eq!(ask(&mut one, "hello to you"), "1");
    assert_eq!(tab.next_text(), "hello to you");
}

#[test]
fn a_topic_closes_what_is_in_it_and_nothing_else() {
    let (running, _ends) = start();
    let (mut one, cookie) = browser(&running);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    let (mut other, _) = browser(&running);
    assert_eq!(ask(&mut one, "here j/1"), "true");
    assert_eq!(ask(&mut other, "join j/1"), "true");
    assert_eq!(ask(&mut tab, "me too"), "too");
    let topic = Comms::topic("j/1");
    assert!(matches!(topic.close(CloseCode::ABNORMAL, ""), Err(Error::Close(_))));
    let long = Comms::topic("x".repeat(10_000)).close(CloseCode::NORMAL, "");
    assert!(matches!(long, Err(Error::TopicName { .. })));
    assert_eq!(topic.send("last words").expect("always Ok"), 2);
    assert_eq!(topic.close(CloseCode(4002), "the poll is over").expect("a good code"), 2);
    for mut client in [one, other] {
        assert_eq!(client.next_text(), "last words");
        assert_eq!(client.next_close(), (4002, "the poll is over".to_string()));
    }
    assert_eq!(ask(&mut tab, "me still here"), "still");
    wait_until("the topic has gone", || topic.is_empty());
    assert_eq!(topic.close(CloseCode::NORMAL, "").expect("a good code"), 0);
}

#[test]
fn another_thread_puts_a_tab_into_a_topic_by_its_handle() {
    let (give, given) = channel();
    let give = Mutex::new(give);
    let handler = move |request: &Request| {
        request.upgrade(&[], |client| {
            let give = give.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
            give.send((client.websocket(), Comms::here())).map_err(Error::other)?;
            while client.receive()?.is_some() {}
            Ok(())
        })
    };
    let running = Running::start(Server::new(vec![Handler::new("/ws", handler)]));
    let (mut one, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a first contact"));
    let (handle, here) = given.recv().expect("it has connected");
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    let (other, _) = given.recv().expect("it has connected");

    let topic = Comms::topic("k/1").keep(5);
    assert!(topic.join(&handle) && topic.join(&handle), "again changes nothing");
    let id = topic.members()[0];
    assert_eq!((topic.send("to one tab").expect("always Ok"), topic.len()), (1, 1));
    assert_eq!(one.next_text(), "to one tab");
    // A handle to the session is all of it, and a tab that comes gets what is kept.
    let session = Comms::websocket(id);
    assert!(topic.join(&session));
    assert_eq!(tab.next_text(), "to one tab");
    assert_eq!(topic.send("to both").expect("always Ok"), 2);
    assert_eq!((one.next_text(), tab.next_text()), ("to both".into(), "to both".into()));
    assert!(topic.leave(&session) && !topic.leave(&session) && !topic.leave(&handle));

    // What a handle means is what it is equal by, in a map too.
    assert_eq!(Some(&handle), here.as_ref());
    assert!(handle != other && handle != session && session == Comms::websocket(id));
    let mut names: std::collections::HashMap<_, _> = [(handle.clone(), "one")].into();
    names.extend([(other, "tab"), (session, "session")]);
    assert_eq!((names.len(), names.get(&here.expect("a handler"))), (3, Some(&"one")));

    drop(one);
    wait_until("it has gone", || !handle.is_connected());
    assert!(!topic.join(&handle) && topic.is_empty() && !topic.leave(&handle));
    assert_eq!(names.get(&handle), Some(&"one"), "it is nobody else");
    assert!(!topic.join(&Comms::websocket(Request::get("/").session_id())), "nobody is there");
}

#[test]
fn who_is_there_is_told() {
    let (running, _ends) = start();
    let (mut one, cookie) = browser(&running);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    assert_eq!(ask(&mut one, "join f/1"), "true");
    assert_eq!(ask(&mut tab, "me x"), "x");
    let members = Comms::topic("f/1").members();
    assert!(Comms::sessions().contains(&members[0]));
    assert!(Comms::is_connected(members[0]));
    assert!(Comms::connections() >= 2);
    drop((one, tab));
    wait_until("they have gone", || !Comms::is_connected(members[0]));
    assert!(!Comms::sessions().contains(&members[0]));
}

/// A chat as an application has it, tested without a socket.
struct Chat;

impl WebsocketController for Chat {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let room = Comms::topic("g/chat").keep(2);
        room.subscribe(client);
        room.send_except(client, format!("{} came in", client))?;
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::topic("g/chat").send(message)?;
        Comms::websocket(client).send("said")?;
        Ok(())
    }
}

impl Controller for Chat {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_controller_is_tested_without_a_socket() {
    let [one, other] = [(); 2].map(|()| Request::get("/").session_id());
    let [mut to_one, to_other] = [&one, &other].map(Comms::receiver);
    Chat.handle_connection(&one).expect("it is listened to");
    Chat.handle_connection(&other).expect("it is listened to");
    assert_eq!(to_one.next(), Some(format!("{} came in", other).into()));
    Chat.handle_message(&other, "hello".into()).expect("always Ok");
    assert_eq!((to_one.next(), to_one.try_recv()), (Some("hello".into()), None));
    // Who listens gets what is kept too.
    assert_eq!(to_other.try_recv(), Some(format!("{} came in", one).into()));
    assert_eq!(to_other.try_recv(), Some("hello".into()));
    assert_eq!(to_other.try_recv(), Some("said".into()));
    assert_eq!(to_other.recv_timeout(Duration::ZERO), None);
    assert_eq!(Comms::topic("g/chat").send("nobody counts").expect("always Ok"), 0);
    assert_eq!(Comms::topic("g/chat").len(), 2);
    drop((to_one, to_other));
    assert!(Comms::topic("g/chat").is_empty(), "nothing stays of who only listened");
    assert!(!Comms::topic("g/chat").subscribe(&one));
}

#[test]
fn who_listens_gets_what_a_session_gets_and_is_not_counted() {
    let (running, _ends) = start();
    let (mut client, _) = browser(&running);
    assert_eq!(ask(&mut client, "join h/1"), "true");
    let id = Comms::topic("h/1").members().remove(0);
    let receivers = [Comms::receiver(id), Comms::receiver(id)];
    let stranger = Comms::receiver(Request::get("/").session_id());
    assert_eq!(Comms::websocket(id).send("one").expect("room"), 1);
    assert_eq!(Comms::topic("h/1").send("two").expect("always Ok"), 1);
    assert_eq!(Comms::topic("h/1").send_except(&id, "not this").expect("always Ok"), 0);
    assert_eq!((client.next_text(), client.next_text()), ("one".into(), "two".into()));
    for receiver in &receivers {
        let got = || receiver.try_recv();
        assert_eq!([got(), got(), got()], [Some("one".into()), Some("two".into()), None]);
    }
    assert_eq!(stranger.try_recv(), None);
    // More than may wait are dropped and counted, and nobody waits for it.
    let [first, second] = receivers;
    drop(second);
    for _ in 0..sockling::limits::RECEIVER + 5 {
        Comms::topic("h/1").send("much").expect("always Ok");
    }
    assert_eq!(first.missed(), 5);
    assert_eq!(first.try_recv(), Some("much".into()));
    // Who is listened to stays in its topics when its WebSockets go, until nobody listens.
    drop(client);
    wait_until("it has left", || !Comms::is_connected(id));
    assert_eq!(Comms::topic("h/1").len(), 1);
    assert_eq!(Comms::websocket(id).send("still").expect("nobody"), 0);
    drop(first);
    assert_eq!(Comms::topic("h/1").len(), 0);
}

transports! {
    all {
        a_session_hears_with_all_its_tabs_what_is_said_in_its_topics_and_only_that
        two_tabs_in_two_rooms_hear_one_room_each
        what_a_topic_keeps_comes_first_and_in_order
        what_a_topic_keeps_is_bounded_in_bytes
        nothing_newer_comes_before_what_was_kept
        an_answer_to_the_one_who_speaks_does_not_go_to_its_other_tabs
        what_a_tab_sends_to_others_comes_to_the_other_tabs_of_its_session_and_not_to_itself
        a_conversation_in_straight_lines_sends_to_all_but_its_own_tab
        a_topic_closes_what_is_in_it_and_nothing_else
        another_thread_puts_a_tab_into_a_topic_by_its_handle
        who_is_there_is_told
        a_controller_is_tested_without_a_socket
        who_listens_gets_what_a_session_gets_and_is_not_counted
    }
}
