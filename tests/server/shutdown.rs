//! The end of a server.

use super::loopback::wire::transports;
use super::loopback::wire::{bind_again, trusting, Wire};
use super::loopback::{bind, masked, quiet, upgrade_request, Client, Running, PATIENCE};
use super::{held, patient, soon_drained, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Barrier, Mutex};
use std::time::{Duration, Instant};

#[test]
fn every_websocket_is_closed_with_1001_and_serve_returns() {
    let (told, events) = Told::new();
    let running = Running::start(Server::new(vec![Handler::new("/ws", told)]));
    let mut clients: Vec<Client> =
        (0..20).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    let mut idle = Client::connect(running.address);
    assert_eq!(idle.get("/", "").status, 404);

    let handle = running.handle.clone();
    let ending = std::thread::spawn(move || handle.shutdown());
    for client in &mut clients {
        assert_eq!(client.next_close(), (1001, "the server shuts down".to_string()));
        client.frame(0x88, b"\x03\xe9");
        client.assert_end();
    }
    idle.assert_end();
    assert_eq!(ending.join().expect("no panic"), []);
    let address = running.address;
    running.join();
    assert!(Wire::connect(address).is_err(), "nobody listens");
    let ends = events.try_iter().filter(|event| event.starts_with("disconnected")).count();
    assert_eq!(ends, 20);
    // The same port serves again at once.
    let hello = |_: &Request| Ok(Response::new().text("again"));
    let again = Server::new(vec![Handler::new("/", hello)]);
    let again = Running::serve(bind_again(again, address));
    assert_eq!(Client::connect(again.address).get("/", "").text(), "again");
}

#[test]
fn a_request_that_is_being_answered_is_finished() {
    let (slow, wait_for_entry, release) = held();
    let (told, _events) = Told::new();
    let routes = vec![Handler::new("/", slow), Handler::new("/ws", told)];
    let running = Running::start(Server::new(routes));
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_entry.recv().expect("the handler runs");
    let mut websocket = Client::websocket(running.address, "/ws", "");
    let handle = running.handle.clone();
    let ending = std::thread::spawn(move || handle.shutdown());
    // The Close frames follow once every connection has been asked to end.
    assert_eq!(websocket.next_close().0, 1001);
    drop(websocket);
    assert!(Wire::connect(running.address).is_err(), "nobody is let in");
    release.send(()).expect("the handler waits");
    let reply = client.reply();
    assert_eq!((reply.text(), reply.header("connection")), ("finished", Some("close")));
    client.assert_end();
    drop(client);
    assert_eq!(ending.join().expect("no panic"), []);
}

#[test]
fn a_handler_that_does_not_return_is_reported_and_waited_for_once() {
    let (stuck, wait_for_entry, release) = held();
    let drain_timeout = Duration::from_secs(5);
    let limits = Limits { drain_timeout, ..patient() };
    let running = Running::start(Server::new(vec![Handler::new("/stuck", stuck)]).limits(limits));
    let mut client = Client::connect(running.address);
    client.send(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_entry.recv().expect("the handler runs");
    let left = running.handle.shutdown();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].peer, client.stream.peer());
    assert_eq!(left[0].path.as_deref(), Some("/stuck"));
    let begun = Instant::now();
    assert_eq!(running.handle.shutdown(), left);
    assert!(begun.elapsed() < drain_timeout, "{:?}", begun.elapsed());
    running.join();
    drop(release);
}

#[test]
fn a_shutdown_names_the_client_that_is_stuck_and_not_the_proxy() {
    let (stuck, wait_for_entry, release) = held();
    let server = Server::new(vec![Handler::new("/stuck", stuck)]).limits(soon_drained());
    let running = Running::start(trusting(server));
    let mut proxy = Client::connect(running.address);
    proxy.send(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n");
    wait_for_entry.recv_timeout(PATIENCE).expect("the handler runs");
    let named = running.handle.shutdown();
    drop(release);
    assert_eq!((named[0].peer.to_string(), named[0].peer.port()), ("192.0.2.7".to_string(), None));
    assert_eq!(named[0].path.as_deref(), Some("/stuck"));
}

/// Does not return from one place, which is the path.
struct Staying<C> {
    place: &'static str,
    held: C,
}

impl<C: Controller> Staying<C> {
    fn stay(&self, place: &str) -> Result<(), Error> {
        if place == self.place {
            self.held.handle(&Request::get(place))?;
        }
        Ok(())
    }
}

impl<C: Controller> WebsocketController for Staying<C> {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        self.stay("/in-the-beginning")
    }

    fn handle_message(&self, _: &SessionId, _: Message) -> Result<(), Error> {
        self.stay("/in-a-message")
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        self.stay("/in-the-end")
    }
}

impl<C: Controller> Controller for Staying<C> {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        self.stay("/before")?;
        let response = WebsocketController::handle(self, request);
        self.stay("/after")?;
        response
    }
}

#[test]
fn code_that_does_not_return_is_reported_with_its_path_wherever_in_a_conversation_it_stands() {
    std::thread::scope(|scope| {
        for place in ["/before", "/in-the-beginning", "/in-a-message", "/in-the-end", "/after"] {
            scope.spawn(move || {
                let (held, wait_for_entry, release) = held();
                let routes = vec![Handler::new(place, Staying { place, held })];
                let running = Running::start(Server::new(routes).limits(soon_drained()));
                let mut client = Client::connect(running.address);
                let frames = [masked(0x81, b"hello"), masked(0x88, b"\x03\xe8")].concat();
                client.send(&[upgrade_request(place, "").into_bytes(), frames].concat());
                wait_for_entry.recv().expect("the handler runs");
                let left = running.handle.shutdown();
                let paths: Vec<_> = left.iter().map(|stuck| stuck.path.as_deref()).collect();
                assert_eq!(paths, [Some(place)]);
                drop(release);
            });
        }
    });
}

#[test]
fn a_port_is_free_at_once_while_a_handler_is_stuck_and_handles_of_the_server_are_kept() {
    let limits = Limits { drain_timeout: Duration::from_millis(100), ..patient() };
    let mut address = "127.0.0.1:0".parse().expect("an address");
    let mut kept = Vec::new();
    // A port that the system chose, the same one by its number, and again.
    for round in 0..3 {
        let (stuck, wait_for_entry, release) = held();
        let hello = move |_: &Request| Ok(Response::new().text(round.to_string()));
        let routes = vec![Handler::new("/", hello), Handler::new("/stuck", stuck)];
        quiet();
        let listening = Server::new(routes).limits(limits.clone()).bind(address);
        let running = Running::serve(listening.expect("the port is free"));
        address = running.address;
        let mut client = Client::connect(address);
        assert_eq!(client.get("/", "").text(), round.to_string());
        client.send(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n");
        wait_for_entry.recv().expect("the handler runs");
        assert_eq!(running.handle.shutdown().len(), 1);
        assert!(Wire::connect(address).is_err(), "nobody listens");
        kept.push((release, client, running));
    }
}

#[test]
fn a_client_that_does_not_read_its_answer_is_not_waited_for() {
    // At 16 KiB a second that may take half an hour.
    let answer = |_: &Request| Ok(Response::new().body(vec![7u8; 32 * 1024 * 1024]));
    let server = Server::new(vec![Handler::new("/", answer)]).limits(soon_drained());
    let running = Running::start(server);
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The handler has returned once its answer begins.
    assert_eq!(client.bytes(15), b"HTTP/1.1 200 OK");
    let stuck = running.handle.shutdown();
    let paths: Vec<_> = stuck.iter().map(|stuck| stuck.path.as_deref()).collect();
    assert_eq!(paths, [None], "no handler runs");
    running.join();
}

#[test]
fn a_shutdown_inside_a_handler_does_not_wait_for_that_handler_and_serve_does() {
    let (give, handle) = channel::<sockling::http::ServerHandle>();
    let handle = Mutex::new(handle);
    let end = move |_: &Request| {
        let handle = handle.lock().map_err(|_| "poisoned")?.recv().map_err(Error::other)?;
        let left = handle.shutdown().len();
        // More than the system takes of it before the client reads.
        Ok(Response::new().text(format!("{} left", left) + &" ".repeat(32 * 1024 * 1024)))
    };
    let running = Running::start(Server::new(vec![Handler::new("/end", end)]).limits(patient()));
    give.send(running.handle.clone()).expect("the handler waits");
    let mut client = Client::connect(running.address);
    client.send(b"GET /end HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (returns, returned) = channel();
    let serving = std::thread::spawn(move || {
        running.join();
        returns.send(()).expect("the test waits");
    });
    // The process may not end before the answer.
    assert!(matches!(client.stream.peek(&mut [0]), Ok(1)), "the answer begins");
    let early = returned.recv_timeout(Duration::from_millis(50));
    assert!(early.is_err(), "the answer is not written");
    let reply = client.reply();
    assert_eq!((reply.status, reply.text().trim_end()), (200, "0 left"));
    drop(client);
    serving.join().expect("serve returns");
}

#[test]
fn a_shutdown_inside_a_handler_leaves_its_client_the_answer_when_another_is_stuck() {
    let (give, handle) = channel::<sockling::http::ServerHandle>();
    let handle = Mutex::new(handle);
    let end = move |_: &Request| {
        let handle = handle.lock().map_err(|_| "poisoned")?.recv().map_err(Error::other)?;
        Ok(Response::new().text(format!("{} left", handle.shutdown().len())))
    };
    let (stuck, wait_for_entry, release) = held();
    let routes = vec![Handler::new("/end", end), Handler::new("/stuck", stuck)];
    let running = Running::start(Server::new(routes).limits(soon_drained()));
    give.send(running.handle.clone()).expect("the handler waits");
    let mut client = Client::connect(running.address);
    client.send(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_entry.recv().expect("the handler runs");
    assert_eq!(Client::connect(running.address).get("/end", "").text(), "1 left");
    running.join();
    drop(release);
}

#[test]
fn handlers_that_shut_down_at_once_do_not_wait_for_each_other() {
    let handles = Arc::new(Mutex::new(Vec::<sockling::http::ServerHandle>::new()));
    let both = Arc::new(Barrier::new(2));
    let end = {
        let handles = Arc::clone(&handles);
        move |_: &Request| {
            let handle = handles.lock().map_err(|_| "poisoned")?.pop().ok_or("no handle")?;
            both.wait();
            Ok(Response::new().text(format!("{} left", handle.shutdown().len())))
        }
    };
    let limits = Limits { drain_timeout: PATIENCE * 2, ..Limits::default() };
    let running = Running::start(Server::new(vec![Handler::new("/end", end)]).limits(limits));
    handles.lock().expect("no panic").extend([running.handle.clone(), running.handle.clone()]);
    let mut clients = [Client::connect(running.address), Client::connect(running.address)];
    for client in &mut clients {
        client.send(b"GET /end HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.reply().text(), "0 left");
    }
}

/// Shuts the server down when it is told to.
struct Ender(Mutex<Receiver<sockling::http::ServerHandle>>);

impl WebsocketController for Ender {
    fn handle_message(&self, _: &SessionId, _: Message) -> Result<(), Error> {
        let handle = self.0.lock().map_err(|_| "poisoned")?.recv().map_err(Error::other)?;
        handle.shutdown();
        Ok(())
    }
}

impl Controller for Ender {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_client_whose_handler_shut_down_is_cut_off_when_it_does_not_answer() {
    let (give, handle) = channel();
    let limits = Limits { close_timeout: Duration::from_millis(500), ..patient() };
    let server = Server::new(vec![Handler::new("/ws", Ender(Mutex::new(handle)))]).limits(limits);
    let running = Running::start(server);
    let mut client = Client::websocket(running.address, "/ws", "");
    give.send(running.handle.clone()).expect("the handler waits");
    client.text("end");
    assert_eq!(client.next_close().0, 1001);
    running.join();
    // Nothing keeps the connection: not what it sends, and not that the server has gone.
    client.assert_end();
}

#[test]
fn a_client_that_does_not_answer_is_not_reported_as_a_handler() {
    let (told, _events) = Told::new();
    let server = Server::new(vec![Handler::new("/ws", told)]).limits(soon_drained());
    let running = Running::start(server);
    let client = Client::websocket(running.address, "/ws", "");
    let stuck = running.handle.shutdown();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].peer, client.stream.peer());
    assert_eq!(stuck[0].path, None);
}

#[test]
fn a_shutdown_before_serve_and_a_second_one_return() {
    let listening = bind(Server::new(Vec::new()));
    let handle = listening.handle();
    assert_eq!(handle.shutdown(), []);
    listening.serve().expect("returns at once");
    assert_eq!(handle.shutdown(), []);
}

#[test]
fn a_client_that_leaves_without_an_answer_to_the_close_frame_is_waited_for_no_longer() {
    let minute = Duration::from_secs(60);
    let (told, _events) = Told::new();
    let limits = Limits { drain_timeout: minute, ..patient() };
    let server = Server::new(vec![Handler::new("/ws", told)]).limits(limits);
    let running = Running::start(server);
    let mut client = Client::websocket(running.address, "/ws", "");
    std::thread::scope(|scope| {
        let shutdown = scope.spawn(|| running.handle.shutdown());
        assert_eq!(client.next_close().0, 1001);
        // By now a thread that has to be woken is awake.
        std::thread::sleep(Duration::from_millis(500));
        let left = Instant::now();
        drop(client);
        assert!(shutdown.join().expect("no panic").is_empty());
        assert!(left.elapsed() < minute / 2);
    });
}

transports! {
    all {
        every_websocket_is_closed_with_1001_and_serve_returns
        a_request_that_is_being_answered_is_finished
        a_handler_that_does_not_return_is_reported_and_waited_for_once
        code_that_does_not_return_is_reported_with_its_path_wherever_in_a_conversation_it_stands
        a_port_is_free_at_once_while_a_handler_is_stuck_and_handles_of_the_server_are_kept
        a_client_that_does_not_read_its_answer_is_not_waited_for
        a_shutdown_inside_a_handler_does_not_wait_for_that_handler_and_serve_does
        a_shutdown_inside_a_handler_leaves_its_client_the_answer_when_another_is_stuck
        handlers_that_shut_down_at_once_do_not_wait_for_each_other
        a_client_whose_handler_shut_down_is_cut_off_when_it_does_not_answer
        a_client_that_does_not_answer_is_not_reported_as_a_handler
        a_shutdown_before_serve_and_a_second_one_return
        a_client_that_leaves_without_an_answer_to_the_close_frame_is_waited_for_no_longer
    }
    not over memory: "a client in memory is no proxy" {
        a_shutdown_names_the_client_that_is_stuck_and_not_the_proxy
    }
}
