//! The initramfs: busybox, and the modules of one kernel that the guest may need.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::kernel::Kernel;
use crate::command::{output, run_quietly};
use crate::console::progress;
use crate::{cache, paths};

/// Raised when the initramfs is made differently.
const LAYOUT: &str = "1";

/// Loaded before there is a root file system, in this order.
const BOOT: &[&str] =
    &["virtio_pci", "virtio_blk", "crc32c_generic", "ext4", "9pnet_virtio", "9p", "virtio_rng"];

/// Without these there is no lab, whatever the series.
const REQUIRED: &[&str] =
    &["virtio_blk", "ext4", "9p", "veth", "ppp_generic", "ppp_async", "ppp_mppe", "sch_netem"];

/// Loaded by whoever needs them. A series may have one built in, or not at all.
const LATER: &[&str] = &[
    // Links.
    "8021q",
    "bonding",
    "bridge",
    "dummy",
    "ifb",
    "macvlan",
    "tun",
    "veth",
    // PPP and GRE.
    "bsd_comp",
    "gre",
    "ip_gre",
    "ppp_async",
    "ppp_deflate",
    "ppp_generic",
    "ppp_mppe",
    "ppp_synctty",
    "pppox",
    "pptp",
    // Ciphers and hashes of MPPE and MS-CHAP.
    "arc4",
    "des_generic",
    "ecb",
    "libarc4",
    "md4",
    "md5",
    "sha1_generic",
    "sha1_ssse3",
    "af_alg",
    "algif_hash",
    "algif_skcipher",
    // Firewall.
    "nf_tables",
    "nft_chain_nat",
    "nft_compat",
    "nft_counter",
    "nft_ct",
    "nft_limit",
    "nft_log",
    "nft_masq",
    "nft_nat",
    "nft_objref",
    "nft_queue",
    "nft_redir",
    "nft_reject",
    "nft_reject_inet",
    "nft_reject_ipv4",
    "nft_reject_ipv6",
    "nft_numgen",
    "nft_quota",
    "nft_connlimit",
    "nfnetlink",
    "nfnetlink_log",
    "nfnetlink_queue",
    "nf_log_syslog",
    "nf_log_ipv4",
    "nf_log_common",
    "nf_conntrack",
    "nf_conntrack_netlink",
    "nf_conntrack_pptp",
    "nf_nat",
    "nf_nat_pptp",
    "ip_tables",
    "ip6_tables",
    "iptable_filter",
    "iptable_mangle",
    "iptable_nat",
    "iptable_raw",
    "ipt_REJECT",
    "xt_comment",
    "xt_conntrack",
    "xt_limit",
    "xt_LOG",
    "xt_mark",
    "xt_MASQUERADE",
    "xt_multiport",
    "xt_nat",
    "xt_policy",
    "xt_state",
    "xt_statistic",
    "xt_TCPMSS",
    "xt_tcpudp",
    "xt_CT",
    "xt_helper",
    "xt_bpf",
    // Queueing and classifying.
    "act_bpf",
    "act_gact",
    "act_mirred",
    "cls_bpf",
    "cls_flower",
    "cls_matchall",
    "cls_u32",
    "sch_fq",
    "sch_fq_codel",
    "sch_htb",
    "sch_ingress",
    "sch_netem",
    "sch_prio",
    "sch_tbf",
    // Looking at sockets and packets.
    "af_packet",
    "af_packet_diag",
    "inet_diag",
    "raw_diag",
    "tcp_diag",
    "udp_diag",
    "unix_diag",
];

/// The initramfs for a kernel, from the cache or made now.
///
/// # Errors
/// When a module without which there is no lab is missing.
pub(crate) fn get(kernel: &Kernel) -> Result<PathBuf> {
    let init_path = paths::guest().join("initramfs-init");
    let init =
        fs::read_to_string(&init_path).with_context(|| format!("cannot read {}", init_path.display()))?;
    let busybox =
        fs::metadata("/bin/busybox").context("there is no /bin/busybox: busybox-static brings it")?;
    let inputs =
        [LAYOUT, &kernel.release, &init, &BOOT.join(" "), &LATER.join(" "), &busybox.len().to_string()];
    let name = format!("{}-{}", kernel.release, cache::key(&inputs));
    let dir = cache::entry("initramfs", &name, |dir| make(kernel, &init, dir))?;
    Ok(dir.join("initramfs.cpio"))
}

fn make(kernel: &Kernel, init: &str, dir: &Path) -> Result<()> {
    progress(&format!("making the initramfs of {}", kernel.release));
    let tree = dir.join("tree");
    let modules = tree.join("lib/modules").join(&kernel.release);
    for name in ["bin", "etc/modprobe.d"] {
        fs::create_dir_all(tree.join(name))?;
    }
    let mut files = BTreeSet::new();
    let mut absent = Vec::new();
    for module in BOOT.iter().chain(LATER) {
        match dependencies(kernel, module, &tree)? {
            Some(more) => files.extend(more),
            None => absent.push(*module),
        }
    }
    if let Some(missing) = REQUIRED.iter().find(|module| absent.contains(module)) {
        bail!("kernel {} has no module {missing}: is it the plain flavour?", kernel.release);
    }
    if !absent.is_empty() {
        absent.sort_unstable();
        progress(&format!("{} has no {}", kernel.release, absent.join(", ")));
    }
    let from = kernel.root.join("lib/modules").join(&kernel.release);
    for file in &files {
        install(&from.join(file), &modules.join(file))?;
    }
    for index in ["modules.builtin", "modules.order", "modules.builtin.modinfo"] {
        if from.join(index).is_file() {
            fs::copy(from.join(index), modules.join(index))?;
        }
    }
    run_quietly(Command::new("depmod").arg("--basedir").arg(&tree).arg(&kernel.release))?;
    fs::copy("/bin/busybox", tree.join("bin/busybox"))?;
    fs::write(tree.join("init"), init)?;
    run_quietly(Command::new("chmod").arg("755").arg(tree.join("init")))?;
    fs::write(tree.join("boot-modules"), BOOT.join("\n") + "\n")?;
    symlink("bin", tree.join("sbin"))?;
    pack(&tree, &dir.join("initramfs.cpio"))?;
    fs::remove_dir_all(&tree)?;
    Ok(())
}

/// Files of a module and of all it depends on, relative to the release's folder; empty for one that is
/// built in, `None` for one that the kernel does not have.
fn dependencies(kernel: &Kernel, module: &str, tree: &Path) -> Result<Option<Vec<PathBuf>>> {
    let mut modprobe = Command::new("modprobe");
    // Not this machine's configuration, which may forbid modules.
    modprobe.arg("--config").arg(tree.join("etc/modprobe.d"));
    modprobe.arg("--dirname").arg(&kernel.root).args(["--set-version", &kernel.release]);
    modprobe.args(["--show-depends", module]);
    let Ok(shown) = output(&mut modprobe) else { return Ok(None) };
    let marker = format!("lib/modules/{}/", kernel.release);
    let mut files = Vec::new();
    for line in shown.lines() {
        let Some(path) = line.strip_prefix("insmod ") else { continue };
        let (_, file) = path.trim().split_once(&marker).with_context(|| format!("modprobe says {line:?}"))?;
        files.push(PathBuf::from(file.split_whitespace().next().unwrap_or(file)));
    }
    Ok(Some(files))
}

/// Copies a module; a compressed one is unpacked, for every modprobe and every kernel reads that.
fn install(from: &Path, to: &Path) -> Result<()> {
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    if from.extension().is_some_and(|extension| extension == "xz") {
        let file = fs::File::create(to.with_extension(""))?;
        let status = Command::new("xz").args(["--decompress", "--stdout"]).arg(from).stdout(file).status()?;
        if !status.success() {
            bail!("xz cannot unpack {}", from.display());
        }
    } else {
        fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Packs a tree, uncompressed: unpacking would cost the emulated guest more than reading.
fn pack(tree: &Path, archive: &Path) -> Result<()> {
    let list = output(Command::new("find").current_dir(tree).arg("."))?;
    let names = archive.with_extension("names");
    fs::write(&names, list)?;
    let mut cpio = Command::new("cpio");
    cpio.args(["--quiet", "--create", "--format=newc", "--owner=0:0"]).current_dir(tree);
    cpio.stdin(Stdio::from(fs::File::open(&names)?)).stdout(fs::File::create(archive)?);
    if !cpio.status().context("cannot start cpio")?.success() {
        bail!("cpio failed");
    }
    fs::remove_file(names)?;
    Ok(())
}
