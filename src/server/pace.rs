//! Holds one WebSocket to `Limits::messages_per_second`: an average, with a second's worth at once.

use std::time::{Duration, Instant};

/// Longest time for which a handler may keep messages waiting without their being held against the
/// client.
const HELD_UP: Duration = Duration::from_secs(60);

pub(crate) struct Pace {
    /// What one message takes at the limit.
    each: Duration,
    began: Instant,
    /// Time since `began` at which the messages so far would have come at the limit.
    due: Duration,
    /// Time since `began` at which the last read began.
    read_began: Duration,
}

impl Pace {
    /// Returns the pace of a WebSocket that opens at this moment; `None` for 0, which is no limit.
    /// Boxed, since most servers set none.
    pub fn new(messages_per_second: u32) -> Option<Box<Pace>> {
        let each = Duration::from_secs(1).checked_div(messages_per_second)?;
        let (due, read_began) = (Duration::ZERO, Duration::ZERO);
        Some(Box::new(Pace { each, began: Instant::now(), due, read_began }))
    }

    /// Counts a message or a ping. Returns whether the client is at most a second's worth ahead.
    #[inline(never)]
    pub fn count(&mut self) -> bool {
        let now = self.began.elapsed();
        self.due = self.due.max(now.saturating_sub(HELD_UP)).saturating_add(self.each);
        self.due.saturating_sub(now) <= Duration::from_secs(1)
    }

    /// Notes that the thread begins to wait for the client.
    #[inline(never)]
    pub fn begin_read(&mut self) {
        self.read_began = self.began.elapsed();
    }

    /// Takes the time that the thread waited for the client out of the client's account: silence
    /// earns no burst. The time that a handler took stays in it, since messages may have waited for
    /// that.
    #[inline(never)]
    pub fn end_read(&mut self) {
        let held_up = self.read_began.saturating_sub(self.due);
        self.due = self.due.max(self.began.elapsed().saturating_sub(held_up));
    }
}
