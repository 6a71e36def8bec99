//! The architecture of the source: imports between rooms and between the files of a room go one
//! way, and the library depends on nothing but the packages on the list.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tree::{root, source_files};

/// The rooms, lowest first, each with its files in reading order. A file may name files of lower
/// rooms, and of its own room those before it.
const ROOMS: [(&str, &[&str]); 9] = [
    ("ground", &["limits", "system", "log", "logger", "peer"]),
    (
        "http",
        &[
            "headers",
            "target",
            "head",
            "origin",
            "chunked",
            "body",
            "cookie",
            "response",
            "representation",
            "forwarded",
        ],
    ),
    (
        "websocket",
        &["close", "forms", "frame", "deflate", "inflate", "message", "extension", "handshake"],
    ),
    ("", &["error"]),
    ("session", &["keys", "id", "cookie", "revoked"]),
    (
        "net",
        &[
            "stream",
            "listener",
            "unix",
            "memory",
            "conformance",
            "reader",
            "timer",
            "queue",
            "compressors",
            "outbox",
            "waits",
            "batch",
        ],
    ),
    ("relay", &["channel", "envelope", "adapter"]),
    (
        "comms",
        &[
            "mailbox",
            "process",
            "topics",
            "interests",
            "stats",
            "registry",
            "dispatch",
            "inbound",
            "global",
            "receiver",
            "websocket",
            "topic",
            "broadcast",
        ],
    ),
    (
        "server",
        &[
            "connections",
            "incoming",
            "request",
            "deflate",
            "body_reader",
            "body_writer",
            "pace",
            "conversation",
            "upgrade",
            "controller",
            "route",
            "connection",
            "acceptor",
            "launch",
            "files",
            "jar",
            "testing",
        ],
    ),
];

/// Rooms that turn bytes into values without a socket, a thread, or a clock.
const PURE: [&str; 2] = ["http/", "websocket/"];

/// Returns all files, lowest first, as `room/file`.
fn files() -> Vec<String> {
    let path = |room: &str, file: &str| [room, file].join("/").trim_start_matches('/').to_string();
    ROOMS.iter().flat_map(|(room, files)| files.iter().map(move |file| path(room, file))).collect()
}

fn text(file: &str) -> String {
    fs::read_to_string(root().join("src").join(file).with_extension("rs")).expect(file)
}

/// Returns the code of a file without its comments, which may name anything.
fn code(file: &str) -> String {
    let line = |line: &str| line.split("//").next().unwrap_or("").to_string() + "\n";
    text(file).lines().map(line).collect()
}

/// Returns what `lib.rs`, the prelude, and the front files re-export: a public path, and the path
/// of the item.
fn re_exports() -> BTreeMap<String, String> {
    let fronts = ROOMS.iter().map(|(room, _)| *room);
    let fronts = fronts.filter(|room| source_files().contains(*room));
    let mut found = BTreeMap::new();
    for file in ["lib", "prelude"].into_iter().chain(fronts) {
        let mut module = if file == "lib" { "" } else { file };
        let code = code(file);
        for line in code.lines() {
            if line.starts_with("pub mod ") && line.ends_with(" {") {
                module = line["pub mod ".len()..].trim_end_matches(" {");
            } else if line == "}" {
                module = "";
            }
            let path = match line.trim().strip_prefix("pub use ") {
                // What begins with `::` comes from another package.
                Some(path) if !path.starts_with("::") => path.trim_end_matches(';'),
                _ => continue,
            };
            let path = path.replace("self::", &format!("{}::", module)).replace("crate::", "");
            let (path, names) = path.rsplit_once("::").unwrap_or(("", &path));
            for name in names.trim_matches(&['{', '}'][..]).split(", ") {
                let join = |to: &str| [to, name].join("::").trim_start_matches(':').to_string();
                found.insert(join(module), join(path));
            }
        }
    }
    found
}

/// Returns the files that the code of a room names by `crate::` or `super::`. A name that another
/// file re-exports counts as the file that defines it.
fn named_by(code: &str, room: &str) -> Vec<String> {
    let re_exports = re_exports();
    let mut named = Vec::new();
    for (word, base) in [("crate::", "".to_string()), ("super::", format!("{}::", room))] {
        for (at, _) in code.match_indices(word) {
            let is_of_path = |c: &char| c.is_alphanumeric() || "_:".contains(*c);
            let path: String = code[at + word.len()..].chars().take_while(is_of_path).collect();
            // A macro writes `$crate::` into the application; tests may stop a thread at a point.
            if !code[..at].ends_with('$') && !path.starts_with("inside::pauses") {
                named.push(file_of(base.clone() + &path, &re_exports));
            }
        }
    }
    named
}

/// Returns the file that defines the item at a path, or the path itself if no file does.
fn file_of(path: String, re_exports: &BTreeMap<String, String>) -> String {
    let names: Vec<&str> = path.split("::").collect();
    let known = files();
    for length in 1..=names.len().min(2) {
        let (front, rest) = names.split_at(length);
        if known.contains(&front.join("/")) {
            return front.join("/");
        }
        if let Some(item) = re_exports.get(&front.join("::")) {
            return file_of([&[item.as_str()], rest].concat().join("::"), re_exports);
        }
    }
    match path.starts_with("__") {
        // An exported macro is at the root of the crate, wherever it is defined.
        true => "ground/log".to_string(),
        false => path,
    }
}

#[test]
fn every_file_belongs_to_a_room_and_opens_with_its_purpose() {
    let mut known: BTreeSet<String> = files().into_iter().collect();
    known.extend(["lib".to_string(), "prelude".to_string()]);
    let fronts = ROOMS.iter().map(|(room, _)| room.to_string());
    known.extend(fronts.filter(|room| !["", "http", "websocket"].contains(&&**room)));
    assert_eq!(known, source_files());
    for file in known {
        assert!(text(&file).starts_with("//! "), "{}", file);
    }
}

#[test]
fn a_file_names_only_files_that_come_before_it() {
    let files = files();
    for (step, file) in files.iter().enumerate() {
        let room = file.split_once('/').map_or("", |(room, _)| room);
        for name in named_by(&code(file), room) {
            let before = files[..=step].contains(&name);
            assert!(before, "{} names {}, which does not come before it", file, name);
        }
    }
}

#[test]
fn a_name_counts_as_the_file_that_defines_it() {
    let rows = [
        ("use crate::comms::global::Comms;", "comms/global"),
        ("use crate::Comms;", "comms/global"),
        ("use crate::prelude::Comms;", "comms/global"),
        ("use crate::http::Request;", "server/request"),
        ("use crate::prelude::Request;", "server/request"),
        ("crate::limits::Limits::default()", "ground/limits"),
        ("use crate::controller::Controller;", "server/controller"),
        ("use crate::relay::Gap;", "relay/adapter"),
        ("use super::Request;", "server/request"),
        ("use super::head::Head;", "http/head"),
        ("use crate::Error;", "error"),
    ];
    for (code, file) in rows {
        assert_eq!(named_by(code, "http"), [file], "{}", code);
    }
    // Imports that no file defines are refused, too: groups of files, and globs.
    let files = files();
    for code in ["use crate::{comms, net};", "use crate::prelude::*;", "use super::*;"] {
        assert!(named_by(code, "http").iter().all(|name| !files.contains(name)), "{}", code);
    }
}

#[test]
fn the_crate_documentation_lists_the_rooms_in_this_order() {
    let tour = text("lib");
    let shown = tour.split("//! ground/ ").nth(1).and_then(|rest| rest.split("//! ```").next());
    let words = shown.expect("the rooms").split_whitespace();
    let words = words.filter(|word| *word != "//!" && !word.ends_with('/'));
    let files: Vec<&str> = ROOMS.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    assert_eq!(words.collect::<Vec<_>>(), files);
}

#[test]
fn pure_rooms_name_no_socket_thread_or_clock() {
    for file in files().iter().filter(|file| PURE.iter().any(|room| file.starts_with(room))) {
        let code = code(file);
        for word in ["TcpStream", "std::thread", "Instant", "io::Read", "io::Write", "io::{"] {
            assert!(!code.contains(word), "{} names {}", file, word);
        }
    }
}

#[test]
fn the_library_depends_on_the_packages_on_the_list_and_on_no_others() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(!manifest.contains("dev-dependencies") && !manifest.contains("build-dependencies"));
    let section = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names: Vec<&str> = section
        .expect("a section")
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["sha1_smol", "base64", "sockling-macros", "log", "miniz_oxide"]);
    assert!(manifest.contains("log = { version = \"0.4\", optional = true }"));
    assert!(manifest
        .contains("miniz_oxide = { version = \"0.9\", optional = true, default-features = false"));

    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    let locked: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(
        locked,
        [
            "\"adler2\"",
            "\"base64\"",
            "\"log\"",
            "\"miniz_oxide\"",
            "\"sha1_smol\"",
            "\"sockling\"",
            "\"sockling-macros\"",
        ]
    );
}
