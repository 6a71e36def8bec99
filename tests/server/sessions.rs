//! Who a client is: cookies that are signed here, and no others.

use super::loopback::{wait_until, Client, Running};
use super::Told;
use sockling::prelude::*;

fn routes() -> Vec<Handler> {
    let (told, _) = Told::new();
    vec![
        Handler::new("/ws", told),
        route!("/who" => |request: &Request| Ok(Response::new().text(request.session_id().to_string()))),
        route!("/anyone" => |_: &Request| Ok(Response::new().text("hello"))),
        route!("/mine" => |request: &Request| {
            request.session_id();
            Ok(Response::new().header("Cache-Control", "no-store"))
        }),
        route!("/push" => |request: &Request| {
            let sent = Comms::websocket(request.session_id()).send("pushed")?;
            Ok(Response::new().text(sent.to_string()))
        }),
        route!("/login/:user" => |request: &Request| {
            let user = request.parameter("user")?.parse().map_err(Error::other)?;
            Ok(request.login(user).text("in"))
        }),
        route!("/login-that-fails" => |request: &Request| {
            let _ = request.login(5);
            Err("later".into())
        }),
        route!("/logout" => |request: &Request| Ok(request.logout().text("out"))),
        route!("/rotate" => |request: &Request| Ok(request.rotate().text("new"))),
    ]
}

/// Asks with a cookie; returns the text and the cookie that the answer sets.
fn ask(running: &Running, path: &str, cookie: &str) -> (String, Option<String>) {
    let fields = format!("Cookie: {}\r\n", cookie);
    let reply = Client::connect(running.address).get(path, &fields);
    assert_eq!(reply.status, 200, "{}", reply.head);
    (reply.text().to_string(), reply.cookie())
}

#[test]
fn the_cookie_is_set_when_a_handler_asks_for_the_session_and_not_otherwise() {
    let running = Running::start(Server::new(routes()));
    let mut client = Client::connect(running.address);
    let reply = client.get("/anyone", "");
    assert_eq!((reply.header("set-cookie"), reply.header("cache-control")), (None, None));
    let reply = client.get("/who", "");
    assert_eq!(reply.header("cache-control"), Some("private"));
    let set = reply.header("set-cookie").expect("a cookie").to_string();
    let (pair, attributes) = set.split_once("; ").expect("attributes");
    assert_eq!(attributes, "Max-Age=2419200; Path=/; HttpOnly; SameSite=Lax");
    assert!(pair.starts_with("sockling_session=v1.g."), "{}", pair);
    // Who has it is the same, and does not get it again.
    assert_eq!(ask(&running, "/who", pair), (reply.text().to_string(), None));
    assert_eq!(client.get("/mine", "").header("cache-control"), Some("no-store"));
}

#[test]
fn the_101_sets_the_cookie_of_a_first_contact() {
    let running = Running::start(Server::new(routes()));
    let (mut client, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = reply.cookie().expect("a cookie");
    assert_eq!(ask(&running, "/push", &cookie), ("1".to_string(), None));
    assert_eq!(client.next_text(), "pushed");
}

#[test]
fn tabs_share_a_session_and_all_get_what_is_sent_to_it() {
    let running = Running::start(Server::new(routes()));
    let (mut one, reply) = Client::upgrade(running.address, "/ws", "");
    let cookie = reply.cookie().expect("a cookie");
    let (mut two, reply) =
        Client::upgrade(running.address, "/ws", &format!("Cookie: {}\r\n", cookie));
    assert_eq!(reply.cookie(), None, "it has the cookie");
    let mut stranger = Client::websocket(running.address, "/ws", "");
    assert_eq!(ask(&running, "/push", &cookie).0, "2");
    assert_eq!((one.next_text(), two.next_text()), ("pushed".to_string(), "pushed".to_string()));
    stranger.text("what did I miss?");
    assert_eq!(stranger.next_text(), "what did I miss?", "nothing");
    drop(one);
    wait_until("one tab is left", || ask(&running, "/push", &cookie).0 == "1");
}

#[test]
fn an_id_that_was_not_signed_here_is_replaced() {
    let running = Running::start(Server::new(routes()));
    let (me, cookie) = ask(&running, "/who", "");
    let cookie = cookie.expect("a cookie");
    let (name, value) = cookie.split_once('=').expect("a pair");
    let mut tried = 0;
    // Every octet of it counts.
    for at in 0..value.len() {
        let mut forged = value.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let (other, set) = ask(&running, "/who", &format!("{}={}", name, forged));
        assert!(other != me && set.is_some(), "octet {} of {}", at, forged);
        tried += 1;
    }
    assert!(tried > 60, "{}", tried);
    // Behind a forged one the good one is found.
    let both = format!("{}=v1.g.AAAAAAAAAAAAAAAAAAAAAA.9999999999.AAAA; {}", name, cookie);
    assert_eq!(ask(&running, "/who", &both), (me, None));
}

#[test]
fn a_login_ends_the_guest_session_and_its_sockets() {
    let running = Running::start(Server::new(routes()));
    let (mut socket, reply) = Client::upgrade(running.address, "/ws", "");
    let guest = reply.cookie().expect("a cookie");
    let (_, user) = ask(&running, "/login/42", &guest);
    let user = user.expect("a new cookie");
    assert_eq!(socket.next_close(), (1008, "logged in".to_string()));
    assert_eq!(ask(&running, "/who", &user), ("user-42".to_string(), None));
    let (other, fresh) = ask(&running, "/who", &guest);
    assert!(other.starts_with("guest-") && fresh.is_some(), "the guest's cookie is dead");
}

#[test]
fn a_login_whose_handler_fails_logs_nobody_in() {
    let running = Running::start(Server::new(routes()));
    let reply = Client::connect(running.address).get("/login-that-fails", "");
    assert_eq!((reply.status, reply.header("set-cookie")), (500, None));
}

#[test]
fn a_logout_ends_one_login_and_leaves_the_users_others() {
    let running = Running::start(Server::new(routes()));
    let login = || ask(&running, "/login/7", "").1.expect("a cookie");
    let (phone, laptop) = (login(), login());
    let mut on_phone = Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", phone));
    let mut on_laptop =
        Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", laptop));
    assert_eq!(Comms::websocket(7).send("to both").expect("room"), 2);
    assert_eq!(
        (on_phone.next_text(), on_laptop.next_text()),
        ("to both".to_string(), "to both".to_string())
    );
    ask(&running, "/logout", &phone);
    assert_eq!(on_phone.next_close(), (1008, "logged out".to_string()));
    assert!(ask(&running, "/who", &phone).0.starts_with("guest-"));
    assert_eq!(ask(&running, "/who", &laptop).0, "user-7");
    on_laptop.text("still here");
    assert_eq!(on_laptop.next_text(), "still here");
}

#[test]
fn strangers_cannot_make_the_server_forget_a_logout() {
    use sockling::limits::{Limits, REVOKED};
    let limits = Limits { requests_per_connection: 0, ..Limits::default() };
    let running = Running::start(Server::new(routes()).limits(limits));
    let user = ask(&running, "/login/42", "").1.expect("a cookie");
    ask(&running, "/logout", &user);
    let mut flood = Client::connect(running.address);
    for _ in 0..REVOKED / 64 + 1 {
        flood.send("GET /logout HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(64).as_bytes());
        for _ in 0..64 {
            assert_eq!(flood.reply().status, 200);
        }
    }
    assert!(ask(&running, "/who", &user).0.starts_with("guest-"));
}

#[test]
fn a_rotation_keeps_the_user_and_ends_the_cookie_before() {
    let running = Running::start(Server::new(routes()));
    let before = ask(&running, "/login/9", "").1.expect("a cookie");
    let after = ask(&running, "/rotate", &before).1.expect("a cookie");
    assert_eq!(ask(&running, "/who", &after).0, "user-9");
    assert!(ask(&running, "/who", &before).0.starts_with("guest-"));
}

#[test]
fn keys_of_the_application_make_cookies_outlive_the_server() {
    let old = "the old key of twenty octets or more";
    let new = "the new key of twenty octets or more";
    let start = |keys: &[&str]| {
        Running::start(
            Server::new(routes()).session_keys(SessionKeys::new(keys).expect("good keys")),
        )
    };
    let first = start(&[old]);
    let (me, cookie) = ask(&first, "/who", "");
    let cookie = cookie.expect("a cookie");
    drop(first);
    assert_eq!(ask(&start(&[old]), "/who", &cookie), (me.clone(), None));
    assert_eq!(ask(&start(&[new, old]), "/who", &cookie), (me.clone(), None));
    assert_ne!(ask(&start(&[new]), "/who", &cookie).0, me);
}

#[test]
fn secure_cookies_have_the_host_prefix() {
    let running = Running::start(Server::new(routes()).secure_cookies(true).cookie_name("id"));
    let reply = Client::connect(running.address).get("/who", "");
    let set = reply.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("__Host-id=v1.g."), "{}", set);
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{}", set);
    let error =
        Server::new(Vec::new()).cookie_name("a;b").bind("127.0.0.1:0").expect_err("no name");
    assert_eq!(error.to_string(), "\"a;b\" is no cookie name");
}
