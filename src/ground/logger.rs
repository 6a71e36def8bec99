//! The library's own log lines. No client can flood the log, and no log can hold a thread that serves
//! a client.
//!
//! ```text
//! log_line!(..) ── paced by kind ── capped ── queue, 64 KiB ── the writer thread ── stderr, or `log`
//!                      │                        │
//!                      └── left out, counted    └── full: dropped, counted
//! ```
//!
//! A kind is a place in the source that logs, and a level. The writer thread starts when a server is bound; until
//! then nobody connects, and lines are written directly. What the application logs through
//! [`log`](crate::log) is its own: not paced, and written by the thread that logs it.

use crate::ground::limits::{LOG_BURST, LOG_LINE, LOG_PACE, LOG_QUEUE, LOG_REPORT};
use crate::ground::system::start_thread;
use std::fmt::{Arguments, Write};
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Logs a line of the library's own: `log_line!(Info, "listening on {}", address)`, or with an
/// expression for the level. What stands for a client's text is quoted by the caller, so that it cannot
/// begin a line of its own.
macro_rules! log_line {
    (Debug, $($text:tt)+) => {
        if cfg!(feature = "log") {
            log_line!($crate::ground::logger::Level::Debug, $($text)+);
        }
    };
    (Error, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Error, $($text)+) };
    (Warn, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Warn, $($text)+) };
    (Info, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Info, $($text)+) };
    ($level:expr, $($text:tt)+) => {
        $crate::ground::logger::log($level, (file!(), line!()), ::core::format_args!($($text)+))
    };
}
pub(crate) use log_line;

/// How much a line matters. What a client alone can cause is `Info` or `Debug`: the operator need not
/// do anything about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    /// For the `log` crate alone.
    Debug,
}

/// Logs a line that comes from this place in the source, or counts it when there are too many. Never
/// waits for the log.
#[inline(never)]
pub(crate) fn log(level: Level, place: Place, text: Arguments) {
    if !is_on(level) {
        return;
    }
    let now = Instant::now();
    match QUEUE.pace(level, place, now) {
        // Made without the lock: the application's code may have to write the text.
        Pace::Kept => QUEUE.push(level, capped(text)),
        Pace::First => {
            let line = capped(text);
            QUEUE.lock().tell_later(level, place, line, now);
            QUEUE.changed.notify_all();
        }
        Pace::LeftOut => {}
    }
}

/// Has lines queued from here on: a server is bound.
pub(crate) fn start() {
    QUEUE.lock().ensure_writer();
}

/// Waits until the queue is written, so long at most.
pub(crate) fn flush(longest: Duration) {
    let busy = |state: &mut State| state.bytes > 0;
    drop(QUEUE.changed.wait_timeout_while(QUEUE.lock(), longest, busy));
}

/// File and line.
type Place = (&'static str, u32);

/// Returns the text, cut where it is too long.
pub(crate) fn capped(text: Arguments) -> String {
    let mut line = Capped::default();
    // It takes everything. An error is one of a `Display`, and the line ends there.
    let _ = line.write_fmt(text);
    if line.cut {
        line.text.push_str(".. (cut)");
    }
    line.text
}

#[derive(Default)]
struct Capped {
    text: String,
    cut: bool,
}

impl Write for Capped {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        let room = if self.cut { 0 } else { LOG_LINE - self.text.len() };
        let mut end = more.len().min(room);
        while !more.is_char_boundary(end) {
            end -= 1;
        }
        self.cut |= end < more.len();
        self.text.push_str(&more[..end]);
        Ok(())
    }
}

static QUEUE: Queue = Queue::new();

pub(crate) struct Queue {
    /// Held to count, to append and to take, never while a line is made or written.
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct State {
    writer: Option<Writer>,
    pub lines: Vec<(Level, String)>,
    /// Bytes of those lines and of those that the writer thread has taken and not written.
    pub bytes: usize,
    pub dropped: u64,
    kinds: Vec<Kind>,
}

/// The writer thread: of which process, since a forked child has none, and whether it could start.
struct Writer {
    process: u32,
    started: bool,
}

/// What one place in the source has logged at one level.
struct Kind {
    place: Place,
    level: Level,
    /// When the lines so far would have come, had they kept the pace.
    due: Instant,
    left_out: u64,
    /// The first line that was left out, and when the count is to be told.
    report: Option<(Instant, String)>,
}

impl Kind {
    fn is(&self, level: Level, place: Place) -> bool {
        self.level == level && self.place == place
    }
}

/// Whether a line may pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Kept,
    /// It is the first that is left out: what is left out is told by its text.
    First,
    LeftOut,
}

impl Queue {
    pub const fn new() -> Queue {
        Queue {
            state: Mutex::new(State {
                writer: None,
                lines: Vec::new(),
                bytes: 0,
                dropped: 0,
                kinds: Vec::new(),
            }),
            changed: Condvar::new(),
        }
    }

    /// Counts a line from this place.
    pub fn pace(&self, level: Level, place: Place, now: Instant) -> Pace {
        let mut state = self.lock();
        let known = state.kinds.iter().position(|kind| kind.is(level, place));
        let at = known.unwrap_or(state.kinds.len());
        if known.is_none() {
            state.kinds.push(Kind { place, level, due: now, left_out: 0, report: None });
        }
        let kind = &mut state.kinds[at];
        let due = kind.due.max(now);
        if due - now < LOG_PACE * LOG_BURST {
            kind.due = due + LOG_PACE;
            return Pace::Kept;
        }
        kind.left_out += 1;
        match kind.left_out {
            1 => Pace::First,
            _ => Pace::LeftOut,
        }
    }

    /// Takes a line to be written.
    fn push(&self, level: Level, line: String) {
        let mut state = self.lock();
        if state.writer.is_none() {
            drop(state);
            return write(level, &line);
        }
        state.ensure_writer();
        state.append(level, line);
        drop(state);
        self.changed.notify_all();
    }

    /// Writes what comes, until the process ends.
    fn write_lines(&self) {
        loop {
            let (lines, dropped) = self.wait_for_lines();
            lines.iter().for_each(|(level, line)| write(*level, line));
            if dropped > 0 {
                let told = format!("dropped {} log lines, which the log did not take", dropped);
                write(Level::Warn, &told);
            }
            self.lock().bytes -= lines.iter().map(|(_, line)| weight(line)).sum::<usize>();
            self.changed.notify_all();
        }
    }

    /// Waits for lines, or until it is time to tell what was left out. Returns them, and how many
    /// lines there was no room for.
    fn wait_for_lines(&self) -> (Vec<(Level, String)>, u64) {
        let mut state = self.lock();
        loop {
            let next = state.report(Instant::now());
            if !state.lines.is_empty() || state.dropped > 0 {
                return (take(&mut state.lines), take(&mut state.dropped));
            }
            let waited = self.changed.wait_timeout(state, next);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Starts the writer thread if this process has none.
    fn ensure_writer(&mut self) {
        let process = std::process::id();
        match &self.writer {
            Some(writer) if writer.process == process && writer.started => return,
            // After a fork what is queued is the parent's, which writes it.
            Some(writer) if writer.process != process => {
                (self.lines, self.bytes, self.dropped) = (Vec::new(), 0, 0);
                self.kinds.clear();
            }
            _ => {}
        }
        let thread = start_thread("sockling-log", STACK, Box::new(|| QUEUE.write_lines()));
        self.writer = Some(Writer { process, started: thread.is_ok() });
    }

    pub fn append(&mut self, level: Level, line: String) {
        let started = self.writer.as_ref().map_or(false, |writer| writer.started);
        let bytes = self.bytes + weight(&line);
        if started && bytes <= LOG_QUEUE {
            self.bytes = bytes;
            self.lines.push((level, line));
        } else {
            self.dropped += 1;
        }
    }

    /// Has it told later how many lines were left out: by the first of them.
    pub fn tell_later(&mut self, level: Level, place: Place, line: String, now: Instant) {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.is(level, place)) {
            kind.report = Some((now + LOG_REPORT, line));
        }
    }

    /// Takes lines as if a thread wrote them.
    #[cfg(test)]
    pub fn pretend_to_write(&mut self) {
        self.writer = Some(Writer { process: std::process::id(), started: true });
    }

    /// Appends a line for each kind of which it is time to tell what was left out. Returns how long it
    /// is until the next such time.
    pub fn report(&mut self, now: Instant) -> Duration {
        let mut next = Duration::from_secs(86_400);
        for at in 0..self.kinds.len() {
            let kind = &mut self.kinds[at];
            match &kind.report {
                Some((due, _)) if *due > now => next = next.min(*due - now),
                Some((_, first)) => {
                    let (count, seconds) = (take(&mut kind.left_out), LOG_REPORT.as_secs());
                    let line = format!("left out {} lines in {} s: {}", count, seconds, first);
                    kind.report = None;
                    let level = kind.level;
                    self.append(level, line);
                }
                None => {}
            }
        }
        next
    }
}

/// Stack of the writer thread, in bytes. The application's logger runs on it.
const STACK: usize = 128 * 1024;

/// Returns what a line takes in the queue.
fn weight(line: &str) -> usize {
    line.len() + std::mem::size_of::<(Level, String)>()
}

#[cfg(feature = "log")]
fn level_of(level: Level) -> ::log::Level {
    match level {
        Level::Error => ::log::Level::Error,
        Level::Warn => ::log::Level::Warn,
        Level::Info => ::log::Level::Info,
        Level::Debug => ::log::Level::Debug,
    }
}

#[cfg(feature = "log")]
fn is_on(level: Level) -> bool {
    level_of(level) <= ::log::max_level()
}

/// Writes a line. The application's logger may panic, which must not end the writer thread.
#[cfg(feature = "log")]
fn write(level: Level, line: &str) {
    let log = || ::log::log!(target: "sockling", level_of(level), "{}", line);
    drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(log)));
}

#[cfg(not(feature = "log"))]
fn is_on(level: Level) -> bool {
    level != Level::Debug
}

#[cfg(not(feature = "log"))]
fn write(level: Level, line: &str) {
    let name = match level {
        Level::Error => "ERROR",
        Level::Warn => "WARN",
        Level::Info | Level::Debug => "INFO",
    };
    crate::ground::log::line(name, format_args!("{}", line));
}
