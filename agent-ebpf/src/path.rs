//! The path tier: what becomes of a call's packets behind the wire.
//!
//! In GRE, pptp and PPP all branches of a function free the packet by one call of `kfree_skb`, and
//! none gives a reason. So a probe at the entry of such a function decides from its state what will
//! happen, as a [`Verdict`] that is kept for this CPU, and the tracepoint `skb:kfree_skb` takes the
//! verdict when it really happens. What is not freed, but lost or worth knowing all the same, the
//! probes count themselves. Everything is one addition to a map entry: nothing here writes to the
//! ring.
//!
//! Probes only where the kernel's own functions are rare or carry the call's packets; none of them
//! is on the way of other traffic, but for `kfree_skb`, which sees every packet that is dropped.

pub(crate) mod armed;
pub(crate) mod device;
pub(crate) mod gre_rcv;
pub(crate) mod icmp;
pub(crate) mod kfree_skb;
pub(crate) mod layout;
pub(crate) mod mppe;
pub(crate) mod outer;
pub(crate) mod passage;
pub(crate) mod ppp_input;
pub(crate) mod ppp_receive;
pub(crate) mod ppp_xmit;
pub(crate) mod pptp_rcv;
pub(crate) mod pptp_rcv_core;
pub(crate) mod pptp_xmit;
pub(crate) mod raw_rcv;
pub(crate) mod verdict;
