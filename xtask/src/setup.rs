//! What the tasks need of the machine, and how it gets there.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::command::{as_root, exists, line, output, run, run_quietly};
use crate::console::progress;

/// Links the kernel programs. This version uses the LLVM of the pinned compiler.
const BPF_LINKER: &str = "0.10.4";

/// Debian packages of the lab and of the native tests, and what they are for.
const PACKAGES: &[(&str, &str)] = &[
    ("qemu-system-x86", "the virtual machine"),
    ("debootstrap", "the guest's root file system"),
    ("e2fsprogs", "its image"),
    ("cpio", "the initramfs"),
    ("busybox-static", "its shell"),
    ("kmod", "the modules in it"),
    ("xz-utils", "modules of newer kernels are compressed"),
    ("iproute2", "namespaces of the native tests"),
    ("tcpdump", "captures of the native tests"),
];

/// All of it, with a line for each thing.
///
/// # Errors
/// Names what is missing and how to get it.
pub(crate) fn everything() -> Result<()> {
    build_tools()?;
    progress("ok          rust-src");
    progress(&format!("ok          bpf-linker-{BPF_LINKER}"));
    lab_packages()?;
    for (package, purpose) in PACKAGES {
        progress(&format!("ok          {package}: {purpose}"));
    }
    Ok(())
}

/// What compiling the agent needs; returns the folder that belongs into `PATH`.
///
/// # Errors
/// Names what is missing and how to get it.
pub(crate) fn build_tools() -> Result<PathBuf> {
    rust_src()?;
    bpf_linker()
}

/// The library sources from which `core` is built for the BPF target.
fn rust_src() -> Result<()> {
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let core = PathBuf::from(sysroot.trim()).join("lib/rustlib/src/rust/library/core/src/lib.rs");
    if core.is_file() {
        return Ok(());
    }
    if !exists("rustup") {
        bail!(
            "rust-src is missing at {} and there is no rustup: install the standard library's sources of \
             this compiler from where it came from",
            core.display()
        );
    }
    progress("installing  rust-src");
    run(Command::new("rustup").args(["component", "add", "rust-src"]))
        .context("rust-src is needed to build `core` for the BPF target")
}

/// The linker of the kernel programs, in a private folder: its version belongs to the compiler's.
fn bpf_linker() -> Result<PathBuf> {
    let name = format!("bpf-linker-{BPF_LINKER}");
    let root = cache::entry("tools", &name, |root| {
        progress(&format!("installing  {name}: compiled once, one to five minutes"));
        let mut install = Command::new("cargo");
        install
            .args(["install", "bpf-linker", "--version", BPF_LINKER, "--locked", "--quiet", "--root"])
            .arg(root);
        run(&mut install).context("bpf-linker is needed to link the kernel programs")
    })?;
    Ok(root.join("bin"))
}

/// The packages of the lab.
///
/// # Errors
/// Names the command that installs them when it cannot be run here.
pub(crate) fn lab_packages() -> Result<()> {
    packages(PACKAGES)
}

/// Prometheus' tool that checks metrics and alert rules: taken out of Debian's package, because installing that
/// would start a server.
///
/// # Errors
/// When the package cannot be had.
pub(crate) fn promtool() -> Result<PathBuf> {
    let root = cache::entry("tools", "prometheus", |root| {
        progress("unpacking   promtool, from Debian's package prometheus");
        std::fs::create_dir_all(root)?;
        run_quietly(Command::new("apt-get").current_dir(root).args(["download", "prometheus"]))
            .context("promtool is needed to check metrics and alert rules")?;
        unpack(root)
    })?;
    Ok(root.join("usr/bin/promtool"))
}

/// The folder of an unpacked ClickHouse server, with those of its libraries that this machine does not have. Not
/// installed either: that would start it.
///
/// # Errors
/// When the packages cannot be had.
pub(crate) fn clickhouse() -> Result<PathBuf> {
    cache::entry("tools", "clickhouse", |root| {
        progress("unpacking   ClickHouse, from Debian's package clickhouse-server");
        std::fs::create_dir_all(root.join("partial"))?;
        let archives = format!("Dir::Cache::archives={}/", root.display());
        let mut command = Command::new("apt-get");
        command.args(["install", "--download-only", "--no-install-recommends", "--yes"]);
        // Nothing is changed, so that it need not be root and not wait for another apt.
        command.args(["-o", &archives, "-o", "Debug::NoLocking=1", "clickhouse-server"]);
        run_quietly(&mut command).context("ClickHouse is needed to test the sink for it")?;
        unpack(root)
    })
}

/// Unpacks every Debian package in the folder, there.
fn unpack(root: &Path) -> Result<()> {
    let packages = std::fs::read_dir(root)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    for deb in packages.iter().filter(|path| path.extension().is_some_and(|extension| extension == "deb")) {
        run_quietly(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(root))?;
        std::fs::remove_file(deb)?;
    }
    Ok(())
}

/// Installs Debian packages, each with what it is for.
///
/// # Errors
/// Names the command that installs them when it cannot be run here.
pub(crate) fn packages(wanted: &[(&str, &str)]) -> Result<()> {
    if !exists("dpkg-query") || !exists("apt-get") {
        let names: Vec<&str> = wanted.iter().map(|(name, _)| *name).collect();
        bail!("this is no Debian: needed is what Debian has in {}", names.join(" "));
    }
    let missing: Vec<&str> =
        wanted.iter().map(|(name, _)| *name).filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (package, purpose) in wanted.iter().filter(|(package, _)| missing.contains(package)) {
        progress(&format!("installing  {package}: {purpose}"));
    }
    let mut install = vec!["install", "--yes", "--no-install-recommends"];
    install.extend(&missing);
    let mut command = as_root("installing packages", "apt-get", &install)?;
    command.env("DEBIAN_FRONTEND", "noninteractive");
    if run(&mut command).is_err() {
        progress("the package lists may be old: apt-get update");
        run(&mut as_root("reading the package lists", "apt-get", &["update"])?)?;
        run(&mut command)
            .with_context(|| format!("these packages are needed; by hand: {}", line(&command)))?;
    }
    Ok(())
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat", "${db:Status-Status}", package]);
    query.output().is_ok_and(|output| output.stdout == b"installed")
}
