//! How long to wait before the next try.

use crate::bounds::{FIRST_PAUSE, LONGEST_PAUSE};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Pauses that double, each cut by up to a half by chance.
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub fn new() -> Backoff {
        Backoff { next: FIRST_PAUSE }
    }

    /// Returns the next pause.
    pub fn pause(&mut self) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(LONGEST_PAUSE);
        let half = whole / 2;
        half + half.mul_f64(random() as f64 / u64::MAX as f64)
    }

    /// Begins anew if a connection lasted: one that fails again and again as soon as it is there is
    /// one that cannot be had.
    pub fn lasted(&mut self, time: Duration) {
        if time >= LONGEST_PAUSE {
            self.next = FIRST_PAUSE;
        }
    }
}

/// Returns a number that differs each time: no secret.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let mut backoff = Backoff::new();
        let mut whole = FIRST_PAUSE;
        for _ in 0..12 {
            let pause = backoff.pause();
            assert!(pause >= whole / 2 && pause <= whole, "{:?} of {:?}", pause, whole);
            whole = (whole * 2).min(LONGEST_PAUSE);
        }
        assert_eq!(whole, LONGEST_PAUSE);
        backoff.lasted(LONGEST_PAUSE / 2);
        assert!(backoff.pause() > FIRST_PAUSE);
        backoff.lasted(LONGEST_PAUSE);
        assert!(backoff.pause() <= FIRST_PAUSE);
        let pauses: Vec<_> = (0..8).map(|_| Backoff::new().pause()).collect();
        assert!(pauses.iter().any(|pause| *pause != pauses[0]), "{:?}", pauses);
    }
}
