//! The licences of what is linked into the program: their texts go with each copy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::command::output;
use crate::paths;

/// How the names of files with licences and notices begin.
const BEGINNINGS: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"];

/// The page: each crate with its licence, then each text with the crates that it is of.
///
/// # Errors
/// When cargo does not know the crates, or a file cannot be read.
pub(crate) fn notices() -> Result<String> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::workspace()).args(["metadata", "--locked", "--format-version", "1"]);
    cargo.args(["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let metadata: Value = serde_json::from_str(&output(&mut cargo)?).context("cargo metadata is no JSON")?;
    let linked = linked(&metadata)?;
    let mut page = String::from(
        "What is linked into pptpscope. It is built with glibc, which is under the LGPL 2.1 or later: its text is in\n\
         /usr/share/common-licenses/LGPL-2.1, its source in Debian's package glibc.\n\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in list(&metadata["packages"]).filter(|package| linked.contains(text(&package["id"]))) {
        // Ours are under the licences of the package.
        if package["source"].is_null() {
            continue;
        }
        let name = format!("{} {}", text(&package["name"]), text(&package["version"]));
        let licence = package["license"].as_str().unwrap_or("see below");
        writeln!(page, "{name}: {licence}")?;
        let folder =
            Path::new(text(&package["manifest_path"])).parent().context("a manifest is in no folder")?;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let file = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
            if path.is_file() && BEGINNINGS.iter().any(|beginning| file.starts_with(beginning)) {
                let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                texts.entry(String::from_utf8_lossy(&bytes).into_owned()).or_default().push(name.clone());
            }
        }
    }
    ensure!(texts.len() > 10, "hardly any licence was found");
    for (text, mut names) in texts {
        names.dedup();
        writeln!(page, "\n{}\n{}\n\n{}", "-".repeat(80), names.join(", "), text.trim())?;
    }
    Ok(page)
}

/// Ids of the crates that are in the program: its dependencies and theirs, without those of builds and tests.
fn linked(metadata: &Value) -> Result<BTreeSet<&str>> {
    let nodes: BTreeMap<&str, &Value> =
        list(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node)).collect();
    let own = list(&metadata["packages"]).find(|package| package["name"] == "pptpscope");
    let mut wanted = vec![text(&own.context("there is no crate pptpscope")?["id"])];
    let mut linked = BTreeSet::new();
    while let Some(id) = wanted.pop() {
        if !linked.insert(id) {
            continue;
        }
        let node = nodes.get(id).with_context(|| format!("{id} is not resolved"))?;
        let normal =
            list(&node["deps"]).filter(|dep| list(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null()));
        wanted.extend(normal.map(|dep| text(&dep["pkg"])));
    }
    Ok(linked)
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_linked_is_named_with_its_text() {
        let notices = super::notices().unwrap();
        assert!(notices.contains("\nring ") && notices.contains("\naya "), "{}", &notices[..2000]);
        assert!(notices.contains("OpenSSL") || notices.contains("Google Inc."), "the text of ring's licence");
        assert!(!notices.contains("\nproptest "), "it is for tests only");
    }
}
