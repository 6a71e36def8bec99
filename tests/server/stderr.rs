//! Log lines where nobody reads them, and where clients cause too many of them. What is tried is in a
//! child process, whose stderr the test holds.
#![cfg(all(target_os = "linux", not(feature = "log")))]

use super::loopback::child::{limited, Child};
use super::loopback::{wait_until, Client, Running, PATIENCE};
use sockling::limits::{Limits, LOG_BURST, LOG_LINE, LOG_PACE, LOG_REPORT};
use sockling::prelude::*;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::io::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::sync::mpsc::channel;
use std::time::Instant;

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

/// The server of this file's tests, which ends when it is asked to, and its process when it is waited
/// for. Not a test: they start it.
#[test]
#[ignore]
fn child() {
    let fail = |request: &Request| Err(format!("nothing at {}", request.path()).into());
    let speak = |_: &Request| {
        log::error!("an {}", "error");
        log::warn!("a {}", "warning");
        log::info!("some {}", "news");
        log::debug!("a {}", "detail");
        log::trace!("a {}", "step");
        Ok(Response::new())
    };
    let shout = |_: &Request| {
        let sent = Comms::notify().send(vec![7; 256 * 1024])?;
        Ok(Response::new().text(sent.to_string()))
    };
    let (end, ended) = channel();
    let end = std::sync::Mutex::new(end);
    let shut_down = move |_: &Request| {
        end.lock().expect("no panic").send(()).map_err(Error::other)?;
        Ok(Response::new().text("soon"))
    };
    let routes = vec![
        Handler::new("/fail/*", fail),
        Handler::new("/speak", speak),
        Handler::new("/shout", shout),
        Handler::new("/end", shut_down),
        Handler::new("/change", |request: &Request| {
            request.check_origin()?;
            Ok(Response::new())
        }),
        Handler::new("/clumsy", Clumsy),
        Handler::new("/quiet", Quiet),
    ];
    let limits =
        Limits { request_line: 64 * 1024, requests_per_connection: 0, ..Limits::default() };
    // Not by `Running::start`, which turns the log off where `SOCKLING_LOG` is not set.
    let server = Server::new(routes).limits(limits).bind("127.0.0.1:0");
    let running = Running::serve(server.expect("a free port"));
    println!("\nlistening on {}", running.address);
    ended.recv().expect("a request");
    running.handle.shutdown();
    running.join();
    // The library's own lines have time until they are written: on a slow machine, more than a
    // shutdown gives them.
    std::io::stdin().read_to_end(&mut Vec::new()).expect("the end of a pipe");
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
    command.env("SOCKLING_LOG", "info").stderr(Stdio::from(OwnedFd::from(theirs)));
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
    let begun = Instant::now();
    let mut command = limited("-c 0", "stderr::child");
    command.env("SOCKLING_LOG", "info,notime");
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
    // The level, how many such lines were left out, which a slow machine is told, and ".. (cut)".
    assert!(longest <= Some(LOG_LINE + 64), "{:?}", longest);
    // Those that kept the pace, and the reports of those that did not; unbounded were thousands.
    let paces = [LOG_PACE, LOG_REPORT].map(|pace| begun.elapsed().as_secs() / pace.as_secs() + 1);
    let most = u64::from(LOG_BURST) + paces.iter().sum::<u64>();
    for (kind, level) in [
        ("the handler of GET", "[ERROR] "),
        ("failed: \"no xxx", "[ERROR] "),
        ("refused a WebSocket", "[INFO] "),
        ("refused a request", "[INFO] "),
        ("with 1002: ", "[INFO] "),
    ] {
        let of_kind: Vec<_> = lines.iter().filter(|line| line.contains(kind)).collect();
        assert!((1..=most as usize).contains(&of_kind.len()), "{}: {}", kind, of_kind.len());
        assert!(of_kind.iter().all(|line| line.starts_with(level)), "{}", kind);
    }
}

/// What a server logs at each level, by the library and by the application, when a client causes lines
/// of every kind. What differs from run to run is written as `_`.
#[rustfmt::skip]
const AT_EACH_LEVEL: &[(&str, &str)] = &[
    ("error", "[ERROR] an error"),
    ("error", "[ERROR] the handler of GET \"/fail/\" from 127.0.0.1:_ failed: \
               \"nothing at /fail/\"; answered 500"),
    ("error", "[ERROR] the handler of guest-_ (127.0.0.1:_, \"/clumsy\") failed: \"no text\""),
    ("warn", "[WARN] a warning"),
    ("info", "[INFO] sessions end with this process; Server::session_keys makes them last"),
    ("info", "[INFO] listening on http://localhost:_/"),
    ("info", "[INFO] some news"),
    ("info", "[INFO] refused a WebSocket (GET \"/quiet\" from 127.0.0.1:_) with 426: \
              opening a WebSocket requires Upgrade: websocket and Connection: Upgrade"),
    ("info", "[INFO] the handler of POST \"/change\" from 127.0.0.1:_ failed: \
              \"the request comes from an origin that is not allowed\"; answered 403"),
    ("info", "[INFO] refused a request (\"?\" from 127.0.0.1:_) with 400: \
              a header field line is invalid"),
    ("debug", "[DEBUG] a detail"),
    ("debug", "[DEBUG] answered GET \"/speak\" from 127.0.0.1:_ with 200 in _ ms"),
    ("debug", "[DEBUG] answered GET \"/quiet\" from 127.0.0.1:_ with 426 in _ ms"),
    ("debug", "[DEBUG] answered GET \"/fail/\" from 127.0.0.1:_ with 500 in _ ms"),
    ("debug", "[DEBUG] answered POST \"/change\" from 127.0.0.1:_ with 403 in _ ms"),
    ("debug", "[DEBUG] answered GET \"/end\" from 127.0.0.1:_ with 200 in _ ms"),
    ("debug", "[DEBUG] guest-_ connected to \"/clumsy\" from 127.0.0.1:_"),
    ("debug", "[DEBUG] guest-_ (127.0.0.1:_, \"/clumsy\") disconnected"),
    ("debug", "[DEBUG] guest-_ connected to \"/quiet\" from 127.0.0.1:_"),
    ("debug", "[DEBUG] guest-_ (127.0.0.1:_, \"/quiet\") disconnected"),
];

/// Returns a line without the ports, the session, and the time taken in it.
fn without_numbers(mut line: String) -> String {
    for before in [" in ", "127.0.0.1:", "localhost:", "guest-"] {
        if let Some((start, rest)) = line.split_once(before) {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            line = format!("{}{}_{}", start, before, rest);
        }
    }
    line
}

/// Returns a line without the time in front of it, such as `2026-05-01T12:00:00.250Z`.
fn without_time(line: String, timed: bool) -> String {
    if !timed {
        return line;
    }
    let (time, rest) = line.split_once(' ').expect("a time");
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{}", line);
    let parts: Vec<u32> = time[..19].split(&['-', 'T', ':'][..]).flat_map(str::parse).collect();
    assert!(parts[0] >= 2024 && (1..=12).contains(&parts[1]) && (1..=31).contains(&parts[2]));
    assert!(parts[3] < 24 && parts[4] < 60 && parts[5] < 60, "{}", time);
    rest.to_string()
}

#[test]
fn the_log_has_the_lines_of_the_level_that_is_asked_for_and_of_those_above() {
    let loud = "[WARN] SOCKLING_LOG is \"loud\"; it must be off, error, warn, info, or debug, \
                and \",notime\" may follow";
    let levels = ["error", "warn", "info", "debug"];
    for (value, levels, warning) in [
        (Some("off"), &levels[..0], None),
        (Some("error"), &levels[..1], None),
        (Some("warn"), &levels[..2], None),
        (Some("info"), &levels[..3], None),
        (Some("DEBUG"), &levels[..4], None),
        (Some("debug,notime"), &levels[..4], None),
        (None, &levels[..3], None),
        (Some("loud"), &levels[..3], Some(loud)),
    ] {
        let asked = AT_EACH_LEVEL.iter().filter(|(level, _)| levels.contains(level));
        let mut expected: Vec<&str> = asked.map(|(_, line)| *line).chain(warning).collect();
        let mut command = limited("-c 0", "stderr::child");
        match value {
            Some(value) => command.env("SOCKLING_LOG", value),
            None => command.env_remove("SOCKLING_LOG"),
        };
        // As systemd sets it; without it, or `,notime`, lines have a time.
        let journal = value != Some("debug,notime") && value.is_some();
        match journal {
            true => command.env("JOURNAL_STREAM", "8:1234"),
            false => command.env_remove("JOURNAL_STREAM"),
        };
        let mut server = Child::start(command.stderr(Stdio::piped()));
        let (tell, told) = channel();
        let lines = BufReader::new(server.stderr()).lines().map(|line| line.expect("text"));
        let lines = lines.map(move |line| without_time(line, value.is_none()));
        std::thread::spawn(move || lines.map(without_numbers).try_for_each(|line| tell.send(line)));

        let mut client = Client::connect(server.address);
        assert_eq!(client.get("/speak", "").status, 200);
        assert_eq!(client.get("/quiet", "").status, 426);
        assert_eq!(client.get("/fail/", "").status, 500);
        assert_eq!(client.post("/change", "Origin: http://a.example\r\n", "").status, 403);
        assert_eq!(client.get("/quiet", "Bad : field\r\n").status, 400);
        let mut client = Client::websocket(server.address, "/clumsy", "");
        client.frame(0x82, b"");
        client.frame(0x88, b"\x03\xf3");
        client.read_to_end();
        let mut client = Client::websocket(server.address, "/quiet", "");
        client.frame(0x88, &[]);
        client.read_to_end();
        // The one of a WebSocket that has gone comes after the client has seen the end.
        let line = |_: &&str| told.recv_timeout(PATIENCE).expect("another line");
        let before_end = expected.iter().filter(|line| !line.contains("/end"));
        let mut lines: Vec<String> = before_end.map(line).collect();
        assert_eq!(Client::connect(server.address).get("/end", "").text(), "soon");
        let of_end = expected.iter().filter(|line| line.contains("/end"));
        lines.extend(of_end.map(line));
        server.wait();
        lines.extend(told);
        lines.sort();
        expected.sort_unstable();
        assert_eq!(lines, expected, "{:?}", value);
    }
}
