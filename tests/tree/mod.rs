//! The files of the source.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the names of all source files, without `.rs`.
pub fn source_files() -> BTreeSet<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            if entry.path().is_dir() {
                // These are packages of their own.
                if ["macros", "redis", "tls"].contains(&&*name) {
                    continue;
                }
                walk(&entry.path(), &format!("{}{}/", prefix, name), found);
            } else if let Some(stem) = name.strip_suffix(".rs") {
                found.insert(format!("{}{}", prefix, stem));
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&root().join("src"), "", &mut found);
    found
}
