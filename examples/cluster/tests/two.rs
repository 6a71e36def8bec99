//! Two processes of the chat, and a Redis between them.

#[path = "../../../src/redis/tests/cluster/engine.rs"]
#[allow(dead_code)] // a part of it
mod engine;
#[path = "../../../tests/loopback/mod.rs"]
mod loopback;

use engine::Engine;
use loopback::{wait_until, Client};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

struct Chat {
    process: Child,
    address: SocketAddr,
}

impl Chat {
    fn start(engine: &Engine) -> Chat {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cluster"))
            .env("SOCKLING_ADDR", "127.0.0.1:0")
            .env("SOCKLING_LOG", "info")
            .env("REDIS_URL", engine.url())
            .env("CHAT_KEY", "a key that only this test knows")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        let port = lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find_map(|line| {
                let (_, rest) = line.split_once("http://localhost:")?;
                rest.trim_end_matches('/').parse::<u16>().ok()
            })
            .expect("it says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Chat { process, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let kill = Command::new("kill").args(["-s", name, &id]).status();
        assert!(kill.expect("a program that signals").success());
    }

    fn enter(&self, name: &str) -> Client {
        Client::websocket(self.address, &format!("/tea?name={}", name), "")
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns word, name and text of the next line.
fn line(client: &mut Client) -> [String; 3] {
    let text = client.next_text();
    let parts: Vec<&str> = text.split('\t').collect();
    [parts[0], parts[2], parts.get(3).unwrap_or(&"")].map(str::to_string)
}

/// Returns the names of a line that says who is here.
fn here(client: &mut Client) -> Vec<String> {
    loop {
        let text = client.next_text();
        if text.starts_with("here\t") {
            let mut names: Vec<String> =
                text.split('\t').skip(3).step_by(2).map(str::to_string).collect();
            names.sort();
            return names;
        }
    }
}

#[test]
fn two_processes_are_one_chat_and_who_was_with_one_that_died_has_left() {
    let Some(engine) = Engine::start() else { return };
    let chats = [(); 2].map(|()| Chat::start(&engine));
    let page = Client::connect(chats[0].address).get("/tea", "");
    assert!(page.text().contains("<title>Chat</title>"));
    let mut ada = chats[0].enter("Ada");
    assert_eq!(here(&mut ada), ["Ada"]);
    wait_until("the room is subscribed to", || {
        let channels = engine.channels();
        ["talk", "people"].iter().all(|what| channels.contains(&format!("chat:t.{}%2Ftea", what)))
    });
    let mut bob = chats[1].enter("Bob");
    assert_eq!(here(&mut bob), ["Ada", "Bob"]);
    assert_eq!(line(&mut ada), ["join", "Bob", ""]);
    bob.text("milk?");
    assert_eq!(line(&mut bob), ["say", "Bob", "milk?"]);
    assert_eq!(line(&mut ada), ["say", "Bob", "milk?"]);

    let mut cid = chats[1].enter("Cid");
    assert_eq!(here(&mut cid), ["Ada", "Bob", "Cid"]);
    assert_eq!(line(&mut ada), ["join", "Cid", ""]);
    drop(cid);
    assert_eq!(line(&mut ada), ["leave", "Cid", ""]);
    assert_eq!(line(&mut bob), ["join", "Cid", ""]);
    assert_eq!(line(&mut bob), ["leave", "Cid", ""]);

    let [left, right] = chats;
    drop(right);
    assert_eq!(line(&mut ada), ["leave", "Bob", ""]);
    assert_eq!(here(&mut left.enter("Dan")), ["Ada", "Dan"]);
}

#[test]
fn who_was_taken_for_gone_and_is_not_comes_in_again() {
    let Some(engine) = Engine::start() else { return };
    let [one, other] = [(); 2].map(|()| Chat::start(&engine));
    let mut ada = one.enter("Ada");
    assert_eq!(here(&mut ada), ["Ada"]);
    wait_until("the room is subscribed to", || {
        engine.channels().contains(&"chat:t.people%2Ftea".to_string())
    });
    let mut bob = other.enter("Bob");
    assert_eq!(here(&mut bob), ["Ada", "Bob"]);
    assert_eq!(line(&mut ada), ["join", "Bob", ""]);
    other.signal("STOP");
    assert_eq!(line(&mut ada), ["leave", "Bob", ""]);
    other.signal("CONT");
    assert_eq!(line(&mut ada), ["join", "Bob", ""]);
}
