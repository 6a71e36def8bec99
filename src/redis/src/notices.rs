//! What other processes say that they lost. Who may publish can say so twenty thousand times: the
//! application is told in a bounded number of gaps, and still of all.

use crate::bounds::GAP_PACE;
use sockling::relay::Gap;
use std::time::{Instant, SystemTime};

#[derive(Default)]
pub(crate) struct Notices {
    /// When the application was last told.
    told: Option<Instant>,
    /// What it is to be told.
    waiting: Option<Waiting>,
}

struct Waiting {
    notices: u64,
    /// Messages, in all.
    lost: u64,
    /// From the first loss of any of them to the last notice.
    from: SystemTime,
    to: SystemTime,
}

impl Notices {
    /// Notes that a process lost so many messages between two moments.
    pub fn add(&mut self, lost: u64, from: SystemTime, to: SystemTime) {
        let waiting = self.waiting.get_or_insert(Waiting { notices: 0, lost: 0, from, to });
        waiting.notices = waiting.notices.saturating_add(1);
        waiting.lost = waiting.lost.saturating_add(lost);
        // Clocks may be set back meanwhile.
        waiting.from = waiting.from.min(from);
        waiting.to = waiting.to.max(to);
    }

    /// Returns the gap that is to be told, if there is one and it is time.
    pub fn take(&mut self, now: Instant) -> Option<Gap> {
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < GAP_PACE) {
            return None;
        }
        let Waiting { notices, lost, from, to } = self.waiting.take()?;
        self.told = Some(now);
        let reason = match notices {
            1 => format!("another process may have lost {} of its messages", lost),
            _ => format!("other processes may have lost {} of their messages", lost),
        };
        Some(Gap { from, to: Some(to), reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn notices_that_come_too_soon_are_one_gap_that_covers_them_all() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let now = Instant::now();
        let mut notices = Notices::default();
        assert_eq!(notices.take(now), None);
        notices.add(3, at(50), at(60));
        let reason = "another process may have lost 3 of its messages".to_string();
        assert_eq!(notices.take(now), Some(Gap { from: at(50), to: Some(at(60)), reason }));
        for (lost, from, to) in [(5, 61, 62), (u64::MAX, 20, 63), (1, 62, 64)] {
            notices.add(lost, at(from), at(to));
            assert_eq!(notices.take(now + GAP_PACE / 2), None);
        }
        let reason = format!("other processes may have lost {} of their messages", u64::MAX);
        let gap = Gap { from: at(20), to: Some(at(64)), reason };
        assert_eq!(notices.take(now + GAP_PACE), Some(gap));
        assert_eq!(notices.take(now + GAP_PACE * 9), None);
    }
}
