//! HTTP answers: framing, keep-alive, errors of handlers, and what the library owns.

use super::loopback::wire::transports;
use super::loopback::{quiet, upgrade_request, Client, Running};
use super::{patient, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

fn start() -> Running {
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let echo = |request: &Request| Ok(Response::new().body(request.body()));
    let split = |request: &Request| {
        let place = request.query("to").unwrap_or_default();
        Ok(Response::new().redirect(&place))
    };
    Running::start(Server::new(vec![
        Handler::new("/hello", hello),
        Handler::new("/echo", echo),
        Handler::new("/empty", |_: &Request| Ok(Response::new().code(204).text("never sent"))),
        Handler::new("/known", |_: &Request| Ok(Response::new().code(304).text("never sent"))),
        Handler::new("/fail", |_: &Request| Err("a secret of the application".into())),
        Handler::new("/token", |request: &Request| {
            let keys = SessionKeys::random()?;
            let id = SessionId::from_token(&request.query("id").unwrap_or_default(), &keys)?;
            Ok(Response::new().text(id.to_string()))
        }),
        Handler::new("/panic", |_: &Request| std::panic::panic_any("as told")),
        Handler::new("/split", split),
        Handler::new("/field", |request: &Request| {
            let of = |name| request.query(name).unwrap_or_default();
            Ok(Response::new().header(&of("name"), &of("value")))
        }),
        Handler::new("/status", |_: &Request| Ok(Response::new().code(101))),
    ]))
}

#[test]
fn an_answer_has_a_date_one_length_and_its_body() {
    let running = start();
    let reply = Client::connect(running.address).get("/hello", "");
    assert_eq!((reply.status, reply.text()), (200, "hello"));
    assert_eq!(reply.head.matches("Content-Length: 5\r\n").count(), 1, "{}", reply.head);
    let date = reply.header("date").expect("a date");
    assert!(date.len() == 29 && date.ends_with(" GMT"), "{}", date);
    assert_eq!(reply.header("connection"), Some("keep-alive"));
    assert_eq!(reply.header("set-cookie"), None, "nobody asked for the session");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let running = start();
    let mut client = Client::connect(running.address);
    let mut requests = Vec::new();
    for number in 0..50 {
        let body = format!("number {}", number);
        let head = format!(
            "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        requests.extend_from_slice((head + &body).as_bytes());
    }
    client.send(&requests);
    for number in 0..50 {
        assert_eq!(client.reply().text(), format!("number {}", number));
    }
}

#[test]
fn an_answer_to_head_has_the_fields_and_no_body() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"HEAD /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let reply = client.reply_to("HEAD");
    assert_eq!((reply.status, reply.header("content-length")), (200, Some("5")));
    // What follows is the next answer, not a body.
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn a_204_and_a_304_have_no_body_and_no_length() {
    let running = start();
    let mut client = Client::connect(running.address);
    for (path, status) in [("/empty", 204), ("/known", 304)] {
        let reply = client.get(path, "");
        assert_eq!((reply.status, reply.header("content-length")), (status, None));
        // What follows is the next answer, not a body.
        assert_eq!(client.get("/hello", "").text(), "hello");
    }
}

#[test]
fn an_error_of_a_handler_is_500_without_its_text_and_the_connection_goes_on() {
    let running = start();
    let mut client = Client::connect(running.address);
    let reply = client.get("/fail", "");
    assert_eq!((reply.status, reply.text()), (500, "500 Internal Server Error\n"));
    assert_eq!(client.get("/hello", "").status, 200);
}

#[test]
fn an_error_that_a_client_caused_is_told_as_such() {
    let running = start();
    assert_eq!(Client::connect(running.address).get("/token?id=forged", "").status, 400);
}

#[test]
fn a_panic_of_a_handler_is_500_and_closes_its_own_connection_only() {
    let running = start();
    let mut other = Client::connect(running.address);
    assert_eq!(other.get("/hello", "").status, 200);
    let mut client = Client::connect(running.address);
    let reply = client.get("/panic", "");
    assert_eq!((reply.status, reply.header("connection")), (500, Some("close")));
    client.assert_end();
    assert_eq!(other.get("/hello", "").status, 200);
}

#[test]
fn a_line_break_in_a_field_of_the_application_never_reaches_the_wire() {
    let running = start();
    let mut client = Client::connect(running.address);
    for bad in ["%0d%0aSet-Cookie:%20a=1", "%0a", "%0d", "%00"] {
        let reply = client.get(&format!("/split?to=/x{}", bad), "");
        assert_eq!((reply.status, reply.header("location")), (500, None), "{}", bad);
        assert_eq!(reply.header("set-cookie"), None);
    }
    let reply = client.get("/split?to=/x", "");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/x")));
    for (name, value) in [
        ("Set-Cookie", "a=1%0d%0aEvil:%20b"),
        ("Set-Cookie", "a=1%0aEvil:%20b"),
        ("Set-Cookie", "a=1%0d"),
        ("X:%20a%0d%0aEvil", "b"),
        ("X%0d%0aEvil", "b"),
        ("X%0aEvil", "b"),
        ("X%0d", "b"),
        ("%0d%0aEvil", "b"),
        ("X%00", "b"),
        ("Evil%20", "b"),
        ("", "b"),
    ] {
        let reply = client.get(&format!("/field?name={}&value={}", name, value), "");
        assert_eq!((reply.status, reply.header("evil")), (500, None), "{}: {}", name, value);
        assert_eq!(reply.header("set-cookie"), None, "{}: {}", name, value);
        assert!(!reply.head.contains("Evil"), "{}", reply.head);
    }
    let reply = client.get("/field?name=Set-Cookie&value=a=1", "");
    assert_eq!((reply.status, reply.header("set-cookie")), (200, Some("a=1")));
}

#[test]
fn an_application_cannot_set_the_fields_and_statuses_that_frame_a_message() {
    let running = start();
    let mut client = Client::connect(running.address);
    for name in ["Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Date"] {
        for name in [name.to_string(), name.to_lowercase(), name.to_uppercase()] {
            let reply = client.get(&format!("/field?name={}&value=3", name), "");
            assert_eq!(reply.status, 500, "{}", name);
            assert!(!reply.head.contains(": 3\r\n"), "{}", reply.head);
            assert_eq!(reply.text(), "500 Internal Server Error\n", "{}", name);
        }
    }
    assert_eq!(client.get("/status", "").status, 500);
    assert_eq!(client.get("/hello", "").status, 200);
}

#[test]
fn a_body_is_asked_for_only_where_a_route_wants_it() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_eq!(client.reply().status, 100);
    client.send(b"hi");
    assert_eq!(client.reply().text(), "hi");
    client.send(b"POST /nowhere HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (404, Some("close")));
    client.assert_end();
    let mut client = Client::connect(running.address);
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n");
    assert_eq!(client.reply().status, 413);
}

#[test]
fn a_chunked_body_is_asked_for_too_and_an_empty_one_is_not() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!(client.reply().status, 100);
    client.send(b"2\r\nhi\r\n0\r\n\r\n");
    assert_eq!(client.reply().text(), "hi");
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.reply().status, 200);
    assert_eq!(client.get("/hello", "").status, 200);
}

/// Returns the most memory that this process has reserved since it began, in bytes; `None` where
/// the system does not tell.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kilo| kilo * 1024)
}

#[test]
fn the_length_that_a_body_claims_takes_no_memory() {
    const CLAIM: u64 = 1 << 30;
    const CLIENTS: u64 = 200;
    let second = Duration::from_secs(1);
    let limits = Limits { body: CLAIM as usize, body_timeout: second, ..patient() };
    let echo = |request: &Request| Ok(Response::new().body(request.body()));
    let running = Running::start(Server::new(vec![Handler::new("/", echo)]).limits(limits));
    let before = most_memory();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::connect(running.address)).collect();
    for client in &mut clients {
        let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n", CLAIM);
        client.send((head + "\r\nx").as_bytes());
    }
    // They are told so after the server has begun with the body.
    for client in &mut clients {
        assert_eq!(client.reply().status, 408);
    }
    if let (Some(before), Some(after)) = (before, most_memory()) {
        // Half of it is far more than the threads of all tests of this process reserve.
        assert!(after - before < CLIENTS * CLAIM / 2, "{} bytes", after - before);
    }
}

#[test]
fn a_chunked_body_arrives_joined() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\n");
    assert_eq!(client.reply().text(), "hello");
    assert_eq!(client.get("/hello", "").status, 200);
}

#[test]
fn the_last_request_that_a_connection_may_have_is_answered_with_close() {
    let limits = Limits { requests_per_connection: 2, ..Limits::default() };
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let running = Running::start(Server::new(vec![Handler::new("/", hello)]).limits(limits));
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/", "").header("connection"), Some("keep-alive"));
    assert_eq!(client.get("/", "").header("connection"), Some("close"));
    client.assert_end();
}

#[test]
fn http_10_and_connection_close_end_after_the_answer() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"GET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().text(), "hello");
    client.assert_end();
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/hello", "Connection: keep-alive, Close\r\n").text(), "hello");
    client.assert_end();
}

#[test]
fn a_host_that_is_not_ours_is_421_on_loopback_and_the_body_says_how_to_allow_it() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"GET /hello HTTP/1.1\r\nHost: evil.example:80\r\n\r\n");
    let reply = client.reply();
    assert_eq!(reply.status, 421);
    assert!(reply.text().contains("Server::allowed_hosts([\"evil.example\"])"), "{}", reply.text());
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let server = Server::new(vec![Handler::new("/", hello)]).allowed_hosts(["Example.com"]);
    let running = Running::start(server);
    for (host, status) in
        [("example.com", 200), ("EXAMPLE.com:99", 200), ("localhost", 200), ("example.org", 421)]
    {
        assert_eq!(status_for(running.address, host), status, "{}", host);
    }
}

/// Returns the status of the answer to a request with this Host.
fn status_for(address: SocketAddr, host: &str) -> u16 {
    let mut client = Client::connect(address);
    client.send(format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host).as_bytes());
    client.reply().status
}

/// Starts a server on an address, or returns `None` where the system has no such address.
fn start_on(server: Server, ip: &str) -> Option<Running> {
    quiet();
    server.bind((ip, 0)).ok().map(Running::serve)
}

fn hello() -> Server {
    Server::new(vec![Handler::new("/", |_: &Request| Ok(Response::new().text("hello")))])
}

#[test]
fn a_server_on_loopback_answers_for_every_name_of_that_interface_and_no_other() {
    let running = Running::start(hello());
    for host in [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "localhost.:8000",
        "a.localhost",
        "a.b.Localhost:8000",
        "a.localhost.",
        "127.0.0.1",
        "127.0.0.1.",
        "[::1]",
        "[0:0:0:0:0:0:0:1]:8000",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7f00:1]:8000",
        "[0:0:0:0:0:ffff:7f00:0001]",
    ] {
        assert_eq!(status_for(running.address, host), 200, "{}", host);
    }
    for host in [
        "localhost..",
        "notlocalhost",
        "localhost.evil.example",
        "a.localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "[::ffff:127.0.0.2]",
        "[::127.0.0.1]",
        "[::ffff:0:7f00:1]",
        "[::2]",
        "0.0.0.0",
        "[::]",
        "192.0.2.1",
        ".",
    ] {
        assert_eq!(status_for(running.address, host), 421, "{}", host);
    }
}

#[test]
fn a_server_answers_for_the_address_that_it_listens_on() {
    // The second is Debian's for the name of the machine itself.
    for (ip, mapped) in [
        ("127.0.0.2", "[::ffff:127.0.0.2]"),
        ("127.0.1.1", "[::ffff:7f00:101]:8000"),
        ("::1", "[0::1]"),
        ("::ffff:127.0.0.2", "127.0.0.2"),
    ] {
        for server in [hello(), hello().allowed_hosts(["example.com"])] {
            let running = match start_on(server, ip) {
                Some(running) => running,
                None => continue,
            };
            let address = running.address.to_string();
            let (bare, _) = address.rsplit_once(':').expect("a port");
            for host in [&address, bare, mapped, "localhost", "127.0.0.1", "[::1]", "a.localhost"] {
                assert_eq!(status_for(running.address, host), 200, "{} on {}", host, ip);
            }
            for host in ["127.0.0.3", "evil.example", "[::ffff:127.0.0.3]"] {
                assert_eq!(status_for(running.address, host), 421, "{} on {}", host, ip);
            }
        }
    }
}

#[test]
fn an_allowed_host_counts_in_each_spelling_and_with_its_port_only_if_it_has_one() {
    let allowed =
        ["Example.com", "port.example:8443", "dot.example.", "[2001:DB8:0::1]", "192.0.2.7"];
    let running = Running::start(hello().allowed_hosts(allowed));
    for (host, status) in [
        ("example.com.", 200),
        ("dot.example", 200),
        ("dot.example.:80", 200),
        ("port.example:8443", 200),
        ("port.example.:08443", 200),
        ("port.example", 421),
        ("port.example:80", 421),
        ("[2001:db8::1]", 200),
        ("[2001:db8::1]:1", 200),
        ("[2001:db8::2]", 421),
        ("192.0.2.7:1", 200),
        ("[::ffff:c000:207]", 200),
        ("a.example.com", 421),
    ] {
        assert_eq!(status_for(running.address, host), status, "{}", host);
    }
}

#[test]
fn the_authority_of_an_absolute_target_beats_host() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"GET http://evil.example/hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.reply().status, 421);
}

#[test]
fn options_for_the_whole_server_is_204() {
    let running = start();
    let mut client = Client::connect(running.address);
    client.send(b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(client.reply().status, 204);
}

#[test]
fn a_change_from_a_page_of_another_origin_is_403_unless_it_is_allowed() {
    let change = |request: &Request| {
        request.check_origin()?;
        Ok(Response::new().text("changed"))
    };
    let server = Server::new(vec![Handler::new("/", change)]);
    let running = Running::start(server.allowed_origins(["https://app.example"]));
    let mut client = Client::connect(running.address);
    let host = format!("localhost:{}", running.address.port());
    for method in ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS"] {
        for (fields, changes) in [
            (String::new(), true),
            (format!("Origin: http://{}\r\n", host), true),
            ("Origin: https://evil.example\r\n".to_string(), false),
            ("Sec-Fetch-Site: cross-site\r\n".to_string(), false),
            ("Sec-Fetch-Site: same-site\r\n".to_string(), false),
            ("Sec-Fetch-Site: same-origin\r\n".to_string(), true),
            ("Sec-Fetch-Site: none\r\n".to_string(), true),
            ("Origin: https://app.example\r\nSec-Fetch-Site: cross-site\r\n".to_string(), true),
        ] {
            let request = format!("{} / HTTP/1.1\r\nHost: {}\r\n{}\r\n", method, host, fields);
            client.send(request.as_bytes());
            let status = if changes { 200 } else { 403 };
            assert_eq!(client.reply_to(method).status, status, "{}", request);
        }
    }
}

#[test]
fn a_star_allows_pages_of_all_origins_and_two_origins_are_none() {
    let change = |request: &Request| {
        request.check_origin()?;
        Ok(Response::new().text("changed"))
    };
    let (told, _) = Told::new();
    let routes = vec![Handler::new("/ws", told), Handler::new("/", change)];
    let running = Running::start(Server::new(routes).allowed_origins(["*"]));
    for (fields, allowed) in [
        ("", true),
        ("Origin: http://localhost\r\n", true),
        ("Origin: https://evil.example\r\n", true),
        ("Origin: null\r\n", true),
        ("Origin: https://evil.example\r\nOrigin: https://evil.example\r\n", false),
        ("Origin: null\r\nOrigin: http://localhost\r\n", false),
    ] {
        let (_, reply) = Client::upgrade(running.address, "/ws", fields);
        assert_eq!(reply.status, if allowed { 101 } else { 403 }, "{}", fields);
        let reply = Client::connect(running.address).post("/", fields, "");
        assert_eq!(reply.status, if allowed { 200 } else { 403 }, "{}", fields);
    }
}

#[test]
fn a_request_with_a_body_that_asks_for_a_websocket_is_answered_and_ends_the_connection() {
    // What follows could be frames to one side and a request to the other.
    let running = start();
    let request = upgrade_request("/echo", "Content-Length: 5\r\n").replace("GET", "POST");
    let mut client = Client::connect(running.address);
    client
        .send(format!("{}helloGET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n", request).as_bytes());
    let reply = client.reply();
    assert_eq!((reply.status, reply.text()), (200, "hello"));
    assert_eq!(reply.header("connection"), Some("close"));
    client.assert_end();
    // Without a body there is nothing to be mistaken about.
    let mut client = Client::connect(running.address);
    client.send(upgrade_request("/hello", "").as_bytes());
    assert_eq!(client.reply().header("connection"), Some("keep-alive"));
    assert_eq!(client.get("/hello", "").text(), "hello");
}

#[test]
fn an_answer_is_whole_whether_its_body_is_joined_with_its_head_or_not() {
    use sockling::limits::JOINED;
    let sized = |request: &Request| {
        let size = request.query("size").unwrap_or_default().parse().map_err(Error::other)?;
        let body: Vec<u8> = (0..=255).cycle().take(size).collect();
        Ok(Response::new().body(body))
    };
    let running = Running::start(Server::new(vec![Handler::new("/sized", sized)]));
    let mut client = Client::connect(running.address);
    for size in [0, 1, JOINED - 300, JOINED - 100, JOINED - 1, JOINED, JOINED + 1, 3_000_000] {
        let target = format!("/sized?size={}", size);
        let reply = client.get(&target, "");
        assert_eq!(reply.header("content-length"), Some(&*size.to_string()));
        assert!(reply.body.iter().zip((0..=255).cycle()).all(|(is, was)| *is == was));
        client.send(format!("HEAD {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target).as_bytes());
        let reply = client.reply_to("HEAD");
        // Without a body the handler may have left it out.
        let known = (size > 0).then(|| size.to_string());
        assert_eq!(reply.header("content-length"), known.as_deref());
    }
}

#[test]
fn an_answer_says_how_long_an_idle_connection_persists_in_whole_seconds() {
    for (idle_timeout, told) in [
        (Duration::from_secs(15), Some("timeout=15")),
        (Duration::from_millis(2999), Some("timeout=2")),
        // Some clients take 0 for no limit.
        (Duration::from_millis(999), None),
    ] {
        let limits = Limits { idle_timeout, requests_per_connection: 2, ..Limits::default() };
        let hello = |_: &Request| Ok(Response::new().text("hello"));
        let running = Running::start(Server::new(vec![Handler::new("/", hello)]).limits(limits));
        let mut client = Client::connect(running.address);
        // The second one is there before the connection could be idle for too long.
        client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(2).as_bytes());
        let reply = client.reply();
        assert_eq!(reply.header("keep-alive"), told, "{:?}", idle_timeout);
        assert_eq!(reply.header("connection"), Some("keep-alive"), "{:?}", idle_timeout);
        let reply = client.reply();
        assert_eq!((reply.header("connection"), reply.header("keep-alive")), (Some("close"), None));
    }
}

#[test]
fn http_10_persists_if_the_client_asks_and_the_answer_says_so() {
    let running = start();
    let mut client = Client::connect(running.address);
    for _ in 0..2 {
        client.send(b"GET /hello HTTP/1.0\r\nHost:\r\nConnection: Keep-Alive\r\n\r\n");
        let reply = client.reply();
        assert_eq!((reply.text(), reply.header("connection")), ("hello", Some("keep-alive")));
    }
    client.send(b"GET /hello HTTP/1.0\r\n\r\n");
    assert_eq!(client.reply().header("connection"), Some("close"));
    client.assert_end();
}

#[test]
fn an_answer_to_head_has_the_length_that_the_handler_gives_or_none() {
    let handler = |request: &Request| {
        let response =
            Response::new().code(request.query("code").unwrap_or_default().parse().unwrap_or(200));
        let response = response.text(request.query("body").unwrap_or_default());
        let given = request.query("length");
        Ok(given
            .iter()
            .fold(response, |response, length| response.header("Content-Length", length)))
    };
    let twice = |_: &Request| {
        Ok(Response::new().header("Content-Length", "5").header("content-length", "5"))
    };
    let routes = vec![Handler::new("/", handler), Handler::new("/twice", twice)];
    let running = Running::start(Server::new(routes));
    let mut client = Client::connect(running.address);
    for (method, target, status, length) in [
        ("HEAD", "/", 200, None),
        ("HEAD", "/?length=18446744073", 200, Some("18446744073")),
        ("HEAD", "/?length=0", 200, Some("0")),
        ("HEAD", "/?body=12345", 200, Some("5")),
        ("HEAD", "/?code=204", 204, None),
        ("HEAD", "/?code=304&length=7", 304, Some("7")),
        ("GET", "/", 200, Some("0")),
        ("GET", "/?code=304", 304, None),
        ("GET", "/?code=304&length=7", 304, Some("7")),
        // Anything else remains a fault of the application, which could end the body early.
        ("HEAD", "/?length=5&body=12345", 500, Some("26")),
        ("HEAD", "/?length=%2B5", 500, Some("26")),
        ("HEAD", "/?length=", 500, Some("26")),
        ("HEAD", "/?length=5,5", 500, Some("26")),
        ("HEAD", "/?length=99999999999999999999", 500, Some("26")),
        ("HEAD", "/?code=204&length=5", 500, Some("26")),
        ("HEAD", "/twice", 500, Some("26")),
        ("GET", "/?length=0", 500, Some("26")),
        ("GET", "/?code=304&length=5&body=12345", 500, Some("26")),
    ] {
        client
            .send(format!("{} {} HTTP/1.1\r\nHost: localhost\r\n\r\n", method, target).as_bytes());
        // A 304 has no body, as an answer to HEAD has none.
        let reply = client.reply_to(if status == 304 { "HEAD" } else { method });
        let got = (reply.status, reply.header("content-length"));
        assert_eq!(got, (status, length), "{} {}", method, target);
        assert!(reply.head.matches("ontent-").count() <= 2, "{}", reply.head);
    }
}

#[test]
fn a_205_has_the_length_0_and_no_body() {
    let handler = |_: &Request| Ok(Response::new().code(205).text("never sent"));
    let running = Running::start(Server::new(vec![Handler::new("/", handler)]));
    let mut client = Client::connect(running.address);
    // What follows is the next answer, not a body.
    for _ in 0..2 {
        let reply = client.get("/", "");
        assert_eq!((reply.status, reply.header("content-length")), (205, Some("0")));
        assert!(reply.head.starts_with("HTTP/1.1 205 Reset Content\r\n"), "{}", reply.head);
    }
}

#[test]
fn a_handler_may_ask_for_the_end_of_its_connection() {
    let handler = |request: &Request| {
        Ok(Response::new()
            .text("bye")
            .header("Connection", &request.query("say").unwrap_or_default()))
    };
    let running = Running::start(Server::new(vec![Handler::new("/", handler)]));
    for (say, status) in [("close", 200), ("Close", 200), ("close,%20x", 500)] {
        let mut client = Client::connect(running.address);
        let reply = client.get(&format!("/?say={}", say), "");
        assert_eq!((reply.status, reply.header("connection")), (status, Some("close")), "{}", say);
        assert_eq!(reply.head.matches("Connection: ").count(), 1, "{}", reply.head);
        client.assert_end();
    }
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/?say=keep-alive", "").status, 500);
}

#[test]
fn an_empty_line_after_a_body_begins_no_request_and_earns_no_answer() {
    let second = Duration::from_secs(1);
    let start = |limits| {
        let echo = |request: &Request| Ok(Response::new().body(request.body()));
        Running::start(Server::new(vec![Handler::new("/", echo)]).limits(limits))
    };
    let running = start(Limits { idle_timeout: second / 2, head_timeout: second * 2, ..patient() });
    const POST: &str = "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi";
    for pieces in [&["\r\n"][..], &["", "\r\n"], &["", "\r", "\n"], &["\r\n", "\r\n"]] {
        let mut client = Client::connect(running.address);
        client.send([POST, pieces[0]].concat().as_bytes());
        assert_eq!(client.reply().text(), "hi");
        // Fails when the connection was idle for too long before.
        pieces[1..].iter().for_each(|piece| drop(client.stream.write_all(piece.as_bytes())));
        client.assert_end();
    }
    // A request may follow it, and it does not gain time by it.
    let running = start(patient());
    let mut client = Client::connect(running.address);
    for _ in 0..2 {
        client.send([POST, "\r\n"].concat().as_bytes());
        assert_eq!(client.reply().text(), "hi");
    }
    client.send(b"\r\n\r\nGET");
    assert_eq!(client.reply().status, 400, "three empty lines");
}

transports! {
    all {
        an_answer_has_a_date_one_length_and_its_body
        pipelined_requests_are_answered_in_order
        an_answer_to_head_has_the_fields_and_no_body
        a_204_and_a_304_have_no_body_and_no_length
        an_error_of_a_handler_is_500_without_its_text_and_the_connection_goes_on
        an_error_that_a_client_caused_is_told_as_such
        a_panic_of_a_handler_is_500_and_closes_its_own_connection_only
        a_line_break_in_a_field_of_the_application_never_reaches_the_wire
        an_application_cannot_set_the_fields_and_statuses_that_frame_a_message
        a_body_is_asked_for_only_where_a_route_wants_it
        a_chunked_body_is_asked_for_too_and_an_empty_one_is_not
        the_length_that_a_body_claims_takes_no_memory
        a_chunked_body_arrives_joined
        the_last_request_that_a_connection_may_have_is_answered_with_close
        http_10_and_connection_close_end_after_the_answer
        a_server_answers_for_the_address_that_it_listens_on
        an_allowed_host_counts_in_each_spelling_and_with_its_port_only_if_it_has_one
        options_for_the_whole_server_is_204
        a_change_from_a_page_of_another_origin_is_403_unless_it_is_allowed
        a_star_allows_pages_of_all_origins_and_two_origins_are_none
        a_request_with_a_body_that_asks_for_a_websocket_is_answered_and_ends_the_connection
        an_answer_is_whole_whether_its_body_is_joined_with_its_head_or_not
        an_answer_says_how_long_an_idle_connection_persists_in_whole_seconds
        http_10_persists_if_the_client_asks_and_the_answer_says_so
        an_answer_to_head_has_the_length_that_the_handler_gives_or_none
        a_205_has_the_length_0_and_no_body
        a_handler_may_ask_for_the_end_of_its_connection
        an_empty_line_after_a_body_begins_no_request_and_earns_no_answer
    }
    only over TCP: "an address of loopback has names of its own" {
        a_host_that_is_not_ours_is_421_on_loopback_and_the_body_says_how_to_allow_it
        a_server_on_loopback_answers_for_every_name_of_that_interface_and_no_other
        the_authority_of_an_absolute_target_beats_host
    }
}
