//! The clsact queueing discipline: where TC programs hang on kernels before TCX (6.6).
//!
//! Unlike a TCX link it outlives the process, so it has to be tidied: filters that a killed agent
//! left are recognised by the names of their programs, and the discipline is removed when the
//! agent added it and nobody else uses it.

use std::io;

use libc::{RTM_DELQDISC, RTM_DELTFILTER, RTM_GETQDISC, RTM_GETTFILTER, TCA_KIND, TCA_OPTIONS};

use super::load::{TC_BARE, TC_ETHERNET, TC_INNER, TC_LOOPBACK};
use super::netlink::{Requests, attributes, push_attribute, string, u32_at};

/// Where filters hang (linux/pkt_sched.h: TC_H_CLSACT with TC_H_MIN_INGRESS, TC_H_MIN_EGRESS).
const PARENTS: [u32; 2] = [0xffff_fff2, 0xffff_fff3];

/// The discipline itself: its handle and its parent (TC_H_CLSACT).
const HANDLE: u32 = 0xffff_0000;
const PARENT: u32 = 0xffff_fff1;

/// TCA_BPF_NAME (linux/pkt_cls.h).
const BPF_NAME: u16 = 7;

/// Bytes of struct tcmsg.
const MESSAGE: usize = 20;

struct Filter {
    handle: u32,
    parent: u32,
    /// Priority and protocol.
    info: u32,
    /// Name of its BPF program.
    name: Option<String>,
}

impl Filter {
    fn parse(payload: &[u8]) -> Option<Self> {
        let mut name = None;
        for (kind, value) in attributes(payload.get(MESSAGE..)?) {
            if kind == TCA_OPTIONS {
                name = attributes(value).find(|(kind, _)| *kind == BPF_NAME).map(|(_, value)| string(value));
            }
        }
        Some(Self {
            handle: u32_at(payload, 8)?,
            parent: u32_at(payload, 12)?,
            info: u32_at(payload, 16)?,
            name,
        })
    }

    fn is_ours(&self) -> bool {
        let ours = |name: &str| {
            [TC_ETHERNET, TC_BARE, TC_INNER].iter().any(|names| names.contains(&name)) || name == TC_LOOPBACK
        };
        self.name.as_deref().is_some_and(ours)
    }
}

/// Removes the filters of earlier agents from a device. Returns how many there were.
pub(super) fn remove_stale(index: u32) -> io::Result<usize> {
    let mut requests = Requests::open()?;
    let stale: Vec<_> = filters(&mut requests, index)?.into_iter().filter(Filter::is_ours).collect();
    for filter in &stale {
        let body = message(index, filter.handle, filter.parent, filter.info);
        requests.change(RTM_DELTFILTER, 0, &body)?;
    }
    Ok(stale.len())
}

/// What holds the discipline's place on a device: `clsact`, or `ingress`, which has no egress side
/// but takes filters meant for it and runs them on ingress.
pub(super) fn holder(index: u32) -> io::Result<Option<String>> {
    Requests::open()?.dump(RTM_GETQDISC, &message(index, 0, 0, 0), |holder: &mut Option<String>, message| {
        // The dump is of all devices (tc_dump_qdisc).
        let here = u32_at(message.payload, 4) == Some(index) && u32_at(message.payload, 8) == Some(HANDLE);
        let mut attributes = attributes(message.payload.get(MESSAGE..).unwrap_or_default());
        if here && let Some((_, kind)) = attributes.find(|(kind, _)| *kind == TCA_KIND) {
            *holder = Some(string(kind));
        }
    })
}

/// Removes the discipline from a device unless somebody has a filter on it.
pub(super) fn remove_unused(index: u32) -> io::Result<()> {
    let mut requests = Requests::open()?;
    if filters(&mut requests, index)?.is_empty() {
        let mut body = message(index, HANDLE, PARENT, 0);
        push_attribute(&mut body, TCA_KIND, b"clsact\0")?;
        requests.change(RTM_DELQDISC, 0, &body)?;
    }
    Ok(())
}

fn filters(requests: &mut Requests, index: u32) -> io::Result<Vec<Filter>> {
    let mut all = Vec::new();
    for parent in PARENTS {
        let found: Vec<_> =
            requests.dump(RTM_GETTFILTER, &message(index, 0, parent, 0), |found: &mut Vec<_>, message| {
                found.extend(Filter::parse(message.payload));
            })?;
        all.extend(found);
    }
    Ok(all)
}

fn message(index: u32, handle: u32, parent: u32, info: u32) -> Vec<u8> {
    // Family and padding are zero.
    [0, index, handle, parent, info].into_iter().flat_map(u32::to_ne_bytes).collect()
}
