//! A network namespace of its own for a program that sends packets.

use std::fs;
use std::io;
use std::process::Command;

/// This thread, the only one, and all that it starts, get namespaces of their own: a network with nothing in it but
/// loopback, and mounts with the tracepoints.
///
/// # Errors
/// In words: it needs root.
pub fn enter() -> Result<(), String> {
    // bpftrace looks for the tracepoints in a file system that need not be mounted here.
    // SAFETY: changes the namespaces of this thread, the only one.
    if unsafe { libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS) } != 0 {
        return Err(format!("no namespace of its own: {}; this needs root", io::Error::last_os_error()));
    }
    run("mount", "--make-rprivate /")?;
    if fs::metadata("/sys/kernel/tracing/events").is_err() {
        run("mount", "-t tracefs none /sys/kernel/tracing")?;
    }
    run("ip", "link set lo up")
}

/// Index of the interface with this name.
///
/// # Errors
/// In words: there is none.
pub fn index_of(name: &str) -> Result<u32, String> {
    let text = std::ffi::CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: the name is a string.
    match unsafe { libc::if_nametoindex(text.as_ptr()) } {
        0 => Err(format!("{name}: {}", io::Error::last_os_error())),
        index => Ok(index),
    }
}

/// Runs a program with words between blanks.
///
/// # Errors
/// In words: it cannot be started, or what it says when it fails.
pub fn run(program: &str, arguments: &str) -> Result<(), String> {
    let output = Command::new(program).args(arguments.split(' ')).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}
