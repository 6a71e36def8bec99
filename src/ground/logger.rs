//! Paces, cuts, queues, and writes the library's own log lines. No client can flood the
//! log, and a slow log cannot hold a thread that serves a client.
//!
//! ```text
//! log_line!(..) ── paced by kind ── cut ── queue, 64 KiB ── the writer thread ── stderr, or `log`
//!                      │                     │
//!                      └── left out, counted └── full: dropped, counted
//! ```
//!
//! Lines are of one kind if the same line of the source logs them at the same level. The writer
//! thread starts when a server is bound; until then no client is connected, and lines are written
//! directly. The lines that the application logs through [`log`](crate::log) do not pass through
//! here.

use crate::ground::limits::{LOG_BURST, LOG_LINE, LOG_PACE, LOG_QUEUE, LOG_REPORT};
use crate::ground::system::{report, start_thread, unix_millis, Failure};
use std::fmt::{Arguments, Write};
use std::mem::take;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Logs one of the library's own lines: `log_line!(Info, "listening on {}", address)`, or with an
/// expression for the level. The caller quotes any text from a client, so that it cannot begin a
/// new line.
macro_rules! log_line {
    (Debug, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Debug, $($text)+) };
    (Error, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Error, $($text)+) };
    (Warn, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Warn, $($text)+) };
    (Info, $($text:tt)+) => { log_line!($crate::ground::logger::Level::Info, $($text)+) };
    ($level:expr, $($text:tt)+) => {
        $crate::ground::logger::log($level, (file!(), line!()), ::core::format_args!($($text)+))
    };
}
pub(crate) use log_line;

#[cfg(not(feature = "log"))]
pub(crate) use crate::ground::log::Level;
#[cfg(feature = "log")]
pub(crate) use ::log::Level;

/// Logs a line from this place in the source, or counts it if there are too many. Never waits for
/// the log.
#[inline(never)]
pub(crate) fn log(level: Level, place: Place, text: Arguments) {
    if level == Level::Error {
        report(Failure::Logged(text));
    }
    if !is_on(level) {
        return;
    }
    let now = Instant::now();
    match QUEUE.pace(level, place, now) {
        // Formatted without the lock, because the text may run the application's `Display` code.
        Pace::Kept => QUEUE.push(level, capped(text)),
        Pace::First => {
            let line = capped(text);
            QUEUE.lock().tell_later(level, place, line, now);
            QUEUE.changed.notify_all();
        }
        Pace::LeftOut => {}
    }
}

/// Starts the writer thread, because a server is being bound. From here on lines are queued.
pub(crate) fn start() {
    // Reads `SOCKLING_LOG` before there is a client: the thread that reads it may have to warn.
    is_on(Level::Error);
    QUEUE.lock().ensure_writer();
}

/// Waits until the queue is written, but no longer than `longest`.
pub(crate) fn flush(longest: Duration) {
    let busy = |state: &mut State| state.bytes > 0;
    drop(QUEUE.changed.wait_timeout_while(QUEUE.lock(), longest, busy));
}

/// A file and a line of the source.
type Place = (&'static str, u32);

/// Returns the text, cut to [`LOG_LINE`] bytes.
pub(crate) fn capped(text: Arguments) -> String {
    let mut line = Capped::default();
    // `Capped` never fails. A `Display` of an argument may, and then the line ends there.
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
    /// Held while lines are counted, appended, and taken; never while one is formatted or written.
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct State {
    writer: Option<Writer>,
    /// Each with the time at which it was logged, in milliseconds since 1970.
    pub lines: Vec<(u64, Level, String)>,
    /// The bytes of those lines, and of the lines that the writer thread has taken and not yet
    /// written.
    pub bytes: usize,
    pub dropped: u64,
    kinds: Vec<Kind>,
}

/// The writer thread: the process that started it, because a forked child does not have it, and
/// whether it could start.
struct Writer {
    process: u32,
    started: bool,
}

/// The state of one kind of line.
struct Kind {
    place: Place,
    level: Level,
    /// The time at which the next line would come if all lines so far had kept the pace.
    due: Instant,
    left_out: u64,
    /// The time at which to log the number of lines left out, and the first of them.
    report: Option<(Instant, String)>,
}

impl Kind {
    fn is(&self, level: Level, place: Place) -> bool {
        self.level == level && self.place == place
    }
}

/// Whether a line keeps the pace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Kept,
    /// The line is the first one left out, whose text will represent all of them.
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

    /// Queues a line.
    fn push(&self, level: Level, line: String) {
        let mut state = self.lock();
        if state.writer.is_none() {
            drop(state);
            return write(unix_millis(), level, &line);
        }
        state.ensure_writer();
        state.append(level, line);
        drop(state);
        self.changed.notify_all();
    }

    /// Writes queued lines until the process ends.
    fn write_lines(&self) {
        loop {
            let (lines, dropped) = self.wait_for_lines();
            lines.iter().for_each(|(millis, level, line)| write(*millis, *level, line));
            if dropped > 0 {
                let line = format!("dropped {} log lines, which the log did not take", dropped);
                write(unix_millis(), Level::Warn, &line);
            }
            self.lock().bytes -= lines.iter().map(|(.., line)| weight(line)).sum::<usize>();
            self.changed.notify_all();
        }
    }

    /// Waits for lines, including those that report what was left out. Returns them with the number
    /// of lines for which there was no room.
    fn wait_for_lines(&self) -> (Vec<(u64, Level, String)>, u64) {
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
            // After a fork, the queued lines belong to the parent, which writes them.
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
            self.lines.push((unix_millis(), level, line));
        } else {
            self.dropped += 1;
        }
    }

    /// Arranges for the number of lines left out to be logged later, with the first of them.
    pub fn tell_later(&mut self, level: Level, place: Place, line: String, now: Instant) {
        if let Some(kind) = self.kinds.iter_mut().find(|kind| kind.is(level, place)) {
            kind.report = Some((now + LOG_REPORT, line));
        }
    }

    /// Accepts lines as if a writer thread were running.
    #[cfg(test)]
    pub fn pretend_to_write(&mut self) {
        self.writer = Some(Writer { process: std::process::id(), started: true });
    }

    /// Appends a line for each kind whose report is due. Returns the time until the next one is.
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

/// The stack of the writer thread, in bytes, on which the application's logger runs.
const STACK: usize = 128 * 1024;

/// Returns the bytes that a line takes in the queue.
fn weight(line: &str) -> usize {
    line.len() + std::mem::size_of::<(u64, Level, String)>()
}

#[cfg(feature = "log")]
pub(crate) fn is_on(level: Level) -> bool {
    level <= ::log::max_level()
}

/// Writes a line. The application's logger may panic, which must not end the writer thread.
#[cfg(feature = "log")]
fn write(_: u64, level: Level, line: &str) {
    let log = || ::log::log!(target: "sockling", level, "{}", line);
    let _ = crate::ground::system::contained(log);
}

#[cfg(not(feature = "log"))]
pub(crate) use crate::ground::log::is_on;

#[cfg(not(feature = "log"))]
fn write(millis: u64, level: Level, line: &str) {
    crate::ground::log::line_of(millis, level, format_args!("{}", line));
}
