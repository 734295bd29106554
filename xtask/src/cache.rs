//! The cache folder: entries are made once, whole, and named after what they are made from.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::paths;

/// A name for a set of inputs: 64 bits of FNV-1a, which needs to be stable, not secure.
pub(crate) fn key(inputs: &[&str]) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    // A separator keeps ["ab", "c"] and ["a", "bc"] apart.
    for byte in inputs.iter().flat_map(|input| input.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{hash:016x}")
}

/// A folder in the cache, made if need be.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let dir = paths::cache()?.join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the cache folder {}", dir.display()))?;
    Ok(dir)
}

/// The entry `kind/name`; when it is not there, `make` makes it under another name, and only what is
/// complete gets its own. Two processes do not make it at the same time.
///
/// # Errors
/// Those of `make`, and of the file system.
pub(crate) fn entry(kind: &str, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = folder(kind)?;
    let path = dir.join(name);
    if path.exists() {
        return Ok(path);
    }
    let lock = File::create(dir.join(".lock"))?;
    lock.lock()?;
    if path.exists() {
        return Ok(path);
    }
    let half_made = dir.join(format!(".making-{name}"));
    crate::command::remove_as_root(&half_made)?;
    make(&half_made)?;
    fs::rename(&half_made, &path).with_context(|| format!("cannot finish {}", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable_and_keep_inputs_apart() {
        assert_eq!(key(&[]), "cbf29ce484222325");
        // FNV-1a of "a\0".
        assert_eq!(key(&["a"]), "089be207b544f1e4");
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
    }
}
