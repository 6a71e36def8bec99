//! Bodies that stream: a request's body in the handler's hand, and an answer while it is produced.

use super::loopback::wire::transports;
use super::loopback::{bind, quiet, wait_until, Client, Running, PATIENCE};
use super::patient;
use sockling::http::BodyError;
use sockling::limits::Limits;
use sockling::prelude::*;
use sockling::testing;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::mpsc::{channel, Receiver};
use std::sync::Mutex;
use std::time::{Duration, Instant};

const END: &str = "0\r\n\r\n";

/// Returns a server with this handler at "/", which streams bodies, and a greeting at "/hello".
fn server(limits: Limits, handler: impl Controller + 'static) -> Server {
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let routes = vec![Handler::new("/", handler).streams(), Handler::new("/hello", hello)];
    Server::new(routes).limits(limits)
}

fn start(limits: Limits, handler: impl Controller + 'static) -> Running {
    Running::start(server(limits, handler))
}

/// Returns a handler that streams what this writes, and passes on what `stream` returns.
fn streaming(
    response: Response,
    write: impl Fn(&mut dyn Body) -> io::Result<()> + Send + Sync + 'static,
) -> (impl Controller, Receiver<Result<u16, String>>) {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = move |request: &Request| {
        let answer = request.stream(response.clone(), |body| write(body));
        let seen = answer.as_ref().map(Response::status).map_err(ToString::to_string);
        // An error is a test that has ended.
        let _ = tell.lock().map_err(|_| "poisoned")?.send(seen);
        answer
    };
    (handler, told)
}

/// What a test uses of a `BodyWriter`.
trait Body: Write {
    fn poll(&mut self) -> io::Result<()>;
}

impl Body for sockling::http::BodyWriter<'_> {
    fn poll(&mut self) -> io::Result<()> {
        sockling::http::BodyWriter::poll(self)
    }
}

/// Sends a request and returns all that comes until the end of the connection, as text.
fn all(address: SocketAddr, request: &str) -> String {
    let mut client = Client::connect(address);
    client.send(request.as_bytes());
    String::from_utf8(client.read_to_end()).expect("text")
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", fields)
}

const CLOSE: &str = "Connection: close\r\n";

/// Returns head and body.
fn split(answer: &str) -> (&str, &str) {
    answer.split_once("\r\n\r\n").expect("a whole head")
}

#[test]
fn an_answer_without_a_length_is_chunked_and_small_writes_are_joined() {
    let (handler, told) = streaming(Response::new().header("Content-Type", "text/plain"), |body| {
        for word in ["one ", "", "two ", "three"] {
            body.write_all(word.as_bytes())?;
        }
        body.write_all(b"").and_then(|()| body.flush())?;
        body.flush()?;
        body.write_all(b"four")
    });
    let running = start(Limits::default(), handler);
    let answer = all(running.address, &get(CLOSE));
    let (head, body) = split(&answer);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{}", head);
    assert!(head.contains("\r\nTransfer-Encoding: chunked\r\n"), "{}", head);
    assert!(head.contains("\r\nConnection: close"), "{}", head);
    assert!(!head.contains("Content-Length"), "{}", head);
    assert_eq!(body, "d\r\none two three\r\n4\r\nfour\r\n0\r\n\r\n");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(200)));
}

#[test]
fn a_chunk_is_as_long_as_the_limit_for_buffers_and_an_answer_without_a_byte_is_an_empty_one() {
    let lengths = [(64 * 1024, "10000", 4464, "1170"), (8 * 1024, "2000", 1000, "3e8")];
    for (buffer, first, rest, second) in lengths {
        let write = move |body: &mut dyn Body| body.write_all(&vec![b'a'; buffer + rest]);
        let (handler, _) = streaming(Response::new(), write);
        let running = start(Limits { buffer, ..Limits::default() }, handler);
        let answer = all(running.address, &get(CLOSE));
        let [piece, last] = [buffer, rest].map(|length| "a".repeat(length));
        let chunks = format!("{}\r\n{}\r\n{}\r\n{}\r\n{}", first, piece, second, last, END);
        assert!(split(&answer).1 == chunks, "{} bytes", answer.len());
    }
    // Where the limit is none, each byte is a chunk.
    let (handler, _) = streaming(Response::new(), |body| body.write_all(b"ab"));
    let running = start(Limits { buffer: 0, ..Limits::default() }, handler);
    let chunks = format!("1\r\na\r\n1\r\nb\r\n{}", END);
    assert_eq!(split(&all(running.address, &get(CLOSE))).1, chunks);

    let (handler, _) = streaming(Response::new(), |_| Ok(()));
    let running = start(Limits::default(), handler);
    assert_eq!(split(&all(running.address, &get(CLOSE))).1, END);
}

#[test]
fn an_answer_with_a_length_is_followed_by_the_next_on_the_same_connection() {
    let response = Response::new().static_text("he").length(5).header("X-Own", "1");
    let (handler, _) = streaming(response, |body| body.write_all(b"llo"));
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    for _ in 0..3 {
        let reply = client.get("/", "");
        assert_eq!((reply.status, reply.text()), (200, "hello"));
        assert_eq!(reply.header("transfer-encoding"), None);
        assert_eq!(reply.header("connection"), Some("keep-alive"));
        assert_eq!((reply.header("x-own"), reply.header("content-length")), (Some("1"), Some("5")));
        assert_eq!(client.get("/hello", "").text(), "hello");
    }
}

#[test]
fn http_1_0_gets_no_transfer_coding_and_ends_with_the_connection() {
    let (handler, _) = streaming(Response::new(), |body| body.write_all(b"hello"));
    let running = start(Limits::default(), handler);
    let answer = all(running.address, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let (head, body) = split(&answer);
    assert!(
        !head.contains("Transfer-Encoding") && head.contains("\r\nConnection: close"),
        "{}",
        head
    );
    assert_eq!(body, "hello");

    let (handler, _) = streaming(Response::new().length(5), |body| body.write_all(b"hello"));
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.text(), reply.header("connection")), ("hello", Some("keep-alive")));
}

#[test]
fn an_answer_that_has_no_body_runs_no_closure() {
    let handler = |request: &Request| {
        let status = request.query("status").and_then(|status| status.parse().ok()).unwrap_or(200);
        let response = Response::new().code(status).length(9);
        request.stream(response, |_| -> io::Result<()> { std::panic::panic_any("it ran") })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let reply = client.reply_to("HEAD");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("9")));
    for (status, length) in [(204, None), (205, Some("0")), (304, Some("9"))] {
        client.send(get("").replace("/ ", &format!("/?status={} ", status)).as_bytes());
        let reply = client.reply_to("HEAD");
        assert_eq!((reply.status, reply.header("content-length")), (status, length));
        assert_eq!(client.get("/hello", "").text(), "hello");
    }
}

#[test]
fn an_error_before_the_first_byte_is_answered_and_the_connection_goes_on() {
    quiet();
    let handler = |request: &Request| {
        let what = request.query("what").unwrap_or_default();
        request.stream(Response::new().length(9), |body| match &*what {
            "own" => Err(ErrorKind::NotFound.into()),
            "short" => body.write_all(b"eight by"),
            "long" => body.write_all(b"too long a text"),
            _ => Err(io::Error::new(ErrorKind::Other, BodyError::Late)),
        })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    for (what, status) in [("own", 500), ("short", 500), ("long", 500), ("late", 408)] {
        let reply = client.get(&format!("/?what={}", what), "");
        assert_eq!((reply.status, reply.text().len() > 4), (status, true), "{}", what);
        assert_eq!(client.get("/hello", "").text(), "hello");
    }
}

#[test]
fn an_answer_that_fails_behind_its_head_ends_before_its_framing_is_complete() {
    quiet();
    let fail = |_: &mut dyn Body| Err(io::Error::new(ErrorKind::Other, "a secret"));
    let panic = |_: &mut dyn Body| -> io::Result<()> { std::panic::panic_any("a secret") };
    let short = |_: &mut dyn Body| Ok(());
    type Case = (&'static str, fn(&mut dyn Body) -> io::Result<()>, Option<u64>, &'static str);
    let ends: [Case; 5] = [
        ("an error of a chunked one", fail, None, "3\r\nhey\r\n"),
        ("a panic of a chunked one", panic, None, "3\r\nhey\r\n"),
        ("an error of a long one", fail, Some(9), "hey"),
        ("a panic of a long one", panic, Some(9), "hey"),
        ("one that is too short", short, Some(9), "hey"),
    ];
    for (what, end, length, expected) in ends {
        let response = Response::new();
        let response = length.map_or(response.clone(), |length| response.length(length));
        let (handler, _) = streaming(response, move |body| {
            body.write_all(b"hey").and_then(|()| body.flush())?;
            // What is written and not sent when it fails is not sent.
            if length.is_none() {
                body.write_all(b"more")?;
            }
            end(body)
        });
        let running = start(Limits::default(), handler);
        let answer = all(running.address, &(get("") + &get("")));
        assert_eq!(split(&answer).1, expected, "{}", what);
    }
}

#[test]
fn bytes_beyond_the_length_are_an_error_and_never_sent() {
    let (handler, told) = streaming(Response::new().length(5), |body| {
        body.write_all(b"hel").and_then(|()| body.flush())?;
        assert_eq!(body.write(b"lo!").expect_err("too long").kind(), ErrorKind::InvalidInput);
        body.write_all(b"lo")?;
        body.write_all(b"")?;
        assert!(body.write(b"!").is_err(), "too long");
        Ok(())
    });
    let running = start(Limits::default(), handler);
    let answer = all(running.address, &get(CLOSE));
    assert_eq!(split(&answer).1, "hello");
    assert_eq!(told.recv_timeout(PATIENCE), Ok(Ok(200)));
}

#[test]
fn a_quiet_stream_outlives_every_timeout() {
    let second = Duration::from_secs(1);
    let limits = Limits { write_timeout: second / 4, idle_timeout: second / 4, ..patient() };
    let limits = Limits { body_timeout: second / 4, head_timeout: second / 4, ..limits };
    let (handler, _) = streaming(Response::new(), |body| {
        for _ in 0..3 {
            body.write_all(b"a").and_then(|()| body.flush())?;
            std::thread::sleep(Duration::from_millis(600));
            body.poll()?;
        }
        Ok(())
    });
    let listening = bind(server(limits, handler));
    let mut client = Client::connect(super::loopback::wire::address(&listening));
    // The request is there before its time begins.
    client.send(get(CLOSE).as_bytes());
    let _running = Running::serve(listening);
    let answer = String::from_utf8(client.read_to_end()).expect("text");
    assert_eq!(split(&answer).1, format!("{0}{0}{0}{1}", "1\r\na\r\n", END));
}

#[test]
fn a_client_that_does_not_read_a_stream_is_given_up() {
    let limits = Limits { write_timeout: Duration::from_millis(300), ..Limits::default() };
    let limits = Limits { min_rate: usize::MAX, ..limits };
    let (handler, told) = streaming(Response::new(), |body| {
        let begun = Instant::now();
        loop {
            if let Err(error) = body.write_all(&[0; 4096]) {
                assert!(begun.elapsed() >= Duration::from_millis(300));
                // It stays so.
                assert!(body.write_all(b"more").is_err() && body.flush().is_err());
                return Err(error);
            }
        }
    });
    let running = start(limits, handler);
    let mut client = Client::connect(running.address);
    client.send(get("").as_bytes());
    assert!(told.recv_timeout(PATIENCE).expect("it is given up").is_err());
    drop(client);
}

#[test]
fn a_closure_that_swallows_the_loss_of_its_client_is_no_whole_answer() {
    let (handler, told) = streaming(Response::new(), |body| {
        body.flush()?;
        wait_until("the client has gone", || body.poll().is_err());
        let _ = body.write_all(b"nobody reads this");
        Ok(())
    });
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(get("").as_bytes());
    assert!(client.bytes(12).starts_with(b"HTTP/1.1 200"));
    drop(client);
    assert!(told.recv_timeout(PATIENCE).expect("it ends").is_err());
}

#[test]
fn poll_notices_a_client_that_closes_and_leaves_the_next_request_alone() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let (handler, ended) = streaming(Response::new(), move |body| {
        body.write_all(b"a").and_then(|()| body.flush())?;
        for _ in 0..3 {
            body.poll()?;
        }
        tell.lock().expect("no panic").send(()).expect("the test waits");
        loop {
            body.poll()?;
        }
    });
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send((get("") + "GET /hel").as_bytes());
    told.recv_timeout(PATIENCE).expect("a request on its way is no end");
    client.shut_write();
    let ended = ended.recv_timeout(PATIENCE).expect("the end is noticed");
    assert_eq!(ended, Err("the client has gone".to_string()));
    let bytes = client.read_to_end();
    assert!(bytes.ends_with(b"\r\n\r\n1\r\na\r\n"), "{}", bytes.escape_ascii());
}

#[test]
fn poll_gives_up_a_client_whose_further_requests_would_hide_its_end() {
    let (handler, ended) = streaming(Response::new(), |body| {
        body.flush()?;
        loop {
            body.poll()?
        }
    });
    let limits = Limits { buffer: 4096, ..Limits::default() };
    let running = start(limits, handler);
    let mut client = Client::connect(running.address);
    client.send((get("") + "GET /hello HTTP/1.1\r\nX: " + &"x".repeat(8192)).as_bytes());
    drop(client);
    let ended = ended.recv_timeout(PATIENCE).expect("it is not polled for ever");
    assert!(ended.is_err(), "{:?}", ended);
}

#[test]
fn poll_leaves_a_body_alone_that_is_on_its_way() {
    let handler = |request: &Request| {
        request.stream(Response::new().length(4), |body| {
            for _ in 0..3 {
                body.poll()?;
            }
            write!(body, "{}", request.read_body().map_err(|_| ErrorKind::Other)?.len())
        })
    };
    let limits = Limits { buffer: 4096, body: 9000, ..Limits::default() };
    let running = start(limits, handler);
    assert_eq!(Client::connect(running.address).post("/", "", &"x".repeat(9000)).text(), "9000");
}

#[test]
fn a_shutdown_ends_streams_and_wakes_what_they_wait_for() {
    let closing = BodyError::Closing.to_string();
    let id = Request::get("/").session_id();
    type Case = (&'static str, Box<dyn Fn(&mut dyn Body) -> io::Result<()> + Send + Sync>);
    let ends: [Case; 3] = [
        (
            "a receiver",
            Box::new(move |body| {
                let message = Comms::receiver(id).recv_timeout(PATIENCE * 2);
                assert_eq!(message, None);
                body.write_all(b"more")
            }),
        ),
        (
            "an iterator",
            Box::new(move |body| {
                assert_eq!(Comms::receiver(id).next(), None);
                body.flush()
            }),
        ),
        (
            "a poll",
            Box::new(|body| loop {
                body.poll()?
            }),
        ),
    ];
    for (what, end) in ends {
        let (handler, ended) = streaming(Response::new(), move |body| {
            body.write_all(b"a").and_then(|()| body.flush())?;
            end(body)
        });
        let running = start(Limits { drain_timeout: PATIENCE, ..Limits::default() }, handler);
        let mut client = Client::connect(running.address);
        client.send(get("").as_bytes());
        wait_until("the stream has begun", || client.bytes(12).len() == 12);
        assert_eq!(running.handle.shutdown(), [], "{}", what);
        assert_eq!(ended.recv_timeout(PATIENCE), Ok(Err(closing.clone())), "{}", what);
        assert!(!client.read_to_end().ends_with(END.as_bytes()), "{}", what);
    }
}

#[test]
fn a_stream_sets_the_cookie_of_the_session_that_was_asked_for_before() {
    let handler = |request: &Request| {
        request.session_id();
        request.stream(Response::new(), |body| body.write_all(b"hello"))
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    let reply = client.get("/", "");
    let cookie = reply.cookie().expect("a cookie");
    assert!(reply.header("cache-control").expect("one").starts_with("private"), "{}", reply.head);
    let reply = Client::connect(running.address).get("/", &format!("Cookie: {}\r\n", cookie));
    assert_eq!((reply.cookie(), reply.header("cache-control")), (None, Some("private")));
}

#[test]
fn the_log_tells_what_has_gone_wrong_behind_the_head_of_an_answer() {
    let stream = |request: &Request| request.stream(Response::new(), |body| body.write_all(b"hey"));
    let late = |request: &Request| {
        request.stream(Response::new(), |body| {
            drop(request.login(7));
            body.write_all(b"hey")
        })
    };
    let fail = move |request: &Request| stream(request).and(Err("a table is full".into()));
    let panic = move |request: &Request| -> Result<Response, Error> {
        stream(request)?;
        std::panic::panic_any("a bug")
    };
    for (what, handler, expected) in [
        ("late", Handler::new("/", late), "asked for a session behind the head"),
        ("fail", Handler::new("/", fail), "was followed by a failure: \"a table is full\""),
        ("panic", Handler::new("/", panic), "was followed by a failure: its handler panicked"),
    ] {
        let server = testing::Server::new(vec![handler]).allow_failures();
        assert_eq!(server.browser().get("/").text(), "hey", "{}", what);
        let mut failures = Vec::new();
        wait_until(what, || {
            failures.extend(server.failures());
            failures.iter().any(|line: &String| line.contains("GET \"/\""))
        });
        assert!(failures.iter().any(|line| line.contains(expected)), "{:?}", failures);
    }
}

#[test]
fn a_request_is_answered_once() {
    let handler = |request: &Request| {
        let first = request.stream(Response::new().length(2), |body| body.write_all(b"hi"))?;
        let second = request.stream(Response::new(), |body| body.write_all(b"again"));
        assert!(matches!(second, Err(Error::Setting(_))), "{:?}", second);
        // The answer is out: nothing opens.
        request.upgrade(&[], |_| -> Result<(), Error> { std::panic::panic_any("it opened") })?;
        Ok(first.text("and more"))
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/", "").text(), "hi");
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn of_two_answers_at_once_the_one_whose_head_goes_out_first_is_sent() {
    quiet();
    let handler = |request: &Request| {
        request.stream(Response::new().length(5), |outer| {
            outer.write_all(b"outer")?;
            let inner =
                request.stream(Response::new().length(5), |inner| inner.write_all(b"inner"));
            assert_eq!(inner.map(|inner| inner.status()).ok(), Some(200));
            outer.flush()
        })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/", "").text(), "inner");
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn an_answer_that_has_not_begun_writes_nothing_into_a_websocket() {
    quiet();
    let handler = |request: &Request| {
        request.stream(Response::new(), |body| {
            let opened = request.upgrade(&[], |client| {
                assert!(body.write_all(b"an answer").and_then(|()| body.flush()).is_err());
                client.send("a message")
            });
            assert_eq!(opened.map(|opened| opened.status()).ok(), Some(101));
            Ok(())
        })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::websocket(running.address, "/", "");
    assert_eq!(client.next_text(), "a message");
    assert_eq!(client.next_close().0, 1000);
}

#[test]
fn a_body_is_read_piece_by_piece_by_one_reader_at_a_time() {
    let handler = |request: &Request| {
        let mut seen = Vec::new();
        let mut first = request.reader(2)?;
        assert!(matches!(request.reader(1), Err(Error::Setting(_))));
        let mut byte = [0];
        assert_eq!(first.read(&mut [])?, 0);
        while first.read(&mut byte)? > 0 {
            seen.extend_from_slice(&byte);
            if seen.len() == 2 {
                break;
            }
        }
        drop(first);
        seen.push(b'|');
        seen.extend(request.read_body()?);
        assert_eq!(request.read_body()?, b"", "it has ended");
        Ok(Response::new().body(seen))
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n\
          1\r\nh\r\n1;a=b\r\ne\r\n3\r\nllo\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!(client.reply().text(), "he|llo");
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn a_reader_takes_no_more_than_its_limit_or_that_of_the_route() {
    let handler = |request: &Request| {
        let limit = request.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(u64::MAX);
        let mut body = Vec::new();
        request.reader(limit)?.read_to_end(&mut body)?;
        Ok(Response::new().body(body))
    };
    let route = Handler::new("/", handler).streams().limit(5);
    let running = Running::start(Server::new(vec![route]));
    for (limit, body, status) in [
        ("", "hello", 200),
        ("", "hello!", 413),
        ("?limit=4", "hell", 200),
        ("?limit=4", "hello", 413),
        ("?limit=6", "hello!", 413),
        ("?limit=0", "", 200),
    ] {
        let reply = Client::connect(running.address).post(&format!("/{}", limit), "", body);
        assert_eq!(reply.status, status, "{} {}", limit, body);
        let mut client = Client::connect(running.address);
        let head = "HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks: String = body.chars().map(|one| format!("1\r\n{}\r\n", one)).collect();
        client.send(format!("POST /{} {}{}{}", limit, head, chunks, END).as_bytes());
        assert_eq!(client.reply().status, status, "{} {} in chunks", limit, body);
    }
}

#[test]
fn a_second_reader_takes_no_more_than_its_limit_of_a_chunk_that_has_begun() {
    let handler = |request: &Request| {
        request.reader(5)?.read_exact(&mut [0; 3])?;
        let mut rest = Vec::new();
        let limit = request.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(0);
        request.reader(limit)?.read_to_end(&mut rest)?;
        Ok(Response::new().body(rest))
    };
    let running = start(Limits::default(), handler);
    for (limit, status) in [(2, 200), (1, 413)] {
        for framing in [
            "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "Content-Length: 5\r\n\r\nhello",
        ] {
            let mut client = Client::connect(running.address);
            let head = format!("POST /?limit={} HTTP/1.1\r\nHost: localhost\r\n", limit);
            client.send((head + framing).as_bytes());
            assert_eq!(client.reply().status, status, "{} {}", limit, framing);
        }
    }
}

#[test]
fn a_handler_that_is_slow_to_read_costs_its_client_nothing() {
    let limits = Limits { body_timeout: Duration::from_millis(300), ..patient() };
    let handler = |request: &Request| {
        let mut bytes = [0; 4096];
        let mut body = request.reader(u64::MAX)?;
        let mut sum = 0;
        for _ in 0..3 {
            body.read_exact(&mut bytes)?;
            sum += bytes.len();
            std::thread::sleep(Duration::from_millis(400));
        }
        sum += io::copy(&mut body, &mut io::sink())? as usize;
        Ok(Response::new().text(sum.to_string()))
    };
    let running = start(limits, handler);
    assert_eq!(Client::connect(running.address).post("/", "", &"a".repeat(20_000)).text(), "20000");
}

#[test]
fn a_client_whose_body_is_dropped_makes_room_for_a_newcomer() {
    let limits = Limits { connections: 1, ..patient() };
    let running = start(limits, |_: &Request| Ok(Response::new().text("unread")));
    let mut client = Client::connect(running.address);
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.reply().text(), "unread");
    wait_until("a newcomer is served", || {
        Client::connect(running.address).get("/hello", "").status == 200
    });
    client.assert_end();
}

#[test]
fn the_rest_of_an_unread_body_is_waited_for_after_the_answer_and_within_its_time() {
    let body_timeout = Duration::from_secs(1);
    let limits = Limits { body_timeout, ..patient() };
    let running = start(limits, |_: &Request| Ok(Response::new().text("unread")));
    let mut client = Client::connect(running.address);
    let begun = Instant::now();
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nhello");
    let reply = client.reply();
    assert_eq!((reply.text(), reply.header("connection")), ("unread", Some("keep-alive")));
    client.assert_end();
    assert!(begun.elapsed() >= body_timeout);
}

#[test]
fn an_echo_that_reads_while_it_writes_passes_what_comes_on() {
    let handler = |request: &Request| {
        let mut body = request.reader(u64::MAX)?;
        request.stream(Response::new(), |out| {
            let mut bytes = [0; 100];
            loop {
                match body.read(&mut bytes)? {
                    0 => return Ok(()),
                    read => out.write_all(&bytes[..read]).and_then(|()| out.flush())?,
                }
            }
        })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6\r\n\r\none");
    let reply = client.reply();
    assert_eq!(reply.header("connection"), Some("keep-alive"), "three bytes are left");
    assert_eq!(client.bytes(8), b"3\r\none\r\n");
    client.send(b"two");
    assert_eq!(client.bytes(8 + END.len()), format!("3\r\ntwo\r\n{}", END).as_bytes());
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn two_threads_of_a_handler_read_and_write_at_the_same_time() {
    let handler = |request: &Request| {
        let mut body = request.reader(u64::MAX)?;
        request.stream(Response::new(), |out| {
            let (tell, told) = channel();
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    body.read_exact(&mut [0; 1])?;
                    let _ = tell.send(());
                    io::copy(&mut body, &mut io::sink())
                });
                told.recv_timeout(PATIENCE).map_err(|_| ErrorKind::TimedOut)?;
                out.write_all(b"meanwhile").and_then(|()| out.flush())?;
                out.poll()?;
                let read = reader.join().map_err(|_| ErrorKind::Other)??;
                write!(out, "{}", read)
            })
        })
    };
    let running = start(Limits::default(), handler);
    let mut client = Client::connect(running.address);
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\n");
    client.send(b"Expect: 100-continue\r\nContent-Length: 6\r\n\r\n");
    assert_eq!(client.reply_head().status, 100);
    client.send(b"one");
    assert_eq!(client.reply_head().status, 200);
    assert_eq!(client.bytes(14), b"9\r\nmeanwhile\r\n");
    client.send(b"two");
    assert_eq!(client.bytes(6 + END.len()), format!("1\r\n5\r\n{}", END).as_bytes());
}

#[test]
fn a_client_is_not_asked_for_its_body_once_the_answer_has_begun() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let handler = move |request: &Request| {
        request.stream(Response::new(), |body| {
            body.write_all(b"a").and_then(|()| body.flush())?;
            let read = request.read_body().map_err(|error| error.to_string());
            tell.lock().expect("no panic").send(read).expect("the test waits");
            Ok(())
        })
    };
    let running = start(Limits::default(), handler);
    let fields = "Expect: 100-continue\r\nContent-Length: 5\r\n";
    let answer = all(running.address, &get(fields).replace("GET", "POST"));
    let (head, body) = split(&answer);
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("\r\nConnection: close"), "{}", head);
    assert_eq!(body, format!("1\r\na\r\n{}", END));
    let told = told.recv_timeout(PATIENCE).expect("the handler has read");
    assert_eq!(told, Err(BodyError::Unasked.to_string()));
}

#[test]
fn a_body_that_streams_is_not_taken_for_an_empty_one() {
    quiet();
    let running =
        start(Limits::default(), |request: &Request| match request.query("form").is_some() {
            true => Ok(Response::new().text(request.form()?.count().to_string())),
            false => Ok(Response::new().body(request.body())),
        });
    assert_eq!(Client::connect(running.address).post("/", "", "hello").status, 500);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(Client::connect(running.address).post("/?form=1", form, "a=b").status, 500);
    assert_eq!(Client::connect(running.address).get("/", "").status, 200);
}

#[test]
fn a_cookie_that_an_answer_did_not_carry_is_set_by_the_one_in_its_place() {
    quiet();
    let handler = |request: &Request| {
        request.login(7);
        let fail = |_: &mut sockling::http::BodyWriter| Err(ErrorKind::NotFound.into());
        request.stream(Response::new(), fail).or_else(|_| Ok(Response::new().text("in its place")))
    };
    let running = start(Limits::default(), handler);
    let reply = Client::connect(running.address).get("/", "");
    assert_eq!((reply.text(), reply.cookie().is_some()), ("in its place", true));
}

transports! {
    all {
        an_answer_without_a_length_is_chunked_and_small_writes_are_joined
        a_chunk_is_as_long_as_the_limit_for_buffers_and_an_answer_without_a_byte_is_an_empty_one
        an_answer_with_a_length_is_followed_by_the_next_on_the_same_connection
        http_1_0_gets_no_transfer_coding_and_ends_with_the_connection
        an_answer_that_has_no_body_runs_no_closure
        an_error_before_the_first_byte_is_answered_and_the_connection_goes_on
        an_answer_that_fails_behind_its_head_ends_before_its_framing_is_complete
        bytes_beyond_the_length_are_an_error_and_never_sent
        a_quiet_stream_outlives_every_timeout
        a_client_that_does_not_read_a_stream_is_given_up
        a_closure_that_swallows_the_loss_of_its_client_is_no_whole_answer
        poll_notices_a_client_that_closes_and_leaves_the_next_request_alone
        a_shutdown_ends_streams_and_wakes_what_they_wait_for
        a_stream_sets_the_cookie_of_the_session_that_was_asked_for_before
        a_request_is_answered_once
        a_body_is_read_piece_by_piece_by_one_reader_at_a_time
        a_reader_takes_no_more_than_its_limit_or_that_of_the_route
        a_handler_that_is_slow_to_read_costs_its_client_nothing
        a_client_whose_body_is_dropped_makes_room_for_a_newcomer
        the_rest_of_an_unread_body_is_waited_for_after_the_answer_and_within_its_time
        an_echo_that_reads_while_it_writes_passes_what_comes_on
        a_client_is_not_asked_for_its_body_once_the_answer_has_begun
        a_body_that_streams_is_not_taken_for_an_empty_one
        a_cookie_that_an_answer_did_not_carry_is_set_by_the_one_in_its_place
        poll_gives_up_a_client_whose_further_requests_would_hide_its_end
        poll_leaves_a_body_alone_that_is_on_its_way
        the_log_tells_what_has_gone_wrong_behind_the_head_of_an_answer
        of_two_answers_at_once_the_one_whose_head_goes_out_first_is_sent
        an_answer_that_has_not_begun_writes_nothing_into_a_websocket
        a_second_reader_takes_no_more_than_its_limit_of_a_chunk_that_has_begun
        two_threads_of_a_handler_read_and_write_at_the_same_time
    }
}
