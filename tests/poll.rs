//! The tests of the example `poll`, which cargo does not run with the others. They have a process of
//! their own: the test of `rooms` counts all connections of the process.

#[allow(dead_code)] // `main`
#[path = "../examples/poll.rs"]
mod poll;
