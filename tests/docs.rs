//! Every public item of the library is seen in an example that is compiled and, but for those that would
//! not end, run.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use tree::{root, source_files};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Returns the words of all that stands between the fences of the examples in a file's docs.
fn words_of_examples(text: &str) -> BTreeSet<String> {
    let (mut inside, mut runs, mut words) = (false, false, BTreeSet::new());
    for line in text.lines().map(str::trim_start) {
        let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
        let doc = doc.map(|doc| doc.strip_prefix(' ').unwrap_or(doc));
        match doc.map(|doc| (doc, doc.trim_start().strip_prefix("```"))) {
            None => inside = false,
            Some((_, Some(kind))) => {
                inside = !inside;
                runs = inside && matches!(kind, "" | "no_run");
            }
            // A comment in an example shows nothing.
            Some((code, None)) if inside && runs => {
                let code = code.split("// ").next().unwrap_or("");
                let split = |c: char| !c.is_alphanumeric() && c != '_';
                words.extend(code.split(split).map(str::to_string));
            }
            _ => {}
        }
    }
    words
}

/// Returns the names of a file's public functions, methods and types: `pub` items of what `lib.rs`
/// makes public, and the methods of public traits. Not those of types that are private to the crate.
fn public_items(text: &str) -> Vec<String> {
    let (mut items, mut own, mut of_trait) = (Vec::new(), true, false);
    let name = |rest: &str| -> String {
        rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut hidden = false;
    let private: Vec<String> = text
        .lines()
        .flat_map(|line| {
            ["pub(crate) struct ", "pub(crate) enum ", "struct ", "enum "]
                .map(|kind| line.strip_prefix(kind))
        })
        .flatten()
        .map(name)
        .collect();
    for line in text.lines() {
        let code = line.trim_start();
        if line.starts_with("impl") {
            let target = code.trim_start_matches("impl").trim_start_matches("<'a>").trim_start();
            own = !private.contains(&name(target));
        }
        if !line.starts_with(' ') && !line.is_empty() {
            of_trait = line.starts_with("pub trait ");
        }
        if code.starts_with("#[doc(hidden)]") {
            hidden = true;
            continue;
        }
        let function = code.strip_prefix("pub fn ").filter(|_| own || line.starts_with("pub"));
        let function = function.or_else(|| code.strip_prefix("fn ").filter(|_| of_trait));
        let kinds = ["pub struct ", "pub enum ", "pub trait "];
        let kind = kinds.iter().find_map(|kind| line.strip_prefix(kind));
        if let Some(rest) = function.or(kind) {
            if !hidden {
                items.push(name(rest));
            }
            hidden = false;
        }
    }
    items
}

/// Returns whether `lib.rs`, or a file that it makes public, shows a file's items to applications.
fn shown(file: &str, lib: &str) -> bool {
    let (path, stem) = (file.replace('/', "::"), file.rsplit('/').next().unwrap_or(file));
    [
        format!("pub use {}::", path),
        format!("pub use crate::{}::", path),
        format!("pub use self::{}::", stem),
        format!("pub use {};", path),
        format!("pub mod {};", stem),
    ]
    .iter()
    .any(|start| lib.lines().any(|line| line.trim_start().starts_with(start)))
}

#[test]
fn every_public_item_is_in_an_example_of_its_file() {
    let relay = read("src/relay/adapter.rs");
    let lib = read("src/lib.rs") + &read("src/relay.rs");
    let (mut count, mut without) = (0, Vec::new());
    // One file has the methods of a type of `relay/adapter.rs`, whose example shows them.
    let inbound = "comms/inbound";
    for file in source_files().iter().filter(|file| shown(file, &lib) || *file == inbound) {
        let text = read(&format!("src/{}.rs", file));
        let words = words_of_examples(if file == inbound { &relay } else { &text });
        for item in public_items(&text) {
            count += 1;
            if !words.contains(&item) {
                without.push(format!("{}: {}", file, item));
            }
        }
    }
    assert!(count > 120, "only {} items were found", count);
    assert!(without.is_empty(), "{} of {}:\n{}", without.len(), count, without.join("\n"));
}

#[test]
fn every_row_of_the_map_names_a_function_and_a_test_that_are_there() {
    let map = read("src/guide/map.md");
    let mut rows = 0;
    for line in map.lines().filter(|line| line.contains('`') && line.starts_with('|')) {
        let names: Vec<&str> = line.split('`').skip(1).step_by(2).collect();
        assert_eq!(names.len(), 4, "{}", line);
        for (folder, pair) in [("src", &names[..2]), ("tests", &names[2..])] {
            let text = read(&format!("{}/{}", folder, pair[0]));
            let function = format!("fn {}", pair[1]);
            let found = text
                .match_indices(&function)
                .any(|(at, _)| text[at + function.len()..].starts_with(&['(', '<'][..]));
            assert!(found, "{} is not in {}", pair[1], pair[0]);
        }
        rows += 1;
    }
    assert!(rows > 30, "only {} rows were found", rows);
}
