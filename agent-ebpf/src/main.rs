//! The kernel programs of pptpscope.
//!
//! Every program only looks: it never changes, drops or delays a packet, and hands each one on to
//! whatever else is attached (`XDP_PASS`, `TC_ACT_UNSPEC`). They must pass the verifier of every
//! kernel from 5.10 on, so nothing newer is used: no `bpf_loop` (5.17), no
//! `bpf_xdp_load_bytes` (5.18), no atomic operation that returns a value (5.12).
//!
//! | program          | hook        | devices                          |
//! |------------------|-------------|----------------------------------|
//! | `pptpscope_xdp`  | XDP         | Ethernet                         |
//! | `pptpscope_in`   | TC ingress  | Ethernet                         |
//! | `pptpscope_out`  | TC egress   | Ethernet                         |
//! | `pptpscope_in3`  | TC ingress  | without link header (tun, ppp)   |
//! | `pptpscope_out3` | TC egress   | without link header (tun, ppp)   |
//! | `pptpscope_pin`  | TC ingress  | pppN: the inside of a tunnel     |
//! | `pptpscope_pout` | TC egress   | pppN: the inside of a tunnel     |
//! | `pptpscope_lo`   | TC ingress  | loopback, for RADIUS only        |
//!
//! The programs of the path tier are in [`path`], one file for each function of the kernel.
//!
//! The names fit the kernel's 15 characters: the agent finds its own leftovers by them.
#![no_std]
#![no_main]
// For the few instructions in flow.rs and packet.rs that Rust has no word for.
#![feature(asm_experimental_arch)]
#![expect(missing_docs, unreachable_pub, reason = "aya's macros add a bare public function to each program")]

mod clock;
mod control;
mod flow;
mod fragment;
mod gre;
mod icmp;
mod inner;
mod ip;
mod limit;
mod link;
mod maps;
mod packet;
mod path;
mod ppp;
mod radius;
mod record;

use aya_ebpf::bindings::{TC_ACT_UNSPEC, xdp_action::XDP_PASS};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use pptpscope_common::Direction;

use crate::packet::{TcPacket, XdpPacket};

/// Ingress of an Ethernet device, in the driver, before the kernel has made an skb of the frame.
#[xdp]
pub fn pptpscope_xdp(context: XdpContext) -> u32 {
    link::ethernet(&XdpPacket::new(&context));
    XDP_PASS
}

/// Ingress of an Ethernet device, where XDP is not available.
#[classifier]
pub fn pptpscope_in(context: TcContext) -> i32 {
    link::ethernet(&TcPacket::new(&context, Direction::Ingress));
    TC_ACT_UNSPEC
}

/// Egress of an Ethernet device, after the queueing discipline has been chosen.
#[classifier]
pub fn pptpscope_out(context: TcContext) -> i32 {
    link::ethernet(&TcPacket::new(&context, Direction::Egress));
    TC_ACT_UNSPEC
}

/// Ingress of a device whose packets begin with the IP header.
#[classifier]
pub fn pptpscope_in3(context: TcContext) -> i32 {
    link::bare(&TcPacket::new(&context, Direction::Ingress));
    TC_ACT_UNSPEC
}

/// Egress of a device whose packets begin with the IP header.
#[classifier]
pub fn pptpscope_out3(context: TcContext) -> i32 {
    link::bare(&TcPacket::new(&context, Direction::Egress));
    TC_ACT_UNSPEC
}

/// What comes out of a tunnel, on its pppN.
#[classifier]
pub fn pptpscope_pin(context: TcContext) -> i32 {
    inner::packet(&TcPacket::new(&context, Direction::Ingress));
    TC_ACT_UNSPEC
}

/// What goes into a tunnel, on its pppN.
#[classifier]
pub fn pptpscope_pout(context: TcContext) -> i32 {
    inner::packet(&TcPacket::new(&context, Direction::Egress));
    TC_ACT_UNSPEC
}

/// Ingress of the loopback device, where a RADIUS server on this host is spoken to. Ingress alone: each
/// packet passes both hooks.
#[classifier]
pub fn pptpscope_lo(context: TcContext) -> i32 {
    link::loopback(&TcPacket::new(&context, Direction::Ingress));
    TC_ACT_UNSPEC
}

/// What the kernel asks before it lends the helpers that it keeps for GPL code.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

/// No code path reaches it: the verifier refuses programs that could.
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}
