//! Running other programs.

use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Runs a command with its output on ours.
///
/// # Errors
/// When it cannot be started or does not end with 0; names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", line(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", line(command));
    }
    Ok(())
}

/// Runs a command whose output is of interest only when it fails.
///
/// # Errors
/// As [`run`]; with the last lines that it wrote.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    output(command).map(drop)
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// As [`run_quietly`].
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {}", line(command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let said = format!("{stdout}{stderr}");
        bail!("{} ended with {}\n{}", line(command), output.status, last_lines(&said, 15));
    }
    Ok(stdout)
}

/// The last `count` lines of a text.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Whether a program is found in `PATH`.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Whether we are root.
pub(crate) fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of this entry is the effective user of the process.
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A command that runs as root: itself, or through sudo.
///
/// # Errors
/// When neither is possible; `purpose` and the command are named, so that someone else can run it.
pub(crate) fn as_root<S: AsRef<OsStr>>(purpose: &str, program: &str, arguments: &[S]) -> Result<Command> {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let may_ask = std::io::stdin().is_terminal();
        let sudo = exists("sudo")
            && (may_ask
                || Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|o| o.status.success()));
        if !sudo {
            let mut plain = Command::new(program);
            plain.args(arguments);
            bail!("{purpose} needs root, and sudo cannot be used here. As root, run:\n    {}", line(&plain));
        }
        let mut command = Command::new("sudo");
        command.arg(program);
        command
    };
    command.args(arguments);
    Ok(command)
}

/// A command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        let plain = |c: char| c.is_alphanumeric() || "-_=./,:+@%".contains(c);
        if !word.is_empty() && word.chars().all(plain) { word.into_owned() } else { format!("'{word}'") }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// Removes a folder that may hold files of root.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn remove_as_root(dir: &Path) -> Result<()> {
    if dir.exists() {
        let arguments = ["-rf".as_ref(), "--one-file-system".as_ref(), "--".as_ref(), dir.as_os_str()];
        run_quietly(&mut as_root("removing a half-made root file system", "rm", &arguments)?)?;
    }
    Ok(())
}
