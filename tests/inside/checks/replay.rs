//! The corpus, and octets like it: the same ones in each run.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

/// Checks each octet string of a target's corpus, and so many variants.
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
        let octets = match corpus.get(number) {
            Some(octets) => octets.clone(),
            None => random.variant(&corpus),
        };
        let result = catch_unwind(|| check(&octets));
        assert!(result.is_ok(), "{}: number {}: b\"{}\"", target, number, octets.escape_ascii());
    }
}

/// Xorshift (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn range(&mut self, octets: &[u8]) -> std::ops::Range<usize> {
        let (one, other) = (self.below(octets.len() + 1), self.below(octets.len() + 1));
        one.min(other)..one.max(other)
    }

    /// Returns octets of the corpus with a few changes.
    fn variant(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut octets = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(3) {
            let range = self.range(&octets);
            let at = range.start;
            match self.below(6) {
                0 => drop(octets.splice(range, [])),
                1 => octets.truncate(at),
                2 => octets.insert(at, self.below(256) as u8),
                3 => octets.splice(at..at, octets[range].to_vec()).for_each(drop),
                4 if at < octets.len() => octets[at] ^= 1 << self.below(8),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let some = self.range(other);
                    octets.splice(range, other[some].iter().copied()).for_each(drop);
                }
            }
        }
        octets.truncate(4096);
        octets
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
