//! Log macros that write to stderr: `log::info!("listening on {}", address)`, and likewise
//! `error!`, `warn!`, `debug!`, and `trace!`.
//!
//! With the feature `log`, this module is the [`log`](https://docs.rs/log) crate itself, and the
//! application decides where the lines go. Without it, the environment variable `SOCKLING_LOG` names
//! the least important level that is printed, of the application's lines and of the library's own: `off`,
//! `error`, `warn`, `info` (the default), or `debug`, which adds a line for each request and for each
//! WebSocket that opens or closes. It is read once, when the first server is bound or the first line is
//! logged. An unknown value is reported by a warning, and means the default. The compiler checks `trace!`,
//! which prints nothing. A line that cannot be written is dropped, because a closed stderr must not end a
//! connection.
//!
//! ```text
//! 2026-05-01T12:00:00.250Z [INFO] listening on http://localhost:8000/
//! ```
//!
//! A line begins with the time at which it was logged, in UTC, and its level. The time is left out if the
//! value ends in `,notime`, as in `info,notime`, or if the variable `JOURNAL_STREAM` is set, as systemd does
//! for a service whose lines it gives a time of its own.
//!
//! If a program depends on the crate `log` without this feature, `log::info!` is ambiguous beside the
//! prelude (E0659): write `::log::info!` there, or enable the feature.
//!
//! With or without the feature, the library's own lines never hold a thread that serves a client. A
//! separate thread writes them; when [`LOG_QUEUE`] bytes of them are waiting for the log, further
//! lines are dropped and counted. No client can flood the log with them: of each kind,
//! [`LOG_BURST`] lines are logged at once and then one per [`LOG_PACE`], the number of those left
//! out is logged within ten seconds, and no line has more than [`LOG_LINE`] bytes. What a client
//! can cause by itself is `info`. Lines of the application are neither paced nor queued: the thread
//! that logs one writes it.
//!
//! [`LOG_QUEUE`]: crate::limits::LOG_QUEUE
//! [`LOG_BURST`]: crate::limits::LOG_BURST
//! [`LOG_PACE`]: crate::limits::LOG_PACE
//! [`LOG_LINE`]: crate::limits::LOG_LINE

use crate::ground::system::{civil, unix_millis};
use std::fmt::{Arguments, Write};
use std::sync::atomic::{AtomicU8, Ordering};

pub use crate::__debug as debug;
pub use crate::__error as error;
pub use crate::__info as info;
pub use crate::__trace as trace;
pub use crate::__warn as warn;

/// The severity of a line. What a client can cause by itself is `Info` or `Debug`, because the
/// operator need not do anything about it.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Error = 1,
    Warn,
    Info,
    Debug,
}

/// The values of `SOCKLING_LOG`: each level is at the index that is its number.
const NAMES: [&str; 5] = ["OFF", "ERROR", "WARN", "INFO", "DEBUG"];

/// The number of the least important level that is printed, with `TIMED` if lines have a time, or
/// `UNREAD`.
static SHOWN: AtomicU8 = AtomicU8::new(UNREAD);
const UNREAD: u8 = u8::MAX;
const TIMED: u8 = 8;

/// Returns whether lines of this level are printed.
pub(crate) fn is_on(level: Level) -> bool {
    level as u8 <= shown() & !TIMED
}

fn shown() -> u8 {
    match SHOWN.load(Ordering::Relaxed) {
        UNREAD => read_shown(),
        shown => shown,
    }
}

/// Turns the log off unless the environment sets its level.
pub(crate) fn off_by_default() {
    if std::env::var_os("SOCKLING_LOG").is_none() {
        SHOWN.store(0, Ordering::Relaxed);
    }
}

#[cold]
fn read_shown() -> u8 {
    let value = std::env::var("SOCKLING_LOG").unwrap_or_else(|_| "info".to_string());
    let level = value.strip_suffix(",notime");
    let timed = level.is_none() && std::env::var_os("JOURNAL_STREAM").is_none();
    let level = level.unwrap_or(&value);
    let known = NAMES.iter().position(|name| name.eq_ignore_ascii_case(level));
    let shown = known.map_or(Level::Info as u8, |at| at as u8) | if timed { TIMED } else { 0 };
    // Two threads may read it at once. Only the first warns.
    if SHOWN.swap(shown, Ordering::Relaxed) == UNREAD && known.is_none() {
        let text = "it must be off, error, warn, info, or debug, and \",notime\" may follow";
        line(Level::Warn, format_args!("SOCKLING_LOG is {:?}; {}", value, text));
    }
    shown
}

/// Writes one line, the time, the level and the text, if the level is on. The macros call it.
#[doc(hidden)]
pub fn line(level: Level, text: Arguments) {
    if is_on(level) {
        line_of(unix_millis(), level, text);
    }
}

/// Writes one line that was logged at this time, in milliseconds since 1970.
pub(crate) fn line_of(millis: u64, level: Level, text: Arguments) {
    // One write per line, so that the lines of several threads do not mix.
    let mut line = String::with_capacity(256);
    if shown() & TIMED != 0 {
        let (seconds, (year, month, day)) = (millis / 1000 % 86_400, civil(millis / 86_400_000));
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        let _ = write!(line, "{}-{:02}-{:02}T{:02}:{:02}:", year, month + 1, day, hour, minute);
        let _ = write!(line, "{:02}.{:03}Z ", second, millis % 1000);
    }
    let _ = writeln!(line, "[{}] {}", NAMES[level as usize], text);
    // The library's unit tests log millions of lines, which nobody reads.
    if !cfg!(any(test, fuzzing)) {
        let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
    }
}

/// Formats its arguments like `format!` and prints them as an error.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($text:tt)+) => {
        $crate::log::line($crate::log::Level::Error, ::core::format_args!($($text)+))
    };
}

/// Formats its arguments like `format!` and prints them as a warning.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($text:tt)+) => {
        $crate::log::line($crate::log::Level::Warn, ::core::format_args!($($text)+))
    };
}

/// Formats its arguments like `format!` and prints them as information.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($text:tt)+) => {
        $crate::log::line($crate::log::Level::Info, ::core::format_args!($($text)+))
    };
}

/// Formats its arguments like `format!` and prints them for debugging.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($text:tt)+) => {
        $crate::log::line($crate::log::Level::Debug, ::core::format_args!($($text)+))
    };
}

/// Checks its arguments, and prints nothing without the feature `log`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($text:tt)+) => {{ let _ = ::core::format_args!($($text)+); }};
}
