//! The guest's root file system: Debian with the daemons of a VPN host, made once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::debian;
use crate::cache;
use crate::command::{as_root, run_quietly};
use crate::console::progress;

const SUITE: &str = "bookworm";

/// Raised when the image is made differently from the same packages.
const LAYOUT: &str = "1";

/// What a VPN host has, and what scenarios use.
const PACKAGES: &[&str] = &[
    "freeradius",
    "freeradius-utils",
    "iperf3",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "libradcli4",
    "netcat-openbsd",
    "nftables",
    "ppp",
    "pptp-linux",
    "pptpd",
    "procps",
    "python3-minimal",
    "rsyslog",
    "systemd",
    "tcpdump",
];

/// Makes the image in a folder given as `$1`: the rest are debootstrap's arguments. Runs as root in a
/// mount namespace of its own, so that what debootstrap mounts is gone whenever it ends.
const SCRIPT: &str = r#"
set -eu
dir=$1 owner=$2
shift 2
mkdir -p "$dir/root"
debootstrap --variant=minbase "$@"
cd "$dir/root"
rm -rf usr/share/doc usr/share/man usr/share/locale usr/share/info var/cache/apt/* var/lib/apt/lists/*
cd ..
size=$(du -sm root | cut -f 1)
# No journal: the image is never written, QEMU keeps changes in a temporary file.
mkfs.ext4 -q -F -O ^has_journal -d root image.ext4 "$((size * 5 / 4 + 128))M"
rm -rf root
chown -R "$owner" "$dir"
"#;

/// The image, from the cache or made now.
///
/// # Errors
/// When the packages cannot be had, or without root.
pub(crate) fn get() -> Result<PathBuf> {
    let packages = PACKAGES.join(",");
    let name = format!("{SUITE}-{}", cache::key(&[LAYOUT, SUITE, &packages, SCRIPT]));
    let dir = cache::entry("rootfs", &name, |dir| make(&packages, dir))?;
    Ok(dir.join("image.ext4"))
}

fn make(packages: &str, dir: &Path) -> Result<()> {
    progress(&format!(
        "making the guest's root file system ({SUITE}, {} packages): about a minute",
        PACKAGES.len()
    ));
    let site = debian::site()?;
    let debs = cache::folder("debs")?;
    std::fs::create_dir_all(dir)?;
    let owner = std::fs::metadata(dir).map(|own| {
        use std::os::unix::fs::MetadataExt;
        format!("{}:{}", own.uid(), own.gid())
    })?;
    let mut arguments: Vec<String> =
        ["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"].map(str::to_owned).into();
    arguments.extend([dir.display().to_string(), owner]);
    arguments.push(format!("--cache-dir={}", debs.display()));
    arguments.push(format!("--include={packages}"));
    arguments.extend(debian::keyring().map(|keyring| format!("--keyring={}", keyring.display())));
    arguments.extend([SUITE.to_owned(), dir.join("root").display().to_string(), site]);
    let mut command = as_root("making the guest's root file system", "unshare", &arguments)?;
    run_quietly(&mut command)
        .context("debootstrap failed; its own log is in debootstrap/debootstrap.log there")
}
