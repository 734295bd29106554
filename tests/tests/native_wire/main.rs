//! The programs of the wire tier on a veth pair of this machine: what they count and what they
//! report, against what was sent.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod counts;
mod headers;
#[path = "../native/mod.rs"]
mod native;
mod records;

use native::{Path, in_namespace};

const IPV4: u16 = 0x0800;

/// Runs a test once on every path that a packet can take into the programs.
fn on_every_path(name: &str, test: fn(Path)) {
    for path in Path::ALL {
        in_namespace(&format!("{name} ({path:?})"), move || test(path));
    }
}
