//! The documentation is true where a test can tell: every public item appears in an example that is
//! compiled, and every function that the tour, the lessons, or the map name is in the file they
//! name.

mod tree;

use std::collections::BTreeSet;
use std::fs;
use tree::{root, source_files};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect(path)
}

/// Returns the words of the code in the examples of a file's documentation.
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
            // A comment does not show how an item is used.
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

/// Returns the names of a file's public functions, methods, and types: its `pub` items and the
/// methods of public traits, without the items of types that are private to the crate.
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

/// Returns whether `lib.rs`, or a file that it makes public, exports items of this file.
fn is_exported(file: &str, lib: &str) -> bool {
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
fn every_public_item_appears_in_an_example_of_its_file() {
    let relay = read("src/relay/adapter.rs");
    let lib = ["lib", "net", "relay"].map(|file| read(&format!("src/{}.rs", file))).concat();
    let (mut count, mut without) = (0, Vec::new());
    // This file has the methods of a type in `relay/adapter.rs`, whose example shows them.
    let inbound = "comms/inbound";
    for file in source_files().iter().filter(|file| is_exported(file, &lib) || *file == inbound) {
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

/// Returns the functions and files that a text names as `` `Type::function` (`room/file.rs`) ``.
fn named_functions(text: &str) -> Vec<(&str, &str)> {
    let spans: Vec<&str> = text.split('`').collect();
    let is_place = |at: &usize| spans[*at].ends_with(".rs") && spans[at - 1].ends_with('(');
    let places = (3..spans.len()).step_by(2).filter(is_place);
    places.map(|at| (spans[at - 2].rsplit("::").next().unwrap_or(""), spans[at])).collect()
}

#[test]
fn every_function_that_the_tour_the_guide_and_the_lessons_name_is_in_its_file() {
    let (lib, lessons) = (read("src/lib.rs"), read("examples/README.md"));
    let writing = read("src/guide/writing.md");
    let tour = lib.split("# The tour").nth(1).expect("the tour").replace("//!", "");
    for (text, least) in [(tour, 20), (writing, 7), (lessons.clone(), 10)] {
        let named = named_functions(&text);
        assert!(named.len() > least, "only {} functions were found", named.len());
        for (name, file) in named {
            let source = read(&format!("src/{}", file));
            let words = source.split(|c: char| !c.is_alphanumeric() && c != '_');
            // A variant has no keyword before it.
            let mut before = words.clone().zip(words.skip(1)).filter(|(_, word)| *word == name);
            let is_variant = name.starts_with(char::is_uppercase);
            assert!(before.any(|(word, _)| is_variant || word == "fn"), "{} in {}", name, file);
        }
    }
    for path in lessons.split('`').skip(1).step_by(2).filter(|span| span.starts_with("src/")) {
        assert!(root().join(path).exists(), "{}", path);
    }
}

#[test]
fn every_row_about_a_lost_message_names_a_line_of_the_log_and_a_test_that_exist() {
    let page = read("src/guide/where_is_my_message.md");
    let source: String =
        source_files().iter().map(|file| read(&format!("src/{}.rs", file))).collect();
    let mut rows = 0;
    for line in page.lines().filter(|line| line.ends_with("` |")) {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        assert_eq!(cells.len(), 5, "{}", line);
        let quoted = |cell: &str| -> Vec<String> {
            cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
        };
        let test = read(&format!("tests/{}", quoted(cells[3])[0]));
        assert!(test.contains(&format!("fn {}()", quoted(cells[4])[0])), "{}", line);
        for text in quoted(cells[2]) {
            assert!(source.contains(&text), "nothing logs {:?}", text);
            assert!(test.contains(&text) || cells[3].contains("inside/"), "{:?}: {}", text, line);
        }
        rows += 1;
    }
    assert!(rows > 15, "only {} rows were found", rows);
}

#[test]
fn every_row_of_the_map_names_a_function_and_a_test_that_exist() {
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
