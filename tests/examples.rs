//! Each example is short, says what it teaches and how to try it, and has its place among the lessons;
//! and it runs: it is started on a port of the system's choice, asked for what it teaches, and ended.
#![cfg(feature = "macros")]

mod loopback;

/// Its own test: cargo builds the program and not the test of an example.
#[allow(dead_code)]
#[path = "../examples/rooms.rs"]
mod rooms;

use sockling::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Its own tests, of what no client can make it send, and of its end.
#[allow(dead_code)]
#[path = "../examples/events.rs"]
mod events;

/// The most lines of code that an example may have, comments and empty lines aside.
fn most_lines(name: &str) -> usize {
    match name {
        // A login, a token, four methods, and what an upload must not leave behind: without any of
        // these, a copy of it would be unsafe.
        "files" => 110,
        _ => 80,
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// Returns the names of the examples that are one file.
fn names() -> BTreeSet<String> {
    let entries = fs::read_dir(folder()).expect("a folder").map(|entry| entry.expect("an entry"));
    let names = entries.map(|entry| entry.file_name().into_string().expect("a name in UTF-8"));
    names.filter_map(|name| name.strip_suffix(".rs").map(str::to_string)).collect()
}

fn source(name: &str) -> String {
    fs::read_to_string(folder().join(name).with_extension("rs")).expect(name)
}

#[test]
fn each_is_short_and_opens_with_its_lesson_and_how_to_try_it() {
    assert!(names().len() >= 17, "{:?}", names());
    for name in names() {
        let source = source(&name);
        let is_code = |line: &&str| !line.is_empty() && !line.trim_start().starts_with("//");
        let lines = source.lines().filter(is_code).count();
        assert!(lines <= most_lines(&name), "{} has {} lines", name, lines);
        assert!(source.starts_with("//! "), "{}", name);
        let opening: String = source.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(opening.contains("Try it: `"), "{}", name);
        assert!(opening.contains(&format!("cargo run --example {}`", name)), "{}", name);
    }
}

#[test]
fn each_has_a_lesson_with_two_exercises_and_a_test() {
    let lessons = fs::read_to_string(folder().join("README.md")).expect("the lessons");
    let tests = include_str!("examples.rs");
    for name in names() {
        let title = format!("`{}`", name);
        let lesson = lessons
            .split("\n## ")
            .find(|lesson| lesson.lines().next().map_or(false, |heading| heading.contains(&title)));
        let lesson = lesson.unwrap_or_else(|| panic!("no lesson has {} in its heading", title));
        assert!(lesson.contains("\n1. ") && lesson.contains("\n2. "), "{}", name);
        assert!(lesson.contains("What you should see"), "{}", name);
        assert!(
            ["start", "start_with"]
                .iter()
                .any(|how| tests.contains(&format!("{}(\"{}\"", how, name))),
            "nobody runs {}",
            name
        );
    }
}

#[test]
fn no_page_fetches_from_elsewhere() {
    for entry in fs::read_dir(folder().join("pages")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let page = fs::read_to_string(&path).expect("a page");
        for word in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(word), "{} has {}", path.display(), word);
        }
        for word in
            ["<!doctype html>", "lang=\"en\"", "width=device-width", "color-scheme: light dark"]
        {
            assert!(page.contains(word), "{} lacks {}", path.display(), word);
        }
    }
}

/// Returns a client of the events, whose answer has no frame: it is what comes until the end.
fn listener(address: SocketAddr, query: &str, fields: &str) -> loopback::Client {
    let mut client = loopback::Client::connect(address);
    let head = format!("GET /events{} HTTP/1.0\r\nHost: localhost\r\n{}\r\n", query, fields);
    client.send(head.as_bytes());
    let reply = client.reply();
    assert_eq!(reply.header("content-type"), Some("text/event-stream"));
    assert!(reply.header("cache-control").expect("it has one").ends_with("no-cache"));
    assert_eq!(reply.header("x-accel-buffering"), Some("no"));
    assert_eq!(client.next_until("\n\n"), "retry: 2000\n\n");
    client
}

#[test]
fn events_splits_data_at_each_line_break_and_keeps_ids_and_names_in_one_line() {
    let routes = vec![Handler::get("/events", events::stream)];
    let server = loopback::Running::start(Server::new(routes));
    let mut client = listener(server.address, "", "");
    for (message, event) in [
        ("7\nnews\nhey", "id: 7\nevent: news\ndata: hey\n\n"),
        ("\nyou\nhey", "event: you\ndata: hey\n\n"),
        ("8\nnews\n", "id: 8\nevent: news\ndata: \n\n"),
        ("9\nnews\na\r\nb\rc\nd", "id: 9\nevent: news\ndata: a\ndata: b\ndata: c\ndata: d\n\n"),
        ("9\nnews\n\r\n\r\r", "id: 9\nevent: news\ndata: \ndata: \ndata: \ndata: \n\n"),
        ("1\r0\0\nne\rws\nretry: 1", "id: 10\nevent: news\ndata: retry: 1\n\n"),
        ("no name", "id: no name\nevent: \ndata: \n\n"),
    ] {
        Comms::topic("news").send(message).expect("it is sent");
        assert_eq!(client.next_until("\n\n"), event, "{:?}", message);
    }
    // A quiet stream shows that it is in use, and ends when the server does.
    assert_eq!(client.next_until("\n\n"), ":\n\n");
    assert!(server.handle.shutdown().is_empty());
    assert_eq!(client.read_to_end(), b"");
}

/// Those who start a program: an emulator would have to be started with it.
mod running {
    use crate::loopback::{masked, upgrade_request, wait_until, Client, Reply, PATIENCE};
    use std::fs;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::SocketAddr;
    use std::path::{Path, PathBuf};
    use std::process::{Child, ChildStdin, Command, Stdio};
    use std::sync::mpsc::{channel, Receiver, Sender};
    use std::thread;
    use std::time::Instant;

    /// An example that runs until it is dropped.
    struct Example {
        process: Child,
        stdin: Option<ChildStdin>,
        lines: Receiver<String>,
        told: Vec<String>,
    }

    fn start(name: &str) -> Example {
        start_with(name, &[], &[])
    }

    /// Starts an example. Cargo builds them beside the tests, unless it is asked for one test alone.
    fn start_with(name: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Example {
        let test = std::env::current_exe().expect("a path");
        let target =
            test.parent().and_then(Path::parent).expect("a folder above that of the tests");
        let program = target.join("examples").join(name);
        let program = program.with_extension(std::env::consts::EXE_EXTENSION);
        assert!(program.exists(), "{} is not there: cargo build --examples", program.display());
        let mut process = Command::new(program)
            .args(arguments)
            .env("SOCKLING_ADDR", "127.0.0.1:0")
            .env("SOCKLING_LOG", "info")
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("a process");
        let (sender, lines) = channel();
        let stdin = process.stdin.take();
        tell(process.stdout.take().expect("a pipe"), sender.clone());
        tell(process.stderr.take().expect("a pipe"), sender);
        Example { process, stdin, lines, told: Vec::new() }
    }

    /// Passes on the lines that a program prints.
    fn tell(from: impl Read + Send + 'static, to: Sender<String>) {
        thread::spawn(move || {
            let lines = BufReader::new(from).lines().map(|line| line.expect("text"));
            // Nobody listens once the test is over.
            lines.take_while(|line| to.send(line.clone()).is_ok()).for_each(drop);
        });
    }

    impl Example {
        /// Returns the next line with this text.
        fn line(&mut self, text: &str) -> String {
            let end = Instant::now() + PATIENCE;
            loop {
                let left = end.saturating_duration_since(Instant::now());
                let line = self.lines.recv_timeout(left).unwrap_or_else(|_| {
                    panic!("it did not tell {:?} but {:#?}", text, self.told);
                });
                self.told.push(line.clone());
                if line.contains(text) {
                    return line;
                }
            }
        }

        fn address(&mut self) -> SocketAddr {
            let line = self.line(" http://");
            let port =
                line.rsplit(':').next().and_then(|rest| rest.trim_end_matches('/').parse().ok());
            SocketAddr::from(([127, 0, 0, 1], port.expect("a port")))
        }
    }

    impl Drop for Example {
        fn drop(&mut self) {
            // Fails when it has ended, which the test has seen.
            let _ = self.process.kill();
            let _ = self.process.wait();
            let told = self.told.drain(..).chain(self.lines.try_iter());
            let panicked: Vec<_> = told.filter(|line| line.contains("panicked")).collect();
            assert!(thread::panicking() || panicked.is_empty(), "{:?}", panicked);
        }
    }

    fn assert_page(address: SocketAddr, target: &str, title: &str) {
        let page = Client::connect(address).get(target, "");
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        assert!(page.text().contains(&format!("<title>{}</title>", title)), "{}", page.text());
    }

    #[test]
    fn hello_greets_by_name() {
        let mut example = start("hello");
        let address = example.address();
        assert_eq!(Client::connect(address).get("/?name=Ada", "").text(), "hello Ada\n");
    }

    #[test]
    fn echo_has_a_page_and_sends_back_what_it_gets() {
        let mut example = start("echo");
        let address = example.address();
        assert_page(address, "/", "Echo");
        let mut client = Client::websocket(address, "/websocket", "");
        client.text("hello");
        assert_eq!(client.next_text(), "hello");
    }

    #[test]
    fn counter_counts_for_each_connection_and_refuses_a_client_that_does_not_say_from_where() {
        let mut example = start("counter");
        let address = example.address();
        assert_eq!(Client::upgrade(address, "/count", "").1.status, 400);
        let mut clients = [7, 40]
            .map(|from| (from, Client::websocket(address, &format!("/count?from={}", from), "")));
        for step in 0..2 {
            for (from, client) in &mut clients {
                client.text("");
                assert_eq!(client.next_text(), (*from + step).to_string());
            }
        }
    }

    /// Answers the question that only a page's script can answer.
    fn begin_quiz(address: SocketAddr, target: &str) -> Client {
        let mut client = Client::websocket(address, target, "");
        assert_eq!(client.next_text(), "zone?");
        client.text("Europe/Prague");
        client
    }

    /// Returns in how many milliseconds the first question was answered, from call to answer, and
    /// leaves the second one open.
    fn milliseconds(client: &mut Client) -> f64 {
        let said = client.next_text();
        let ms = said.strip_prefix("say Your browser answered in ").expect(&said);
        let (ms, zone) = ms.split_once(" ms. ").expect(&said);
        assert_eq!(zone, "Its time zone is Europe/Prague.");
        assert_eq!(client.next_text(), "ask What is your name?");
        ms.parse().expect(&said)
    }

    #[test]
    fn ask_asks_one_question_after_the_other_and_closes_when_it_has_asked_all() {
        let mut example = start("ask");
        let address = example.address();
        assert_page(address, "/", "Ask");
        let mut client = begin_quiz(address, "/quiz");
        milliseconds(&mut client);
        for (answer, said, question) in [
            ("Ada", "", "ask What is the opcode of a ping?"),
            ("9", "say That is right.", "ask How many bytes has a masking key?"),
            ("5", "say No, 4.", "ask Which close code is the normal one?"),
            (" 1000 ", "say That is right.", "say 2 right answers of 3, Ada."),
        ] {
            client.text(answer);
            if !said.is_empty() {
                assert_eq!(client.next_text(), said);
            }
            assert_eq!(client.next_text(), question);
        }
        assert_eq!(client.next_close(), (1000, String::new()));
    }

    #[test]
    fn ask_is_answered_in_milliseconds() {
        let mut example = start("ask");
        let address = example.address();
        // The fastest of many: a busy machine may delay any single one.
        let times = (0..20).map(|_| milliseconds(&mut begin_quiz(address, "/quiz")));
        let fastest = times.fold(f64::MAX, f64::min);
        assert!(fastest < 50.0, "{} ms", fastest);
    }

    #[test]
    fn ask_has_300_questions_open_at_once() {
        let mut example = start("ask");
        let address = example.address();
        let mut clients: Vec<Client> = (0..300).map(|_| begin_quiz(address, "/quiz")).collect();
        clients.iter_mut().map(milliseconds).for_each(drop);
        // All conversations wait for an answer to the same question.
        let begun = Instant::now();
        clients.iter_mut().for_each(|client| client.text("Ada"));
        for client in &mut clients {
            assert_eq!(client.next_text(), "ask What is the opcode of a ping?");
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    }

    #[test]
    fn ask_closes_when_no_answer_comes_in_time_or_when_it_is_not_text() {
        let mut example = start("ask");
        let address = example.address();
        let mut silent = begin_quiz(address, "/quiz?seconds=3");
        milliseconds(&mut silent);
        let mut client = begin_quiz(address, "/quiz");
        milliseconds(&mut client);
        client.frame(0x82, b"\x00");
        assert_eq!(client.next_close(), (1003, "an answer is text".to_string()));
        assert_eq!(silent.next_close(), (4000, "no answer in time".to_string()));
    }

    #[test]
    fn push_sends_a_request_s_body_to_the_tabs_of_its_browser() {
        let mut example = start("push");
        let address = example.address();
        assert_page(address, "/", "Push");
        let (mut client, reply) = Client::upgrade(address, "/websocket", "");
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
        assert_eq!(Client::connect(address).post("/push", &cookie, "hello").text(), "1");
        assert_eq!(client.next_text(), "hello");
        let token = Client::connect(address).post("/remember", &cookie, "").text().to_string();
        assert!(client.next_text().starts_with("tick "));
        let target = format!("/push/{}", token);
        assert_eq!(Client::connect(address).post(&target, "", "by token").text(), "1");
        while client.next_text() != "by token" {}
    }

    #[test]
    fn rooms_keeps_what_is_said_for_those_in_the_room() {
        let mut example = start("rooms");
        let address = example.address();
        assert_page(address, "/rooms/tea", "Rooms");
        let mut client = Client::websocket(address, "/rooms/tea", "");
        assert!(client.next_text().ends_with(" is here, 1 in the room"));
        client.text("milk?");
        assert!(client.next_text().ends_with(": milk?"));
        let mut elsewhere = Client::websocket(address, "/rooms/tv", "");
        assert!(elsewhere.next_text().ends_with(" is here, 1 in the room"));
        let mut later = Client::websocket(address, "/rooms/tea", "");
        assert!(later.next_text().ends_with(" is here, 1 in the room"));
        assert!(later.next_text().ends_with(": milk?"));
        let metrics = Client::connect(address).get("/metrics", "");
        assert!(metrics.text().starts_with("connections 3\ntopics 2\n"), "{}", metrics.text());
    }

    #[test]
    fn events_come_as_a_stream_and_over_a_websocket_and_again_from_the_last_one_seen() {
        let mut example = start("events");
        let address = example.address();
        assert_page(address, "/", "Events");
        let send = |to, fields, text| {
            let reply = Client::connect(address).post(&format!("/send/{}", to), fields, text);
            assert_eq!(reply.status, 204);
        };
        let cookie = Client::connect(address).get("/", "").cookie().expect("a cookie");
        let cookie = format!("Cookie: {}\r\n", cookie);
        let mut stream = crate::listener(address, "", &cookie);
        let mut other = crate::listener(address, "", "");
        let mut socket = Client::websocket(address, "/socket", &cookie);
        assert_eq!(socket.next_text(), "\nready\n");
        let mut ids = Vec::new();
        for (text, data) in [("one", "data: one"), ("two\r\nlines", "data: two\ndata: lines")] {
            send("me", &*cookie, "only me");
            send("all", "", text);
            assert_eq!(stream.next_until("\n\n"), "event: you\ndata: only me\n\n");
            assert_eq!(socket.next_text(), "\nyou\nonly me");
            let message = socket.next_text();
            let (id, rest) = message.split_once('\n').expect("an id");
            assert_eq!(rest, format!("news\n{}", text));
            let event = format!("id: {}\nevent: news\n{}\n\n", id, data);
            for client in [&mut stream, &mut other] {
                assert_eq!(client.next_until("\n\n"), event);
            }
            ids.push(id.parse::<u64>().expect("a number"));
        }
        assert_eq!(ids[0] + 1, ids[1]);

        // By the field of the browser, which goes before the query of the script, and by that.
        let again = [
            (String::from("?after=0"), format!("Last-Event-ID: {}\r\n", ids[0]), 1),
            (format!("?after={}", ids[0]), String::new(), 1),
            (String::from("?after=x"), String::new(), 2),
            (String::new(), String::from("Last-Event-ID: 7\r\n"), 2),
            (format!("?after={}", ids[1]), String::new(), 0),
        ];
        let again = again.map(|(query, fields, missed)| {
            let mut client = crate::listener(address, &query, &fields);
            for id in &ids[2 - missed..] {
                let event = client.next_until("\n\n");
                assert!(event.starts_with(&format!("id: {}\n", id)), "{} {}", query, fields);
            }
            client
        });
        send("all", "", "three");
        for mut client in again {
            assert!(client.next_until("\n\n").ends_with("data: three\n\n"));
        }
        let mut again = Client::websocket(address, &format!("/socket?after={}", ids[0]), "");
        assert_eq!(again.next_text(), format!("{}\nnews\ntwo\r\nlines", ids[1]));
        assert_eq!(again.next_text(), format!("{}\nnews\nthree", ids[1] + 1));
        assert_eq!(again.next_text(), "\nready\n");
        let foreign = "Origin: https://example.org\r\n";
        assert_eq!(Client::connect(address).post("/send/all", foreign, "").status, 403);
    }

    #[test]
    fn events_frees_the_thread_of_a_client_that_has_gone() {
        let mut example = start_with("events", &[], &[("SOCKLING_LOG", "debug")]);
        let address = example.address();
        drop(crate::listener(address, "", ""));
        example.line("the answer to GET \"/events\" from 127.0.0.1");
    }

    /// A folder that is removed with what is in it.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name))
        }

        /// Returns the names in it, or in a folder of it.
        fn names(&self, folder: &str) -> Vec<String> {
            let entries = fs::read_dir(self.0.join(folder)).expect("a folder");
            let names = entries.map(|entry| entry.expect("an entry").file_name());
            let mut names: Vec<_> =
                names.map(|name| name.into_string().expect("a name in UTF-8")).collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const TOKEN: &str = "Authorization: Bearer sesame\r\n";

    /// Sends a request with a body, and returns the answer.
    fn files_request(address: SocketAddr, line: &str, fields: &str, body: &str) -> Reply {
        let mut client = Client::connect(address);
        let (method, target) = line.split_once(' ').expect("a method and a target");
        let request = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n{}\r\n{}",
            method,
            target,
            body.len(),
            fields,
            body
        );
        client.send(request.as_bytes());
        client.reply_to(method)
    }

    #[test]
    fn files_takes_lists_gives_out_and_deletes() {
        let folder = Folder::new("files");
        // A process that was killed has left a part of an upload.
        fs::create_dir_all(folder.0.join(".parts")).expect("a folder");
        fs::write(folder.0.join(".parts/0"), "left").expect("a file");
        let mut example = start_with("files", &[folder.0.to_str().expect("UTF-8")], &[]);
        let address = example.address();
        assert_page(address, "/", "Files");
        assert!(folder.names(".parts").is_empty());
        let ask = |line: &str, fields: &str, body: &str| {
            files_request(address, line, &[TOKEN, fields].concat(), body)
        };
        assert_eq!(ask("GET /files/", "", "").text(), "");
        assert_eq!(ask("PUT /files/b.html", "", "<p>hello").status, 201);
        assert_eq!(ask("PUT /files/%C3%BC%20a", "", "first").status, 201);
        assert_eq!(ask("PUT /files/%C3%BC%20a", "", "second").status, 204);
        assert_eq!(ask("GET /files/", "", "").text(), "b.html\t8\nü a\t6\n");
        let file = ask("GET /files/b.html", "", "");
        assert_eq!((file.status, file.text()), (200, "<p>hello"));
        assert_eq!(file.header("content-disposition"), Some("attachment"));
        assert_eq!(file.header("x-content-type-options"), Some("nosniff"));
        let rest = ask("GET /files/b.html", "Range: bytes=3-\r\n", "");
        assert_eq!((rest.status, rest.text()), (206, "hello"));
        assert_eq!(rest.header("content-range"), Some("bytes 3-7/8"));
        assert_eq!(rest.header("content-disposition"), Some("attachment"));
        assert_eq!(ask("HEAD /files/b.html", "", "").header("content-length"), Some("8"));
        assert_eq!(ask("DELETE /files/b.html", "", "").status, 204);
        assert_eq!(ask("DELETE /files/b.html", "", "").status, 404);
        assert_eq!(ask("GET /files/b.html", "", "").status, 404);
        assert_eq!(ask("POST /files/b.html", "", "").status, 405);
        assert_eq!(folder.names(""), [".parts", "ü a"]);
        assert!(folder.names(".parts").is_empty());
    }

    #[test]
    fn files_refuses_names_that_are_hidden_or_lead_elsewhere() {
        let folder = Folder::new("files-names");
        let mut example = start_with("files", &[folder.0.to_str().expect("UTF-8")], &[]);
        let address = example.address();
        let long = "x".repeat(201);
        for name in [
            "", ".x", ".parts", ".parts/0", "a/b", "a/", "%2e%2e", "..", "a%2Fb", "a%5Cb", "a%0Ab",
            "%7f", &long,
        ] {
            for method in ["PUT", "DELETE"] {
                let line = format!("{} /files/{}", method, name);
                assert_eq!(files_request(address, &line, TOKEN, "").status, 400, "{}", line);
            }
            let hidden = files_request(address, &format!("GET /files/{}", name), TOKEN, "");
            assert!(name.is_empty() || [400, 404].contains(&hidden.status), "{}", name);
        }
        assert_eq!(folder.names(""), [".parts"]);
    }

    #[test]
    fn files_answers_401_before_a_byte_of_the_body() {
        let folder = Folder::new("files-401");
        let mut example = start_with("files", &[folder.0.to_str().expect("UTF-8")], &[]);
        let address = example.address();
        let head = "PUT /files/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 209715200\r\n";
        for (fields, status) in [
            ("", 401),
            ("Authorization: Bearer other\r\n", 401),
            ("Authorization: Basic sesame\r\n", 401),
            ("Cookie: sockling_session=v2.u.1.1.1.x\r\n", 401),
            ("Expect: 100-continue\r\n", 401),
            ("Authorization: Bearer sesame\r\nOrigin: https://example.org\r\n", 403),
            ("Authorization: Bearer sesame\r\nExpect: 100-continue\r\n", 100),
        ] {
            let mut client = Client::connect(address);
            client.send(format!("{}{}\r\n", head, fields).as_bytes());
            assert_eq!(client.reply().status, status, "{}", fields);
        }
        let head = head.replace("209715200", "1073741825");
        let mut client = Client::connect(address);
        client.send(format!("{}{}\r\n", head, TOKEN).as_bytes());
        assert_eq!(client.reply().status, 413);

        // With the cookie of a login, for pages of its own alone.
        let form = "Content-Type: application/x-www-form-urlencoded\r\n";
        assert_eq!(files_request(address, "POST /login", form, "token=other").status, 401);
        let reply = files_request(address, "POST /login", form, "token=sesame");
        assert_eq!(reply.status, 204);
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
        assert_eq!(files_request(address, "PUT /files/a", &cookie, "a").status, 201);
        let foreign = format!("{}Origin: https://example.org\r\n", cookie);
        for line in ["PUT /files/a", "DELETE /files/a"] {
            assert_eq!(files_request(address, line, &foreign, "").status, 403);
        }
        assert_eq!(files_request(address, "GET /files/", &cookie, "").text(), "a\t1\n");
    }

    #[test]
    fn files_keeps_nothing_of_a_broken_upload() {
        let folder = Folder::new("files-broken");
        let mut example = start_with("files", &[folder.0.to_str().expect("UTF-8")], &[]);
        let address = example.address();
        assert_eq!(files_request(address, "PUT /files/a", TOKEN, "before").status, 201);
        let chunked = "Transfer-Encoding: chunked\r\n";
        for (fields, body, status) in [
            ("Content-Length: 9\r\n", "half", 400),
            (chunked, "4\r\nhalf\r\n", 400),
            (chunked, "4\r\nhalf\r\nx\r\n", 400),
            (chunked, "40000001\r\nmore", 413),
        ] {
            let mut client = Client::connect(address);
            let head = "PUT /files/a HTTP/1.1\r\nHost: localhost\r\n";
            client.send([head, TOKEN, fields, "\r\n", body].concat().as_bytes());
            wait_until("a part is there, or the answer", || {
                body.ends_with("x\r\n")
                    || body.ends_with("more")
                    || !folder.names(".parts").is_empty()
            });
            client.shut_write();
            assert_eq!(client.reply().status, status, "{:?}", body);
            assert!(folder.names(".parts").is_empty(), "{:?}", body);
            assert_eq!(files_request(address, "GET /files/a", TOKEN, "").text(), "before");
        }
        assert_eq!(folder.names(""), [".parts", "a"]);
    }

    #[test]
    fn chat_tells_each_room_who_comes_says_something_and_goes() {
        let mut example = start("chat");
        let address = example.address();
        assert_page(address, "/", "Chat");
        assert_page(address, "/tea?name=Ada", "Chat");
        let (mut ada, reply) = Client::upgrade(address, "/tea?name=Ada", "");
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
        let id = ada.next_text().strip_prefix("you\t").expect("who").to_string();
        assert_eq!(ada.next_text(), format!("here\t{}\tAda", id));
        ada.text("anybody?");
        let said = ada.next_text();
        assert_eq!(said, format!("say\t{}\tAda\tanybody?", id));
        assert_eq!(Client::upgrade(address, "/tea", "").1.status, 400);

        let mut bob = Client::websocket(address, "/tea?name=Bob", "");
        let bobs = bob.next_text().strip_prefix("you\t").expect("who").to_string();
        assert_eq!(bob.next_text(), said, "what was said before comes first");
        let both = format!("here\t{}\tAda\t{}\tBob", id, bobs);
        assert_eq!((bob.next_text(), ada.next_text()), (both.clone(), both.clone()));
        let mut elsewhere = Client::websocket(address, "/tv?name=Eve", "");
        assert!(elsewhere.next_text().starts_with("you\t"));
        assert!(elsewhere.next_text().ends_with("\tEve"));

        // A second tab of the same browser is nobody new.
        let mut tab = Client::websocket(address, "/tea?name=Ada", &cookie);
        assert_eq!(tab.next_text(), format!("you\t{}", id));
        assert_eq!((tab.next_text(), tab.next_text()), (said, both.clone()));
        tab.frame(0x88, b"\x03\xe8");
        assert_eq!(tab.next_close().0, 1000);
        // All are told whenever a tab comes or goes.
        for client in [&mut ada, &mut bob] {
            assert_eq!([client.next_text(), client.next_text()], [both.clone(), both.clone()]);
        }

        ada.text("milk?\tyes");
        for client in [&mut ada, &mut bob] {
            assert_eq!(client.next_text(), format!("say\t{}\tAda\tmilk?\tyes", id));
        }
        drop(ada);
        assert_eq!(bob.next_text(), format!("here\t{}\tBob", bobs));
        bob.text(&"x".repeat(1001));
        assert_eq!(bob.next_close().0, 1009);
    }

    #[test]
    fn poll_takes_a_form_and_shows_the_votes_to_all_tabs() {
        let mut example = start("poll");
        let address = example.address();
        assert_page(address, "/login", "Poll");
        let log_in = |form| {
            let fields = "Content-Type: application/x-www-form-urlencoded\r\n";
            let reply = Client::connect(address).post("/login", fields, form);
            assert_eq!((reply.status, reply.header("location")), (303, Some("/")));
            let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
            Client::websocket(address, "/votes", &cookie)
        };
        let mut tabs = [log_in("name=Ada&password=engine"), log_in("name=admin&password=sesame")];
        for (at, message, state) in
            [(0, "tea", "open\n1 tea"), (1, "tea", "open\n2 tea"), (1, "close", "closed\n2 tea")]
        {
            tabs[at].text(message);
            let state = format!("{}\n0 coffee\n0 water\nhere admin\nhere Ada", state);
            tabs.iter_mut().for_each(|tab| while tab.next_text() != state {});
        }
    }

    #[test]
    fn guard_wants_the_token_and_a_page_that_is_allowed() {
        let mut example = start_with("guard", &[], &[("GUARD_TOKEN", "sesame")]);
        let address = example.address();
        assert_page(address, "/?token=sesame", "Echo");
        for (target, field, status) in [
            ("/websocket", "", 401),
            ("/websocket?token=open", "", 401),
            ("/websocket", "Authorization: Bearer open\r\n", 401),
            ("/websocket?token=sesame", "", 101),
            ("/websocket", "Authorization: Bearer sesame\r\n", 101),
            ("/websocket?token=sesame", "Origin: https://example.com\r\n", 101),
            ("/websocket?token=sesame", "Origin: https://example.org\r\n", 403),
        ] {
            let (mut client, reply) = Client::upgrade(address, target, field);
            assert_eq!(reply.status, status, "{} {}", target, field);
            if status == 101 {
                client.text("hello");
                assert_eq!(client.next_text(), "hello");
            }
        }
    }

    #[test]
    fn dashboard_counts_its_pages_and_what_they_send() {
        let mut example = start("dashboard");
        let address = example.address();
        assert_page(address, "/", "Dashboard");
        let mut client = Client::websocket(address, "/websocket", "");
        while !client.next_text().contains("\"connections\": 1, \"in\": 0,") {}
        client.text("one");
        while !client.next_text().contains("\"in\": 1,") {}
    }

    #[test]
    fn limits_answers_what_it_says() {
        let mut example = start("limits");
        let address = example.address();
        assert_page(address, "/", "Limits");
        let long = format!("/?{}", "x".repeat(300));
        assert_eq!(Client::connect(address).get(&long, "").status, 414);
        assert_eq!(Client::connect(address).post("/", "", &"x".repeat(101)).status, 413);

        let (mut first, reply) = Client::upgrade(address, "/websocket", "");
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a cookie"));
        let mut second = Client::websocket(address, "/websocket", &cookie);
        assert_eq!(Client::upgrade(address, "/websocket", &cookie).1.status, 429);
        first.text(&"x".repeat(101));
        assert_eq!(first.next_close().0, 1009);
        second.frame(0x01, b"");
        for _ in 0..4 {
            second.frame(0x00, b"");
        }
        assert_eq!(second.next_close().0, 1008);

        let mut half = Client::websocket(address, "/websocket", "");
        half.send(b"\x81\x85");
        assert_eq!(half.next_close().0, 1008);

        let mut failing = Client::websocket(address, "/websocket", "");
        failing.text("fail");
        assert_eq!(failing.next_close().0, 1011);
    }

    #[test]
    fn graceful_closes_with_1001_and_ends() {
        let mut example = start("graceful");
        let address = example.address();
        let mut client = Client::websocket(address, "/websocket", "");
        client.text("hello");
        assert_eq!(client.next_text(), "hello");
        example.stdin.as_mut().expect("a pipe").write_all(b"\n").expect("it reads");
        assert_eq!(client.next_close().0, 1001);
        client.frame(0x88, b"\x03\xe9");
        assert_eq!(example.line("cut off"), "0 had to be cut off");
        assert!(example.process.wait().expect("an end").success());
    }

    #[test]
    fn service_believes_its_proxy_and_answers_for_its_host_alone() {
        let mut example = start_with("service", &[], &[("SERVICE_HOST", "chat.example.com")]);
        let address = example.address();
        let mut client = Client::connect(address);
        assert_eq!(client.get("/", "X-Forwarded-For: 192.0.2.7\r\n").text(), "192.0.2.7\n");
        client.send(b"GET / HTTP/1.1\r\nHost: other.example.com\r\n\r\n");
        assert_eq!(client.reply().status, 421);
    }

    #[test]
    fn trace_draws_the_frame_of_the_rfc_and_passes_it_on() {
        let mut echo = start("echo");
        let mut trace = start_with("trace", &[&echo.address().to_string()], &[]);
        let mut client = Client::connect(trace.address());
        client.send(upgrade_request("/websocket", "").as_bytes());
        assert_eq!(client.reply().status, 101);
        client.send(&masked(0x81, b"Hello"));
        assert_eq!(client.next_text(), "Hello");
        trace.line("client: 81 85 37 fa 21 3d 7f 9f 4d 51 58");
        trace.line("|1|0|0|0|0 0 0 1|1|0 0 0 0 1 0 1|");
        trace.line("FIN, text, masked, 5 bytes, 'Hello'");
        trace.line("server: 81 05 48 65 6c 6c 6f");
        trace.line("FIN, text, not masked, 5 bytes, 'Hello'");
    }

    #[test]
    fn codec_reads_and_writes_the_frame_of_the_rfc() {
        let mut example = start("codec");
        example.line("the answer to its key: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        example.line("received: Some(Ping([]))");
        example.line("received: Some(Message(Text(\"Hello\")))");
        example.line("and back: [81, 85, 37, fa, 21, 3d, 7f, 9f, 4d, 51, 58]");
        assert!(example.process.wait().expect("an end").success());
    }
}
