//! From a path to its controller.

use super::loopback::wire::transports;
use super::loopback::{self, bind, Client, Running};
use sockling::limits::Limits;
use sockling::prelude::*;

fn start() -> Running {
    let named = |text: &'static str| move |_: &Request| Ok(Response::new().text(text));
    Running::start(Server::new(vec![
        Handler::new("/", named("root")),
        Handler::new("/rooms/new", named("new")),
        route!("/rooms/:room" => |request: &Request| Ok(Response::new().text(request.parameter("room")?))),
        route!("/rooms/:room/:person" => |request: &Request| {
            let (room, person) = (request.parameter("room")?, request.parameter("person")?);
            Ok(Response::new().text(format!("{} in {}", person, room)))
        }),
        route!("/files/*" => |request: &Request| Ok(Response::new().text(request.parameter("*")?))),
        route!("/moved/*" => |request: &Request| {
            Ok(Response::new().redirect(&format!("{}/", request.path())))
        }),
        route!("/wrong/:name" => |request: &Request| Ok(Response::new().text(request.parameter("nome")?))),
    ]))
}

#[test]
fn the_first_pattern_that_fits_answers() {
    let running = start();
    let mut client = Client::connect(running.address);
    for (path, status, text) in [
        ("/", 200, "root"),
        ("/rooms/new", 200, "new"),
        ("/rooms/7", 200, "7"),
        ("/rooms/a%20b%C3%A9", 200, "a bé"),
        ("/rooms/7/Ada", 200, "Ada in 7"),
        ("/files/a/b.txt", 200, "a/b.txt"),
        ("/files/", 200, ""),
        ("/files", 404, "404 Not Found\n"),
        ("/rooms", 404, "404 Not Found\n"),
        ("/rooms/", 404, "404 Not Found\n"),
        ("/rooms/7/", 404, "404 Not Found\n"),
        ("/ROOMS/7", 404, "404 Not Found\n"),
        ("/files/a/", 200, "a/"),
    ] {
        let reply = client.get(path, "");
        assert_eq!((reply.status, reply.text()), (status, text), "{}", path);
    }
}

#[test]
fn a_path_that_a_file_system_or_a_browser_would_take_for_another_place_is_400() {
    let running = start();
    for target in [
        // `root.join("/etc/passwd")` is "/etc/passwd".
        "/files//etc/passwd",
        "/files///etc/passwd",
        "/files/a//b",
        "/files//",
        "http://localhost/files//etc/passwd",
        "http://localhost//files/x",
        // A Location of `//evil.example/x/` leads to another host, with or without the tab, which
        // browsers drop (WHATWG URL, 4.4).
        "//evil.example/x",
        "/%09/evil.example/x",
        "/moved//evil.example/x",
        "//",
    ] {
        assert_eq!(Client::connect(running.address).get(target, "").status, 400, "{}", target);
    }
    let reply = Client::connect(running.address).get("/moved/x", "");
    assert_eq!((reply.status, reply.header("location")), (303, Some("/moved/x/")));
}

#[test]
fn a_parameter_that_the_pattern_does_not_have_is_an_error_of_the_handler() {
    let running = start();
    assert_eq!(Client::connect(running.address).get("/wrong/x", "").status, 500);
}

/// Answers with the method that it was called with, and the length of the body.
fn told(request: &Request) -> Result<Response, Error> {
    let text = format!("{} {}", request.method().as_str(), request.body().len());
    Ok(Response::new().text(text))
}

#[derive(Default)]
struct Told;

impl Controller for Told {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        told(request)
    }
}

fn ask(client: &mut Client, method: &str, path: &str) -> (u16, Option<String>, String) {
    client.send(format!("{} {} HTTP/1.1\r\nHost: localhost\r\n\r\n", method, path).as_bytes());
    let reply = client.reply_to(method);
    (reply.status, reply.header("allow").map(str::to_string), reply.text().to_string())
}

#[test]
fn each_method_has_a_route_of_its_own_and_any_other_one_is_405_with_allow() {
    let running = Running::start(Server::new(vec![
        route!(GET "/get" => Told),
        route!(POST "/post" => Told),
        route!(PUT "/put" => self::Told),
        route!(DELETE "/delete" => |request: &Request| told(request)),
        route!(PATCH "/patch" => Told,),
        route!(OPTIONS "/options" => Told),
        Handler::get("/both", told),
        Handler::post("/both", |_: &Request| Ok(Response::new().text("posted"))),
        route!("/all" => Told),
    ]));
    let mut client = Client::connect(running.address);
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let body = |text: String| if method == "HEAD" { String::new() } else { text };
        let answer = (200, None, body(format!("{} 0", method)));
        assert_eq!(ask(&mut client, method, "/all"), answer);
        let own = if method == "HEAD" { "get".to_string() } else { method.to_lowercase() };
        assert_eq!(ask(&mut client, method, &format!("/{}", own)), answer);
        let refused = |allow: &str| {
            (405, Some(allow.to_string()), body("405 Method Not Allowed\n".to_string()))
        };
        for (path, allow) in [("/put", "PUT"), ("/get", "GET, HEAD"), ("/both", "GET, HEAD, POST")]
        {
            let answer = ask(&mut client, method, path);
            if !allow.split(", ").any(|allowed| allowed == method) {
                assert_eq!(answer, refused(allow), "{} {}", method, path);
            }
        }
        assert_eq!(ask(&mut client, method, "/none").0, 404);
    }
    assert_eq!(ask(&mut client, "POST", "/both").2, "posted");
    assert_eq!(ask(&mut client, "GET", "/both").2, "GET 0");
    assert_eq!(ask(&mut client, "OPTIONS", "*"), (204, None, String::new()));
}

#[test]
fn a_later_pattern_answers_the_methods_that_an_earlier_one_does_not_take() {
    let running = Running::start(Server::new(vec![
        route!(POST "/rooms/new" => Told),
        route!(GET "/rooms/:room" => |request: &Request| Ok(Response::new().text(request.parameter("room")?))),
        route!(DELETE "/*" => Told),
    ]));
    let mut client = Client::connect(running.address);
    assert_eq!(ask(&mut client, "GET", "/rooms/new").2, "new");
    assert_eq!(ask(&mut client, "DELETE", "/rooms/new").2, "DELETE 0");
    let allow = |answer: (u16, Option<String>, String)| answer.1;
    assert_eq!(
        allow(ask(&mut client, "PUT", "/rooms/new")).as_deref(),
        Some("GET, HEAD, POST, DELETE")
    );
    assert_eq!(allow(ask(&mut client, "PUT", "/rooms/7")).as_deref(), Some("GET, HEAD, DELETE"));
}

#[test]
fn a_get_route_opens_a_websocket() {
    let open = |request: &Request| request.upgrade(&[], |client| client.send("hey"));
    let running = Running::start(Server::new(vec![Handler::get("/ws", open)]));
    assert_eq!(Client::websocket(running.address, "/ws", "").next_text(), "hey");
    let reply = Client::connect(running.address).post("/ws", "", "");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_route_has_a_body_limit_of_its_own_which_holds_before_the_body_is_sent() {
    let limits = Limits { body: 10, ..Limits::default() };
    let routes = vec![
        route!(POST "/less" => Told).limit(3),
        route!(POST "/more" => Told).limit(20),
        route!(POST "/usual" => Told),
        route!(PUT "/usual" => Told).limit(20),
    ];
    let running = Running::start(Server::new(routes).limits(limits));
    // POST to /none and PATCH to /usual have no route, so the limit of the server holds.
    for (method, path, most, status) in [
        ("POST", "/less", 3, 200),
        ("POST", "/more", 20, 200),
        ("POST", "/usual", 10, 200),
        ("PUT", "/usual", 20, 200),
        ("POST", "/none", 10, 404),
        ("PATCH", "/usual", 10, 405),
    ] {
        for (length, status) in [(most, status), (most + 1, 413)] {
            let start = format!("{} {} HTTP/1.1\r\nHost: localhost\r\n", method, path);
            let expect = "Expect: 100-continue\r\n";
            let body = "x".repeat(length);
            let known = format!("Content-Length: {}\r\n\r\n", length);
            let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", length, body);
            let chunked = "Transfer-Encoding: chunked\r\n\r\n";

            for request in [[&start, &*known, &body], [&start, chunked, &chunk]] {
                let mut client = Client::connect(running.address);
                client.send(request.concat().as_bytes());
                let reply = client.reply();
                assert_eq!(reply.status, status, "{} {} {}", method, path, length);
                if status == 200 {
                    assert_eq!(reply.text(), format!("{} {}", method, length));
                }
            }
            // Asked first, the server takes the body only if it will use it.
            let mut client = Client::connect(running.address);
            client.send([&start, expect, &*known].concat().as_bytes());
            let first = client.reply();
            assert_eq!(first.status, if status == 200 { 100 } else { status }, "{}", path);
            if status == 405 {
                assert_eq!(first.header("allow"), Some("POST, PUT"));
            }
            if status == 200 {
                client.send(body.as_bytes());
                assert_eq!(client.reply().text(), format!("{} {}", method, length));
            } else {
                client.assert_end();
            }
        }
    }
}

fn refusal(routes: Vec<Handler>) -> Option<String> {
    Server::new(routes).bind("127.0.0.1:0").err().map(|error| error.to_string())
}

#[test]
fn a_pattern_that_means_nothing_is_an_error_of_bind_that_says_what_a_pattern_is() {
    loopback::quiet();
    let what = "a slash precedes each segment, which is text without escapes, `:name` (each name \
                once), or a last `*`";
    for pattern in [
        "",
        "rooms",
        "rooms/",
        "//",
        "//a",
        "/a//",
        "/a//b",
        "/a/*/b",
        "/*/",
        "/*x",
        "/a*",
        "/**",
        "/:",
        "/:/a",
        "/:a b",
        "/:a*",
        "/a b",
        "/a\tb",
        "/a\u{7f}",
        "/%41",
        "/a?b=c",
        "/a#b",
        "/a\\b",
        "/a/../b",
        "/a/.",
        "/a/:b/:b",
        "/:a/b/:a/*",
    ] {
        let text = format!("{:?} is not a route pattern: {}", pattern, what);
        assert_eq!(refusal(vec![Handler::new(pattern, told)]), Some(text));
    }
    for pattern in ["/", "/a/", "/*", "/:a/:b/*", "/a.b/~c;d=e/f:g/(h)", "/caf\u{e9}", "/..a"] {
        assert_eq!(refusal(vec![Handler::new(pattern, told)]), None, "{}", pattern);
    }
}

#[test]
fn a_route_that_can_never_be_reached_is_an_error_of_bind_that_names_both() {
    loopback::quiet();
    for (earlier, later) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/", "/a/"),
        ("/:b", "/a"),
        ("/:b", "/:c"),
        ("/*", "/"),
        ("/*", "/a/b"),
        ("/*", "/*"),
        ("/a/*", "/a/:b/*"),
        ("/a/*", "/a/"),
        ("/:a/b", "/a/b"),
        ("/:a/*", "/a/*"),
    ] {
        let routes = [earlier, later].map(|pattern| Handler::new(pattern, told));
        let text = format!(
            "{:?} can never be reached: {:?} comes before it and takes all its requests",
            later, earlier
        );
        assert_eq!(refusal(routes.into()), Some(text));
    }
    for (earlier, later) in [
        ("/a", "/b"),
        ("/a", "/:b"),
        ("/a", "/a/"),
        ("/:b", "/"),
        ("/a/:b", "/a/"),
        ("/a/*", "/a"),
        ("/a/*", "/*"),
        ("/:a/:b", "/:a/*"),
        ("/:a/b", "/a/:b"),
        ("/a/:b", "/a/b/c"),
    ] {
        let routes = vec![Handler::new(earlier, told), Handler::new(later, told)];
        assert_eq!(refusal(routes), None, "{} {}", earlier, later);
    }
}

#[test]
fn routes_with_different_methods_do_not_hide_each_other() {
    loopback::quiet();
    let hidden = |method: &str, by: &str| {
        let text = " can never be reached: ";
        Some(format!(
            "{}\"/a\"{}{}\"/a\" comes before it and takes all its requests",
            method, text, by
        ))
    };
    let (get, post, all) =
        (|| Handler::get("/a", told), || Handler::post("/a", told), || Handler::new("/a", told));
    assert_eq!(refusal(vec![get(), post(), all()]), None);
    assert_eq!(refusal(vec![get(), post(), get()]), hidden("GET, HEAD ", "GET, HEAD "));
    assert_eq!(refusal(vec![all(), post()]), hidden("POST ", ""));
    assert_eq!(refusal(vec![get(), all(), all()]), hidden("", ""));
}

#[test]
fn an_address_in_use_is_an_error_that_names_it() {
    let first = bind(Server::new(Vec::new()));
    let error = Server::new(Vec::new()).bind(first.address()).expect_err("in use");
    assert!(
        error.to_string().starts_with(&format!("cannot listen on {}: ", first.address())),
        "{}",
        error
    );
}

transports! {
    all {
        the_first_pattern_that_fits_answers
        a_path_that_a_file_system_or_a_browser_would_take_for_another_place_is_400
        a_parameter_that_the_pattern_does_not_have_is_an_error_of_the_handler
        each_method_has_a_route_of_its_own_and_any_other_one_is_405_with_allow
        a_later_pattern_answers_the_methods_that_an_earlier_one_does_not_take
        a_get_route_opens_a_websocket
        a_route_has_a_body_limit_of_its_own_which_holds_before_the_body_is_sent
        a_pattern_that_means_nothing_is_an_error_of_bind_that_says_what_a_pattern_is
        a_route_that_can_never_be_reached_is_an_error_of_bind_that_names_both
        routes_with_different_methods_do_not_hide_each_other
    }
    only over TCP: "it is about an address" {
        an_address_in_use_is_an_error_that_names_it
    }
}
