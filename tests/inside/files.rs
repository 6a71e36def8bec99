//! What is looked at again once a file is open, where the system does not tell its path.

#![cfg(unix)]

use crate::server::files::leads_to;
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn a_path_leads_to_the_open_file_unless_a_part_of_it_was_exchanged() {
    let name = format!("sockling-inside-files-{}", std::process::id());
    let root = std::env::temp_dir().join(name);
    fs::create_dir_all(root.join("a")).expect("a directory");
    fs::create_dir_all(root.join("outside")).expect("a directory");
    let root = root.canonicalize().expect("a directory");
    let path = root.join("a/b");
    fs::write(&path, "one").expect("a file");
    let metadata = fs::metadata(&path).expect("a file");
    assert!(leads_to(&root, &path, &metadata));
    assert!(!leads_to(&root.join("a/c"), &path, &metadata));

    // The file by another one, and then by a link to the first.
    fs::rename(&path, root.join("b")).expect("a rename");
    assert!(!leads_to(&root, &path, &metadata));
    fs::write(&path, "two").expect("a file");
    assert!(!leads_to(&root, &path, &metadata));
    fs::remove_file(&path).expect("a file");
    symlink("../b", &path).expect("a link");
    assert!(!leads_to(&root, &path, &metadata));

    // The directory by a link.
    fs::rename(root.join("b"), root.join("outside/b")).expect("a rename");
    fs::remove_dir_all(root.join("a")).expect("a directory");
    symlink("outside", root.join("a")).expect("a link");
    assert!(!leads_to(&root, &path, &metadata));
    fs::remove_dir_all(&root).expect("a directory");
}
