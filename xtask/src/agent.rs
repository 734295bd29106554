//! The agent as one static program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{as_root, run as run_command};
use crate::console::progress;
use crate::{paths, setup};

/// Cargo, with the linker of the kernel programs in its `PATH`.
///
/// # Errors
/// Those of [`setup::build_tools`].
pub(crate) fn cargo() -> Result<Command> {
    let tools = setup::build_tools()?;
    let old = std::env::var_os("PATH").unwrap_or_default();
    let path: OsString = std::env::join_paths(std::iter::once(tools).chain(std::env::split_paths(&old)))?;
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::workspace()).env("PATH", path);
    Ok(cargo)
}

/// What the compiler takes its time for: profiles of the workspace's `Cargo.toml`.
#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// As it is shipped and measured.
    Release,
    /// As it is tested: built in a fraction of the time.
    Lab,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Lab => "lab",
        }
    }
}

/// Builds the agent and returns its path.
///
/// # Errors
/// When it cannot be built.
pub(crate) fn build(profile: Profile) -> Result<PathBuf> {
    programs(profile, &["--package", "pptpscope"], "pptpscope")
}

/// Builds the agent and the lab's own programs, and returns the folder that holds them.
///
/// # Errors
/// When one cannot be built.
pub(crate) fn build_for_lab(profile: Profile) -> Result<PathBuf> {
    let packages = ["--package", "pptpscope", "--package", "pptpscope-tests", "--bins"];
    let mut path = programs(profile, &packages, "kernel-call")?;
    path.pop();
    Ok(path)
}

/// Builds static programs, and returns the path of one of them.
fn programs(profile: Profile, which: &[&str], name: &str) -> Result<PathBuf> {
    let mut cargo = cargo()?;
    progress("building the agent");
    cargo.args(["build", "--profile", profile.name(), "--locked", "--target", paths::TARGET]).args(which);
    // With --target these flags reach neither build scripts nor procedural macros; the variable of the
    // target leaves every other build alone.
    cargo.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-C target-feature=+crt-static");
    run_command(&mut cargo).context("the agent does not build")?;
    let program = paths::target().join(paths::TARGET).join(profile.name()).join(name);
    if !program.is_file() {
        bail!("cargo built {name}, but not as {}", program.display());
    }
    Ok(program)
}

/// Builds the agent and runs it here; `false` when it does not end with 0.
///
/// # Errors
/// When it cannot be built or started.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let program = build(Profile::Release)?;
    let arguments: Vec<&str> = std::iter::once("run").chain(arguments.iter().map(String::as_str)).collect();
    let mut command = as_root("attaching programs to the kernel", &program.to_string_lossy(), &arguments)?;
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    Ok(status.success())
}
