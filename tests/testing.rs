//! The module `testing`: first the tests that the author of a small chat writes, then what the module
//! promises to them.

use sockling::limits::Limits;
use sockling::testing::{self, Browser, Tab};
use sockling::{prelude::*, Topic};
use std::io::Write;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// A chat: a login by form, a page for members, and a room in which everybody hears everybody.
mod chat {
    use super::*;

    const MEMBERS: [&str; 2] = ["ada", "bob"];

    /// Returns the routes; the members' numbers begin with `first`, and so does the room's name.
    pub fn routes(first: i64) -> Vec<Handler> {
        let login = move |request: &Request| {
            request.check_origin()?;
            let name = request.form()?.get("name").ok_or_else(Response::bad_request)?;
            let member = MEMBERS.iter().position(|member| *member == name);
            let member = member.ok_or_else(Response::unauthorized)?;
            Ok(request.login(first + member as i64).redirect("/"))
        };
        let logout = |request: &Request| Ok(request.logout().redirect("/"));
        let page = move |request: &Request| Ok(Response::new().html(name(request, first)?));
        let room = move |request: &Request| {
            let name = name(request, first)?;
            let room = Comms::topic(format!("chat/{}/{}", first, request.parameter("room")?));
            request.upgrade(&[], |client| talk(client, name, &room))
        };
        vec![
            Handler::post("/login", login),
            Handler::post("/logout", logout),
            Handler::get("/", page),
            Handler::get("/rooms/:room", room),
        ]
    }

    fn name(request: &Request, first: i64) -> Result<&'static str, Error> {
        match request.session_id() {
            SessionId::Authenticated(user) => Ok(MEMBERS[(user - first) as usize]),
            SessionId::Guest(_) => Err(Response::unauthorized().into()),
        }
    }

    fn talk(client: &mut Connection, name: &str, room: &Topic) -> Result<(), Error> {
        assert!(room.join_here());
        room.send(format!("{} joins", name))?;
        while let Some(message) = client.receive()? {
            match message.as_text() {
                Some("/me") => client.send(format!("you are {}", name))?,
                Some(text) => drop(room.send(format!("{}: {}", name, text))?),
                None => return client.close(CloseCode(4003), "text only"),
            }
        }
        room.send(format!("{} leaves", name))?;
        Ok(())
    }
}

/// Returns a number that no other test uses, with a hundred more.
fn unique() -> i64 {
    static USERS: AtomicI64 = AtomicI64::new(1_000_000);
    USERS.fetch_add(100, Ordering::Relaxed)
}

fn start_chat() -> testing::Server {
    testing::Server::new(chat::routes(unique()))
}

/// Returns a browser that has logged in.
fn logged_in(server: &testing::Server, name: &str) -> Browser {
    let browser = server.browser();
    let answer = browser.post("/login", format!("name={}", name));
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/")));
    browser
}

/// Opens a WebSocket, and waits for what its handler sends first.
fn join(browser: &Browser, room: &str, greeting: &str) -> Tab {
    let tab = browser.websocket(&format!("/rooms/{}", room));
    assert_eq!(tab.receive(), greeting.into());
    tab
}

fn nobody_comes_in_without_a_login() {
    let server = start_chat();
    let stranger = server.browser();
    assert_eq!(stranger.get("/").status(), 401);
    assert_eq!(stranger.post("/login", "name=eve").status(), 401);
    assert_eq!(stranger.post("/login", "").status(), 400);
    let refused = stranger.request(Method::Get, "/rooms/tea").websocket();
    assert_eq!(refused.err().map(|answer| answer.status()), Some(401));
    assert_eq!(stranger.get("/login").status(), 405);
    assert_eq!(stranger.get("/nowhere").status(), 404);
}

fn a_login_lasts_until_the_logout() {
    let server = start_chat();
    let ada = logged_in(&server, "ada");
    assert_eq!(ada.get("/").text(), "ada");
    let tab = join(&ada, "tea", "ada joins");
    assert_eq!(ada.post("/logout", "").status(), 303);
    assert_eq!(tab.closed(), CloseCode::POLICY_VIOLATION);
    assert_eq!(ada.get("/").status(), 401);
}

fn a_page_of_another_site_cannot_log_in_or_open_a_websocket() {
    let server = start_chat();
    let ada = logged_in(&server, "ada");
    let evil = "http://evil.example";
    let forged = ada.request(Method::Post, "/login").header("Origin", evil).body("name=bob");
    assert_eq!(forged.send().status(), 403);
    let forged = ada.request(Method::Get, "/rooms/tea").header("Origin", evil).websocket();
    assert_eq!(forged.err().map(|answer| answer.status()), Some(403));
    let rebound = ada.request(Method::Get, "/").header("Host", "evil.example").send();
    assert_eq!(rebound.status(), 421);
}

fn what_one_says_all_in_the_room_hear() {
    let server = start_chat();
    let (ada, bob) = (logged_in(&server, "ada"), logged_in(&server, "bob"));
    let one = join(&ada, "tea", "ada joins");
    let two = join(&ada, "tea", "ada joins");
    assert_eq!(one.receive(), "ada joins".into());
    let third = join(&bob, "tea", "bob joins");
    let elsewhere = join(&bob, "coffee", "bob joins");
    for tab in [&one, &two] {
        assert_eq!(tab.receive(), "bob joins".into());
    }
    one.send("hello");
    for tab in [&one, &two, &third] {
        assert_eq!(tab.receive(), "ada: hello".into());
    }
    elsewhere.receive_nothing();

    // A tab that asks about itself gets the answer alone.
    two.send("/me");
    assert_eq!(two.receive(), "you are ada".into());
    one.receive_nothing();
    third.receive_nothing();
}

fn who_leaves_is_named() {
    let server = start_chat();
    let ada = join(&logged_in(&server, "ada"), "tea", "ada joins");
    let bob = logged_in(&server, "bob");
    for by_hand in [true, false] {
        let tab = join(&bob, "tea", "bob joins");
        assert_eq!(ada.receive(), "bob joins".into());
        match by_hand {
            true => tab.close(CloseCode::GOING_AWAY, ""),
            false => drop(tab),
        }
        assert_eq!(ada.receive(), "bob leaves".into());
    }
    ada.send(vec![1, 2]);
    assert_eq!(ada.closed(), CloseCode(4003));
    assert_eq!(ada.close_frame().map(|close| close.reason).as_deref(), Some("text only"));
}

const CHAT: [fn(); 5] = [
    nobody_comes_in_without_a_login,
    a_login_lasts_until_the_logout,
    a_page_of_another_site_cannot_log_in_or_open_a_websocket,
    what_one_says_all_in_the_room_hear,
    who_leaves_is_named,
];

#[test]
fn the_tests_of_a_chat_pass_in_twenty_threads_twenty_times() {
    let run = |thread: usize| {
        for round in 0..20 {
            CHAT.iter().cycle().skip(thread + round).take(CHAT.len()).for_each(|test| test());
        }
    };
    let threads: Vec<_> = (0..20).map(|at| thread::spawn(move || run(at))).collect();
    #[cfg(target_os = "linux")]
    while threads.iter().any(|thread| !thread.is_finished()) {
        assert_eq!(sockets(), 0);
        thread::sleep(Duration::from_millis(2));
    }
    threads.into_iter().for_each(|thread| thread.join().expect("every test passes"));
}

/// Returns the number of the process's sockets.
#[cfg(target_os = "linux")]
fn sockets() -> usize {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("a list").flatten();
    let targets = descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

/// Returns the text with which something panics.
fn panic_of(run: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(run)).expect_err("a panic");
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|text| text.to_string())).expect("a text")
}

fn echo(request: &Request) -> Result<Response, Error> {
    request.upgrade(&[], |client| {
        while let Some(message) = client.receive()? {
            match message.as_text() {
                Some("panic") => panic!("asked to"),
                Some("error") => return Err("asked to fail".into()),
                _ => client.send(message)?,
            }
        }
        Ok(())
    })
}

fn start_echo(limits: Limits) -> testing::Server {
    testing::Server::of(Server::new(vec![Handler::new("/", echo)]).limits(limits))
}

/// Opens a tab that waits for 30 ms only. To open it may take longer, so this tries again.
fn impatient(server: &testing::Server, path: &str) -> Tab {
    let browser = server.browser().patience(Duration::from_millis(30));
    loop {
        if let Ok(tab) = catch_unwind(AssertUnwindSafe(|| browser.websocket(path))) {
            return tab;
        }
    }
}

#[test]
fn a_wait_in_vain_says_for_what_for_whom_and_what_had_come() {
    let server = start_echo(Limits::default());
    let tab = impatient(&server, "/");
    for text in ["one", "two"] {
        tab.send(text);
        assert_eq!(tab.receive_timeout(Duration::from_secs(20)), Next::Message(text.into()));
    }
    assert_eq!(
        panic_of(|| drop(tab.receive())),
        "browser 1, WebSocket /: waited for a message, 30ms at most. It has received 2 messages, 0 \
         of them unread: \"one\", \"two\". The connection is open"
    );
    let text = panic_of(|| assert_eq!(tab.closed(), CloseCode::NORMAL));
    assert!(text.contains(": waited for the end of the connection, "), "{}", text);
    let browser = server.browser();
    let tab = browser.websocket("/");
    tab.send("three");
    let text = panic_of(|| tab.receive_nothing());
    assert!(text.contains("waited for nothing") && text.contains("1 of them unread"), "{}", text);
    let refused = panic_of(|| drop(browser.websocket("/nowhere")));
    assert_eq!(refused, "browser 2: no WebSocket at /nowhere: 404 \"404 Not Found\\n\"");
}

#[test]
fn a_handler_that_does_not_answer_fails_the_test() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let stuck = move |_: &Request| {
        let _ = held.lock().expect("no panic").recv();
        Ok(Response::new())
    };
    let server = testing::Server::new(vec![Handler::new("/", stuck)]);
    let browser = server.browser().patience(Duration::from_millis(30));
    let text = panic_of(|| drop(browser.get("/")));
    assert_eq!(text, "browser 1, GET /: the server has not answered within 30ms");
    drop(release);
}

#[test]
fn a_panic_or_an_error_of_a_handler_reaches_the_test() {
    let fail = |request: &Request| match request.query_string() {
        "panic" => panic!("no {}", "luck"),
        "error" => Err("no luck".into()),
        "answer" => Err(Response::forbidden().into()),
        _ => Ok(Response::internal_error()),
    };
    let routes = || vec![Handler::new("/fail", fail), Handler::new("/", echo)];
    let server = testing::Server::new(routes());
    let browser = server.browser();
    assert_eq!(browser.get("/fail?answer").status(), 403);
    assert_eq!(browser.get("/fail?other").status(), 500);
    for what in ["panic", "error"] {
        let text = panic_of(|| drop(browser.get(&format!("/fail?{}", what))));
        let by = "the handler of GET \"/fail\" from browser 1";
        match what {
            "panic" => assert_eq!(text, format!("no luck; and {} panicked; answered 500", by)),
            _ => assert_eq!(text, format!("{} failed: \"no luck\"; answered 500", by)),
        }
        // It is told once.
        assert_eq!(browser.get("/fail?answer").status(), 403);
    }
    for (what, told) in [("panic", "asked to"), ("error", "asked to fail")] {
        let tab = browser.websocket("/");
        let text = panic_of(|| {
            tab.send(what);
            tab.receive();
        });
        assert!(text.contains("the handler of guest-") && text.contains(told), "{}", text);
    }

    // A client that does not look leaves it to the drop of the server.
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let late = move |request: &Request| {
        request.upgrade(&[], |client| {
            client.receive()?;
            let _ = held.lock().expect("no panic").recv();
            panic!("late")
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", late)]);
    let tab = server.browser().websocket("/");
    tab.send("go on");
    drop(release);
    let text = panic_of(|| drop(server));
    assert!(text.starts_with("late; and ") && text.ends_with(" panicked"), "{}", text);

    let server = testing::Server::new(routes()).allow_failures();
    assert_eq!(server.browser().get("/fail?panic").status(), 500);
    let tab = server.browser().websocket("/");
    tab.send("error");
    assert_eq!(tab.closed(), CloseCode::INTERNAL_ERROR);
    let failures = server.failures();
    assert!(failures[0].contains("no luck") && failures[2].contains("asked to fail"));
    assert!(server.failures().is_empty());
}

#[test]
fn a_stream_that_was_cut_short_is_no_answer_and_a_broken_upload_is_one_to_send() {
    let stream = |request: &Request| {
        let length = request.query("length").and_then(|length| length.parse().ok());
        let response = length.map_or(Response::new(), |length| Response::new().length(length));
        request.stream(response, |body| {
            body.write_all(b"hey").and_then(|()| body.flush())?;
            match request.query("fails") {
                Some(_) => Err(std::io::ErrorKind::Other.into()),
                None => Ok(()),
            }
        })
    };
    let upload = |request: &Request| Ok(Response::new().body(request.read_body()?));
    let routes = vec![Handler::get("/", stream), Handler::put("/", upload).streams()];
    let server = testing::Server::new(routes).allow_failures();
    let browser = server.browser();
    assert_eq!((browser.get("/").text(), browser.get("/?length=3").text()), ("hey", "hey"));
    let head = browser.request(Method::Head, "/?length=3").send();
    assert_eq!((head.header("content-length"), head.text()), (Some("3"), ""));
    for path in ["/?fails", "/?fails&length=9", "/?length=9"] {
        let text = panic_of(|| drop(browser.get(path)));
        assert!(text.contains("without a whole answer"), "{}: {}", path, text);
    }

    let put = || browser.request(Method::Put, "/");
    assert_eq!(put().header("Content-Length", "9").body("half").send().status(), 400);
    assert_eq!(put().header("Transfer-Encoding", "chunked").body("9\r\nhalf").send().status(), 400);
    assert_eq!(put().body("whole").send().text(), "whole");
}

#[test]
fn a_browser_that_waits_for_its_answer_has_not_closed() {
    let events = |request: &Request| {
        request.stream(Response::new(), |body| {
            for _ in 0..3 {
                body.write_all(b"tick ").and_then(|()| body.flush())?;
                body.poll()?;
            }
            Ok(())
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", events)]);
    let browser = server.browser();
    assert_eq!(browser.get("/").text(), "tick tick tick ");
    assert_eq!(browser.post("/", "a body").text(), "tick tick tick ");
    let kept = browser.request(Method::Get, "/nothing").header("Connection", "keep-alive");
    assert_eq!(kept.send().header("connection"), Some("keep-alive"));
}

#[test]
fn a_failure_belongs_to_its_server() {
    let (one, other) = (start_echo(Limits::default()), start_echo(Limits::default()));
    let (failing, fine) = (one.browser().websocket("/"), other.browser().websocket("/"));
    failing.send("panic");
    assert!(panic_of(|| assert_eq!(failing.closed(), CloseCode::NORMAL)).contains("asked to"));
    fine.send("hello");
    assert_eq!(fine.receive(), "hello".into());
}

#[test]
fn silence_is_proven_after_the_handlers_of_all_clients() {
    let topic = format!("silence/{}", unique());
    let slow = move |request: &Request| {
        request.upgrade(&[], |client| {
            assert!(Comms::topic(topic.as_str()).join_here());
            client.send("joined")?;
            while let Some(message) = client.receive()? {
                // Any handler may take its time.
                thread::sleep(Duration::from_millis(30));
                Comms::topic(topic.as_str()).send(message)?;
            }
            Ok(())
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", slow)]);
    let (one, other) = (server.browser().websocket("/"), server.browser().websocket("/"));
    assert_eq!((one.receive(), other.receive()), ("joined".into(), "joined".into()));
    other.receive_nothing();
    one.send("hello");
    assert!(panic_of(|| other.receive_nothing()).contains("\"hello\""));
}

#[test]
fn messages_before_a_close_arrive() {
    let many = |request: &Request| {
        request.upgrade(&[], |client| {
            (0..1000).try_for_each(|number| client.send(number.to_string()))?;
            client.close(CloseCode(4001), "done")
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", many)]);
    let tab = server.browser().websocket("/");
    assert_eq!(tab.closed(), CloseCode(4001));
    for number in 0..1000 {
        assert_eq!(tab.receive(), number.to_string().into());
    }
    assert_eq!(tab.receive_timeout(Duration::ZERO), Next::Closed);
    tab.receive_nothing();
    tab.send("after the end");
    assert!(panic_of(|| drop(tab.receive())).ends_with(" closed with 4001: \"done\""));
}

#[test]
fn neither_side_needs_the_others_attention() {
    let server = start_echo(Limits::default());
    let tab = server.browser().websocket("/");
    // Both directions are full of messages that nobody has asked for.
    let half = "x".repeat(64 * 1024);
    (0..3).for_each(|_| tab.send(half.as_str()));
    (0..3).for_each(|_| assert_eq!(tab.receive(), half.as_str().into()));
    let large = "x".repeat(1024 * 1024);
    tab.send(large.as_str());
    assert_eq!(tab.receive(), large.as_str().into());
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_as_on_a_socket() {
    let (told, ended) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let flood = move |request: &Request| {
        let told = told.lock().expect("no panic").clone();
        request.upgrade(&[], |client| {
            let handle = client.websocket();
            let flood = move || {
                let chunk = vec![0; 64 * 1024];
                while matches!(handle.send(chunk.as_slice()), Ok(1)) {}
                told.send(())
            };
            drop(thread::spawn(flood));
            while client.receive()?.is_some() {}
            Ok(())
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", flood)]);
    let tab = server.browser().websocket("/");
    ended.recv().expect("the end of the flood");
    // It is cut off without a Close frame.
    let mut taken = 0;
    while let Next::Message(_) = tab.receive_timeout(Duration::from_secs(10)) {
        taken += 1;
    }
    assert!((4..200).contains(&taken), "{}", taken);
    assert_eq!(tab.close_frame(), None);
}

#[test]
fn limits_are_kept() {
    let limits = Limits { body: 10, message: 10, messages_per_second: 3, ..Limits::default() };
    let server = start_echo(limits);
    let browser = server.browser();
    assert_eq!(browser.post("/", "more than ten").status(), 413);
    assert_eq!(browser.get(&format!("/{}", "x".repeat(9000))).status(), 414);
    let tab = browser.websocket("/");
    tab.send("more than ten");
    assert_eq!(tab.closed(), CloseCode(1009));
    let tab = browser.websocket("/");
    (0..200).for_each(|_| tab.send("x"));
    assert_eq!(tab.closed(), CloseCode::POLICY_VIOLATION);
}

#[test]
fn limits_per_address_and_proxies_apply_to_browsers_with_an_address() {
    let who = |request: &Request| {
        let secure = request.is_secure();
        Ok(Response::new().text(format!("{} {}", request.peer(), secure)))
    };
    let limits = Limits { connections: 6, connections_per_address: 2, ..Limits::default() };
    let routes = vec![Handler::new("/who", who), Handler::new("/", echo)];
    let server = Server::new(routes).limits(limits).trusted_proxy([192, 0, 2, 1]);
    let server = testing::Server::of(server);

    let ask = |browser: Browser| {
        let request = browser.request(Method::Get, "/who").header("X-Forwarded-For", "6.6.6.6");
        request.header("X-Forwarded-Proto", "https").send().text().to_string()
    };
    assert_eq!(ask(server.browser()), "browser 1 false");
    assert_eq!(ask(server.browser().address([192, 0, 2, 1])), "6.6.6.6 true");
    assert_eq!(ask(server.browser().address([192, 0, 2, 2])), "192.0.2.2 false");

    let open = |browser: &Browser| browser.request(Method::Get, "/").websocket();
    let one = server.browser().address([192, 0, 2, 2]);
    let _two = [open(&one), open(&one)].map(Result::unwrap);
    assert_eq!(open(&one).err().map(|answer| answer.status()), Some(503));
    let memory = server.browser();
    // The place of a connection that has ended may be free a moment later than its client sees.
    let soon = |()| std::iter::repeat_with(|| open(&memory)).find_map(Result::ok);
    let tabs = [(); 4].map(soon);
    assert_eq!(open(&memory).err().map(|answer| answer.status()), Some(503));
    drop(tabs);
}

#[test]
fn the_jar_honours_secure_path_and_expiry() {
    let set = |request: &Request| {
        let cookies = String::from_utf8_lossy(request.body()).into_owned();
        let add = |answer: Response, cookie| answer.header("Set-Cookie", cookie);
        Ok(cookies.split('|').fold(Response::new(), add))
    };
    let show = |request: &Request| Ok(Response::new().text(request.header("cookie").unwrap_or("")));
    let routes = || vec![Handler::new("/set/*", set), Handler::new("/*", show)];
    let server = testing::Server::new(routes());
    let browser = server.browser();
    browser.post("/set/a", "one=1|two=2; Path=/|three=3; path=/rooms|four=4; Path=nonsense");
    browser.post("/set/a", "tls=1; Secure; Path=/|gone=1; Path=/; Max-Age=0|odd|=none");
    let past = "Thu, 01 Jan 1970 00:00:00 GMT";
    browser.post(
        "/set/a",
        format!("old=1; Path=/; Expires={}|new=1; Path=/; Expires={0}; Max-Age=9", past),
    );
    browser.post("/set/a", "later=1; Path=/; Expires=Fri, 31 Dec 2999 23:59:59 GMT");
    assert_eq!(browser.get("/").text(), "two=2; new=1; later=1");
    assert_eq!(browser.get("/set").status(), 200);
    assert_eq!(browser.get("/rooms").text(), "three=3; two=2; new=1; later=1");
    assert_eq!(browser.get("/rooms/tea?path=/set").text(), "three=3; two=2; new=1; later=1");
    assert_eq!(browser.get("/roomsy").text(), "two=2; new=1; later=1");
    assert_eq!(browser.cookie("two").as_deref(), Some("2"));
    assert_eq!((browser.cookie("tls"), browser.cookie("three")), (None, None));
    browser
        .post("/set/a", format!("two=; Path=/; Expires={}|new=2; Path=/", past.replace(' ', "-")));
    assert_eq!(browser.get("/").text(), "later=1; new=2");
    let own = browser.request(Method::Get, "/").header("Cookie", "mine=1").send();
    assert_eq!(own.text(), "mine=1");

    // Over TLS, cookies with Secure are kept, and no answer over plain HTTP replaces one.
    let browser = server.browser().at("https://localhost:8443");
    browser.post("/set/a", "tls=1; Secure; Path=/");
    assert_eq!(browser.get("/").text(), "tls=1");
    let browser = browser.at("http://localhost");
    browser.post("/set/a", "tls=2; Path=/");
    assert_eq!(browser.get("/").text(), "");
    assert_eq!(browser.at("https://localhost").get("/").text(), "tls=1");
}

#[test]
fn a_server_with_secure_cookies_is_reached_over_tls() {
    let first = unique();
    let server = || testing::Server::of(Server::new(chat::routes(first)).secure_cookies(true));
    let secure = server();
    assert!(logged_in(&secure, "ada").cookie("__Host-sockling_session").is_some());
    // Over plain HTTP, the login is none.
    let plain = secure.browser().at("http://localhost");
    assert_eq!(plain.post("/login", "name=ada").status(), 403);
}

#[test]
fn a_path_is_sent_as_it_is_written() {
    let show = |request: &Request| {
        Ok(Response::new().text(format!("{}?{}", request.path(), request.query_string())))
    };
    let server = testing::Server::new(vec![Handler::new("/*", show)]);
    let browser = server.browser();
    assert_eq!(browser.get("/%61%20b?x=%2F&y").text(), "/a b?x=%2F&y");
    for path in ["/a/../b", "/a//b", "/a%2Fb", "/a b", "a"] {
        assert_eq!(browser.get(path).status(), 400, "{}", path);
    }
}

#[test]
fn every_method_and_framing_is_answered() {
    let show = |request: &Request| {
        let origin = request.header("origin").map(|_| ", origin").unwrap_or("");
        Ok(Response::new().text(format!("{}{}", request.method().as_str(), origin)))
    };
    let read = |request: &Request| Ok(Response::new().body(request.body()));
    let server = testing::Server::new(vec![Handler::new("/", show), Handler::new("/read", read)]);
    let browser = server.browser();
    for method in [Method::Get, Method::Put, Method::Patch, Method::Delete, Method::Options] {
        let origin = if method == Method::Get { "" } else { ", origin" };
        let answer = browser.request(method, "/").send();
        assert_eq!(answer.text(), format!("{}{}", method.as_str(), origin));
    }
    let head = browser.request(Method::Head, "/").send();
    assert_eq!((head.status(), head.text(), head.header("content-length")), (200, "", Some("4")));
    let chunked = browser.request(Method::Post, "/read").header("Transfer-Encoding", "chunked");
    assert_eq!(chunked.body("2\r\nab\r\n0\r\n\r\n").send().text(), "ab");
    let large = vec![7; 1024 * 1024];
    assert_eq!(browser.post("/read", large.clone()).content(), large);
}

#[test]
fn dropping_the_server_ends_every_handler() {
    let (told, ends) = mpsc::channel();
    let told = std::sync::Mutex::new(told);
    let wait = move |request: &Request| {
        request.upgrade(&[], |client| {
            let told = told.lock().expect("no panic").clone();
            while client.receive()?.is_some() {}
            told.send(client.close_frame().map(|close| close.code)).map_err(Error::other)
        })
    };
    let drain_timeout = Duration::from_secs(60);
    let limits = Limits { drain_timeout, ..Limits::default() };
    let server = Server::new(vec![Handler::new("/", wait)]).limits(limits);
    let server = testing::Server::of(server);
    let browser = server.browser();
    let tabs: Vec<Tab> = (0..5).map(|_| browser.websocket("/")).collect();
    let begun = Instant::now();
    drop(server);
    assert!(begun.elapsed() < drain_timeout / 2, "{:?}", begun.elapsed());
    for tab in &tabs {
        assert_eq!(tab.closed(), CloseCode::GOING_AWAY);
        assert_eq!(ends.recv().expect("an end"), Some(CloseCode::GOING_AWAY));
    }
    let text = panic_of(|| drop(browser.get("/")));
    assert_eq!(text, "browser 1 connects to a server that was dropped: keep the Server");
}

#[test]
fn a_handler_that_never_returns_is_named_by_the_drop_of_the_server() {
    let (release, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let stuck = move |request: &Request| {
        request.upgrade(&[], |_| {
            let _ = held.lock().expect("no panic").recv();
            Ok(())
        })
    };
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Server::new(vec![Handler::new("/stuck", stuck)]).limits(limits);
    let server = testing::Server::of(server);
    let tab = impatient(&server, "/stuck");
    assert!(panic_of(|| tab.receive_nothing()).contains("every handler of the server to return"));
    assert_eq!(panic_of(|| drop(server)), "the handler of \"/stuck\" did not end");
    drop(release);
}

#[test]
fn here_is_the_tab_whose_handler_runs() {
    let topic = format!("here/{}", unique());
    let here = move |request: &Request| {
        request.upgrade(&[], |client| {
            let here = Comms::here().ok_or("not here")?;
            assert!(Comms::topic(topic.as_str()).join_here());
            while client.receive()?.is_some() {
                here.send("here")?;
                Comms::topic(topic.as_str()).send("topic")?;
            }
            Ok(())
        })
    };
    let server = testing::Server::new(vec![Handler::new("/", here)]);
    let browser = server.browser();
    let (one, other) = (browser.websocket("/"), browser.websocket("/"));
    one.receive_nothing();
    other.receive_nothing();
    one.send("now");
    assert_eq!((one.receive(), one.receive()), ("here".into(), "topic".into()));
    assert_eq!(other.receive(), "topic".into());
    other.receive_nothing();
}
