//! With the feature `log` the lines go to the `log` crate, without a secret in them.

mod loopback;

use loopback::{masked, upgrade_request, wait_until, Client, Running, PATIENCE};
use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keep;

impl log::Log for Keep {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let mut lines = LINES.lock().expect("no panic");
        lines.push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Has all lines of this process kept: those of the other tests are among them.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Keep).expect("the first logger");
        log::set_max_level(log::LevelFilter::Trace);
    });
}

fn seen(what: &str) -> bool {
    LINES.lock().expect("no panic").iter().any(|line| line.contains(what))
}

fn wait_for_line(what: &str) {
    wait_until(what, || seen(what));
}

struct Greeter;

impl WebsocketController for Greeter {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        log::info!("hello {:?}", client);
        Ok(())
    }
}

impl Controller for Greeter {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

struct Polyglot;

impl WebsocketController for Polyglot {
    fn protocols(&self) -> &[&str] {
        &["chat.v1", "chat.v2"]
    }
}

impl Controller for Polyglot {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Fails or panics as it is told, and says nothing of what it was sent.
struct Clumsy;

impl WebsocketController for Clumsy {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("fail") => Err("no luck".into()),
            Some("panic") => std::panic::panic_any("as told"),
            _ => Comms::websocket(client).send(message).map(drop),
        }
    }
}

impl Controller for Clumsy {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn lines_go_to_the_log_crate_and_hold_no_cookie() {
    listen();
    let fail =
        |request: &Request| Err(format!("no {}", request.query("what").unwrap_or_default()).into());
    let running = Running::start(Server::new(vec![
        Handler::new("/ws", Greeter),
        Handler::new("/fail", fail),
    ]));
    let (_client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = reply.cookie().expect("a cookie");
    wait_for_line("INFO hello guest-");
    wait_for_line(&format!("INFO listening on http://localhost:{}/", running.address.port()));
    wait_for_line("connected to \"/ws\" from 127.0.0.1:");
    // What a client sent makes no line of its own.
    Client::connect(running.address).get("/fail?what=%0a[ERROR]%20forged", "");
    wait_for_line("failed: \"no \\n[ERROR] forged");
    // Neither the token nor the id in it.
    let id = cookie.split('.').nth(2).expect("v2.g.id.expiry.signature");
    assert!(id.len() == 22 && !seen(id), "{}", id);
}

#[test]
fn lines_say_how_to_allow_a_host_and_an_origin() {
    listen();
    let running = Running::start(Server::new(vec![Handler::new("/ws", Greeter)]));
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nHost: other.example:80\r\n\r\n");
    assert_eq!(client.reply().status, 421);
    wait_for_line("to allow it: Server::allowed_hosts([\"other.example\"])");
    for (origin, quoted) in [
        ("http://other.example", "\"http://other.example\""),
        ("null", "\"null\""),
        // It cannot end the text that it stands in.
        ("http://\"]); evil", "\"http://\\\"]); evil\""),
    ] {
        let fields = format!("Origin: {}\r\n", origin);
        let (_, reply) = Client::upgrade(running.address, "/ws", &fields);
        assert_eq!(reply.status, 403);
        wait_for_line(&format!("to allow it: Server::allowed_origins([{}])", quoted));
    }
    // Two are none, and there is nothing to allow.
    let fields = "Origin: http://one.example\r\nOrigin: http://two.example\r\n";
    assert_eq!(Client::upgrade(running.address, "/ws", fields).1.status, 403);
}

#[test]
fn the_address_in_the_first_line_is_one_that_is_answered() {
    listen();
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    for (ip, host) in [
        ("127.0.0.1", "localhost"),
        ("127.0.0.2", "127.0.0.2"),
        ("127.0.1.1", "127.0.1.1"),
        ("::1", "[::1]"),
        ("0.0.0.0", "localhost"),
        ("::", "localhost"),
    ] {
        // Not every system has each of them.
        if let Ok(listening) = Server::new(vec![Handler::new("/", hello)]).bind((ip, 0)) {
            let running = Running::serve(listening);
            let port = running.address.port();
            let line = format!("INFO listening on http://{}:{}/", host, port);
            wait_for_line(&line);
            assert_eq!(seen(&(line + " and all other")), ip == "0.0.0.0" || ip == "::", "{}", ip);
            // `localhost` may mean an address of IPv6 first.
            let reached = if host == "localhost" { "127.0.0.1" } else { ip };
            let reached = SocketAddr::new(reached.parse().expect("an address"), port);
            let mut client = Client::connect(reached);
            client.send(format!("GET / HTTP/1.1\r\nHost: {}:{}\r\n\r\n", host, port).as_bytes());
            assert_eq!(client.reply().status, 200, "{}", ip);
        }
    }
}

#[test]
fn a_websocket_that_speaks_no_offered_subprotocol_makes_a_line_without_their_names() {
    listen();
    let routes = ["/mute", "/silent"].map(|path| Handler::new(path, Greeter));
    let polyglot = Handler::new("/polyglot", Polyglot);
    let running = Running::start(Server::new(routes.into_iter().chain([polyglot]).collect()));
    let found = |path: &str| {
        let start = format!("INFO opened a WebSocket (GET {:?} from 127.0.0.1:", path);
        let end = ") without a subprotocol: \
                   WebsocketController::protocols has none that the client offers";
        let lines = LINES.lock().expect("no panic");
        lines.iter().filter(|line| line.starts_with(&start) && line.ends_with(end)).count()
    };
    // A client may offer a token by which it logs in.
    for (path, offer, chosen, lines) in [
        ("/mute", "chat.v1, s3cr3t", None, 1),
        ("/polyglot", "s3cr3t", None, 1),
        ("/polyglot", "chat.v3, chat.v2", Some("chat.v2"), 1),
        ("/polyglot", "Chat.v1", None, 2),
        ("/silent", "", None, 0),
    ] {
        let fields = format!("Sec-WebSocket-Protocol: {}\r\n", offer);
        let (mut client, reply) = Client::upgrade(running.address, path, &fields);
        assert_eq!((reply.status, reply.header("sec-websocket-protocol")), (101, chosen));
        client.frame(0x88, b"\x03\xe8");
        assert_eq!(client.next_close().0, 1000);
        wait_until("the lines", || found(path) >= lines);
        assert_eq!(found(path), lines, "{}: {}", path, offer);
    }
    Client::websocket(running.address, "/silent", "");
    wait_until("both have connected", || {
        let lines = LINES.lock().expect("no panic");
        lines.iter().filter(|line| line.contains("connected to \"/silent\"")).count() == 2
    });
    assert_eq!(found("/silent"), 0, "no subprotocol was offered");
    let lines = LINES.lock().expect("no panic");
    let lines = lines.iter().filter(|line| line.contains("subprotocol"));
    assert_eq!(lines.filter(|line| line.contains(SECRET)).count(), 0);
}

#[test]
fn a_client_that_speaks_tls_is_logged_as_such() {
    listen();
    let running = Running::start(Server::new(vec![]));
    let mut client = Client::connect(running.address);
    client.send(b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03");
    assert_eq!(client.reply().status, 400);
    wait_for_line("refused a request (\"a TLS handshake\" from 127.0.0.1:");
}

#[test]
fn the_client_of_a_proxy_is_logged_without_a_port_that_nobody_knows() {
    listen();
    let fail = |_: &Request| Err("no luck behind a proxy".into());
    let routes = vec![Handler::new("/ws", Greeter), Handler::new("/fail", fail)];
    let running = Running::start(Server::new(routes).trusted_proxy([127, 0, 0, 1]));
    for (client, shown) in [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7:4711"),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
    ] {
        let fields = format!("X-Forwarded-For: {}\r\n", client);
        assert_eq!(Client::connect(running.address).get("/fail", &fields).status, 500);
        wait_for_line(&format!("GET \"/fail\" from {} failed: \"no luck behind", shown));
        let (_client, reply) = Client::upgrade(running.address, "/ws", &fields);
        assert_eq!(reply.status, 101);
        wait_for_line(&format!("connected to \"/ws\" from {}", shown));
    }
    assert!(!seen("192.0.2.7:0") && !seen("db8::7]:0"));
}

/// What no line may have, beside the ids and signatures of cookies.
const SECRET: &str = "s3cr3t";

/// A server and two of its clients, who have secrets.
struct Secretive {
    running: Running,
    /// The fields of a guest's and of a user's requests.
    guest: String,
    user: String,
    secrets: Vec<String>,
}

impl Secretive {
    fn start(limits: Limits, more: Vec<Handler>) -> Secretive {
        listen();
        let mut routes = vec![
            Handler::new("/ws", Clumsy),
            Handler::new("/who", |request: &Request| {
                request.session_id();
                Ok(Response::new())
            }),
            Handler::new("/login", |request: &Request| Ok(request.login(77))),
        ];
        routes.extend(more);
        let running = Running::start(Server::new(routes).limits(limits));
        let cookie_of = |path: &str, fields: &str| {
            let reply = Client::connect(running.address).get(path, fields);
            reply.cookie().expect("a cookie")
        };
        let guest = cookie_of("/who", "");
        // Who logs in has been somebody before.
        let before = cookie_of("/who", "");
        let user = cookie_of("/login", &format!("Cookie: {}\r\n", before));
        let mut secrets = vec![SECRET.to_string()];
        for cookie in [&guest, &before, &user] {
            secrets.extend(secrets_of(cookie));
        }
        let fields = |cookie| format!("Cookie: {}\r\nAuthorization: Bearer {}\r\n", cookie, SECRET);
        Secretive { guest: fields(guest), user: fields(user), secrets, running }
    }

    /// Opens a WebSocket and sends a frame in the same packet: a server with short times sees both.
    fn open_and_send(&self, fields: &str, frame: &[u8]) -> Client {
        let mut client = Client::connect(self.running.address);
        let request = upgrade_request("/ws?key=s3cr3t", fields);
        client.send(&[request.as_bytes(), frame].concat());
        let reply = client.reply();
        assert_eq!(reply.status, 101, "{}", reply.head);
        client
    }

    /// Asserts that no line has a secret, when all have come.
    fn assert_kept(&self) {
        for line in LINES.lock().expect("no panic").iter() {
            for secret in &self.secrets {
                assert!(!line.contains(&**secret), "{} is in: {}", secret, line);
            }
        }
    }
}

/// Returns the parts of a session cookie that must stay between server and browser.
fn secrets_of(cookie: &str) -> Vec<String> {
    let parts: Vec<&str> = cookie.split('.').collect();
    match &parts[..] {
        [_, "g", id, _, _, signature] | [_, "u", _, id, _, _, signature] => {
            assert_eq!((id.len(), signature.len()), (22, 27), "{}", cookie);
            vec![id.to_string(), signature.to_string()]
        }
        _ => panic!("another cookie: {}", cookie),
    }
}

/// Has something happen twice, and waits until so many lines more tell of it.
fn twice(line: &str, mut happen: impl FnMut(usize)) {
    let count = || LINES.lock().expect("no panic").iter().filter(|one| one.contains(line)).count();
    let before = count();
    (0..2).for_each(&mut happen);
    wait_until(line, || count() >= before + 2);
}

/// Method and path, fields beside those of the client, body, and what a line says of it.
const BAD_REQUESTS: &[(&str, &str, &str, &str)] = &[
    ("GET /ws", "Host: 421.example\r\n", "", "does not answer for \"421.example\""),
    ("GET /who", "Host: localhost\r\nBad : s3cr3t\r\n", "", " with 400: "),
    ("GET /who#s3cr3t", "Host: localhost\r\n", "", " with 400: "),
    ("GET /who", "Host: u:s3cr3t@localhost\r\n", "", " with 400: "),
    ("FROB /who", "Host: localhost\r\n", "", " with 501: "),
    ("POST /who", "Host: localhost\r\nExpect: s3cr3t\r\n", "", " with 417: "),
    ("POST /who", "Host: localhost\r\nContent-Length: s3cr3t\r\n", "", " with 400: "),
    ("POST /who", "Host: localhost\r\nContent-Length: 9999999\r\n", SECRET, " with 413: "),
    ("POST /who", "Host: localhost\r\nTransfer-Encoding: chunked\r\n", SECRET, " with 400: "),
    (
        "POST /nowhere",
        "Host: localhost\r\nExpect: 100-continue\r\nContent-Length: 6\r\n",
        SECRET,
        " with 404: nothing is here",
    ),
    ("GET /unlucky", "Host: localhost\r\n", "", "GET \"/unlucky\" from 127.0.0.1:"),
    (
        "POST /unlucky",
        "Host: localhost\r\nContent-Length: 6\r\n",
        SECRET,
        "POST \"/unlucky\" from 127.0.0.1:",
    ),
    ("GET /panic", "Host: localhost\r\n", "", "GET \"/panic\" from 127.0.0.1:"),
    ("GET /token", "Host: localhost\r\n", "", "GET \"/token\" from 127.0.0.1:"),
    (
        "POST /change",
        "Host: localhost\r\nOrigin: http://a.example\r\n",
        "",
        "POST \"/change\" from 127.0.0.1:",
    ),
    ("GET /broken", "Host: localhost\r\n", "", "\"Set-Cookie\" contains a forbidden byte"),
    ("GET /owned", "Host: localhost\r\n", "", "\"Upgrade\", which only the library may write"),
    ("GET /ws", "Host: localhost\r\n", "", "GET \"/ws\" from 127.0.0.1:"),
];

#[test]
fn no_line_about_a_request_has_a_secret() {
    let test = Secretive::start(
        Limits::default(),
        vec![
            Handler::new("/unlucky", |_: &Request| Err("no luck".into())),
            Handler::new("/panic", |_: &Request| std::panic::panic_any("as told")),
            Handler::new("/token", |request: &Request| {
                let keys = SessionKeys::random()?;
                SessionId::from_token(&request.query("key").unwrap_or_default(), &keys)?;
                Ok(Response::new())
            }),
            Handler::new("/change", |request: &Request| {
                request.check_origin()?;
                Ok(Response::new())
            }),
            Handler::new("/broken", |_: &Request| {
                Ok(Response::new().header("Set-Cookie", "key=s3cr3t\r\n").text(SECRET))
            }),
            Handler::new("/owned", |_: &Request| Ok(Response::new().header("Upgrade", SECRET))),
        ],
    );
    for (start, fields, body, line) in BAD_REQUESTS {
        twice(line, |time| {
            let own = if time == 0 { &test.guest } else { &test.user };
            let request = format!("{}?key=s3cr3t HTTP/1.1\r\n{}{}\r\n{}", start, own, fields, body);
            let mut client = Client::connect(test.running.address);
            client.send(request.as_bytes());
            assert!(client.reply().status >= 400, "{}", request);
        });
    }
    for (fields, line) in [
        ("Origin: http://b.example\r\n", "allowed_origins([\"http://b.example\"])"),
        ("Sec-WebSocket-Key: s3cr3t\r\n", "Sec-WebSocket-Key must be a single key"),
        ("Sec-WebSocket-Protocol: s3cr3t, \"s3cr3t\"\r\n", "Sec-WebSocket-Protocol must be"),
    ] {
        twice(line, |time| {
            let own = if time == 0 { &test.guest } else { &test.user };
            let fields = [own, fields].concat();
            let (_, reply) = Client::upgrade(test.running.address, "/ws?key=s3cr3t", &fields);
            assert!(reply.status >= 400, "{}", fields);
        });
    }
    test.assert_kept();
}

#[test]
fn no_line_about_a_conversation_has_a_secret() {
    // None of them answers a Close frame.
    let limits = Limits { close_timeout: Duration::from_millis(500), ..Limits::default() };
    let test = Secretive::start(limits, vec![]);
    for (frame, line) in [
        (masked(0x81, b"fail"), "failed: \"no luck\""),
        (masked(0x81, b"panic"), " panicked"),
        (masked(0x81, b"s3cr3t\xff"), "that is not UTF-8"),
        (masked(0x88, b"\x03\xe8s3cr3t\xff"), "a Close frame with a reason that is not UTF-8"),
        (masked(0x83, SECRET.as_bytes()), " with 1002: "),
        (masked(0x88, b"\x03\xe8s3cr3t"), " disconnected"),
    ] {
        twice(line, |time| {
            let own = if time == 0 { &test.guest } else { &test.user };
            test.open_and_send(own, &frame).read_to_end();
        });
    }
    // Somebody who does not read is sent too much.
    let deaf = test.open_and_send(&test.user, b"");
    let much = SECRET.repeat(100_000);
    wait_until("it is cut off", || {
        let _ = Comms::websocket(77).send(&*much);
        seen(": it does not read what is sent to it")
    });
    drop(deaf);
    test.assert_kept();
}

#[test]
fn no_line_about_who_is_too_slow_has_a_secret() {
    let limits = Limits {
        // Far longer than a slow machine needs to send a request, or to judge a message.
        head_timeout: Duration::from_secs(3),
        pong_timeout: Duration::from_secs(3),
        body_timeout: Duration::ZERO,
        message_timeout: Duration::from_millis(300),
        ping_interval: Duration::from_millis(200),
        close_timeout: Duration::from_millis(500),
        ..Limits::default()
    };
    let test = Secretive::start(limits, vec![]);
    let send = |bytes: &str| {
        let mut client = Client::connect(test.running.address);
        client.send(bytes.as_bytes());
        client
    };
    let (own, length) = (&test.guest, "Content-Length: 60\r\n");
    for mut client in [
        send(&format!("GET /who?key=s3cr3t HTTP/1.1\r\n{}", own)),
        send(&format!("POST /who HTTP/1.1\r\nHost: localhost\r\n{}{}\r\ns3cr3t", own, length)),
        test.open_and_send(own, &masked(0x81, SECRET.as_bytes())[..9]),
        test.open_and_send(own, b""),
    ] {
        client.read_to_end();
    }
    for line in [
        "request head took too",
        "request body took too",
        "a message that took too",
        "answer to a ping",
    ] {
        wait_for_line(line);
    }
    test.assert_kept();
}

#[test]
fn no_line_about_who_outlasts_a_shutdown_has_a_secret() {
    let (begin, begun) = channel();
    let (release, held) = channel::<()>();
    let (begin, held) = (Mutex::new(begin), Mutex::new(held));
    let stuck = move |_: &Request| {
        let _ = begin.lock().expect("no panic").send(());
        let _ = held.lock().expect("no panic").recv();
        Ok(Response::new())
    };
    // The other clients of the test have that long to end.
    let limits = Limits { drain_timeout: Duration::from_secs(2), ..Limits::default() };
    let test = Secretive::start(limits, vec![Handler::new("/stuck", stuck)]);
    let mut client = Client::connect(test.running.address);
    let request =
        format!("GET /stuck?key=s3cr3t HTTP/1.1\r\nHost: localhost\r\n{}\r\n", test.guest);
    client.send(request.as_bytes());
    begun.recv().expect("the handler runs");
    // It does not answer the server's Close frame.
    let rude = test.open_and_send(&test.guest, b"");
    assert_eq!(test.running.handle.shutdown().len(), 2);
    drop((release, rude));
    for line in ["; \"/stuck\" still runs", "did not end in time"] {
        wait_for_line(line);
    }
    test.assert_kept();
}

#[test]
fn a_client_that_misses_a_message_or_is_cut_off_is_named_with_its_session() {
    listen();
    let lines_with = |what: &str| {
        let lines = LINES.lock().expect("no panic");
        lines.iter().filter(|line| line.contains(what)).count()
    };
    let login = |request: &Request| {
        let user: i64 = request.parameter("user")?.parse().map_err(Error::other)?;
        Ok(request.login(user))
    };
    let drain_timeout = Duration::from_millis(300);
    for (user, overflow) in [(8801, Overflow::Drop), (8802, Overflow::Close)] {
        let limits = Limits { overflow, backlog: 64 * 1024, drain_timeout, ..Limits::default() };
        let routes = vec![Handler::new("/ws", Greeter), Handler::new("/login/:user", login)];
        let running = Running::start(Server::new(routes).limits(limits));
        let reply = Client::connect(running.address).get(&format!("/login/{}", user), "");
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a login"));
        let deaf = Client::websocket(running.address, "/ws", &cookie);
        let peer = deaf.stream.local_addr().expect("an address");
        let client = format!("{} ({})", SessionId::from(user), peer);
        let much = vec![7; 64 * 1024];
        wait_until("it has missed one", || Comms::websocket(user).send(&*much).is_err());
        match overflow {
            Overflow::Drop => {
                let line = format!(
                    "INFO dropped a message to {}: it does not read what is sent to it",
                    client
                );
                wait_for_line(&line);
                assert!(Comms::websocket(user).send(&*much).is_err());
                // The server's own Close frame waits too, until it is cut off.
                running.handle.shutdown();
                wait_for_line(&format!("INFO shutdown: cut off {}; it did not end", client));
                assert_eq!(lines_with(&line), 1, "only the first is a line");
            }
            Overflow::Close => {
                wait_for_line(&format!("INFO cut off {}: it does not read", client));
                assert_eq!(lines_with(&format!("dropped a message to {}", client)), 0);
            }
        }
        drop(deaf);
    }
}

#[test]
fn a_topic_that_cannot_be_joined_makes_a_line() {
    listen();
    let ada = SessionId::from(8803);
    let _receiver = Comms::receiver(ada);
    assert!(!Comms::topic("t".repeat(300)).subscribe(&ada));
    wait_for_line(&format!("INFO {} cannot join the topic \"ttt", ada));
}

#[test]
fn an_error_of_a_websocket_handler_names_its_path_its_session_and_its_peer() {
    listen();
    let straight = |request: &Request| request.upgrade(&[], |_| Err("no luck in lines".into()));
    let routes = vec![Handler::new("/clumsy", Clumsy), Handler::new("/straight", straight)];
    let running = Running::start(Server::new(routes));
    for (path, end) in [("/clumsy", "failed: \"no luck\""), ("/straight", "failed: \"no luck in")] {
        let (mut client, reply) = Client::upgrade(running.address, path, "");
        let peer = client.stream.local_addr().expect("an address");
        client.text("fail");
        assert_eq!(client.next_close().0, 1011);
        assert!(reply.cookie().is_some());
        wait_for_line(&format!(" ({}, {:?}) {}", peer, path, end));
        let lines = LINES.lock().expect("no panic");
        let start = "ERROR the handler of guest-";
        assert!(lines.iter().any(|line| line.starts_with(start) && line.contains(end)));
    }
}

#[test]
fn that_sessions_end_with_the_process_is_said_once() {
    listen();
    let servers = [(); 2].map(|()| Server::new(Vec::new()).bind("127.0.0.1:0").expect("a port"));
    wait_for_line("sessions end with this process");
    // What was logged for both is written before this.
    for server in servers {
        let (address, handle) = (server.address(), server.handle());
        let thread = std::thread::spawn(move || server.serve());
        wait_for_line(&format!("listening on http://localhost:{}/", address.port()));
        handle.shutdown();
        thread.join().expect("no panic").expect("a thread");
    }
    let lines = LINES.lock().expect("no panic");
    let said = lines.iter().filter(|line| line.contains("sessions end with this process"));
    assert_eq!(said.count(), 1);
}

/// Never comes back.
struct Stuck;

impl log::Log for Stuck {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, _: &log::Record) {
        loop {
            std::thread::park();
        }
    }

    fn flush(&self) {}
}

/// Serves and shuts down with a logger that is stuck. Not a test: one starts it, in a process of
/// its own.
#[test]
#[ignore]
fn child_whose_logger_is_stuck() {
    log::set_logger(&Stuck).expect("the first logger");
    log::set_max_level(log::LevelFilter::Trace);
    let running = Running::start(Server::new(vec![Handler::new("/ws", Clumsy)]));
    for _ in 0..200 {
        let mut client = Client::connect(running.address);
        assert_eq!(client.get("/ws", "").status, 426);
        let mut client = Client::websocket(running.address, "/ws", "");
        client.text("fail");
        assert_eq!(client.next_close().0, 1011);
    }
    running.handle.shutdown();
    running.join();
}

#[test]
fn a_logger_that_is_stuck_holds_no_client_and_no_shutdown() {
    let mut child = Command::new(std::env::current_exe().expect("a path"))
        .args(["--exact", "child_whose_logger_is_stuck", "--ignored"])
        .stdout(Stdio::null())
        .spawn()
        .expect("this binary");
    let end = Instant::now() + PATIENCE * 2;
    let status = loop {
        match child.try_wait().expect("it is ours") {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(5)),
            ended => break ended,
        }
    };
    if status.is_none() {
        child.kill().expect("it runs");
    }
    assert!(status.map_or(false, |status| status.success()), "{:?}", status);
}

struct Panics;

impl log::Log for Panics {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        if record.args().to_string().contains("cannot accept") {
            println!("\nas it does");
            std::panic::panic_any("a logger that panics");
        }
    }

    fn flush(&self) {}
}

/// A server whose logger panics. Not a test: one starts it, in a process of its own.
#[test]
#[ignore]
fn child_whose_logger_panics() {
    log::set_logger(&Panics).expect("the first logger");
    log::set_max_level(log::LevelFilter::Trace);
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let limits = Limits { idle_timeout: PATIENCE * 4, ..Limits::default() };
    let server = Server::new(vec![Handler::new("/", hello)]).limits(limits);
    let listening = server.bind("127.0.0.1:0").expect("a port");
    println!("\nlistening on {}", listening.address());
    listening.serve().expect("a thread");
}

#[test]
#[cfg(target_os = "linux")]
fn a_logger_that_panics_does_not_end_accepting() {
    let mut child = Command::new("sh")
        .args(["-c", "ulimit -n 30 && exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().expect("a path"))
        .args(["--exact", "child_whose_logger_panics", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        // What std prints of the panics that are the test.
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut lines = output.lines().map(|line| line.expect("text"));
    let address = lines
        .find_map(|line| line.strip_prefix("listening on ")?.parse().ok())
        .expect("the child says where it listens");
    let silent: Vec<Client> = (0..60).map(|_| Client::connect(address)).collect();
    assert!(lines.any(|line| line == "as it does"), "there were no descriptors");
    drop(silent);
    // More at a time than threads that were left: so one is started for each again.
    let mut held = Vec::new();
    while held.len() < 15 {
        let mut client = Client::connect(address);
        assert_eq!(client.get("/", "").text(), "hello");
        held.push(client);
    }
    child.kill().expect("it runs");
    child.wait().expect("it ran");
}

#[test]
fn an_answer_that_ends_early_is_the_fault_of_whoever_has_ended_it() {
    listen();
    let stream = |request: &Request| {
        let what = request.query("what").unwrap_or_default();
        request.stream(Response::new(), |body| {
            body.flush()?;
            match &*what {
                "own" => Err(io::Error::new(ErrorKind::Other, "the disk is full")),
                "late" => write!(body, "{}", request.session_id()),
                _ => loop {
                    body.poll()?;
                },
            }
        })
    };
    let gone = |request: &Request| {
        request.stream(Response::new(), |body| loop {
            body.poll()?;
        })
    };
    let routes = vec![
        Handler::new("/log-own", stream).streams(),
        Handler::new("/log-late", stream).streams(),
        Handler::new("/log-behind", stream).streams(),
        Handler::new("/log-before", gone),
    ];
    let running = Running::start(Server::new(routes));
    let ask = |target: &str| {
        let mut client = Client::connect(running.address);
        client.send(format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target).as_bytes());
        client
    };
    let mut own = ask("/log-own?what=own");
    own.read_to_end();
    wait_for_line("ERROR the answer to GET \"/log-own\" from");
    let mut late = ask("/log-late?what=late");
    assert_eq!(late.reply_head().status, 200);
    wait_for_line("ERROR the handler of GET \"/log-late\" from");
    let mut behind = ask("/log-behind");
    assert_eq!(behind.reply_head().status, 200);
    drop(behind);
    wait_for_line("DEBUG the answer to GET \"/log-behind\" from");
    drop(ask("/log-before"));
    wait_for_line("DEBUG the handler of GET \"/log-before\" from");
}
