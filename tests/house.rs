//! The plan of the source holds: imports go one way, text stays apart from sockets, and nothing
//! comes in from outside that is not on the list.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use tree::{root, source_files};

/// The rooms, bottom first, each with its files in the order in which they may name each other. A file
/// may name files of the rooms before its own, and those before it in its own room.
const ROOMS: [(&str, &[&str]); 9] = [
    ("ground", &["limits", "log", "system", "logger"]),
    (
        "http",
        &["headers", "target", "head", "origin", "chunked", "cookie", "response", "forwarded"],
    ),
    ("websocket", &["close", "frame", "message", "handshake"]),
    ("", &["error"]),
    ("session", &["keys", "id", "cookie", "revoked"]),
    ("net", &["stream", "reader", "timer", "queue", "outbox", "waits", "batch"]),
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
            "receiver",
            "topic",
            "websocket",
            "broadcast",
            "handles",
        ],
    ),
    (
        "server",
        &[
            "connections",
            "request",
            "pace",
            "conversation",
            "controller",
            "route",
            "connection",
            "acceptor",
            "launch",
        ],
    ),
];

/// Returns all files, bottom first, as `room/file`.
fn files() -> Vec<String> {
    let path = |room: &str, file: &str| [room, file].join("/").trim_start_matches('/').to_string();
    ROOMS.iter().flat_map(|(room, files)| files.iter().map(move |file| path(room, file))).collect()
}

/// Bytes in, values out: these rooms could run without an operating system's sockets and threads.
const PURE: [&str; 2] = ["http/", "websocket/"];

/// Returns a file's code: without its comments, which may point anywhere.
fn code(file: &str) -> String {
    let text = fs::read_to_string(root().join("src").join(file).with_extension("rs")).expect(file);
    let line = |line: &str| line.split("//").next().unwrap_or("").to_string() + "\n";
    text.lines().map(line).collect()
}

/// Returns the files that a file names by `crate::` or `super::`, anywhere in its code.
fn named_by(file: &str) -> Vec<String> {
    let code = code(file);
    let folder = file.split_once('/').map_or("", |(folder, _)| folder);
    let mut named = Vec::new();
    for (word, base) in [("crate::", ""), ("super::", folder)] {
        for (at, _) in code.match_indices(word) {
            // `$crate::` is a path of the application's, written by a macro; and tests may stop a
            // thread at a point.
            let pauses = code[at + word.len()..].starts_with("inside::pauses");
            if code[..at].ends_with('$') || pauses {
                continue;
            }
            let path: String = code[at + word.len()..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || "_:".contains(*c))
                .collect();
            let names: Vec<&str> = path.split("::").filter(|name| !name.is_empty()).collect();
            named.push(match (base, names.as_slice()) {
                (_, []) => format!("a group behind {} in {}: write one line a file", word, file),
                // An exported macro stands at the root, wherever it was written.
                ("", [name, ..]) if name.starts_with("__") => "ground/log".to_string(),
                ("", ["error", ..]) => "error".to_string(),
                ("", [room, name, ..]) => format!("{}/{}", room, name),
                ("", [name]) => name.to_string(),
                (base, [name, ..]) => format!("{}/{}", base, name),
            });
        }
    }
    named
}

#[test]
fn every_file_has_its_room() {
    let mut known: BTreeSet<String> = files().into_iter().collect();
    known.extend(["lib".to_string(), "prelude".to_string()]);
    // A front file says what its room is for.
    let fronts = ROOMS.iter().map(|(room, _)| room.to_string());
    known.extend(fronts.filter(|room| !["", "http", "websocket"].contains(&&**room)));
    assert_eq!(known, source_files());
}

#[test]
fn a_file_names_only_files_that_come_before_it() {
    let files = files();
    for (step, file) in files.iter().enumerate() {
        for name in named_by(file) {
            let before = files[..=step].contains(&name);
            assert!(before, "{} names {}, which does not come before it", file, name);
        }
    }
}

#[test]
fn the_tour_shows_the_same_rooms_and_names_what_is_there() {
    let tour = fs::read_to_string(root().join("src/lib.rs")).expect("a file");
    let shown = tour.split("//! ground/ ").nth(1).and_then(|rest| rest.split("//! ```").next());
    let words = shown.expect("the rooms").split(&[' ', '\n'][..]);
    let words = words.filter(|word| !word.is_empty() && *word != "//!" && !word.ends_with('/'));
    let files: Vec<&str> = ROOMS.iter().flat_map(|(_, files)| files.iter().copied()).collect();
    assert_eq!(words.collect::<Vec<_>>(), files);

    let sources: String = source_files().iter().map(|file| code(file)).collect();
    let step = tour.split("# The tour").nth(1).and_then(|rest| rest.split("The same, run").next());
    let mut named = 0;
    for name in step.expect("the tour").split('`').skip(1).step_by(2) {
        let function = name.rsplit("::").next().unwrap_or("");
        if name.contains("::") && function.chars().all(|c| c.is_lowercase() || c == '_') {
            assert!(sources.contains(&format!("fn {}", function)), "{} is nowhere", name);
            named += 1;
        }
    }
    assert!(named > 10, "{}", named);
}

#[test]
fn the_paths_of_a_file_are_found() {
    // The test above would pass on an empty list.
    let named = named_by("websocket/message");
    for name in ["websocket/close", "websocket/frame", "ground/limits"] {
        assert!(named.iter().any(|known| known == name), "{} in {:?}", name, named);
    }
}

#[test]
fn text_files_name_no_socket_thread_or_clock() {
    for file in files().iter().filter(|file| PURE.iter().any(|room| file.starts_with(room))) {
        let code = code(file);
        for word in ["TcpStream", "std::thread", "Instant", "io::Read", "io::Write", "io::{"] {
            assert!(!code.contains(word), "{} names {}", file, word);
        }
    }
}

#[test]
fn only_files_that_serve_the_whole_process_own_a_global() {
    // The number of threads, the queue of log lines, the keys of servers that have none of their own,
    // which logins have ended, the relay, the sums of counts, who is connected.
    const GLOBALS: [(&str, usize); 7] = [
        ("ground/system", 1),
        ("ground/logger", 1),
        ("session/keys", 1),
        ("session/revoked", 1),
        ("comms/process", 1),
        ("comms/stats", 1),
        ("comms/registry", 1),
    ];
    for file in &files() {
        let code = code(file);
        let globals = code
            .lines()
            .filter(|line| line.trim_start().starts_with("static ") || line.contains(" static "));
        // What is local to a thread is not shared.
        let shared = globals.filter(|line| !line.contains("= const {")).count();
        let known = GLOBALS.iter().find(|(known, _)| known == file);
        assert_eq!(shared, known.map_or(0, |(_, count)| *count), "{}", file);
    }
}

#[test]
fn nothing_in_the_source_can_give_up() {
    for file in source_files() {
        let code = code(&file);
        for word in
            [".unwrap()", "panic!(", "todo!(", "unimplemented!(", "unreachable!(", "unsafe "]
        {
            assert!(!code.contains(word), "{} has {}", file, word);
        }
    }
}

#[test]
fn no_write_can_end_a_program_whose_peer_has_gone() {
    // The standard library tells the system to raise no SIGPIPE in its plain write to a socket
    // alone. A host program that does not ignore that signal would be ended by the others.
    for file in source_files() {
        let code = code(&file);
        for word in ["_vectored", "IoSlice", "io::copy"] {
            assert!(!code.contains(word), "{} has {}", file, word);
        }
    }
}

#[test]
fn a_signature_is_compared_without_an_early_end() {
    // How long `==` takes tells how much of a guess was right.
    let keys = code("session/keys");
    let body = |name: &str| {
        let rest = keys.split(&format!("fn {}(", name)).nth(1).expect("a function");
        rest.split("\n}\n").next().unwrap_or("").split("\n    }\n").next().unwrap_or("").to_string()
    };
    assert!(body("verify").contains("same("), "{}", body("verify"));
    assert!(keys.contains("#[inline(never)]\nfn same("), "the compiler could see through it");
    let same = body("same");
    assert!(same.contains("fold("), "{}", same);
    for word in [".all(", ".any(", ".eq(", ".cmp(", "position(", "return", "break", "if ", "?"] {
        assert!(!same.contains(word), "it ends early by {}: {}", word, same);
    }
    // Nobody goes around it; that a length is the right one is no secret.
    for file in ["session/keys", "session/cookie", "session/id"] {
        for line in code(file).lines() {
            let names = ["signature", "hmac", "mac("].iter().any(|name| line.contains(name));
            let compares = ["==", "!=", ".eq(", "matches!", "starts_with"];
            let compares = compares.iter().any(|word| line.contains(word));
            assert!(!names || !compares || line.contains(".len() == "), "{}: {}", file, line);
        }
    }
}

#[test]
fn every_file_opens_with_what_it_is() {
    for file in source_files() {
        let text = fs::read_to_string(root().join("src").join(&file).with_extension("rs"))
            .expect("a file");
        assert!(text.starts_with("//! "), "{}", file);
    }
}

#[test]
fn the_library_needs_what_is_on_the_list_and_nothing_else() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the manifest");
    assert!(!manifest.contains("dev-dependencies") && !manifest.contains("build-dependencies"));
    let section = manifest.split("[dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let names: Vec<&str> = section
        .expect("a section")
        .lines()
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["sha1_smol", "base64", "sockling-macros", "log"]);
    assert!(manifest.contains("log = { version = \"0.4\", optional = true }"));

    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file");
    let locked: Vec<&str> = lock.lines().filter_map(|line| line.strip_prefix("name = ")).collect();
    assert_eq!(
        locked,
        ["\"base64\"", "\"log\"", "\"sha1_smol\"", "\"sockling\"", "\"sockling-macros\""]
    );
}
