#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sockling::inside::checks::inflate::check(bytes));
