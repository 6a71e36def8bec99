//! The plan of the source holds: imports go one way, text stays apart from sockets, and nothing
//! comes in from outside that is not on the list.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use tree::{root, source_files};

/// The files, bottom first. A file may name only those above it in this list.
const STAIRS: [&str; 50] = [
    "limits",
    "log",
    "system",
    "logger",
    "http/headers",
    "http/target",
    "http/head",
    "http/origin",
    "http/chunked",
    "http/cookie",
    "http/response",
    "websocket/close",
    "websocket/frame",
    "websocket/message",
    "websocket/handshake",
    "channel",
    "envelope",
    "error",
    "stream",
    "socket",
    "clock",
    "queue",
    "outbox",
    "writer",
    "delivery",
    "roster",
    "keys",
    "session",
    "revoked",
    "audience",
    "tap",
    "here",
    "topics",
    "interests",
    "relay",
    "registry",
    "stats",
    "local",
    "link",
    "receiver",
    "topic",
    "comms",
    "http/forwarded",
    "http/request",
    "websocket/conversation",
    "controller",
    "router",
    "connection",
    "door",
    "server",
];

/// Bytes in, values out: these could run without an operating system's sockets and threads.
const TEXT: std::ops::Range<usize> = 4..17;

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
            let nested = matches!(names.first(), Some(&"http") | Some(&"websocket"));
            named.push(match (base, names.as_slice()) {
                (_, []) => format!("a group behind {} in {}: write one line a file", word, file),
                ("", [folder, name, ..]) if nested => format!("{}/{}", folder, name),
                // An exported macro stands at the root, wherever it was written.
                ("", [name, ..]) if name.starts_with("__") => "log".to_string(),
                ("", [name, ..]) => name.to_string(),
                (base, [name, ..]) => format!("{}/{}", base, name),
            });
        }
    }
    named
}

#[test]
fn every_file_has_its_step() {
    let mut on_the_stairs: BTreeSet<String> = STAIRS.iter().map(|file| file.to_string()).collect();
    on_the_stairs.extend(["lib".to_string(), "prelude".to_string()]);
    assert_eq!(on_the_stairs, source_files());
}

#[test]
fn a_file_names_only_files_above_it() {
    for (step, file) in STAIRS.iter().enumerate() {
        for name in named_by(file) {
            let above = STAIRS[..step].contains(&&*name) || name == *file;
            assert!(above, "{} names {}, which is not above it", file, name);
        }
    }
}

#[test]
fn the_tour_shows_the_same_stairs_and_names_what_is_there() {
    let tour = fs::read_to_string(root().join("src/lib.rs")).expect("a file");
    let shown =
        tour.split("//! ground        ").nth(1).and_then(|rest| rest.split("//! ```").next());
    let words = shown.expect("the stairs").split(&[' ', '\n'][..]);
    let files: Vec<&str> = words.filter(|word| STAIRS.contains(word)).collect();
    // Two names stand for a step and for a file: the step is not counted.
    let mut steps = STAIRS.to_vec();
    files.iter().for_each(|file| steps.retain(|step| step != file));
    assert_eq!(steps, [""; 0], "not in the tour");

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
    for name in ["websocket/close", "websocket/frame", "limits"] {
        assert!(named.iter().any(|known| known == name), "{} in {:?}", name, named);
    }
}

#[test]
fn text_files_name_no_socket_thread_or_clock() {
    for file in &STAIRS[TEXT] {
        let code = code(file);
        for word in ["std::net", "std::thread", "Instant", "io::Read", "io::Write", "io::{"] {
            assert!(!code.contains(word), "{} names {}", file, word);
        }
    }
}

#[test]
fn only_files_that_serve_the_whole_process_own_a_global() {
    // The number of threads, who is connected, which logins have ended, the queue of log lines.
    const GLOBALS: [(&str, usize); 4] =
        [("system", 1), ("registry", 1), ("revoked", 1), ("logger", 1)];
    for file in &STAIRS {
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
    let keys = code("keys");
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
    for file in ["keys", "session"] {
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
