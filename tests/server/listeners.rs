//! Servers with listeners of all kinds: several, handed-over ones, and one of a program's own.

use super::loopback::{quiet, wait_until, Client, Running, PATIENCE};
use super::{held, patient};
use sockling::http::Listening;
use sockling::limits::Limits;
use sockling::net::{Listener, Peer, Stream, Tcp};
use sockling::prelude::*;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::sync::mpsc::{channel, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

fn local() -> Tcp {
    quiet();
    Tcp::bind("127.0.0.1:0").expect("a free port")
}

fn addresses(listening: &Listening) -> Vec<SocketAddr> {
    let socket = |peer: Peer| SocketAddr::new(peer.ip().expect("one"), peer.port().expect("one"));
    listening.addresses().into_iter().map(socket).collect()
}

#[test]
fn several_listeners_share_the_limits_and_the_shutdown() {
    let [(one, one_runs, release_one), (other, other_runs, release_other)] = [held(), held()];
    let limits = Limits { connections: 2, ..patient() };
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let routes =
        vec![Handler::new("/", hello), Handler::new("/one", one), Handler::new("/other", other)];
    let server = Server::new(routes).limits(limits);
    let listening = server.listen(local()).expect("valid").also(local()).expect("valid");
    let listening = listening.also(local()).expect("valid");
    let handle = listening.handle();
    let addresses = addresses(&listening);
    assert_eq!((addresses.len(), listening.address()), (3, addresses[0]));
    let running = Running::serve(listening);
    for address in &addresses {
        assert_eq!(Client::connect(*address).get("/", "Connection: close\r\n").text(), "hello");
    }
    let mut one = Client::connect(addresses[0]);
    one.send(b"GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n");
    one_runs.recv_timeout(PATIENCE).expect("the handler runs");
    let mut other = Client::connect(addresses[1]);
    other.send(b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n");
    other_runs.recv_timeout(PATIENCE).expect("the handler runs");
    assert_eq!(Client::connect(addresses[2]).get("/", "").status, 503);
    for (client, release) in [(&mut one, release_one), (&mut other, release_other)] {
        release.send(()).expect("it waits");
        assert_eq!(client.reply().text(), "finished");
    }
    assert!(handle.shutdown().is_empty());
    for address in &addresses {
        TcpListener::bind(address).expect("the port is free");
    }
    running.join();
}

#[test]
fn each_listener_answers_for_hosts_as_its_address_says() {
    let routes = || vec![Handler::new("/", |_: &Request| Ok(Response::new()))];
    let on = |server: Server| {
        let wide = Tcp::bind("0.0.0.0:0").expect("a free port");
        let listening = server.listen(local()).expect("valid").also(wide).expect("valid");
        let addresses = addresses(&listening);
        (Running::serve(listening), addresses)
    };
    let status = |address: SocketAddr, host: &str| {
        let mut client = Client::connect((Ipv4Addr::LOCALHOST, address.port()).into());
        client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host).as_bytes());
        client.reply().status
    };
    let (_running, addresses) = on(Server::new(routes()));
    for (host, expected) in [("localhost", [200, 200]), ("chat.example", [421, 200])] {
        assert_eq!([addresses[0], addresses[1]].map(|address| status(address, host)), expected);
    }
    let (_running, addresses) = on(Server::new(routes()).allowed_hosts(["chat.example"]));
    for (host, expected) in [("localhost", 200), ("chat.example", 200), ("other.example", 421)] {
        for address in &addresses {
            assert_eq!(status(*address, host), expected, "{} at {}", host, address);
        }
    }
}

#[test]
fn a_listener_that_was_handed_over_is_served_and_is_no_more_than_dropped() {
    quiet();
    let given = TcpListener::bind("127.0.0.1:0").expect("a free port");
    // As some frameworks hand it over.
    given.set_nonblocking(true).expect("a socket option");
    let kept = given.try_clone().expect("a descriptor");
    let routes = vec![Handler::new("/", |_: &Request| Ok(Response::new().text("hello")))];
    let listening = Server::new(routes).listen(Tcp::from(given)).expect("valid");
    let running = Running::serve(listening);
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/", "").text(), "hello");
    drop(client);
    assert!(running.handle.shutdown().is_empty());
    // The next process finds it listening.
    let _client = Client::connect(running.address);
    let (stream, _) = kept.accept().expect("a client");
    drop(stream);
    let address = running.address;
    running.join();
    drop(kept);
    TcpListener::bind(address).expect("no thread keeps it");
}

#[test]
fn closing_wakes_every_thread_in_accept_and_those_that_come_later() {
    let handed_over = || {
        let given = TcpListener::bind("127.0.0.1:0").expect("a free port");
        (given.try_clone().ok(), Tcp::from(given))
    };
    for (_kept, listener) in [(None, local()), handed_over()] {
        let listener = Arc::new(listener);
        let threads: Vec<_> = (0..4)
            .map(|_| Arc::clone(&listener))
            .map(|listener| thread::spawn(move || listener.accept().map(drop)))
            .collect();
        // One of them surely waits.
        let mut first = Client::connect(SocketAddr::new(
            listener.address().ip().expect("one"),
            listener.address().port().expect("one"),
        ));
        wait_until("one is accepted", || threads.iter().any(|thread| thread.is_finished()));
        listener.close();
        let ended = threads.into_iter().map(|thread| thread.join().expect("no panic"));
        assert_eq!(ended.filter(Result::is_ok).count(), 1);
        first.assert_end();
        assert!(listener.accept().is_err());
        listener.close();
        assert!(listener.accept().is_err());
    }
}

/// What has happened, and on which thread.
type Events = Arc<Mutex<Vec<(&'static str, ThreadId)>>>;

/// Notes on which thread the streams of a listener are opened, and what happens before.
struct Noted {
    inner: Tcp,
    events: Events,
    /// What `open` does with the time that it has.
    open: Arc<dyn Fn(Duration) -> io::Result<()> + Send + Sync>,
}

struct NotedStream {
    inner: Box<dyn Stream>,
    events: Events,
    open: Arc<dyn Fn(Duration) -> io::Result<()> + Send + Sync>,
}

impl NotedStream {
    fn note(&self, what: &'static str) {
        self.events.lock().expect("no panic").push((what, thread::current().id()));
    }
}

impl Listener for Noted {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        let (inner, _) = self.inner.accept()?;
        let (events, open) = (Arc::clone(&self.events), Arc::clone(&self.open));
        Ok((Box::new(NotedStream { inner, events, open }), Peer::named("somebody")))
    }
    fn address(&self) -> Peer {
        self.inner.address()
    }
    fn close(&self) {
        self.inner.close()
    }
    fn is_secure(&self) -> bool {
        true
    }
}

impl Stream for NotedStream {
    fn open(&self, deadline: Instant) -> io::Result<()> {
        self.note("open");
        (self.open)(deadline.saturating_duration_since(Instant::now()))
    }
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.note("read");
        self.inner.read(buffer)
    }
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.note("write");
        self.inner.write(bytes)
    }
    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }
    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }
    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
}

fn noted(open: impl Fn(Duration) -> io::Result<()> + Send + Sync + 'static) -> (Noted, Events) {
    let events = Events::default();
    (Noted { inner: local(), events: Arc::clone(&events), open: Arc::new(open) }, events)
}

/// Tells a test the thread of its handler.
fn told(thread: Sender<ThreadId>) -> Vec<Handler> {
    let thread = Mutex::new(thread);
    let handler = move |request: &Request| {
        thread
            .lock()
            .map_err(|_| "poisoned")?
            .send(thread::current().id())
            .map_err(Error::other)?;
        request.session_id();
        Ok(Response::new().text(format!("{} {}", request.peer(), request.is_secure())))
    };
    vec![Handler::new("/", handler)]
}

#[test]
fn a_stream_opens_on_the_thread_of_its_connection_before_the_first_read() {
    let (sender, handled) = channel();
    let (listener, events) = noted(|left| {
        assert!(left <= patient().head_timeout && left > patient().head_timeout / 2, "{:?}", left);
        Ok(())
    });
    let server = Server::new(told(sender)).limits(patient());
    let running = Running::serve(server.listen(listener).expect("valid"));
    let reply = Client::connect(running.address).get("/", "Connection: close\r\n");
    assert_eq!(reply.text(), "somebody true");
    let cookie = reply.header("set-cookie").expect("a session");
    assert!(cookie.starts_with("__Host-") && cookie.contains("; Secure"), "{}", cookie);
    let thread = handled.recv_timeout(PATIENCE).expect("it has run");
    let events = events.lock().expect("no panic");
    assert_eq!(events.iter().map(|(what, _)| *what).take(2).collect::<Vec<_>>(), ["open", "read"]);
    assert!(events.iter().all(|(_, by)| *by == thread), "{:?}", events);
}

#[test]
fn a_connection_that_does_not_open_ends_without_an_answer_and_frees_its_place() {
    let (sender, _handled) = channel();
    let (listener, events) = noted(|_| Err(ErrorKind::InvalidData.into()));
    let limits = Limits { connections: 1, ..patient() };
    let server = Server::new(told(sender)).limits(limits);
    let running = Running::serve(server.listen(listener).expect("valid"));
    for _ in 0..3 {
        let mut client = Client::connect(running.address);
        client.assert_end();
    }
    let events = events.lock().expect("no panic");
    assert_eq!(events.iter().map(|(what, _)| *what).collect::<Vec<_>>(), ["open"; 3]);
}

#[test]
fn a_slow_handshake_holds_up_nobody_else_and_counts_against_the_ceiling() {
    let (held, wait_for_entry, release_held) = held();
    let (release, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let (listener, events) = noted(move |_| {
        // The first waits until the test lets it.
        if let Ok(wait) = wait.try_lock() {
            let _ = wait.recv();
        }
        Ok(())
    });
    let limits = Limits { connections: 2, ..patient() };
    let server = Server::new(vec![Handler::new("/", held)]).limits(limits);
    let running = Running::serve(server.listen(listener).expect("valid"));
    let mut slow = Client::connect(running.address);
    wait_until("it opens", || events.lock().expect("no panic").len() == 1);
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_entry.recv_timeout(PATIENCE).expect("the handler runs");
    // A third has no place, and is refused unopened.
    assert_eq!(Client::connect(running.address).get("/", "").status, 503);
    let opened = |(what, _): &&(&str, ThreadId)| *what == "open";
    assert_eq!(events.lock().expect("no panic").iter().filter(opened).count(), 2);
    drop((release, release_held));
    assert_eq!([slow.get("/", "").status, client.reply().status], [200, 200]);
}
