//! What goes to other processes and what comes from them, with a relay that the test plays. A process
//! has one relay, so this is one test.

mod loopback;

use loopback::{wait_until, Client, Running};
use sockling::limits::ENVELOPE;
use sockling::prelude::*;
use sockling::relay::{Bits, Content, Envelope, Gap, Link, Relay, SessionName, Target};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// Notes what it is given; takes nothing while it is full.
#[derive(Clone, Default)]
struct Noted(Arc<Mutex<Notes>>);

#[derive(Default)]
struct Notes {
    link: Option<Link>,
    full: bool,
    published: Vec<(String, Vec<u8>)>,
    /// Channels of what was lost before it could be published.
    lost: Vec<String>,
    /// The channels that are wanted, as an adapter learns it.
    wanted: BTreeSet<String>,
}

impl Noted {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self) -> Link {
        self.notes().link.clone().expect("it was started")
    }

    /// Returns what was published since the last call.
    fn take(&self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.notes().published)
    }

    fn wants(&self, channel: &str) -> bool {
        self.notes().wanted.contains(channel)
    }

    /// Delivers what another process says.
    fn say(&self, target: Target, content: Content) {
        let envelope = Envelope { node: Bits([9; 16]), target, content };
        self.link().deliver(&envelope.channel(), &envelope.to_bytes().expect("it is short"));
    }
}

impl Relay for Noted {
    fn start(&self, link: Link) -> Result<(), Error> {
        let wanted = link.wanted();
        let mut notes = self.notes();
        notes.wanted.extend(wanted);
        notes.link = Some(link);
        Ok(())
    }

    fn publish(&self, channel: &str, envelope: Vec<u8>) -> Result<(), Error> {
        let mut notes = self.notes();
        if notes.full {
            return Err("no room".into());
        }
        notes.published.push((channel.to_string(), envelope));
        Ok(())
    }

    fn lost(&self, channel: &str) {
        self.notes().lost.push(channel.to_string());
    }

    fn changed(&self, channel: &str) {
        // Asked back as an adapter does it: by whoever made the change, or later.
        let wants = self.link().wants(channel);
        let mut notes = self.notes();
        match wants {
            true => notes.wanted.insert(channel.to_string()),
            false => notes.wanted.remove(channel),
        };
    }
}

/// Cannot be started.
struct Broken;

impl Relay for Broken {
    fn start(&self, _: Link) -> Result<(), Error> {
        Err("it is broken".into())
    }

    fn publish(&self, _: &str, _: Vec<u8>) -> Result<(), Error> {
        Ok(())
    }

    fn changed(&self, _: &str) {}
}

/// Does as a message says.
struct Desk;

impl WebsocketController for Desk {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let here = Comms::here().ok_or("this is a handler")?;
        match message.as_text().unwrap_or("") {
            "join" => drop(Comms::topic("room/7").subscribe(client)),
            "leave" => drop(Comms::topic("room/7").unsubscribe(client)),
            "others" => drop(Comms::broadcast(client).send("not you")?),
            "topic" => drop(Comms::topic("room/7").send_except(client, "in the room")?),
            _ => {}
        }
        here.send(message)?;
        Ok(())
    }
}

impl Controller for Desk {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn keys() -> SessionKeys {
    SessionKeys::new(["a key that the test and nobody else knows"]).expect("it is long")
}

fn routes() -> Vec<Handler> {
    let login = |request: &Request| {
        let user: i64 = request.parameter("user")?.parse().map_err(Error::other)?;
        Ok(request.login(user).text("in"))
    };
    let logout = |request: &Request| Ok(request.logout().text("out"));
    let who = |request: &Request| Ok(Response::new().text(request.session_id().to_string()));
    vec![
        Handler::new("/ws", Desk),
        Handler::new("/login/:user", login),
        Handler::new("/logout", logout),
        Handler::new("/who", who),
    ]
}

/// Returns the Cookie line of a new login.
fn login(running: &Running, user: i64) -> String {
    let reply = Client::connect(running.address).get(&format!("/login/{}", user), "");
    format!("Cookie: {}\r\n", reply.cookie().expect("a login"))
}

fn ask(client: &mut Client, order: &str) {
    client.text(order);
    assert_eq!(client.next_text(), order);
}

fn setting(result: Result<(), Error>) -> String {
    match result {
        Err(Error::Setting(why)) => why,
        other => panic!("{:?}", other),
    }
}

#[test]
fn a_message_goes_to_other_processes_once_and_what_they_say_goes_to_those_who_are_here() {
    loopback::quiet();
    // Who is listened to before there is a relay is asked for by it.
    let early = Comms::receiver(77);
    assert!(matches!(Comms::relay(Broken), Err(Error::Other(_))));
    assert_eq!(Comms::notify().send("nobody carries it").expect("always Ok"), 0);
    // A server that could not be bound was not.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    assert!(matches!(Server::new(routes()).bind(address), Err(Error::Bind { .. })));
    let relay = Noted::default();
    Comms::relay(relay.clone()).expect("the first that starts");
    assert_eq!(setting(Comms::relay(Noted::default())), "there is a relay already");
    assert!(relay.wants("all") && relay.wants("u.77"));
    drop(early);
    assert!(!relay.wants("u.77"));

    // A cookie must be good on every process.
    let without = Server::new(routes()).bind("127.0.0.1:0").map(drop);
    assert!(setting(without).contains("session_keys"));
    let running = Running::start(Server::new(routes()).session_keys(keys()));
    assert_eq!(setting(Comms::relay(Noted::default())), "there is a relay already");

    // Sessions and topics are wanted while somebody here is in them.
    let cookie = login(&running, 7);
    let mut client = Client::websocket(running.address, "/ws", &cookie);
    let mut tab = Client::websocket(running.address, "/ws", &cookie);
    let (mut guest, _) = Client::upgrade(running.address, "/ws", "");
    ask(&mut client, "me");
    ask(&mut guest, "me");
    assert!(relay.wants("u.7"));
    let named =
        |prefix| relay.notes().wanted.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!((named("u."), named("g."), named("t.")), (1, 1, 0));
    ask(&mut client, "join");
    assert!(relay.wants("t.room%2F7"));
    ask(&mut client, "leave");
    assert!(!relay.wants("t.room%2F7"));
    ask(&mut client, "join");
    let listened = Comms::receiver(8);
    assert!(relay.wants("u.8"));
    assert!(!relay.link().wants("u.9") && !relay.link().wants("no channel"));
    let mut wanted = relay.link().wanted();
    wanted.sort();
    assert_eq!(wanted, relay.notes().wanted.iter().cloned().collect::<Vec<_>>());

    // What is sent is published in order, once, also to who is not here; and served here at once.
    relay.take();
    assert_eq!(Comms::websocket(7).send("one").expect("room"), 2);
    assert_eq!(Comms::websocket(1000).send(&b"\0"[..]).expect("nobody here"), 0);
    assert_eq!(Comms::topic("room/7").send("two").expect("always Ok"), 2);
    assert_eq!(Comms::topic("nobody/here").send("three").expect("always Ok"), 0);
    assert_eq!(Comms::notify().send("four").expect("always Ok"), 3);
    let others = Comms::topic("nobody/here").send_others("five").expect("always Ok");
    let closed = Comms::topic("nobody/here").close(CloseCode(4000), "six").expect("a good code");
    assert_eq!((others, closed), (0, 0));
    let published = relay.take();
    let channels: Vec<&str> = published.iter().map(|(channel, _)| channel.as_str()).collect();
    assert_eq!(
        channels,
        [
            "u.7",
            "u.1000",
            "t.room%2F7",
            "t.nobody%2Fhere",
            "all",
            "t.nobody%2Fhere",
            "t.nobody%2Fhere"
        ]
    );
    let said: Vec<Envelope> =
        published.iter().map(|(_, bytes)| Envelope::parse(bytes).expect("an envelope")).collect();
    let node = said[0].node;
    let expected = [
        (Target::Session(SessionName::User(7)), Content::Text("one")),
        (Target::Session(SessionName::User(1000)), Content::Binary(b"\0")),
        (Target::Topic { name: "room/7", except: None }, Content::Text("two")),
        (Target::Topic { name: "nobody/here", except: None }, Content::Text("three")),
        (Target::Everybody { except: None }, Content::Text("four")),
        (Target::Topic { name: "nobody/here", except: None }, Content::Text("five")),
        (
            Target::Topic { name: "nobody/here", except: None },
            Content::Close { code: CloseCode(4000), reason: "six" },
        ),
    ];
    for (envelope, (target, content)) in said.iter().zip(expected) {
        assert_eq!(*envelope, Envelope { node, target, content });
    }
    // The engine brings a process its own: nobody hears it twice.
    for (channel, bytes) in &published {
        relay.link().deliver(channel, bytes);
    }
    for text in ["one", "two", "four"] {
        assert_eq!((client.next_text(), tab.next_text()), (text.into(), text.into()));
    }
    assert_eq!(guest.next_text(), "four");
    assert_eq!(Comms::notify().local().send("five").expect("always Ok"), 3);
    for client in [&mut client, &mut tab, &mut guest] {
        assert_eq!(client.next_text(), "five");
    }
    assert!(relay.take().is_empty(), "it is for this process");
    // Who is left out here is left out there; what goes to one WebSocket stays.
    ask(&mut client, "others");
    ask(&mut client, "topic");
    let published = relay.take();
    let said: Vec<Envelope> =
        published.iter().map(|(_, bytes)| Envelope::parse(bytes).expect("an envelope")).collect();
    let except = Some(SessionName::User(7));
    assert_eq!(said.len(), 2);
    assert_eq!(said[0].target, Target::Everybody { except });
    assert_eq!(said[1].target, Target::Topic { name: "room/7", except });
    assert_eq!(guest.next_text(), "not you");

    // What others say goes to those who are here.
    let user = |user| Target::Session(SessionName::User(user));
    relay.say(user(7), Content::Text("1"));
    relay.say(user(9), Content::Text("to nobody"));
    relay.say(Target::Topic { name: "room/7", except: None }, Content::Text("2"));
    relay.say(Target::Topic { name: "room/7", except }, Content::Text("not 7"));
    relay.say(Target::Everybody { except }, Content::Text("3"));
    relay.say(Target::Everybody { except: None }, Content::Binary(b"4"));
    relay.say(user(8), Content::Text("5"));
    for client in [&mut client, &mut tab] {
        assert_eq!((client.next_text(), client.next_text()), ("1".into(), "2".into()));
        assert_eq!(client.next().payload, b"4");
    }
    assert_eq!((guest.next_text(), guest.next().payload), ("3".into(), b"4".to_vec()));
    let heard: Vec<Message> = std::iter::from_fn(|| listened.try_recv()).collect();
    let mine: Vec<Message> = ["four", "five", "not you", "3"].map(Message::from).to_vec();
    let rest = [Message::from(&b"4"[..]), "5".into()];
    assert_eq!(heard, [&mine[..], &rest[..]].concat());
    assert!(relay.take().is_empty(), "what came is not sent on");

    // What is no envelope, or is on the wrong channel, goes to nobody and is counted.
    let before = Comms::stats();
    let envelope = Envelope { node: Bits([9; 16]), target: user(7), content: Content::Text("x") };
    let bytes = envelope.to_bytes().expect("it is short");
    let link = relay.link();
    link.deliver("all", &bytes);
    link.deliver("u.8", &bytes);
    link.deliver("u.7", b"");
    link.deliver("u.7", b"hello");
    link.deliver("u.7", &bytes[..bytes.len() - 1]);
    link.deliver("u.7", &vec![1; ENVELOPE + 1]);
    let stats = Comms::stats();
    assert_eq!(stats.relay_refused - before.relay_refused, 6);
    assert_eq!(stats.relay_in, before.relay_in);
    ask(&mut client, "nothing came");
    // What finds no room, or is too long, is served here and counted.
    relay.notes().full = true;
    assert_eq!(Comms::websocket(7).send("here").expect("room"), 2);
    relay.notes().full = false;
    assert!(relay.notes().lost.is_empty(), "the adapter knows what it refused");
    let long = vec![7; ENVELOPE];
    assert_eq!(Comms::websocket(8).send(long).expect("nobody here"), 0);
    assert_eq!(Comms::stats().relay_lost, before.relay_lost + 2);
    assert_eq!(relay.notes().lost, ["u.8"], "so that it can tell the others");
    assert!(relay.take().is_empty());
    assert_eq!((client.next_text(), tab.next_text()), ("here".into(), "here".into()));
    let from = SystemTime::now();
    let gap = Gap { from, to: Some(from + Duration::from_secs(2)), reason: "a test".to_string() };
    assert_eq!(gap.to_string(), "messages of 2.0 s may be missing: a test");
    link.gap(&gap);
    assert_eq!(Comms::stats().relay_gaps, 1);

    // Closing reaches other processes, and comes from them.
    assert_eq!(Comms::websocket(1000).close(CloseCode(4000), "over").expect("a code"), 0);
    assert_eq!(Comms::broadcast(7).close(CloseCode(4001), "all over").expect("a code"), 1);
    let published = relay.take();
    let said: Vec<Envelope> =
        published.iter().map(|(_, bytes)| Envelope::parse(bytes).expect("an envelope")).collect();
    assert_eq!(said[0].target, user(1000));
    assert_eq!(said[0].content, Content::Close { code: CloseCode(4000), reason: "over" });
    assert_eq!(said[1].target, Target::Everybody { except });
    assert_eq!(said[1].content, Content::Close { code: CloseCode(4001), reason: "all over" });
    assert_eq!(guest.next_close(), (4001, "all over".to_string()));
    drop(guest);
    let close = Content::Close { code: CloseCode(4002), reason: "there" };
    relay.say(Target::Everybody { except }, close);
    ask(&mut client, "still here");
    relay.say(user(7), close);
    for client in [&mut client, &mut tab] {
        assert_eq!(client.next_close(), (4002, "there".to_string()));
    }
    drop((client, tab));
    wait_until("the session is not wanted", || !relay.wants("u.7"));
    wait_until("nor is its topic", || !relay.wants("t.room%2F7"));

    // The end of a login is told, with what ends it elsewhere: there its cookie is refused, its
    // WebSockets are closed, and other logins of the user stay.
    let other = login(&running, 7);
    let reply = Client::connect(running.address).get("/logout", &cookie);
    assert_eq!(reply.text(), "out");
    let published = relay.take();
    let ended = Envelope::parse(&published[0].1).expect("an envelope");
    assert_eq!((published.len(), published[0].0.as_str()), (1, "all"));
    assert_eq!(ended.target, user(7));
    assert!(matches!(ended.content, Content::Ended { reason: "logged out", .. }));
    let mut there = Client::websocket(running.address, "/ws", &other);
    ask(&mut there, "me");
    relay.say(user(7), ended.content);
    ask(&mut there, "not my login");
    let who =
        |cookie: &str| Client::connect(running.address).get("/who", cookie).text().to_string();
    assert_eq!(who(&other), "user-7");
    Client::connect(running.address).get("/logout", &other);
    let published = relay.take();
    let ended = Envelope::parse(&published[0].1).expect("an envelope").content;
    assert_eq!(there.next_close(), (1008, "logged out".to_string()));

    let third = login(&running, 9);
    let mut there = Client::websocket(running.address, "/ws", &third);
    ask(&mut there, "me");
    // What another process would say of this login: it is in the cookie, between number and expiry.
    let named = Some(login_of(&third));
    relay.say(user(9), Content::Ended { login: named, issued: 1, reason: "elsewhere" });
    assert_eq!(there.next_close(), (1008, "elsewhere".to_string()));
    assert!(who(&third).starts_with("guest-"), "its cookie is not taken again");
    assert!(matches!(ended, Content::Ended { .. }));

    // When a user's ended logins are too many to be told one by one, the mark is told, and one that
    // another process tells counts here.
    relay.take();
    let cookies: Vec<String> = (0..9).map(|_| login(&running, 11)).collect();
    let last = cookies.iter().map(|cookie| issued_of(cookie)).max();
    for cookie in &cookies {
        Client::connect(running.address).get("/logout", cookie);
    }
    let published = relay.take();
    let ended = |bytes: &Vec<u8>| match Envelope::parse(bytes).expect("an envelope").content {
        Content::Ended { login, issued, .. } => (login.is_some(), issued),
        other => panic!("{:?}", other),
    };
    let ended: Vec<_> = published.iter().map(|(_, bytes)| ended(bytes)).collect();
    assert!(ended.len() == 9 && ended[..8].iter().all(|(single, _)| *single), "{:?}", ended);
    assert_eq!(ended[8], (false, last.expect("nine")));
    let fourth = login(&running, 12);
    let mut there = Client::websocket(running.address, "/ws", &fourth);
    ask(&mut there, "me");
    let issued = issued_of(&fourth);
    relay.say(user(12), Content::Ended { login: None, issued: issued - 1, reason: "before" });
    ask(&mut there, "a later login stays");
    relay.say(user(12), Content::Ended { login: None, issued, reason: "all" });
    assert_eq!(there.next_close(), (1008, "all".to_string()));
    assert!(who(&fourth).starts_with("guest-"));
    // A clock that is behind the other process's does not keep anybody out.
    let far = issued + 3_600_000;
    relay.say(user(12), Content::Ended { login: None, issued: far, reason: "" });
    assert_eq!(who(&login(&running, 12)), "user-12");
}

/// Returns the issue time that a user's cookie carries.
fn issued_of(cookie: &str) -> u64 {
    let text = cookie.split('.').nth(4).expect("v2.u.<user>.<login>.<issued>");
    text.parse().expect("a number")
}

/// Returns the login that a user's cookie carries.
fn login_of(cookie: &str) -> Bits {
    let text = cookie.split('.').nth(3).expect("v2.u.<user>.<login>");
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (mut bits, mut count, mut bytes) = (0u32, 0, Vec::new());
    for letter in text.bytes() {
        bits =
            bits << 6 | letters.iter().position(|known| *known == letter).expect("a letter") as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Bits(bytes.try_into().expect("16 bytes"))
}
