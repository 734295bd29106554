//! Attaching to devices of this machine: which hook is taken, what is left behind, and devices
//! without link header.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod devices;
mod hooks;
#[path = "../native/mod.rs"]
mod native;
mod packets;

use native::runtime;
use pptpscope::kernel::{Config, TcMechanism, TcMode};

/// TCX came with 6.6: on older kernels everything falls back to clsact.
fn has_tcx() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap()) >= (6u32, 6u32)
}

fn default_mechanism() -> TcMechanism {
    if has_tcx() { TcMechanism::Tcx } else { TcMechanism::Clsact }
}

fn with_runtime(test: impl FnOnce()) {
    let runtime = runtime();
    let _guard = runtime.enter();
    test();
}

fn clsact() -> Config {
    Config { tc: TcMode::Clsact, ..Config::default() }
}
