//! A guest to look around in.

use anyhow::Result;
use pptpscope_tests::scenario;

use super::qemu::{Console, Machine};
use super::{Lab, MachineArguments, run};
use crate::console::progress;
use crate::paths;

/// Boots a guest with the VPN up and gives its shell; `false` when QEMU does not end well.
///
/// # Errors
/// When something that the guest needs cannot be had.
pub(super) fn shell(arguments: &MachineArguments) -> Result<bool> {
    let lab = Lab::prepare(arguments)?;
    let scenario = scenario::load(&paths::workspace().join("tests/lab/shell.toml"))?;
    let out = paths::target().join("lab/shell");
    run::prepare_folder(&out)?;
    run::write_scenario(&out, &scenario, "shell", lab.agent.is_some())?;
    let guest = paths::guest();
    let machine = Machine {
        accel: lab.accel,
        kernel: &lab.kernel,
        initramfs: &lab.initramfs,
        root: &lab.root,
        guest: &guest,
        agent: lab.agent.as_deref().unwrap_or(&guest),
        out: &out,
        console: Console::Terminal,
    };
    progress("booting; `exit` ends the guest, Ctrl-A X kills it");
    let mut qemu = machine.start()?;
    let status = qemu.0.wait()?;
    progress(&format!("logs, events and capture are in {}", out.display()));
    Ok(status.success())
}
