//! Stock Debian kernels.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::debian::Index;
use crate::cache;
use crate::command::run_quietly;
use crate::console::progress;

/// Raised when an entry of the cache is made differently.
const LAYOUT: &str = "2";

/// Series, and the suites that ship them: the first that has the series is taken.
const SERIES: &[(&str, &[&str])] = &[
    ("5.10", &["bullseye"]),
    ("6.1", &["bookworm"]),
    ("6.12", &["trixie"]),
    ("7", &["trixie-backports", "forky"]),
];

/// A kernel in the cache.
pub(crate) struct Kernel {
    /// What was asked for: `6.1`.
    pub(crate) series: String,
    /// What it is: `6.1.0-50-amd64`.
    pub(crate) release: String,
    /// What QEMU starts: the kernel unpacked, or the image where that is not possible.
    pub(crate) image: PathBuf,
    /// A folder with `lib/modules/<release>`, indexed by depmod.
    pub(crate) root: PathBuf,
}

/// The newest kernel of a series when it was first asked for; the cache keeps it.
///
/// # Errors
/// When the series is unknown or its packages cannot be had.
pub(crate) fn get(series: &str) -> Result<Kernel> {
    let Some((_, suites)) = SERIES.iter().find(|(name, _)| *name == series) else {
        let known: Vec<&str> = SERIES.iter().map(|(name, _)| *name).collect();
        bail!("there is no kernel series {series} here; known are {}", known.join(", "));
    };
    let name = format!("{series}-{}", cache::key(&[LAYOUT, series]));
    let root = cache::entry("kernels", &name, |dir| make(series, suites, dir))?;
    let release = fs::read_to_string(root.join("release"))?.trim().to_owned();
    let image = ["vmlinux", "vmlinuz"].map(|name| root.join(name)).into_iter().find(|path| path.is_file());
    let image = image.with_context(|| format!("{} has no kernel: remove the folder", root.display()))?;
    Ok(Kernel { series: series.to_owned(), release, image, root })
}

/// Forgets the kernel of a series, so that the next [`get`] looks for a newer one.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn forget(series: &str) -> Result<()> {
    let dir = cache::folder("kernels")?.join(format!("{series}-{}", cache::key(&[LAYOUT, series])));
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("cannot remove {}", dir.display()))?;
    }
    Ok(())
}

fn make(series: &str, suites: &[&str], dir: &Path) -> Result<()> {
    let mut tried = Vec::new();
    for suite in suites {
        progress(&format!("reading the package index of {suite}"));
        match from_suite(series, suite, dir) {
            Ok(Some(())) => return Ok(()),
            Ok(None) => tried.push(format!("{suite} has no kernel {series}")),
            Err(error) => tried.push(format!("{suite}: {error:#}")),
        }
    }
    bail!("no kernel {series}: {}", tried.join("; "))
}

fn from_suite(series: &str, suite: &str, dir: &Path) -> Result<Option<()>> {
    let index = Index::fetch(suite)?;
    let mut names = Vec::new();
    for prefix in ["linux-image-", "linux-binary-", "linux-modules-"] {
        names.extend(index.names(&format!("{prefix}{series}."))?);
    }
    let Some(release) = newest(names.iter().filter_map(|name| release_of(name))) else { return Ok(None) };
    fs::create_dir_all(dir)?;
    let downloads = cache::folder("debs")?;
    let unpacked = dir.join("unpacked");
    // Up to 6.12 the image has the modules; from 7.0 on they are packages of their own. The image
    // signed for secure boot is what administrators run, but is not in every suite.
    let of_release = [
        format!("linux-image-{release}"),
        format!("linux-image-{release}-unsigned"),
        format!("linux-binary-{release}"),
        format!("linux-modules-{release}"),
    ];
    let signed = names.contains(&of_release[0]);
    for package in of_release.iter().filter(|package| names.contains(package)) {
        if signed && package.ends_with("-unsigned") {
            continue;
        }
        progress(&format!("fetching {package}"));
        let deb = index.download(package, &downloads)?;
        run_quietly(Command::new("dpkg-deb").arg("--extract").arg(&deb).arg(&unpacked))?;
        fs::remove_file(&deb)?;
    }
    assemble(&release, &unpacked, dir)?;
    fs::remove_dir_all(&unpacked)?;
    Ok(Some(()))
}

/// Puts image and modules where every series has them.
fn assemble(release: &str, unpacked: &Path, dir: &Path) -> Result<()> {
    let first =
        |candidates: &[String]| candidates.iter().map(|name| unpacked.join(name)).find(|path| path.exists());
    let image = first(&[format!("boot/vmlinuz-{release}"), format!("usr/lib/modules/{release}/vmlinuz")])
        .with_context(|| format!("the packages of {release} have no vmlinuz where Debian puts it"))?;
    let modules = first(&[format!("lib/modules/{release}"), format!("usr/lib/modules/{release}")])
        .filter(|path| path.join("kernel").is_dir())
        .with_context(|| format!("the packages of {release} have no modules where Debian puts them"))?;
    fs::rename(image, dir.join("vmlinuz"))?;
    unpack(&dir.join("vmlinuz"), &dir.join("vmlinux"))?;
    fs::create_dir_all(dir.join("lib/modules"))?;
    fs::rename(modules, dir.join("lib/modules").join(release))?;
    run_quietly(Command::new("depmod").arg("--basedir").arg(dir).arg(release))?;
    fs::write(dir.join("release"), release)?;
    Ok(())
}

/// Takes the kernel out of its image, if it is compressed with something that we have. QEMU starts it
/// through its PVH entry; unpacking itself would cost the emulated kernel more than all of its boot.
fn unpack(image: &Path, kernel: &Path) -> Result<()> {
    let bytes = fs::read(image)?;
    let Some(payload) = payload(&bytes) else { return Ok(()) };
    let unpacker = match payload {
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => ["xz", "--single-stream"],
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ["zstd", "--quiet"],
        _ => return Ok(()),
    };
    let compressed = kernel.with_extension("compressed");
    fs::write(&compressed, payload)?;
    let mut command = Command::new(unpacker[0]);
    command.args([unpacker[1], "--decompress", "--stdout"]);
    command.stdin(fs::File::open(&compressed)?).stdout(fs::File::create(kernel)?);
    let unpacked = command.status().is_ok_and(|status| status.success());
    fs::remove_file(&compressed)?;
    if !unpacked {
        progress(&format!("{} cannot unpack the kernel: its boot takes longer", unpacker[0]));
        fs::remove_file(kernel)?;
    }
    Ok(())
}

/// The compressed kernel in a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset,
/// payload_length). The last four bytes are the length of the kernel, no part of the compressed data.
fn payload(image: &[u8]) -> Option<&[u8]> {
    if image.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let word = |at: usize| -> Option<usize> {
        let four = image.get(at..at + 4)?;
        usize::try_from(u32::from_le_bytes([four[0], four[1], four[2], four[3]])).ok()
    };
    let sectors = match *image.get(0x1f1)? {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let start = (sectors + 1) * 512 + word(0x248)?;
    image.get(start..start + word(0x24c)?.checked_sub(4)?)
}

/// The release that a package is of, for the plain flavour only: the cloud flavour has no PPP.
fn release_of(package: &str) -> Option<String> {
    let name = package.strip_prefix("linux-image-").or_else(|| package.strip_prefix("linux-binary-"))?;
    let release = name.strip_suffix("-unsigned").unwrap_or(name);
    let version = release.strip_suffix("-amd64")?;
    let plain = version.chars().all(|c| c.is_ascii_digit() || ".-+~".contains(c))
        || version.split_once("+deb").is_some_and(|(version, debian)| {
            version.chars().all(|c| c.is_ascii_digit() || ".-".contains(c))
                && debian.chars().all(|c| c.is_ascii_digit() || ".-+~bpo".contains(c))
        });
    plain.then(|| release.to_owned())
}

fn newest(releases: impl Iterator<Item = String>) -> Option<String> {
    releases.max_by(|left, right| compare_numbers(left, right))
}

/// Compares the numbers in two releases, one after another: 6.1.0-9 is older than 6.1.0-10.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let numbers = |text: &str| -> Vec<u64> {
        let parts = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().unwrap_or(u64::MAX)).collect()
    };
    numbers(left).cmp(&numbers(right)).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_plain_flavour_only() {
        let cases = [
            ("linux-image-6.1.0-50-amd64", Some("6.1.0-50-amd64")),
            ("linux-image-6.1.0-50-amd64-unsigned", Some("6.1.0-50-amd64")),
            ("linux-image-6.12.94+deb13-amd64", Some("6.12.94+deb13-amd64")),
            ("linux-image-6.12.94+deb13.1-amd64", Some("6.12.94+deb13.1-amd64")),
            ("linux-binary-7.3.4+deb13-amd64", Some("7.3.4+deb13-amd64")),
            ("linux-image-6.1.0-50-cloud-amd64", None),
            ("linux-image-6.1.0-50-rt-amd64", None),
            ("linux-image-6.12.94+deb13-rt-amd64", None),
            ("linux-image-6.12.94+deb13-cloud-amd64-unsigned", None),
            ("linux-image-6.1.0-50-amd64-dbg", None),
            ("linux-modules-7.3.4+deb13-amd64", None),
        ];
        for (package, release) in cases {
            assert_eq!(release_of(package).as_deref(), release, "{package}");
        }
    }

    #[test]
    fn payload_of_an_image() {
        let mut image = vec![0; 8192];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16_u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&8_u32.to_le_bytes());
        image[1024 + 16..1024 + 20].copy_from_slice(b"data");
        assert_eq!(payload(&image), Some(&b"data"[..]));
        assert_eq!(payload(&image[..1040]), None);
        image[0x202] = b'h';
        assert_eq!(payload(&image), None);
    }

    #[test]
    fn newest_is_by_number() {
        let releases = ["6.1.0-9-amd64", "6.1.0-50-amd64", "6.1.0-47-amd64"].map(str::to_owned);
        assert_eq!(newest(releases.into_iter()).as_deref(), Some("6.1.0-50-amd64"));
        assert_eq!(newest(std::iter::empty()), None);
    }
}
