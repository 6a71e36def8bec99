//! The random numbers that name sessions.

use crate::session::keys::SessionKeys;
use std::thread;

/// A million takes long where nothing is optimised; still more than 65,536 from each of the keys.
const DRAWS: usize = if cfg!(debug_assertions) { 140_000 } else { 1_000_000 };
const THREADS: usize = 4;

#[test]
fn no_number_is_drawn_twice_by_any_thread_nor_by_other_keys_with_the_same_secret() {
    let draw = |keys: &SessionKeys| -> Vec<[u8; 16]> {
        (0..DRAWS / THREADS).map(|_| keys.draw()).collect()
    };
    // As of two processes with the same configuration.
    let keys = [0, 1].map(|_| SessionKeys::new([[7; 32]]).expect("a long key"));
    let mut drawn: Vec<[u8; 16]> = thread::scope(|scope| {
        let keys = &keys;
        let start = |number: usize| scope.spawn(move || draw(&keys[number % 2]));
        let threads: Vec<_> = (0..THREADS).map(start).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), DRAWS);
    // No byte is the same in all.
    for at in 0..16 {
        assert!(drawn.iter().any(|bits| bits[at] != drawn[0][at]), "byte {}", at);
    }
}
