//! Log lines, on stderr: `log::info!("listening on {}", address)`, and likewise `error!`, `warn!`,
//! `debug!` and `trace!`.
//!
//! With the feature `log` this module is the [`log`](https://docs.rs/log) crate itself and the
//! lines go where the application sends them. Without it `error`, `warn` and `info` are printed,
//! one line each; `debug` and `trace` are checked by the compiler and not printed. A line that
//! cannot be written is dropped: a closed stderr must not end a connection.
//!
//! The library's own lines, with the feature and without it, never hold a thread that serves a client:
//! a thread of their own writes them, and when the log takes no more than [`LOG_QUEUE`] bytes of them,
//! further lines are dropped and counted. No client can flood the log with them: of each kind
//! [`LOG_BURST`] lines are logged at once and then one each [`LOG_PACE`], how many were left out is
//! logged within ten seconds, and a line has [`LOG_LINE`] bytes at most. What a client alone can cause is
//! `info`. Lines of the application are its own: they are not paced, and the thread that logs one writes
//! it.
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

/// Writes one line: the level, then the text. The macros call it.
#[doc(hidden)]
pub fn line(level: &str, text: Arguments) {
    // One write a line, so that lines of several threads do not mix.
    let mut line = Vec::with_capacity(256);
    let _ = writeln!(line, "[{}] {}", level, text);
    // The library's own tests send it millions of lines; those of the other tests are seen.
    if !cfg!(any(test, fuzzing)) {
        let _ = std::io::stderr().write_all(&line);
    }
}

/// Prints what `format!` would return as an error line.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($text:tt)+) => { $crate::log::line("ERROR", ::core::format_args!($($text)+)) };
}

/// Prints what `format!` would return as a warning.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($text:tt)+) => { $crate::log::line("WARN", ::core::format_args!($($text)+)) };
}

/// Prints what `format!` would return as a piece of news.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($text:tt)+) => { $crate::log::line("INFO", ::core::format_args!($($text)+)) };
}

/// Prints nothing without the feature `log`.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($text:tt)+) => {{ let _ = ::core::format_args!($($text)+); }};
}

/// Prints nothing without the feature `log`.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($text:tt)+) => {{ let _ = ::core::format_args!($($text)+); }};
}
