//! Unix sockets: the rules of the file, and what differs from an address.
#![cfg(unix)]

use super::loopback::{quiet, wait_until, PATIENCE};
use super::{held, soon_drained};
use sockling::http::{Listening, ServerHandle};
use sockling::limits::Limits;
use sockling::net::{Listener, Peer, Unix};
use sockling::prelude::*;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{symlink, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// A new directory, removed at the end.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("unix-{}-{}", std::process::id(), number));
        fs::create_dir(&path).expect("a new directory");
        Dir(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Returns the names of what is in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
        let mut names: Vec<_> =
            entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is ours");
    }
}

struct Running(ServerHandle, Option<JoinHandle<()>>);

impl Running {
    fn serve(listening: Listening) -> Running {
        let handle = listening.handle();
        Running(handle, Some(std::thread::spawn(|| listening.serve().expect("a thread"))))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.shutdown();
        let _ = self.1.take().map(JoinHandle::join);
    }
}

fn peer_and_host() -> Server {
    quiet();
    let who = |request: &Request| {
        let origin = request.check_origin().is_ok();
        Ok(Response::new().text(format!("{} {}", request.peer(), origin)))
    };
    Server::new(vec![Handler::new("/", who)])
}

/// Sends a request with these fields on a connection of its own, and returns the answer.
fn get(path: &Path, fields: &str) -> String {
    let mut client = UnixStream::connect(path).expect("somebody listens");
    let request = format!("GET / HTTP/1.1\r\nConnection: close\r\n{}\r\n", fields);
    client.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("text");
    answer
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn why(result: Result<Unix, Error>) -> String {
    result.map(drop).expect_err("it cannot").to_string()
}

#[test]
fn the_file_has_its_mode_and_nothing_else_is_left_of_the_start() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    for mode_wanted in [0o600, 0o660, 0o666, 0o000] {
        let unix = Unix::bind_with_mode(&path, mode_wanted).expect("it is free");
        assert_eq!((mode(&path), dir.names()), (mode_wanted, vec!["a.socket".to_string()]));
        assert_eq!(unix.address().to_string(), format!("unix:{}", path.display()));
        drop(unix);
        assert_eq!(dir.names(), [""; 0]);
    }
    let unix = Unix::bind(&path).expect("it is free");
    assert_eq!(mode(&path), 0o600);
    drop(unix);
    let listening = peer_and_host().unix_mode(0o620).bind_unix(&path).expect("it is free");
    assert_eq!((mode(&path), listening.address().to_string()), (0o620, "0.0.0.0:0".to_string()));
    assert_eq!(listening.addresses(), [Peer::unix(&path)]);
}

#[test]
fn the_socket_is_never_where_others_could_open_it_before_it_has_its_mode() {
    let dir = Dir::new();
    let (path, done) = (dir.join("a.socket"), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                drop(Unix::bind_with_mode(&path, 0o640).expect("it is free"));
            }
            done.store(1, Ordering::Release);
        });
        while done.load(Ordering::Acquire) == 0 {
            for entry in fs::read_dir(&dir.0).expect("it is there").flatten() {
                // It may be gone already.
                if let Ok(found) = fs::symlink_metadata(entry.path()) {
                    let expected = if found.is_dir() { 0o700 } else { 0o640 };
                    assert_eq!(found.permissions().mode() & 0o777, expected, "{:?}", entry);
                }
            }
        }
    });
}

#[test]
fn what_a_killed_process_has_left_is_replaced() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    drop(UnixListener::bind(&path).expect("it is free")); // std leaves the file
    assert!(UnixStream::connect(&path).is_err());
    fs::create_dir(dir.join(".0")).expect("it is free"); // killed in the middle of its start
    let _running = Running::serve(peer_and_host().bind_unix(&path).expect("it is stale"));
    assert!(get(&path, "Host: a\r\n").ends_with(&format!("unix:{} true", path.display())));
}

#[test]
fn a_socket_at_which_somebody_listens_is_not_replaced_and_not_disturbed() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let listener = UnixListener::bind(&path).expect("it is free");
    let expected =
        format!("cannot listen on unix:{}: another process listens there", path.display());
    assert_eq!(why(Unix::bind(&path)), expected);
    listener.set_nonblocking(true).expect("a socket option");
    assert!(listener.accept().is_err(), "nobody has connected");
    // Nor one whose queue of clients is full, which a client would wait for.
    let mut clients = Vec::new();
    std::thread::scope(|scope| {
        let (path, expected) = (&path, &expected);
        let (full, is_full) = std::sync::mpsc::channel();
        let filling = scope.spawn(move || {
            while let Ok(client) = UnixStream::connect(path) {
                full.send(client).expect("the test runs");
            }
        });
        while let Ok(client) = is_full.recv_timeout(std::time::Duration::from_millis(500)) {
            clients.push(client);
        }
        assert_eq!(why(Unix::bind(path)), *expected);
        drop(listener);
        filling.join().expect("no panic");
    });
    assert!(!clients.is_empty());
    let datagrams = dir.join("datagrams");
    let _datagram = UnixDatagram::bind(&datagrams).expect("it is free");
    assert!(why(Unix::bind(&datagrams)).ends_with("another process listens there"));
    let ours = Unix::bind(&path).expect("it is stale by now");
    assert_eq!(why(Unix::bind(&path)), expected);
    drop(ours);
    assert_eq!(dir.names(), ["datagrams"]);
}

#[test]
fn what_is_not_a_socket_is_never_replaced() {
    let dir = Dir::new();
    fs::write(dir.join("file"), "content").expect("it is free");
    fs::create_dir(dir.join("dir")).expect("it is free");
    drop(UnixListener::bind(dir.join("stale")).expect("it is free"));
    symlink("stale", dir.join("link")).expect("it is free");
    symlink("nowhere", dir.join("dangling")).expect("it is free");
    let before = dir.names();
    for name in ["file", "dir", "link", "dangling"] {
        let why = why(Unix::bind(dir.join(name)));
        assert!(why.ends_with(": it is there and not a socket"), "{}", why);
    }
    for name in ["", "missing/a.socket", "file/a.socket", "a\0b"] {
        let why = why(Unix::bind(dir.join(name)));
        assert!(why.starts_with("cannot listen on unix:"), "{}", why);
    }
    assert_eq!(dir.names(), before);
    assert_eq!(fs::read_to_string(dir.join("file")).expect("it is there"), "content");
}

#[test]
fn each_path_that_the_system_takes_can_be_listened_on_and_a_longer_one_names_the_limit() {
    let most = if cfg!(target_os = "linux") { 107 } else { 103 };
    for name in ["s", "ab", "abc", "four", "a.socket"] {
        let dir = Dir::new();
        // The directory below makes the whole exactly as long as it may be.
        let room = most - dir.0.as_os_str().len() - 1 - 1 - name.len();
        let below = dir.join(&"d".repeat(room));
        fs::create_dir(&below).expect("it is free");
        let path = below.join(name);
        assert_eq!(path.as_os_str().len(), most);
        if cfg!(target_os = "linux") || name.len() > 3 {
            let unix = Unix::bind_with_mode(&path, 0o660).expect(name);
            assert!(fs::symlink_metadata(&path).expect("it is there").file_type().is_socket());
            assert_eq!(
                (mode(&path), fs::read_dir(&below).expect("it is there").count()),
                (0o660, 1)
            );
            UnixStream::connect(&path).expect("it listens");
            drop(unix);
        }
        assert_eq!(fs::read_dir(&below).expect("it is there").count(), 0);
        let long = below.join(format!("{}x", name));
        let expected = format!("its {} bytes are more than the limit of {}", most + 1, most);
        assert!(why(Unix::bind(long)).ends_with(&expected));
    }
}

#[test]
fn at_the_end_only_a_file_that_is_still_ours_is_removed() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    // Somebody else has removed it, and put something of their own there.
    let unix = Unix::bind(&path).expect("it is free");
    fs::remove_file(&path).expect("it is there");
    drop(unix);
    let unix = Unix::bind(&path).expect("it is free");
    fs::remove_file(&path).expect("it is there");
    let other = UnixListener::bind(&path).expect("it is free");
    drop(unix);
    UnixStream::connect(&path).expect("the other one listens");
    drop(other);
    // One that was handed over.
    fs::remove_file(&path).expect("it is there");
    let given = UnixListener::bind(&path).expect("it is free");
    given.set_nonblocking(true).expect("a socket option");
    let kept = given.try_clone().expect("a descriptor");
    let running = Running::serve(peer_and_host().listen(Unix::from(given)).expect("valid"));
    assert!(get(&path, "Host: a\r\n").contains(&format!("unix:{} ", path.display())));
    drop(running);
    let _client = UnixStream::connect(&path).expect("the next process finds it listening");
    kept.accept().expect("a client");
    assert_eq!(dir.names(), ["a.socket"]);
}

#[test]
fn a_server_that_never_serves_or_cannot_start_removes_its_file() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    drop(peer_and_host().bind_unix(&path).expect("it is free"));
    assert!(peer_and_host().cookie_name("no name").bind_unix(&path).is_err());
    let listening = peer_and_host().bind_unix(&path).expect("it is free");
    listening.handle().shutdown();
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn closing_wakes_every_thread_in_accept_and_those_that_come_later() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let own = || Unix::bind(&path).expect("it is free");
    let other = dir.join("b.socket");
    let given = UnixListener::bind(&other).expect("it is free");
    for (path, unix, removed) in [(&path, own(), true), (&other, Unix::from(given), false)] {
        let threads: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| unix.accept().map(drop))).collect();
            let mut client = UnixStream::connect(path).expect("it listens");
            wait_until("one is accepted", || threads.iter().any(|thread| thread.is_finished()));
            // Even if it is not reachable any more, where the system can.
            if removed && cfg!(target_os = "linux") {
                fs::remove_file(path).expect("it is there");
            }
            unix.close();
            let ended =
                threads.into_iter().map(|thread| thread.join().expect("no panic")).collect();
            assert_eq!(client.read(&mut [0]).expect("no reset"), 0);
            ended
        });
        assert_eq!(threads.iter().filter(|accepted| accepted.is_ok()).count(), 1);
        assert!(unix.accept().is_err());
    }
}

#[test]
fn peers_on_a_unix_socket_are_believed_as_proxies_where_the_server_trusts_them() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let fields = "Host: a\r\nX-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n";
    let running = Running::serve(peer_and_host().bind_unix(&path).expect("it is free"));
    assert!(get(&path, fields).ends_with(&format!("unix:{} true", path.display())));
    drop(running);
    let server = peer_and_host().trusted_unix_proxy();
    let _running = Running::serve(server.bind_unix(&path).expect("it is free"));
    assert!(get(&path, fields).ends_with("192.0.2.7 true"));
    assert!(get(&path, "Host: a\r\n").ends_with(&format!("unix:{} true", path.display())));
}

#[test]
fn hosts_and_origins_are_checked_as_behind_any_proxy() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let origin = |host: &str, origin: &str| {
        get(&path, &format!("Host: {}\r\nOrigin: {}\r\n", host, origin)).ends_with(" true")
    };
    let server = peer_and_host().allowed_origins(["https://pages.example"]);
    let running = Running::serve(server.bind_unix(&path).expect("it is free"));
    assert!(get(&path, "Host: any.example\r\n").starts_with("HTTP/1.1 200"));
    assert!(origin("chat.example", "https://chat.example"));
    assert!(origin("chat.example", "https://pages.example"));
    assert!(!origin("chat.example", "https://evil.example"));
    // Which is one host on a loopback address only.
    assert!(!origin("localhost", "http://127.0.0.1"));
    drop(running);
    let server = peer_and_host().allowed_hosts(["chat.example"]).secure_cookies(true);
    let _running = Running::serve(server.bind_unix(&path).expect("it is free"));
    for (host, status) in [("chat.example", 200), ("localhost", 200), ("any.example", 421)] {
        let answer = get(&path, &format!("Host: {}\r\n", host));
        assert!(answer.starts_with(&format!("HTTP/1.1 {}", status)), "{}: {}", host, answer);
    }
    assert!(!origin("chat.example", "http://chat.example"));
}

#[test]
fn peers_without_an_address_are_not_one_client_for_the_limit() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let (held, wait_for_entry, release) = held();
    let limits = Limits { connections_per_address: 1, ..Limits::default() };
    let server = Server::new(vec![Handler::new("/", held)]).limits(limits);
    let _running = Running::serve(server.trusted_unix_proxy().bind_unix(&path).expect("free"));
    let connect = |field: &str| {
        let mut client = UnixStream::connect(&path).expect("it listens");
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{}\r\n", field);
        client.write_all(request.as_bytes()).expect("it reads");
        client
    };
    let for_one = "X-Forwarded-For: 192.0.2.7\r\n";
    let clients = ["", "", "", for_one].map(connect);
    for _ in &clients {
        wait_for_entry.recv_timeout(PATIENCE).expect("each is served");
    }
    // The clients that a proxy names count as ever.
    assert!(get(&path, &format!("Host: a\r\n{}", for_one)).starts_with("HTTP/1.1 503"));
    drop(release);
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("text");
        assert!(answer.ends_with("finished"), "{}", answer);
    }
}

#[test]
fn errors_and_the_report_of_a_shutdown_name_the_socket() {
    let dir = Dir::new();
    let path = dir.join("a.socket");
    let (held, wait_for_entry, release) = held();
    let server = Server::new(vec![Handler::new("/", held)]).limits(soon_drained());
    let listening = server.bind_unix(&path).expect("it is free");
    let handle = listening.handle();
    let running = Running::serve(listening);
    let mut client = UnixStream::connect(&path).expect("it listens");
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("it reads");
    wait_for_entry.recv_timeout(PATIENCE).expect("the handler runs");
    let stuck = handle.shutdown();
    assert_eq!(stuck[0].peer, Peer::unix(&path));
    assert_eq!((stuck.len(), stuck[0].path.as_deref()), (1, Some("/")));
    drop((release, running));
    assert_eq!(dir.names(), [""; 0]);
}
