//! Where things are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Target of the agent that the lab runs: static, so that it does not care for the guest's libraries.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Cargo's target folder.
pub(crate) fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// Scenario files of the project.
pub(crate) fn scenarios() -> PathBuf {
    workspace().join("tests/lab/scenarios")
}

/// Scripts of the guest.
pub(crate) fn guest() -> PathBuf {
    workspace().join("tests/lab/guest")
}

/// What survives a clean checkout: tools, packages, kernels, root file systems.
pub(crate) fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(dir) = set("PPTPSCOPE_CACHE") {
        return Ok(std::path::absolute(dir)?);
    }
    if let Some(dir) = set("XDG_CACHE_HOME") {
        return Ok(dir.join("pptpscope"));
    }
    let home =
        set("HOME").context("neither PPTPSCOPE_CACHE nor HOME is set: name a cache folder in the first")?;
    Ok(home.join(".cache/pptpscope"))
}
