//! The programs of the path tier: what each is attached to, and what it must be able to read.

use std::fmt;

use pptpscope_common::layout::Field;

/// Modules that carry calls. Their functions are watched in `skb:kfree_skb`.
pub(super) const MODULES: [&str; 7] =
    ["gre", "pptp", "pppox", "ppp_generic", "ppp_async", "ppp_synctty", "ppp_mppe"];

/// What a program is attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A raw tracepoint.
    Tracepoint(&'static str),
    /// The entry of a function of the kernel itself.
    Kernel(&'static str),
    /// The entry of a function of the module that the probe needs.
    Module(&'static str),
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tracepoint(name) => write!(formatter, "skb:{name}"),
            Self::Kernel(name) | Self::Module(name) => formatter.write_str(name),
        }
    }
}

/// One program of the path tier.
pub(super) struct Plan {
    pub(super) program: &'static str,
    pub(super) target: Target,
    /// Module without which it is not attached.
    pub(super) module: Option<&'static str>,
    /// Fields without which it cannot judge.
    pub(super) fields: &'static [Field],
    /// Whether it fires so often that it is attached for a bounded time only.
    pub(super) is_armed_only: bool,
}

/// Fields by which a packet is recognised.
const PACKET: [Field; 5] = [
    Field::SkBuffDev,
    Field::SkBuffProtocol,
    Field::SkBuffNetworkHeader,
    Field::SkBuffHead,
    Field::SkBuffData,
];
/// Fields by which a device is.
const DEVICE: [Field; 4] =
    [Field::NetDeviceIfindex, Field::NetDeviceType, Field::NetDeviceNet, Field::NetInum];

/// Joins lists of fields at compile time.
const fn join<const N: usize>(lists: &[&[Field]]) -> [Field; N] {
    let mut all = [Field::SkBuffDev; N];
    let (mut list, mut at) = (0, 0);
    while list < lists.len() {
        let mut index = 0;
        while index < lists[list].len() {
            all[at] = lists[list][index];
            at += 1;
            index += 1;
        }
        list += 1;
    }
    all
}

const KFREE: [Field; 12] = join(&[&PACKET, &DEVICE, &[Field::SkBuffSk, Field::SkBuffRefdst, Field::SockNet]]);
const RECEIVE: [Field; 10] = join(&[&PACKET, &DEVICE, &[Field::SkBuffLen]]);
const CORE: [Field; 11] = join(&[
    &PACKET,
    &[
        Field::SkBuffLen,
        Field::NetInum,
        Field::SockNet,
        Field::SockState,
        Field::PppoxSockProto,
        Field::PptpOptSeqRecv,
    ],
]);
const CHANNEL: [Field; 9] = join(&[
    &DEVICE,
    &[
        Field::NetDeviceSize,
        Field::PppChannelChannel,
        Field::ChannelKind,
        Field::ChannelNet,
        Field::ChannelUnit,
    ],
]);
const INPUT: [Field; 12] = join(&[&CHANNEL, &[Field::SkBuffData, Field::SkBuffLen, Field::ChannelQueue]]);
const SEND: [Field; 6] = join(&[&DEVICE, &[Field::PppChannelChannel, Field::SkBuffData]]);
const FRAME: [Field; 14] = join(&[
    &DEVICE,
    &[
        Field::NetDeviceSize,
        Field::NetDeviceFlags,
        Field::NetDeviceIpPtr,
        Field::InDeviceIfaList,
        Field::SkBuffData,
        Field::PppKind,
        Field::PppQueue,
        Field::PppFlags,
        Field::PppRstate,
        Field::PppNpmode,
    ],
]);

/// All of them. The order is that in which they are attached: what finds out first, then what counts
/// by it, so that no packet is counted without its verdict.
pub(super) const PLANS: [Plan; 17] = [
    plan("path_raw_rcv", Target::Kernel("raw_rcv"), Some("gre"), &[Field::SkBuffHead]),
    plan("path_gre_rcv", Target::Module("gre_rcv"), Some("gre"), &RECEIVE),
    plan("path_pptp_rcv", Target::Module("pptp_rcv"), Some("pptp"), &RECEIVE),
    plan("path_pptp_core", Target::Module("pptp_rcv_core"), Some("pptp"), &CORE),
    plan("path_pptp_xmit", Target::Module("pptp_xmit"), Some("pptp"), &CHANNEL),
    plan("path_ppp_xmit", Target::Module("ppp_start_xmit"), Some("ppp_generic"), &DEVICE),
    plan("path_ppp_input", Target::Module("ppp_input"), Some("ppp_generic"), &INPUT),
    plan("path_ppp_error", Target::Module("ppp_input_error"), Some("ppp_generic"), &CHANNEL),
    plan("path_ppp_frame", Target::Module("ppp_receive_nonmp_frame"), Some("ppp_generic"), &FRAME),
    plan(
        "path_mppe_in",
        Target::Module("mppe_decompress"),
        Some("ppp_mppe"),
        &[Field::MppeCcount, Field::MppeStateful, Field::MppeDiscard],
    ),
    plan("path_mppe_reset", Target::Module("mppe_decomp_reset"), Some("ppp_mppe"), &[]),
    plan("path_icmp_error", Target::Kernel("raw_icmp_error"), None, &RECEIVE),
    plan("path_kfree_skb", Target::Tracepoint("kfree_skb"), None, &KFREE),
    armed("path_deliver", Target::Kernel("raw_local_deliver"), None, &PACKET),
    armed("path_mppe_done", Target::Module("mppe_decompress"), Some("ppp_mppe"), &[]),
    armed("path_pty_send", Target::Module("ppp_async_send"), Some("ppp_async"), &SEND),
    armed("path_pty_sent", Target::Module("ppp_async_send"), Some("ppp_async"), &[]),
];

const fn plan(
    program: &'static str,
    target: Target,
    module: Option<&'static str>,
    fields: &'static [Field],
) -> Plan {
    Plan { program, target, module, fields, is_armed_only: false }
}

const fn armed(
    program: &'static str,
    target: Target,
    module: Option<&'static str>,
    fields: &'static [Field],
) -> Plan {
    Plan { program, target, module, fields, is_armed_only: true }
}

/// Functions that the probes are attached to, in the kernel or in modules.
pub fn probed_functions() -> impl Iterator<Item = &'static str> {
    PLANS.iter().filter_map(|plan| match plan.target {
        Target::Tracepoint(_) => None,
        Target::Kernel(name) | Target::Module(name) => Some(name),
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::btf::VMLINUX;
    use super::*;

    #[test]
    fn every_plan_names_a_program_and_no_field_twice() {
        for plan in &PLANS {
            assert!(plan.program.len() <= 15, "{} is cut by the kernel", plan.program);
            for (index, field) in plan.fields.iter().enumerate() {
                assert!(!plan.fields[..index].contains(field), "{}: {field:?} twice", plan.program);
            }
            let modules = plan.fields.iter().map(|field| field.module());
            for module in modules.filter(|module| *module != VMLINUX) {
                let provided = plan.module == Some(module)
                    || matches!((plan.module, module), (Some("pptp" | "ppp_async"), "ppp_generic"));
                assert!(provided, "{} reads a field of {module}", plan.program);
            }
        }
        assert!(MODULES.len() <= pptpscope_common::layout::TEXTS);
    }
}
