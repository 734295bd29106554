//! `cargo xtask`: everything a developer does.

fn main() {}
