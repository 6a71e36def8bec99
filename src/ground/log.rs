//! Log macros that write to stderr: `log::info!("listening on {}", address)`, and likewise
//! `error!`, `warn!`, `debug!`, and `trace!`.
//!
//! With the feature `log`, this module is the [`log`](https://docs.rs/log) crate itself, and the
//! application decides where the lines go. Without it, `error!`, `warn!`, and `info!` print one
//! line each; the compiler checks `debug!` and `trace!`, which print nothing. A line that cannot be
//! written is dropped, because a closed stderr must not end a connection.
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

use std::fmt::Arguments;
use std::io::Write;

pub use crate::__debug as debug;
pub use crate::__error as error;
pub use crate::__info as info;
pub use crate::__trace as trace;
pub use crate::__warn as warn;

/// Writes one line, the level and the text, for the macros.
#[doc(hidden)]
pub fn line(level: &str, text: Arguments) {
    // One write per line, so that the lines of several threads do not mix.
    let mut line = Vec::with_capacity(256);
    let _ = writeln!(line, "[{}] {}", level, text);
    // The library's unit tests log millions of lines, which nobody reads.
    if !cfg!(any(test, fuzzing)) {
        let _ = std::io::stderr().write_all(&line);
    }
}

/// Formats its arguments like `format!` and prints them as an error.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($text:tt)+) => { $crate::log::line("ERROR", ::core::format_args!($($text)+)) };
}

/// Formats its arguments like `format!` and prints them as a warning.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($text:tt)+) => { $crate::log::line("WARN", ::core::format_args!($($text)+)) };
}

/// Formats its arguments like `format!` and prints them as information.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($text:tt)+) => { $crate::log::line("INFO", ::core::format_args!($($text)+)) };
}

/// Checks its arguments, and prints nothing without the feature `log`.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($text:tt)+) => {{ let _ = ::core::format_args!($($text)+); }};
}

/// Checks its arguments, and prints nothing without the feature `log`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($text:tt)+) => {{ let _ = ::core::format_args!($($text)+); }};
}
