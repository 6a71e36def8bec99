//! From a path to its controller.

use super::loopback::{bind, Client, Running};
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

#[test]
fn an_invalid_pattern_is_an_error_of_bind() {
    for pattern in ["", "rooms", "/a/*/b", "/:"] {
        let server = Server::new(vec![Handler::new(pattern, |_: &Request| Ok(Response::new()))]);
        let error = server.bind("127.0.0.1:0").expect_err(pattern);
        assert_eq!(error.to_string(), format!("{:?} is not a route pattern", pattern));
    }
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
