//! Which interfaces are watched, and how; follows them as they come and go.

use std::collections::BTreeMap;

use pptpscope_common::{Direction, Inner};
use tracing::{info, warn};

use crate::event::agent::Interface;
use crate::kernel::{
    Attachment, Device, DeviceChange, Devices, Ingress, IngressMode, Kernel, LinkLayer, ReadError,
    TcMechanism, Verdict, Wanted, plan,
};
use crate::observation::{PppInterface, What};

/// The interfaces that are watched or should be.
#[derive(Debug)]
pub(super) struct Watch {
    wanted: Wanted,
    mode: IngressMode,
    /// By index: the name, and how it is attached or why it is not.
    watched: BTreeMap<u32, (String, Result<Attachment, String>)>,
    /// The pppN, by index: MTU that the programs know, and the counters that were last taken; or why
    /// they are not watched.
    inner: BTreeMap<u32, Result<Tunnel, String>>,
    /// Whether it was said that there is nothing to watch.
    said_idle: bool,
    /// Whether a RADIUS server on this host listens, so that loopback is watched for it.
    local_server: bool,
}

#[derive(Clone, Debug, Default)]
struct Tunnel {
    mtu: u32,
    taken: [Inner; 2],
}

impl Watch {
    pub(super) fn new(interfaces: &[String], mode: IngressMode) -> Self {
        let wanted = if interfaces.is_empty() {
            Wanted::Auto
        } else {
            Wanted::Named(interfaces.iter().cloned().collect())
        };
        Self {
            wanted,
            mode,
            watched: BTreeMap::new(),
            inner: BTreeMap::new(),
            said_idle: false,
            local_server: false,
        }
    }

    /// Attaches to what should be watched and leaves alone what should not, as the devices are now.
    pub(super) fn apply(&mut self, kernel: &mut Kernel, devices: &Devices) {
        let by_index: BTreeMap<u32, &Device> =
            devices.current().map(|device| (device.index, device)).collect();
        for choice in plan(devices.current(), &self.wanted) {
            if choice.verdict == Verdict::Loopback && self.local_server {
                if let Some(device) =
                    by_index.get(&choice.index).filter(|_| !self.watched.contains_key(&choice.index))
                {
                    let result = kernel.attach_loopback(device).map_err(|error| error.to_string());
                    self.attached(device, result);
                }
                continue;
            }
            let Verdict::Watch { twice_with } = &choice.verdict else {
                if self.watched.contains_key(&choice.index) {
                    info!(interface = choice.name, "no longer watched");
                    self.gone(kernel, choice.index);
                }
                continue;
            };
            if let Some((name, Ok(_))) = self.watched.get_mut(&choice.index) {
                *name = choice.name;
                continue;
            }
            if let Some(other) = twice_with {
                warn!(interface = choice.name, "packets pass {other} too and are counted twice");
            }
            if let Some(device) = by_index.get(&choice.index) {
                self.attach(kernel, device);
            }
        }
        for device in devices.current() {
            self.apply_inner(kernel, device);
        }
        if self.watched.is_empty() && !std::mem::replace(&mut self.said_idle, true) {
            match &self.wanted {
                Wanted::Auto => warn!("no interface has an IPv4 address yet: waiting; --interface names one"),
                Wanted::Named(names) => warn!("waiting for interface {names:?}"),
            }
        }
        self.said_idle &= self.watched.is_empty();
    }

    /// Attaches to every pppN that is not watched as an uplink, and keeps their MTUs.
    fn apply_inner(&mut self, kernel: &mut Kernel, device: &Device) {
        if device.layer != LinkLayer::Ppp || self.watched.contains_key(&device.index) {
            return;
        }
        match self.inner.get_mut(&device.index) {
            Some(Ok(tunnel)) if tunnel.mtu == device.mtu => {}
            Some(Ok(tunnel)) => match kernel.set_inner_mtu(device.index, device.mtu) {
                Ok(()) => tunnel.mtu = device.mtu,
                Err(error) => warn!(interface = device.name, "its MTU is not followed: {error}"),
            },
            // Tried again at its every change: said once.
            before => {
                let before = before.and_then(|before| before.as_ref().err().cloned());
                let result = kernel.attach_inner(device).map_err(|error| error.to_string());
                let result = result.map(|_| Tunnel { mtu: device.mtu, ..Tunnel::default() });
                if let Err(error) = &result
                    && before.as_ref() != Some(error)
                {
                    warn!(interface = device.name, "the inside of the tunnel is not watched: {error}");
                }
                self.inner.insert(device.index, result);
            }
        }
    }

    /// Counters of the pppN that moved since the last time; of `only` this one, where given.
    pub(super) fn moved_inside(
        &mut self,
        kernel: &Kernel,
        only: Option<u32>,
    ) -> Result<Vec<(u32, Direction, Inner)>, ReadError> {
        let mut moved = Vec::new();
        for (index, tunnel) in &mut self.inner {
            let Ok(tunnel) = tunnel else { continue };
            if only.is_some_and(|only| only != *index) {
                continue;
            }
            for (direction, inner) in kernel.inner(*index)? {
                if let Some(taken) = tunnel.taken.get_mut(direction as usize)
                    && *taken != inner
                {
                    *taken = inner;
                    moved.push((*index, direction, inner));
                }
            }
        }
        Ok(moved)
    }

    /// How many pppN are watched.
    pub(super) fn inner_interfaces(&self) -> u64 {
        self.inner.values().filter(|tunnel| tunnel.is_ok()).count() as u64
    }

    fn attach(&mut self, kernel: &mut Kernel, device: &Device) {
        // There XDP costs more than TC: docs/overhead.md.
        let mode = match self.mode {
            IngressMode::Auto if device.is_veth => IngressMode::Tc,
            mode => mode,
        };
        let result = kernel.attach(device, mode).map_err(|error| error.to_string());
        self.attached(device, result);
    }

    fn attached(&mut self, device: &Device, result: Result<Attachment, String>) {
        let before = self.watched.get(&device.index).map(|(_, result)| result);
        match &result {
            Ok(Attachment { ingress, tc, note, .. }) => {
                info!(interface = device.name, ?ingress, ?tc, note = note.as_deref(), "watched");
            }
            // A device that cannot be attached is tried again at its every change: say so once.
            Err(error) if before.and_then(|before| before.as_ref().err()) != Some(error) => {
                warn!(interface = device.name, "not watched: {error}");
            }
            Err(_) => {}
        }
        self.watched.insert(device.index, (device.name.clone(), result));
    }

    /// Notes whether a RADIUS server on this host listens; whether that has changed.
    pub(super) fn set_local_server(&mut self, listens: bool) -> bool {
        std::mem::replace(&mut self.local_server, listens) != listens
    }

    /// Leaves an interface alone, or notes that it is gone.
    pub(super) fn gone(&mut self, kernel: &mut Kernel, index: u32) {
        if self.inner.remove(&index).is_some() {
            kernel.detach_inner(index);
        }
        kernel.detach(index);
        self.watched.remove(&index);
    }

    pub(super) fn detach_all(&mut self, kernel: &mut Kernel) {
        for index in self.watched.keys().chain(self.inner.keys()) {
            kernel.detach(*index);
        }
        self.watched.clear();
    }

    /// What `agent.status` says about the interfaces.
    pub(super) fn report(&self) -> Vec<Interface> {
        let mut report: Vec<Interface> = self
            .watched
            .iter()
            .map(|(index, (name, result))| {
                let tc = |attachment: &Attachment| match attachment.tc {
                    TcMechanism::Tcx => "tcx",
                    TcMechanism::Clsact => "clsact",
                };
                let attachment = result.as_ref().ok();
                Interface {
                    name: name.clone(),
                    index: Some(*index),
                    ingress: attachment.map(|attachment| match attachment.ingress {
                        Ingress::Xdp => "xdp".to_owned(),
                        Ingress::Tc => tc(attachment).to_owned(),
                    }),
                    egress: attachment
                        .filter(|attachment| !attachment.ingress_only)
                        .map(|attachment| tc(attachment).to_owned()),
                    note: match result {
                        Ok(attachment) => attachment.note.clone(),
                        Err(error) => Some(error.clone()),
                    },
                }
            })
            .collect();
        if let Wanted::Named(names) = &self.wanted {
            let absent: Vec<_> =
                names.iter().filter(|name| !report.iter().any(|known| known.name == **name)).collect();
            report.extend(absent.into_iter().map(|name| Interface {
                name: name.clone(),
                index: None,
                ingress: None,
                egress: None,
                note: Some("does not exist yet".into()),
            }));
        }
        report
    }
}

/// What a change of a device means to the correlator: only ppp devices do.
pub(super) fn ppp_change(change: &DeviceChange) -> Option<What> {
    match change {
        DeviceChange::Changed(device) => ppp_interface(device),
        DeviceChange::Removed { index, .. } => Some(What::InterfaceGone(*index)),
    }
}

/// The device as the correlator knows it.
pub(super) fn ppp_interface(device: &Device) -> Option<What> {
    if device.layer != LinkLayer::Ppp {
        return None;
    }
    let address = device.addresses.first();
    Some(What::PppInterface(PppInterface {
        index: device.index,
        name: device.name.clone(),
        mtu: device.mtu,
        local: address.map(|address| address.local),
        peer: address.and_then(|address| address.peer),
    }))
}
