//! `cargo xtask package`: the Debian package, and whether it holds what it should.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

use crate::command::{output, run, run_quietly};
use crate::console::{error as problem, progress};
use crate::notices::notices;
use crate::{agent, paths, setup};

/// Debian packages that make and check a package, and what they are for.
const PACKAGES: &[(&str, &str)] =
    &[("lintian", "what Debian thinks of the package"), ("systemd", "systemd-analyze, for the unit")];

/// What `systemd-analyze security` may find of the unit, in tenths; docs/operations.md explains each point.
const MAX_EXPOSURE: u32 = 31;

/// `cargo xtask package`.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Build the agent with the profile of the tests: fast to build, not to be shipped.
    #[arg(long)]
    quick: bool,
}

impl Arguments {
    /// As the tests make it.
    pub(crate) const fn quick() -> Self {
        Self { quick: true }
    }
}

/// Where a file of the workspace goes, with its mode.
const FILES: &[(&str, &str, u32)] = &[
    ("package/pptpscope.toml", "etc/pptpscope/pptpscope.toml", 0o644),
    ("package/systemd/pptpscope.service", "usr/lib/systemd/system/pptpscope.service", 0o644),
    ("package/debian/sysusers.conf", "usr/lib/sysusers.d/pptpscope.conf", 0o644),
    ("package/debian/copyright", "usr/share/doc/pptpscope/copyright", 0o644),
    ("package/debian/lintian-overrides", "usr/share/lintian/overrides/pptpscope", 0o644),
    ("docs/schema/events-1.json", "usr/share/pptpscope/schema/events-1.json", 0o644),
    ("package/prometheus/pptpscope.rules.yml", "usr/share/pptpscope/prometheus/pptpscope.rules.yml", 0o644),
    ("package/grafana/pptpscope.json", "usr/share/pptpscope/grafana/pptpscope.json", 0o644),
    ("package/debian/postinst", "DEBIAN/postinst", 0o755),
    ("package/debian/prerm", "DEBIAN/prerm", 0o755),
    ("package/debian/postrm", "DEBIAN/postrm", 0o755),
];

/// Where completions go.
const COMPLETIONS: &[(&str, &str)] = &[
    ("bash", "usr/share/bash-completion/completions/pptpscope"),
    ("zsh", "usr/share/zsh/vendor-completions/_pptpscope"),
    ("fish", "usr/share/fish/vendor_completions.d/pptpscope.fish"),
];

/// What `journalctl -x` says beside an event.
const CATALOGUE: &str = "usr/lib/systemd/catalog/pptpscope.catalog";

/// Makes the package and checks it; `false` when something is wrong with it.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn package(arguments: &Arguments) -> Result<bool> {
    setup::packages(PACKAGES)?;
    let program = agent::build(if arguments.quick { agent::Profile::Lab } else { agent::Profile::Release })?;
    let folder = paths::target().join("package");
    let root = folder.join("root");
    let deb = folder.join(format!("pptpscope_{}_amd64.deb", env!("CARGO_PKG_VERSION")));
    make(&program, &root, &deb, "xz")?;
    progress(&format!("made        {}", deb.display()));
    let mut sound = true;
    for (what, checked) in
        [("files", check_files(&deb, &folder)), ("lintian", lintian(&deb)), ("unit", check_unit(&root))]
    {
        match checked {
            Ok(()) => progress(&format!("ok          {what}")),
            Err(error) => {
                problem(&format!("{what}: {error:#}"));
                sound = false;
            }
        }
    }
    Ok(sound)
}

/// Makes the package `deb` of `program`, with `root` as the folder in which its files are put together.
///
/// # Errors
/// When a file is missing, or a folder cannot be written.
pub(crate) fn make(program: &Path, root: &Path, deb: &Path, compression: &str) -> Result<()> {
    if root.exists() {
        fs::remove_dir_all(root).with_context(|| format!("cannot empty {}", root.display()))?;
    }
    stage(program, root)?;
    let mut build = Command::new("dpkg-deb");
    run_quietly(build.args(["--root-owner-group", &format!("-Z{compression}"), "--build"]).arg(root).arg(deb))
}

/// Puts everything where it will be.
fn stage(program: &Path, root: &Path) -> Result<()> {
    put(program, &root.join("usr/bin/pptpscope"), 0o755)?;
    run_quietly(Command::new("strip").arg(root.join("usr/bin/pptpscope")))?;
    for (from, to, mode) in FILES {
        put(&paths::workspace().join(from), &root.join(to), *mode)?;
    }
    for folder in ["etc/pptpscope/pptpscope.d", "usr/share/pptpscope/pipelines", "usr/share/man/man1"] {
        fs::create_dir_all(root.join(folder))?;
    }
    for entry in fs::read_dir(paths::workspace().join("package/pipelines"))? {
        let entry = entry?;
        put(&entry.path(), &root.join("usr/share/pptpscope/pipelines").join(entry.file_name()), 0o644)?;
    }
    for entry in fs::read_dir(paths::workspace().join("docs"))? {
        let path = entry?.path();
        if let (Some(name), true) = (path.file_name(), path.extension().is_some_and(|kind| kind == "md")) {
            put(&path, &root.join("usr/share/doc/pptpscope").join(name), 0o644)?;
        }
    }
    for (shell, to) in COMPLETIONS {
        write(&root.join(to), &output(Command::new(program).args(["completions", shell]))?)?;
    }
    let catalogue = output(Command::new(program).arg("journal-catalogue"))?;
    write(&root.join(CATALOGUE), &catalogue)?;
    let pages = root.join("usr/share/man/man1");
    run_quietly(Command::new(program).arg("man-pages").arg(&pages))?;
    for page in fs::read_dir(&pages)? {
        compress(&page?.path())?;
    }
    let third_party = root.join("usr/share/doc/pptpscope/THIRD-PARTY");
    write(&third_party, &notices()?)?;
    compress(&third_party)?;
    let changelog = root.join("usr/share/doc/pptpscope/changelog");
    write(&changelog, &debian_changelog()?)?;
    compress(&changelog)?;
    write(&root.join("DEBIAN/conffiles"), "/etc/pptpscope/pptpscope.toml\n")?;
    let size = directory_size(root)? / 1024;
    write(&root.join("DEBIAN/control"), &control(size))?;
    write(&root.join("DEBIAN/md5sums"), &sums(root)?)
}

/// The control file; `size` in KiB.
fn control(size: u64) -> String {
    format!(
        "Package: pptpscope\n\
         Version: {}\n\
         Architecture: amd64\n\
         Maintainer: {MAINTAINER}\n\
         Installed-Size: {size}\n\
         Depends: init-system-helpers (>= 1.52), systemd | systemd-standalone-sysusers\n\
         Section: net\n\
         Priority: optional\n\
         Description: follow PPTP calls in the kernel and tell why they fail\n \
         Watches a Linux PPTP server (pptpd, accel-ppp) with small programs in the\n \
         kernel, follows every call from the first SYN on port 1723 to the last GRE\n \
         packet, joins what the daemons log and RADIUS answers, and writes one JSON\n \
         line per fact, plus findings that state the root cause and the remedy.\n \
         .\n \
         It changes nothing on the host. It also analyses captures and logs offline.\n",
        env!("CARGO_PKG_VERSION")
    )
}

const MAINTAINER: &str = "The pptpscope authors <pptpscope@users.noreply.github.com>";

/// Debian's form of the changelog: its head, and where the rest is.
fn debian_changelog() -> Result<String> {
    let date =
        output(Command::new("git").current_dir(paths::workspace()).args(["log", "-1", "--format=%aD"]))?;
    Ok(format!(
        "pptpscope ({}) unstable; urgency=medium\n\n  * The changes are those of CHANGELOG.md of the sources.\n\n -- {MAINTAINER}  {}\n",
        env!("CARGO_PKG_VERSION"),
        date.trim()
    ))
}

fn put(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, bytes).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(mode))?)
}

fn write(to: &Path, text: &str) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    Ok(fs::set_permissions(to, fs::Permissions::from_mode(0o644))?)
}

/// Without name and time: the same content makes the same file.
fn compress(path: &Path) -> Result<()> {
    run_quietly(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(path))
}

fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files.sort();
    Ok(files)
}

fn directory_size(folder: &Path) -> Result<u64> {
    files_below(folder)?.iter().map(|path| Ok(fs::metadata(path)?.len())).sum()
}

fn sums(root: &Path) -> Result<String> {
    let mut names = Vec::new();
    for path in files_below(root)? {
        let name = path.strip_prefix(root)?.to_owned();
        if !name.starts_with("DEBIAN") {
            names.push(name);
        }
    }
    output(Command::new("md5sum").current_dir(root).args(names))
}

/// Unpacks the package into a root of its own, and tries what is in it.
fn check_files(deb: &Path, folder: &Path) -> Result<()> {
    let root = folder.join("unpacked");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    run_quietly(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(&root))?;
    let program = root.join("usr/bin/pptpscope");
    let version = output(Command::new(&program).arg("--version"))?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "it says it is version {version}");
    let mut check = Command::new(&program);
    check.args(["run", "--check-config", "--config"]).arg(root.join("etc/pptpscope/pptpscope.toml"));
    run_quietly(&mut check).context("the default configuration")?;
    for (_, name, _) in FILES.iter().filter(|(_, name, _)| !name.starts_with("DEBIAN")) {
        ensure!(root.join(name).is_file(), "there is no {name}");
    }
    for name in ["usr/share/man/man1/pptpscope.1.gz", "usr/share/man/man1/pptpscope-run.1.gz"] {
        ensure!(root.join(name).is_file(), "there is no {name}");
    }
    for (_, name) in COMPLETIONS {
        ensure!(fs::read_to_string(root.join(name))?.contains("check-config"), "{name} knows no options");
    }
    for path in files_below(&root)? {
        let mode = fs::metadata(&path)?.permissions().mode() & 0o7777;
        let wanted = if path == program { 0o755 } else { 0o644 };
        ensure!(mode == wanted, "{} has mode {mode:o}", path.display());
    }
    // Leaves a file there.
    check_catalogue(&root)
}

/// Whether the journal can read the catalogue, into a database of its own.
fn check_catalogue(root: &Path) -> Result<()> {
    run_quietly(Command::new("journalctl").arg("--update-catalog").arg("--root").arg(root))?;
    let mut list = Command::new("journalctl");
    let listed = output(list.arg("--list-catalog").arg("--root").arg(root))?;
    ensure!(listed.contains("PPTP: finding"), "the catalogue of the journal has no findings:\n{listed}");
    Ok(())
}

fn lintian(deb: &Path) -> Result<()> {
    let mut command = Command::new("lintian");
    command.args(["--fail-on", "error,warning", "--allow-root"]).arg(deb);
    run(&mut command)
}

/// Whether systemd understands the unit, and how much it lets the agent do.
fn check_unit(root: &Path) -> Result<()> {
    let unit = root.join("usr/lib/systemd/system/pptpscope.service");
    let table = output(
        Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&unit),
    )?;
    let tenths = exposure(&table).context("systemd-analyze told no exposure level")?;
    progress(&format!("exposure    {}.{} of 10 (systemd-analyze security)", tenths / 10, tenths % 10));
    if tenths > MAX_EXPOSURE {
        bail!("the unit got weaker: {tenths} tenths, it was {MAX_EXPOSURE}\n{table}");
    }
    // The program, the manual and the user come with the installation.
    let said = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output()?;
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let complaints: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("pptpscope.service") && !line.contains("is not executable"))
        .collect();
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// The tenths in `→ Overall exposure level for pptpscope.service: 2.7 OK`.
fn exposure(table: &str) -> Option<u32> {
    let level = table.lines().find_map(|line| line.split_once("Overall exposure level for"))?.1;
    let number = level.split_once(": ")?.1.split(' ').next()?;
    let (whole, tenths) = number.split_once('.')?;
    Some(whole.parse::<u32>().ok()? * 10 + tenths.parse::<u32>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_exposure_level() {
        let table = "x\n→ Overall exposure level for pptpscope.service: 2.7 OK :-)\n";
        assert_eq!(exposure(table), Some(27));
        assert_eq!(exposure("nothing"), None);
    }

    #[test]
    fn every_file_of_the_package_is_there() {
        for (from, _, _) in FILES {
            assert!(paths::workspace().join(from).is_file(), "{from}");
        }
    }
}
