//! The corpus, and bytes like it: the same ones in each run.

use super::super::random::Random;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Checks each byte string of a target's corpus, and so many variants.
fn replay(target: &str, check: fn(&[u8]), variants: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/inside/corpus").join(target);
    let mut corpus: Vec<Vec<u8>> = Vec::new();
    let mut paths: Vec<_> = fs::read_dir(folder).expect("a corpus").flatten().collect();
    paths.sort_by_key(|entry| entry.file_name());
    for entry in paths {
        corpus.push(fs::read(entry.path()).expect("a file"));
    }
    assert!(corpus.len() >= 10, "a corpus of {}", corpus.len());
    let mut random = Random(0x5eed_f022);
    for number in 0..corpus.len() + variants {
        let bytes = match corpus.get(number) {
            Some(bytes) => bytes.clone(),
            None => random.variant(&corpus),
        };
        let result = catch_unwind(|| check(&bytes));
        assert!(result.is_ok(), "{}: number {}: b\"{}\"", target, number, bytes.escape_ascii());
    }
}

impl Random {
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let (one, other) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
        one.min(other)..one.max(other)
    }

    /// Returns bytes of the corpus with a few changes.
    fn variant(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(3) {
            let range = self.range(&bytes);
            let at = range.start;
            match self.below(6) {
                0 => drop(bytes.splice(range, [])),
                1 => bytes.truncate(at),
                2 => bytes.insert(at, self.below(256) as u8),
                3 => bytes.splice(at..at, bytes[range].to_vec()).for_each(drop),
                4 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let some = self.range(other);
                    bytes.splice(range, other[some].iter().copied()).for_each(drop);
                }
            }
        }
        bytes.truncate(4096);
        bytes
    }
}

#[test]
fn heads_like_those_of_the_corpus_keep_their_promises() {
    replay("head", super::head::check, 100_000);
}

#[test]
fn chunked_bodies_like_those_of_the_corpus_keep_their_promises() {
    replay("chunked", super::chunked::check, 200_000);
}

#[test]
fn frames_like_those_of_the_corpus_keep_their_promises() {
    replay("frame", super::frame::check, 100_000);
}

#[cfg(feature = "deflate")]
#[test]
fn compressed_messages_like_those_of_the_corpus_keep_their_promises() {
    replay("inflate", super::inflate::check, 10_000);
}

#[test]
fn cookies_like_those_of_the_corpus_keep_their_promises() {
    replay("cookie", super::cookie::check, 20_000);
}

#[test]
fn envelopes_like_those_of_the_corpus_keep_their_promises() {
    replay("envelope", super::envelope::check, 100_000);
}

#[test]
fn connections_like_those_of_the_corpus_keep_their_promises() {
    replay("connection", super::connection::check, 20_000);
}

#[test]
fn conversations_like_those_of_the_corpus_keep_their_promises() {
    replay("conversation", super::conversation::check, 10_000);
}
