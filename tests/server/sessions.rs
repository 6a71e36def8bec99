//! Who a client is: cookies that are signed here, and no others.

use super::loopback::wire::transports;
use super::loopback::{wait_until, Client, Running};
use super::Told;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine;
use sockling::http::hmac_sha1;
use sockling::limits::SESSION_LIFE;
use sockling::prelude::*;
use std::time::{SystemTime, UNIX_EPOCH};

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
        route!("/cached" => |request: &Request| {
            request.session_id();
            Ok(cached(request))
        }),
        route!("/cached-by-anyone" => |request: &Request| Ok(cached(request))),
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

/// Returns an answer with the fields of the query, lines of `name: value`.
fn cached(request: &Request) -> Response {
    let fields = request.query("fields").unwrap_or_default();
    let fields = fields.lines().filter_map(|line| line.split_once(": "));
    fields.fold(Response::new(), |response, (name, value)| response.header(name, value))
}

const KEY: &str = "a key that the tests know";

/// Starts a server whose cookies the tests can make.
fn start_with_key() -> Running {
    let keys = SessionKeys::new([KEY]).expect("a good key");
    Running::start(Server::new(routes()).session_keys(keys))
}

/// Returns the cookie with this text, as a server with the key signs it.
fn signed(text: &str) -> String {
    let signature = BASE64.encode(hmac_sha1(KEY.as_bytes(), text.as_bytes()));
    format!("sockling_session={}.{}", text, signature)
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
    let (life, rest) = attributes.split_once("; Expires=").expect("an expiry");
    let (expires, rest) = rest.split_once("; ").expect("more attributes");
    assert_eq!((life, rest), ("Max-Age=2419200", "Path=/; HttpOnly; SameSite=Lax"));
    assert!(expires.len() == 29 && expires.ends_with(" GMT"), "{}", expires);
    assert!(pair.starts_with("sockling_session=v2.g."), "{}", pair);
    // Who has it is the same, and does not get it again.
    assert_eq!(ask(&running, "/who", pair), (reply.text().to_string(), None));
    assert_eq!(client.get("/mine", "").header("cache-control"), Some("private, no-store"));
    let cookie = format!("Cookie: {}\r\n", pair);
    assert_eq!(client.get("/mine", &cookie).header("cache-control"), Some("no-store"));
}

/// What the row shows; what the application says to caches; what leaves with a session's cookie.
const CACHED: &[(&str, &str, &str)] = &[
    ("nothing", "", "Cache-Control: private"),
    ("public", "Cache-Control: public", "Cache-Control: private"),
    ("any case", "cache-control: PUBLIC", "Cache-Control: private"),
    (
        "what the client's own cache is told",
        "Cache-Control: max-age=60, public, must-revalidate",
        "Cache-Control: private, max-age=60, must-revalidate",
    ),
    ("a time alone", "Cache-Control: max-age=60", "Cache-Control: private, max-age=60"),
    (
        "a time for shared caches",
        "Cache-Control: s-maxage=600,max-age=60",
        "Cache-Control: private, max-age=60",
    ),
    ("the same in any case", "Cache-Control: S-MaxAge = 600", "Cache-Control: private"),
    ("private already", "Cache-Control: private, max-age=5", "Cache-Control: private, max-age=5"),
    ("some fields alone", "Cache-Control: private=\"x, y\"", "Cache-Control: private"),
    ("never", "Cache-Control: no-store", "Cache-Control: private, no-store"),
    (
        "several lines",
        "Cache-Control: max-age=60\nX-Other: public\nCACHE-CONTROL: public, immutable",
        "X-Other: public\nCache-Control: private, max-age=60, immutable",
    ),
    (
        "a comma and a quote in quotes",
        "Cache-Control: no-cache=\"a, \\\"public, b\", public",
        "Cache-Control: private, no-cache=\"a, \\\"public, b\"",
    ),
    (
        "quotes without an end, and what they would hide",
        "Cache-Control: max-age=60, no-cache=\"a, public",
        "Cache-Control: private, max-age=60",
    ),
    ("empty members", "Cache-Control: , public,, ", "Cache-Control: private"),
    ("a longer word", "Cache-Control: publicity", "Cache-Control: private, publicity"),
    (
        "what a shared cache reads in place of it (RFC 9213)",
        "CDN-Cache-Control: max-age=60\nexample-cdn-cache-control: public\nCache-Control: no-cache",
        "Cache-Control: private, no-cache",
    ),
    (
        "older names of the same",
        "Surrogate-Control: max-age=60\nX-Accel-Expires: 60\nEdge-Control: max-age=60",
        "Cache-Control: private",
    ),
];

#[test]
fn an_answer_that_sets_the_sessions_cookie_is_for_no_shared_cache() {
    let running = Running::start(Server::new(routes()));
    let encode = |text: &str| text.bytes().map(|byte| format!("%{:02x}", byte)).collect::<String>();
    let others =
        ["HTTP/1.1 ", "Date: ", "Set-Cookie: ", "Content-Length: ", "Connection: ", "Keep-Alive: "];
    let told = |head: &str| {
        let lines = head.lines().filter(|line| !line.is_empty());
        let lines = lines.filter(|line| !others.iter().any(|other| line.starts_with(other)));
        lines.collect::<Vec<_>>().join("\n")
    };
    let mut client = Client::connect(running.address);
    for (gloss, said, expected) in CACHED {
        let reply = client.get(&format!("/cached?fields={}", encode(said)), "");
        assert!(reply.status == 200 && reply.cookie().is_some(), "{}: {}", gloss, reply.head);
        assert_eq!(told(&reply.head), *expected, "{}", gloss);
        // Without the cookie the application knows best.
        let reply = client.get(&format!("/cached-by-anyone?fields={}", encode(said)), "");
        assert_eq!(told(&reply.head), *said, "{}", gloss);
    }
    // What may not be sent stays a fault of the application.
    let reply = client.get("/cached?fields=Cache-Control:%20public,%20a%01", "");
    assert_eq!((reply.status, reply.cookie()), (500, None));
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
    // Every byte of it counts.
    for at in 0..value.len() {
        let mut forged = value.as_bytes().to_vec();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).expect("ASCII");
        let (other, set) = ask(&running, "/who", &format!("{}={}", name, forged));
        assert!(other != me && set.is_some(), "byte {} of {}", at, forged);
        tried += 1;
    }
    assert!(tried > 60, "{}", tried);
    // Behind a forged one the good one is found.
    let both = format!("{}=v2.g.AAAAAAAAAAAAAAAAAAAAAA.1.9999999999.AAAA; {}", name, cookie);
    assert_eq!(ask(&running, "/who", &both), (me, None));
}

#[test]
fn a_cookie_ends_with_its_time_and_is_renewed_in_its_second_half() {
    let running = start_with_key();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let at = |time: u64| time.to_string();
    // When it expires, whether it is taken, whether a new one is sent. The times are hours away
    // from where that changes, but for those that have passed.
    let rows = [
        ("in 1970", at(0), false, true),
        ("a second ago", at(now - 1), false, true),
        ("now", at(now), false, true),
        ("in two hours", at(now + 7200), true, true),
        ("just in the second half", at(now + SESSION_LIFE / 2 - 7200), true, true),
        ("just in the first half", at(now + SESSION_LIFE / 2 + 7200), true, false),
        ("as if made now", at(now + SESSION_LIFE), true, false),
        ("at the end of 64 bits", at(u64::MAX), true, false),
        ("after it", "18446744073709551616".to_string(), false, true),
        ("before 1970", "-1".to_string(), false, true),
        ("never", String::new(), false, true),
    ];
    for (session, name) in [
        ("v2.g.AAAAAAAAAAAAAAAAAAAAAA.1", "guest-e129f2"),
        ("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.1", "user-7"),
    ] {
        for (gloss, expires, taken, renewed) in &rows {
            let (who, set) = ask(&running, "/who", &signed(&format!("{}.{}", session, expires)));
            assert_eq!((who == name, set.is_some()), (*taken, *renewed), "{}: {}", name, gloss);
            if !taken {
                assert!(who.starts_with("guest-"), "{}: {}", name, gloss);
                continue;
            }
            if let Some(fresh) = set {
                // The same session, for its whole life.
                let text = fresh.strip_prefix(&format!("sockling_session={}.", session));
                let expires = text.and_then(|text| text.split('.').next()?.parse::<u64>().ok());
                assert!(expires.map_or(false, |time| time >= now + SESSION_LIFE), "{}", fresh);
                assert_eq!(ask(&running, "/who", &fresh), (name.to_string(), None));
            }
        }
    }
}

#[test]
fn of_many_cookies_the_first_good_one_counts() {
    let running = start_with_key();
    let later = u64::MAX;
    let one = signed(&format!("v2.u.7301.AAAAAAAAAAAAAAAAAAAAAA.1.{}", later));
    let two = signed(&format!("v2.u.7302.AAAAAAAAAAAAAAAAAAAAAQ.1.{}", later));
    let past = signed("v2.u.7303.AAAAAAAAAAAAAAAAAAAAAg.1.1");
    let ended = ask(&running, "/login/7304", "").1.expect("a cookie");
    ask(&running, "/logout", &ended);
    let others = |count: usize| "a=b; ".repeat(count);
    let rows = [
        ("two good ones", format!("{}; {}", one, two), "user-7301"),
        ("the same the other way", format!("{}; {}", two, one), "user-7302"),
        ("one that has expired before", format!("{}; {}", past, two), "user-7302"),
        ("one that was ended before", format!("{}; {}", ended, two), "user-7302"),
        ("another name before", format!("x{}; {}", one, two), "user-7302"),
        ("in a second line", format!("a=b\r\nCookie: {}", one), "user-7301"),
        ("in both lines", format!("{}\r\nCookie: {}", two, one), "user-7302"),
        ("behind 64 others", others(64) + &one, "user-7301"),
        ("behind as many others as a head has room for", others(3000) + &one, "user-7301"),
    ];
    for (gloss, cookie, user) in rows {
        assert_eq!(ask(&running, "/who", &cookie), (user.to_string(), None), "{}", gloss);
    }
}

/// What the row shows, the Cookie field with the session's value in place of `*`, and whether the
/// session is found.
const WRITTEN: &[(&str, &str, bool)] = &[
    ("as it was set", "sockling_session=*", true),
    ("in quotes (RFC 6265, 4.1.1)", "sockling_session=\"*\"", true),
    (
        "by Java's HttpCookie, with the attributes of RFC 2965",
        "$Version=\"1\"; sockling_session=\"*\";$Path=\"/\";$Domain=\"localhost.local\"",
        true,
    ),
    (
        "by Python's http.cookiejar, with those of RFC 2109",
        "$Version=1; sockling_session=*; $Path=\"/\"",
        true,
    ),
    ("without spaces", "a=b;sockling_session=*;c=d", true),
    ("with spaces and tabs", " \tsockling_session\t= \"*\" ", true),
    ("behind a quoted cookie with a semicolon", "a=\"b; c\"; sockling_session=*", true),
    ("behind a quote that does not end", "a=\"b; sockling_session=*", true),
    ("between two such quotes", "a=\"; sockling_session=\"*\"; b=\"", true),
    ("behind one that was not signed here", "sockling_session=\"x\"; sockling_session=*", true),
    ("in two pairs of quotes", "sockling_session=\"\"*\"\"", false),
    ("with a quote before it", "sockling_session=\"*", false),
    ("with a quote behind it", "sockling_session=*\"", false),
    ("in other quotes", "sockling_session='*'", false),
    ("a quote alone", "sockling_session=\"", false),
    ("quotes alone", "sockling_session=\"\"", false),
    ("in another case", "Sockling_Session=*", false),
];

#[test]
fn a_session_is_found_however_a_cookie_jar_writes_its_cookie() {
    let running = start_with_key();
    let pair = signed(&format!("v2.u.70.AAAAAAAAAAAAAAAAAAAARg.1.{}", u64::MAX));
    let (_, value) = pair.split_once('=').expect("a pair");
    for (gloss, field, found) in WRITTEN {
        let (who, set) = ask(&running, "/who", &field.replace('*', value));
        assert_eq!((who == "user-70", set.is_none()), (*found, *found), "{}: {}", gloss, who);
    }
    // A logout ends it too.
    let quoted = format!("sockling_session=\"{}\"", value);
    ask(&running, "/logout", &quoted);
    assert_ne!(ask(&running, "/who", &pair).0, "user-70");
}

#[test]
fn what_the_server_signed_for_another_purpose_is_not_accepted_as_a_cookie() {
    let running = start_with_key();
    let keys = SessionKeys::new([KEY]).expect("a good key");
    let stored = SessionId::from(7).to_token(&keys);
    assert!(SessionId::from_token(&stored, &keys).is_ok());
    let later = u64::MAX;
    for cookie in [
        format!("sockling_session={}", stored),
        format!("sockling_session={}", stored.replace("id.", "v1.")),
        signed("id.u.7"),
        signed("v2.u.7"),
        signed(&format!("id.u.7.AAAAAAAAAAAAAAAAAAAAAA.1.{}", later)),
        signed(&format!("v1.u.7.AAAAAAAAAAAAAAAAAAAAAA.{}", later)),
        signed(&format!("v3.u.7.AAAAAAAAAAAAAAAAAAAAAA.1.{}", later)),
        signed(&format!("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.{}", later)),
        signed(&format!("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.-1.{}", later)),
        signed(&format!("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.1.{}.2", later)),
        signed(&format!("u.7.AAAAAAAAAAAAAAAAAAAAAA.1.{}", later)),
    ] {
        let (who, set) = ask(&running, "/who", &cookie);
        assert!(who.starts_with("guest-") && set.is_some(), "{} is {}", cookie, who);
    }
    // The same with the right label is one.
    let cookie = signed(&format!("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.1.{}", later));
    assert_eq!(ask(&running, "/who", &cookie), ("user-7".to_string(), None));
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
fn no_account_can_make_the_server_forget_the_logout_of_another() {
    use sockling::limits::{Limits, REVOKED};
    let limits = Limits { requests_per_connection: 0, ..Limits::default() };
    let running = Running::start(Server::new(routes()).limits(limits));
    let stolen = ask(&running, "/login/4201", "").1.expect("a cookie");
    ask(&running, "/logout", &stolen);
    let mut client = Client::connect(running.address);
    let mut cookie = client.get("/login/4202", "").cookie().expect("a cookie");
    let first = cookie.clone();
    for _ in 0..=REVOKED {
        let reply = client.get("/rotate", &format!("Cookie: {}\r\n", cookie));
        cookie = reply.cookie().expect("a cookie");
    }
    assert!(ask(&running, "/who", &stolen).0.starts_with("guest-"), "it is good again");
    assert!(ask(&running, "/who", &first).0.starts_with("guest-"));
    assert_eq!(ask(&running, "/who", &cookie), ("user-4202".to_string(), None));
}

#[test]
fn a_logout_and_a_login_end_every_session_whose_cookie_came_with_the_request() {
    let running = Running::start(Server::new(routes()));
    let login = |user: &str| ask(&running, user, "").1.expect("a cookie");
    for path in ["/logout", "/login/3", "/rotate"] {
        let cookies = [login("/login/1"), login("/login/2"), login("/login/1")];
        let open = |cookie: &String| {
            Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", cookie))
        };
        let sockets: Vec<Client> = cookies.iter().map(open).collect();
        let (_, new) = ask(&running, path, &cookies.join("; "));
        for mut socket in sockets {
            assert_eq!(socket.next_close().0, 1008, "{}", path);
        }
        for cookie in &cookies {
            assert!(ask(&running, "/who", cookie).0.starts_with("guest-"), "{}", path);
        }
        assert_eq!(ask(&running, "/who", &new.expect("a cookie")).1, None, "{}", path);
    }
}

#[test]
fn nine_logouts_end_the_users_other_browsers_and_a_login_works_at_once() {
    let running = Running::start(Server::new(routes()));
    let login = || ask(&running, "/login/4203", "").1.expect("a cookie");
    let forgotten = login();
    let mut socket =
        Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", forgotten));
    for count in 1..=9 {
        assert_eq!(ask(&running, "/who", &forgotten).0, "user-4203", "after {}", count - 1);
        ask(&running, "/logout", &login());
    }
    assert_eq!(socket.next_close(), (1008, "logged out".to_string()));
    assert!(ask(&running, "/who", &forgotten).0.starts_with("guest-"));
    assert_eq!(ask(&running, "/who", &login()), ("user-4203".to_string(), None));
}

#[test]
fn a_rotation_keeps_the_user_and_ends_the_cookie_before_and_its_sockets() {
    let running = Running::start(Server::new(routes()));
    let open = |cookie: &str| {
        Client::websocket(running.address, "/ws", &format!("Cookie: {}\r\n", cookie))
    };
    let login = || ask(&running, "/login/9", "").1.expect("a cookie");
    let (before, other) = (login(), login());
    let (mut socket, mut stays) = (open(&before), open(&other));
    let after = ask(&running, "/rotate", &before).1.expect("a cookie");
    assert_eq!(socket.next_close(), (1008, "session rotated".to_string()));
    assert_eq!(ask(&running, "/who", &after).0, "user-9");
    assert!(ask(&running, "/who", &before).0.starts_with("guest-"));
    // The user's other login has nothing to do with it.
    stays.text("still here");
    assert_eq!(stays.next_text(), "still here");
    assert_eq!(ask(&running, "/who", &other), ("user-9".to_string(), None));
}

#[test]
fn a_rotation_makes_a_guest_another_one_and_closes_the_sockets_of_the_first() {
    let running = Running::start(Server::new(routes()));
    let (mut socket, reply) = Client::upgrade(running.address, "/ws", "");
    let before = reply.cookie().expect("a cookie");
    let name = ask(&running, "/who", &before).0;
    let after = ask(&running, "/rotate", &before).1.expect("a cookie");
    assert_eq!(socket.next_close(), (1008, "session rotated".to_string()));
    let (now, set) = ask(&running, "/who", &after);
    assert!(now.starts_with("guest-") && now != name && set.is_none(), "{}", now);
    assert_ne!(ask(&running, "/who", &before).0, name);
}

#[test]
fn keys_of_the_application_make_cookies_outlive_the_server() {
    let old = "the old key of twenty bytes or more";
    let new = "the new key of twenty bytes or more";
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
    assert!(set.starts_with("__Host-id=v2.g."), "{}", set);
    assert!(set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{}", set);
    let error =
        Server::new(Vec::new()).cookie_name("a;b").bind("127.0.0.1:0").expect_err("no name");
    assert_eq!(error.to_string(), "\"a;b\" is not a cookie name");
}

transports! {
    all {
        of_many_cookies_the_first_good_one_counts
        the_cookie_is_set_when_a_handler_asks_for_the_session_and_not_otherwise
        an_answer_that_sets_the_sessions_cookie_is_for_no_shared_cache
        the_101_sets_the_cookie_of_a_first_contact
        tabs_share_a_session_and_all_get_what_is_sent_to_it
        an_id_that_was_not_signed_here_is_replaced
        a_cookie_ends_with_its_time_and_is_renewed_in_its_second_half
        what_the_server_signed_for_another_purpose_is_not_accepted_as_a_cookie
        a_login_ends_the_guest_session_and_its_sockets
        a_login_whose_handler_fails_logs_nobody_in
        a_logout_ends_one_login_and_leaves_the_users_others
        strangers_cannot_make_the_server_forget_a_logout
        no_account_can_make_the_server_forget_the_logout_of_another
        a_logout_and_a_login_end_every_session_whose_cookie_came_with_the_request
        nine_logouts_end_the_users_other_browsers_and_a_login_works_at_once
        a_rotation_keeps_the_user_and_ends_the_cookie_before_and_its_sockets
        a_rotation_makes_a_guest_another_one_and_closes_the_sockets_of_the_first
        keys_of_the_application_make_cookies_outlive_the_server
        secure_cookies_have_the_host_prefix
    }
    only over TCP: "the logins that it ends have ended for the whole process" {
        a_session_is_found_however_a_cookie_jar_writes_its_cookie
    }
}
