//! Has no code of its own: see `Cargo.toml`.
