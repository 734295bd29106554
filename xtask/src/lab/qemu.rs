//! The virtual machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::kernel::Kernel;
use crate::console::progress;

/// What executes the guest's instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Accel {
    /// QEMU itself: works everywhere.
    Tcg,
    /// The processor, if it really works here; else QEMU.
    Kvm,
}

impl Accel {
    fn options(self) -> [&'static str; 4] {
        match self {
            Self::Tcg => ["-accel", "tcg,thread=multi", "-cpu", "max"],
            Self::Kvm => ["-accel", "kvm", "-cpu", "host"],
        }
    }
}

/// Where the guest's console goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Console {
    /// Into the file; standard output carries the lines that the guest writes for us.
    File,
    /// To our terminal and into the file; the lines for us go into `report.txt` beside it.
    Terminal,
}

/// Everything a guest is made of.
pub(crate) struct Machine<'a> {
    pub(crate) accel: Accel,
    pub(crate) kernel: &'a Kernel,
    pub(crate) initramfs: &'a Path,
    /// Image of the root file system; never written.
    pub(crate) root: &'a Path,
    /// Folders that the guest sees: its scripts, the agent's folder (read only), and what it writes.
    pub(crate) guest: &'a Path,
    pub(crate) agent: &'a Path,
    pub(crate) out: &'a Path,
    pub(crate) console: Console,
}

/// A running QEMU, killed when dropped.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// QEMU, killed by the kernel when we die, however that happens.
fn qemu() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    command
}

impl Machine<'_> {
    /// The console's file.
    pub(crate) fn serial_log(&self) -> PathBuf {
        self.out.join("serial.log")
    }

    /// Starts the guest.
    ///
    /// # Errors
    /// When QEMU cannot be started.
    pub(crate) fn start(&self) -> Result<Running> {
        let mut qemu = qemu();
        qemu.args(self.accel.options());
        qemu.args(["-machine", "pc", "-smp", "2", "-m", "1024", "-device", "virtio-rng-pci"]);
        qemu.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(self.initramfs);
        // An oops ends the guest as a panic does, and a panic ends QEMU (-no-reboot).
        qemu.args(["-append", "console=ttyS0 loglevel=4 panic=-1 oops=panic net.ifnames=0"]);
        qemu.arg("-drive").arg(joined("if=none,id=root,format=raw,snapshot=on,file=", self.root));
        qemu.args(["-device", "virtio-blk-pci,drive=root"]);
        for (tag, path, mode) in [
            ("guest", self.guest, ",readonly=on"),
            ("agent", self.agent, ",readonly=on"),
            ("out", self.out, ""),
        ] {
            let share = format!("local,mount_tag={tag},security_model=none,multidevs=remap{mode},path=");
            qemu.arg("-virtfs").arg(joined(&share, path));
        }
        let log = self.serial_log();
        match self.console {
            Console::File => {
                qemu.arg("-chardev").arg(joined("file,id=console,path=", &log));
                qemu.args(["-serial", "chardev:console", "-chardev", "stdio,id=report,signal=off"]);
                qemu.args(["-serial", "chardev:report"]);
                qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            }
            Console::Terminal => {
                qemu.arg("-chardev").arg(joined("stdio,id=console,mux=on,signal=off,logfile=", &log));
                qemu.args(["-serial", "chardev:console", "-mon", "chardev=console"]);
                qemu.arg("-chardev").arg(joined("file,id=report,path=", &self.out.join("report.txt")));
                qemu.args(["-serial", "chardev:report"]);
            }
        }
        let child = qemu.spawn().context("cannot start QEMU through setpriv (util-linux)")?;
        Ok(Running(child))
    }
}

/// An option and a path, whose commas QEMU wants doubled.
fn joined(option: &str, path: &Path) -> String {
    format!("{option}{}", path.display().to_string().replace(',', ",,"))
}

/// What to use when `wanted` was asked for: KVM only when a guest gets as far as its first line with
/// it within ten seconds. A device file alone proves nothing: nested KVM may hang or assert.
///
/// # Errors
/// When QEMU cannot be started at all.
pub(crate) fn choose(wanted: Accel, kernel: &Kernel) -> Result<Accel> {
    if wanted == Accel::Tcg {
        return Ok(Accel::Tcg);
    }
    progress("probing KVM, 10 s at most");
    let log = std::env::temp_dir().join(format!("pptpscope-kvm-probe-{}.log", std::process::id()));
    let mut qemu = qemu();
    qemu.args(Accel::Kvm.options()).args(["-m", "256", "-kernel"]).arg(&kernel.image);
    // Without a root file system the kernel panics, which ends QEMU.
    qemu.args(["-append", "console=ttyS0 panic=-1"]).arg("-serial").arg(joined("file:", &log));
    qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut probe = Running(qemu.spawn().context("cannot start QEMU through setpriv (util-linux)")?);
    let end = Instant::now() + Duration::from_secs(10);
    let mut ended = false;
    while !ended && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
        ended = probe.0.try_wait()?.is_some();
    }
    drop(probe);
    let said = std::fs::read(&log).unwrap_or_default();
    drop(std::fs::remove_file(&log));
    if ended && String::from_utf8_lossy(&said).contains("Linux version") {
        progress("KVM works");
        return Ok(Accel::Kvm);
    }
    progress("KVM does not work here: emulating instead (--accel tcg)");
    Ok(Accel::Tcg)
}
