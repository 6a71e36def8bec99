//! Log lines where nobody reads them, and where clients cause too many of them. What is tried is in a
//! child process, whose stderr the test holds.
#![cfg(all(target_os = "linux", not(feature = "log")))]

use super::loopback::child::{limited, Child};
use super::loopback::{wait_until, Client, Running};
use sockling::limits::{Limits, LOG_BURST, LOG_LINE};
use sockling::prelude::*;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::io::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

/// Fails with a text as long as the client likes.
struct Clumsy;

impl WebsocketController for Clumsy {
    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        Err(format!("no {}", message.as_text().unwrap_or("text")).into())
    }
}

impl Controller for Clumsy {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Takes messages and answers none.
struct Quiet;

impl WebsocketController for Quiet {}

impl Controller for Quiet {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// The server of this file's tests, which ends when it is asked to. Not a test: they start it.
#[test]
#[ignore]
fn child() {
    let fail = |request: &Request| Err(format!("nothing at {}", request.path()).into());
    let shout = |_: &Request| {
        let sent = Comms::notify().send(vec![7; 256 * 1024])?;
        Ok(Response::new().text(sent.to_string()))
    };
    let (end, ended) = std::sync::mpsc::channel();
    let end = std::sync::Mutex::new(end);
    let shut_down = move |_: &Request| {
        end.lock().expect("no panic").send(()).map_err(Error::other)?;
        Ok(Response::new().text("soon"))
    };
    let routes = vec![
        Handler::new("/fail/*", fail),
        Handler::new("/shout", shout),
        Handler::new("/end", shut_down),
        Handler::new("/clumsy", Clumsy),
        Handler::new("/quiet", Quiet),
    ];
    let limits =
        Limits { request_line: 64 * 1024, requests_per_connection: 0, ..Limits::default() };
    let running = Running::start(Server::new(routes).limits(limits));
    println!("\nlistening on {}", running.address);
    ended.recv().expect("a request");
    running.handle.shutdown();
    running.join();
}

/// Starts the server with a stderr that takes nothing until somebody reads from what is returned.
fn start_with_a_full_stderr() -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    theirs.set_nonblocking(true).expect("a socket option");
    let mut full = &theirs;
    while full.write(&[b'\n'; 4096]).is_ok() {}
    let error = full.write(b"\n").expect_err("it is full");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    theirs.set_nonblocking(false).expect("a socket option");
    let mut command = limited("-c 0", "stderr::child");
    command.stderr(Stdio::from(OwnedFd::from(theirs)));
    (Child::start(&mut command), ours)
}

/// Causes lines of every kind that clients can cause, and sees that each client is served.
fn cause_lines(server: &Child) {
    let long = "x".repeat(2 * LOG_LINE);
    for _ in 0..2 * LOG_BURST {
        let mut client = Client::connect(server.address);
        assert_eq!(client.get(&format!("/fail/{}", long), "").status, 500);
        assert_eq!(client.get("/quiet", "").status, 426);
        assert_eq!(client.get("/quiet", "Bad : field\r\n").status, 400);
        let mut client = Client::websocket(server.address, "/clumsy", "");
        client.text(&long);
        assert_eq!(client.next_close().0, 1011);
        let mut client = Client::websocket(server.address, "/clumsy", "");
        client.frame(0xc1, b"reserved");
        assert_eq!(client.next_close().0, 1002);
    }
}

#[test]
fn a_stderr_that_nobody_reads_holds_no_client_no_broadcast_and_no_shutdown() {
    let (mut server, stderr) = start_with_a_full_stderr();
    cause_lines(&server);
    // A broadcast that cuts off a client that does not read.
    let deaf = Client::websocket(server.address, "/quiet", "");
    let mut client = Client::connect(server.address);
    wait_until("the client is cut off", || client.get("/shout", "").text() == "0");
    drop(deaf);
    assert_eq!(client.get("/end", "").text(), "soon");
    server.wait();
    drop(stderr);
}

#[test]
fn lines_that_a_full_stderr_did_not_take_are_counted_once_it_takes_some() {
    let (server, mut stderr) = start_with_a_full_stderr();
    cause_lines(&server);
    let mut told = String::new();
    wait_until("the count is told", || {
        let mut buffer = [0; 16 * 1024];
        let count = stderr.read(&mut buffer).expect("it is open");
        told.push_str(&String::from_utf8_lossy(&buffer[..count]));
        told.contains("[WARN] dropped ") && told.contains(" log lines, which the log did not take")
    });
    assert!(told.contains("[ERROR] the handler of GET \"/fail/xxx"), "what was queued comes first");
}

#[test]
fn no_client_floods_the_log_or_writes_an_error_of_its_own() {
    let mut command = limited("-c 0", "stderr::child");
    let mut server = Child::start(command.stderr(Stdio::piped()));
    let mut stderr = server.stderr();
    let reader = std::thread::spawn(move || {
        let mut told = String::new();
        stderr.read_to_string(&mut told).expect("text");
        told
    });
    let path = format!("/fail/{}", "x".repeat(26 * 1024));
    let mut client = Client::connect(server.address);
    for _ in 0..1000 {
        assert_eq!(client.get(&path, "").status, 500);
        assert_eq!(client.get("/quiet", "").status, 426);
    }
    cause_lines(&server);
    assert_eq!(client.get("/end", "").text(), "soon");
    server.wait();
    let told = reader.join().expect("no panic");
    let lines: Vec<&str> = told.lines().collect();
    let longest = lines.iter().map(|line| line.len()).max();
    assert!(longest <= Some(LOG_LINE + 32), "{:?}", longest);
    // On a slow machine some more keep the pace; unbounded were thousands.
    let most = 2 * LOG_BURST as usize;
    for (kind, level) in [
        ("the handler of GET", "[ERROR] "),
        ("failed: \"no xxx", "[ERROR] "),
        ("refused a WebSocket", "[INFO] "),
        ("refused a request", "[INFO] "),
        ("with 1002: ", "[INFO] "),
    ] {
        let of_kind: Vec<_> = lines.iter().filter(|line| line.contains(kind)).collect();
        assert!((1..=most).contains(&of_kind.len()), "{}: {}", kind, of_kind.len());
        assert!(of_kind.iter().all(|line| line.starts_with(level)), "{}", kind);
    }
}
