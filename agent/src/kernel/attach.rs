//! Attaching the programs to devices.
//!
//! Ingress is XDP where the driver has it, else TC; egress is TC. TC is TCX (6.6), else a filter
//! on clsact. A device is watched in both directions or not at all.

use std::ffi::CStr;
use std::fmt;

use aya::programs::tc::{NlOptions, SchedClassifierLinkId, TcAttachOptions, TcError};
use aya::programs::xdp::{XdpError, XdpLinkId};
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode, tc};

use super::clsact;
use super::devices::{Device, LinkLayer};
use super::error::{AttachError, ReadError};
use super::load::{Kernel, TC_BARE, TC_ETHERNET, TC_INNER, TC_LOOPBACK, XDP};

/// Where packets are seen coming in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IngressMode {
    /// XDP in the driver where it is possible, else TC.
    #[default]
    Auto,
    /// XDP in the driver, or fail.
    Xdp,
    /// TC.
    Tc,
}

/// How TC programs are attached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TcMode {
    /// TCX, else clsact.
    #[default]
    Auto,
    /// TCX (6.6), or fail.
    Tcx,
    /// A filter on the clsact queueing discipline.
    Clsact,
}

/// Where packets are seen coming in, of a device that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// In the driver.
    Xdp,
    /// At TC ingress.
    Tc,
}

/// How TC programs hang on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcMechanism {
    /// A TCX link: goes with the process.
    Tcx,
    /// A filter on the clsact queueing discipline.
    Clsact,
}

/// How a device is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where packets are seen coming in.
    pub ingress: Ingress,
    /// How the TC programs hang: egress, and ingress if that is TC.
    pub tc: TcMechanism,
    /// Nothing is looked at on its way out.
    pub ingress_only: bool,
    /// Why it is less than one could have: XDP was refused, or others come first.
    pub note: Option<String>,
}

impl fmt::Display for IngressMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Auto => "auto",
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        })
    }
}

impl fmt::Display for Ingress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Xdp => "xdp",
            Self::Tc => "tc",
        })
    }
}

impl fmt::Display for TcMechanism {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcx => "tcx",
            Self::Clsact => "clsact",
        })
    }
}

/// What hangs on one device.
#[derive(Debug, Default)]
pub(super) struct Attached {
    xdp: Option<XdpLinkId>,
    /// With the names of their programs.
    tc: Vec<(&'static str, SchedClassifierLinkId)>,
    /// The discipline is there because of us.
    owns_clsact: bool,
}

/// The two TC hooks, in the order of [`TC_ETHERNET`] and [`TC_BARE`].
#[derive(Clone, Copy)]
enum Hook {
    Ingress,
    Egress,
}

impl Hook {
    fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    fn attach_type(self) -> TcAttachType {
        match self {
            Self::Ingress => TcAttachType::Ingress,
            Self::Egress => TcAttachType::Egress,
        }
    }
}

impl Kernel {
    /// Watches a device in both directions.
    ///
    /// Attaching XDP makes some drivers reset their queues, which costs a moment of traffic.
    ///
    /// # Errors
    /// See [`AttachError`]; nothing hangs on the device then.
    pub fn attach(&mut self, device: &Device, mode: IngressMode) -> Result<Attachment, AttachError> {
        let (programs, try_xdp) = match device.layer {
            LinkLayer::Ethernet | LinkLayer::Loopback => (TC_ETHERNET, mode != IngressMode::Tc),
            LinkLayer::Ip | LinkLayer::Ppp if mode != IngressMode::Xdp => (TC_BARE, false),
            layer => return Err(AttachError::Layer { name: device.name.clone(), layer, mode }),
        };
        self.attach_programs(device, mode, programs, try_xdp)
    }

    /// Watches a pppN as the inside of a tunnel, in both directions.
    ///
    /// # Errors
    /// See [`AttachError`]; nothing hangs on the device then.
    pub fn attach_inner(&mut self, device: &Device) -> Result<Attachment, AttachError> {
        let full =
            |error: ReadError| AttachError::Map { name: device.name.clone(), reason: error.to_string() };
        self.inner.open(device.index, device.mtu).map_err(full)?;
        let result = self.attach_programs(device, IngressMode::Tc, TC_INNER, false);
        if result.is_err() {
            self.inner.forget(device.index);
        }
        result
    }

    fn attach_programs(
        &mut self,
        device: &Device,
        mode: IngressMode,
        programs: [&'static str; 2],
        try_xdp: bool,
    ) -> Result<Attachment, AttachError> {
        let index = device.index;
        // aya takes a name for TC; the device may have been renamed since we heard of it.
        let name = name_of(index).ok_or_else(|| AttachError::Gone { name: device.name.clone(), index })?;
        if self.attached.contains_key(&index) {
            return Err(AttachError::Already { name });
        }
        let mut attached = Attached::default();
        let result = self.attach_all(index, &name, mode, programs, try_xdp, &mut attached);
        match result {
            Ok(attachment) => {
                self.attached.insert(index, attached);
                Ok(attachment)
            }
            Err(error) => {
                self.undo(index, attached);
                Err(error)
            }
        }
    }

    /// Watches what is received on the loopback device for RADIUS, and for nothing else.
    ///
    /// # Errors
    /// See [`AttachError`]; nothing hangs on the device then.
    pub fn attach_loopback(&mut self, device: &Device) -> Result<Attachment, AttachError> {
        let index = device.index;
        let name = name_of(index).ok_or_else(|| AttachError::Gone { name: device.name.clone(), index })?;
        if self.attached.contains_key(&index) {
            return Err(AttachError::Already { name });
        }
        let (mut attached, mut notes) = (Attached::default(), Vec::new());
        match self.attach_tc(index, &name, &[(Hook::Ingress, TC_LOOPBACK)], &mut attached, &mut notes) {
            Ok(tc) => {
                notes.insert(0, "RADIUS only: a server on this host listens".to_owned());
                self.attached.insert(index, attached);
                Ok(Attachment { ingress: Ingress::Tc, tc, ingress_only: true, note: Some(notes.join("; ")) })
            }
            Err(error) => {
                self.undo(index, attached);
                Err(error)
            }
        }
    }

    /// Leaves a device alone. False when it was not watched.
    ///
    /// A device that went away took everything with it.
    pub fn detach(&mut self, index: u32) -> bool {
        let Some(attached) = self.attached.remove(&index) else { return false };
        self.undo(index, attached);
        true
    }

    /// Indices of the devices that are watched.
    pub fn attached(&self) -> impl Iterator<Item = u32> {
        self.attached.keys().copied()
    }

    fn attach_all(
        &mut self,
        index: u32,
        name: &str,
        mode: IngressMode,
        programs: [&'static str; 2],
        try_xdp: bool,
        attached: &mut Attached,
    ) -> Result<Attachment, AttachError> {
        let mut notes = Vec::new();
        if try_xdp {
            match self.attach_xdp(index) {
                Ok(link) => attached.xdp = Some(link),
                Err(error) => {
                    let reason = xdp_reason(&error);
                    if mode == IngressMode::Xdp {
                        return Err(AttachError::Xdp { name: name.to_owned(), reason });
                    }
                    notes.push(format!("not XDP: {reason}"));
                }
            }
        }
        let ingress = if attached.xdp.is_some() { Ingress::Xdp } else { Ingress::Tc };
        let hooks: &[_] = match ingress {
            Ingress::Xdp => &[(Hook::Egress, programs[1])],
            Ingress::Tc => &[(Hook::Ingress, programs[0]), (Hook::Egress, programs[1])],
        };
        let tc = self.attach_tc(index, name, hooks, attached, &mut notes)?;
        let note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(Attachment { ingress, tc, ingress_only: false, note })
    }

    fn attach_xdp(&mut self, index: u32) -> Result<XdpLinkId, ProgramError> {
        let program: &mut Xdp = self.ebpf.program_mut(XDP).ok_or(ProgramError::NotLoaded)?.try_into()?;
        program.attach_to_if_index(index, XdpMode::Driver)
    }

    fn attach_tc(
        &mut self,
        index: u32,
        name: &str,
        hooks: &[(Hook, &'static str)],
        attached: &mut Attached,
        notes: &mut Vec<String>,
    ) -> Result<TcMechanism, AttachError> {
        let failed = |hook: Hook, mechanism: TcMechanism, reason: String| AttachError::Tc {
            name: name.to_owned(),
            direction: hook.name(),
            mechanism,
            reason,
        };
        let first = hooks.first().map_or(Hook::Egress, |(hook, _)| *hook);
        let impossible = |reason: String| failed(first, TcMechanism::Clsact, reason);
        // An agent that used clsact and was killed would count every packet a second time.
        let stale = clsact::remove_stale(index)
            .map_err(|error| impossible(format!("filters of an earlier agent cannot be removed: {error}")))?;
        // Whoever left the filters left the discipline too.
        attached.owns_clsact = stale > 0;

        let mut without_tcx = String::new();
        if self.tc != TcMode::Clsact {
            match self.attach_tcx(name, hooks, attached) {
                Ok(()) => return Ok(TcMechanism::Tcx),
                Err((hook, error)) => {
                    if self.tc == TcMode::Tcx {
                        return Err(failed(hook, TcMechanism::Tcx, error.to_string()));
                    }
                    without_tcx = format!(" (and TCX says: {error})");
                    self.undo(
                        index,
                        Attached { xdp: None, tc: std::mem::take(&mut attached.tc), owns_clsact: false },
                    );
                }
            }
        }
        let added = match tc::qdisc_add_clsact(name) {
            Ok(()) => true,
            Err(error) if errno_tc(&error) == Some(libc::EEXIST) => {
                let holder = clsact::holder(index).map_err(|error| impossible(error.to_string()))?;
                if let Some(other) = holder.filter(|kind| kind != "clsact") {
                    let hint = format!("qdisc {other} has the place of clsact: replace it by clsact");
                    return Err(impossible(hint + &without_tcx));
                }
                false
            }
            Err(error) => {
                return Err(impossible(format!("the clsact qdisc cannot be added: {error}{without_tcx}")));
            }
        };
        attached.owns_clsact |= added;
        for &(hook, program) in hooks {
            // Otherwise a filter that accepts or redirects a packet would hide it from us.
            let first = NlOptions { priority: 1, ..NlOptions::default() };
            let mut result = self.attach_classifier(program, name, hook, TcAttachOptions::Netlink(first));
            if result.as_ref().is_err_and(|error| errno(error) == Some(libc::EINVAL)) {
                // A filter of another kind has that place.
                result = self.attach_classifier(
                    program,
                    name,
                    hook,
                    TcAttachOptions::Netlink(NlOptions::default()),
                );
                notes.push(format!(
                    "a filter with priority 1 comes first at TC {}: what it accepts or redirects is not seen",
                    hook.name()
                ));
            }
            let link =
                result.map_err(|error| failed(hook, TcMechanism::Clsact, format!("{error}{without_tcx}")))?;
            attached.tc.push((program, link));
        }
        Ok(TcMechanism::Clsact)
    }

    fn attach_tcx(
        &mut self,
        name: &str,
        hooks: &[(Hook, &'static str)],
        attached: &mut Attached,
    ) -> Result<(), (Hook, ProgramError)> {
        for &(hook, program) in hooks {
            // First: a program that accepts or redirects a packet would hide it from us.
            let options = TcAttachOptions::TcxOrder(LinkOrder::first());
            let link = self.attach_classifier(program, name, hook, options).map_err(|error| (hook, error))?;
            attached.tc.push((program, link));
        }
        Ok(())
    }

    fn attach_classifier(
        &mut self,
        program: &'static str,
        name: &str,
        hook: Hook,
        options: TcAttachOptions,
    ) -> Result<SchedClassifierLinkId, ProgramError> {
        let program: &mut SchedClassifier =
            self.ebpf.program_mut(program).ok_or(ProgramError::NotLoaded)?.try_into()?;
        program.attach_with_options(name, hook.attach_type(), options)
    }

    fn undo(&mut self, index: u32, attached: Attached) {
        let gone = || name_of(index).is_none();
        let complain = |what: &str, error: &dyn fmt::Display| {
            if !gone() {
                tracing::warn!(interface = index, "cannot detach {what}: {error}");
            }
        };
        if let Some(link) = attached.xdp {
            let program = self.ebpf.program_mut(XDP).ok_or(ProgramError::NotLoaded);
            let program: Result<&mut Xdp, _> = program.and_then(TryInto::try_into);
            if let Err(error) = program.and_then(|program| program.detach(link)) {
                complain("XDP", &error);
            }
        }
        for (name, link) in attached.tc {
            let program = self.ebpf.program_mut(name).ok_or(ProgramError::NotLoaded);
            let program: Result<&mut SchedClassifier, _> = program.and_then(TryInto::try_into);
            if let Err(error) = program.and_then(|program| program.detach(link)) {
                complain(name, &error);
            }
        }
        if attached.owns_clsact
            && let Err(error) = clsact::remove_unused(index)
        {
            complain("the clsact qdisc", &error);
        }
    }
}

impl Drop for Kernel {
    /// Links go with their file descriptors; filters on clsact do not.
    fn drop(&mut self) {
        while let Some((index, attached)) = self.attached.pop_first() {
            self.undo(index, attached);
        }
    }
}

/// The name of a device now.
fn name_of(index: u32) -> Option<String> {
    let mut buffer = [0u8; libc::IF_NAMESIZE];
    // SAFETY: the buffer has the size that the function demands.
    let name = unsafe { libc::if_indextoname(index, buffer.as_mut_ptr().cast()) };
    if name.is_null() {
        return None;
    }
    CStr::from_bytes_until_nul(&buffer).ok()?.to_str().ok().map(str::to_owned)
}

fn errno(error: &ProgramError) -> Option<i32> {
    match error {
        ProgramError::SyscallError(error) => error.io_error.raw_os_error(),
        ProgramError::XdpError(XdpError::NetlinkError(error)) | ProgramError::NetlinkError(error) => {
            error.raw_os_error()
        }
        ProgramError::TcError(error) => errno_tc(error),
        _ => None,
    }
}

fn errno_tc(error: &TcError) -> Option<i32> {
    match error {
        TcError::NetlinkError(error) => error.raw_os_error(),
        TcError::IoError(error) => error.raw_os_error(),
        _ => None,
    }
}

/// What a refusal of XDP means (dev_xdp_attach in net/core/dev.c).
fn xdp_reason(error: &ProgramError) -> String {
    match errno(error) {
        Some(libc::EOPNOTSUPP) => "the driver has no native XDP".to_owned(),
        Some(libc::EBUSY | libc::EEXIST) => "another XDP program is attached".to_owned(),
        _ => format!("the driver refuses native XDP in its present setup (MTU, queues, offloads): {error}"),
    }
}
