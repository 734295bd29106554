//! From where and why the kernel freed a packet to our own name for it.
//!
//! Three things tell: what a probe found out at the entry of the function (`DropKey::reason`), the
//! function itself, and, in the IPv4 stack of newer kernels, the kernel's own reason.

use pptpscope_common::drop::{Class, DropKey, EXACT, Reason};

/// The reason to report. `function` is where `kfree_skb` was called, without compiler suffixes;
/// `kernel_reason` the kernel's name for it, without prefix.
pub fn classify(key: &DropKey, function: Option<&str>, kernel_reason: Option<&str>) -> Reason {
    let judged = Reason::from_byte(key.reason);
    // A probe that counts by itself has no location, and the last word.
    if key.location == 0 {
        return judged;
    }
    let function = function.unwrap_or_default();
    match Class::from_byte(key.class) {
        Some(Class::Stack) => in_stack(judged, key.flags & EXACT != 0, function),
        Some(class) => in_host(class, function, kernel_reason.unwrap_or_default()),
        None => Reason::Undecided,
    }
}

/// In the modules that carry calls.
fn in_stack(judged: Reason, is_exact: bool, function: &str) -> Reason {
    use Reason::*;
    match function {
        "ppp_read" => PppRead,
        "ppp_receive_frame" => PppErrorMarker,
        "ppp_asynctty_receive" | "ppp_sync_receive" => PppAsyncFrame,
        "ppp_start_xmit" | "ppp_xmit_process" | "__ppp_xmit_process" | "ppp_push" | "ppp_async_push"
        | "ppp_sync_push" => PppNotSent,
        "pptp_xmit" => PptpNotSent,
        // With the channel, the unit or the terminal goes what waits in its queues.
        "ppp_destroy_channel"
        | "ppp_destroy_interface"
        | "ppp_release_interface"
        | "ppp_release"
        | "ppp_unregister_channel"
        | "ppp_asynctty_close"
        | "ppp_sync_close" => SocketClosed,
        // What a probe said of another packet is true of this function only where one packet goes
        // for another.
        "gre_rcv"
            if is_exact && matches!(judged, GreShort | GreVersionUnknown | GreNoHandler | RawSocketClone) =>
        {
            judged
        }
        "pptp_rcv" if is_exact && matches!(judged, PptpBadHeader | PptpUnknownCall | RawSocketClone) => {
            judged
        }
        "pptp_rcv_core"
            if is_exact
                && matches!(judged, PptpNotConnected | PptpAckOnly | PptpTruncated | PptpOldSequence) =>
        {
            judged
        }
        "ppp_input" if is_exact && matches!(judged, PppNoUnit | PppBadProtocol) => judged,
        // The compiler makes a jump of the last call in ppp_receive_nonmp_frame, and whoever called
        // it seems to be ppp_input; the same for ppp_input and its callers.
        _ if is_exact && judged == PppNoUnit => judged,
        "ppp_input" | "ppp_receive_nonmp_frame"
            if matches!(
                judged,
                PppChannelQueueFull
                    | PppUnitQueueFull
                    | PppInterfaceDown
                    | PppNotOpen
                    | PppReceiveError
                    | PppScratch
            ) =>
        {
            judged
        }
        _ => Undecided,
    }
}

/// In the IPv4 stack and around it.
fn in_host(class: Class, function: &str, kernel_reason: &str) -> Reason {
    by_kernel_reason(class, kernel_reason).or_else(|| by_function(class, function)).unwrap_or(match class {
        Class::Inner => Reason::InnerRefused,
        Class::Control => Reason::TcpRefused,
        Class::Outer | Class::Stack => Reason::Undecided,
    })
}

fn by_kernel_reason(class: Class, kernel_reason: &str) -> Option<Reason> {
    let is_outer = matches!(class, Class::Outer);
    Some(match kernel_reason {
        "NETFILTER_DROP" => Reason::NetfilterDrop,
        "PKT_TOO_BIG" => Reason::TooBig,
        "QDISC_DROP" | "TC_EGRESS" | "TC_INGRESS" => Reason::QueueFull,
        "CPU_BACKLOG" => Reason::CpuBacklog,
        "NO_SOCKET" if matches!(class, Class::Control) => Reason::NoListener,
        // Where the user's own packets want to go is the user's affair.
        "IP_OUTNOROUTES" | "IP_INNOROUTES" | "NEIGH_FAILED" | "NEIGH_QUEUEFULL" | "NEIGH_DEAD"
            if !matches!(class, Class::Inner) =>
        {
            Reason::NoRoute
        }
        "FRAG_REASM_TIMEOUT" | "DUP_FRAG" | "FRAG_TOO_FAR" => Reason::ReassemblyFailed,
        "IP_CSUM"
        | "IP_INHDR"
        | "IP_RPFILTER"
        | "UNICAST_IN_L2_MULTICAST"
        | "IP_LOCAL_SOURCE"
        | "IP_INVALID_SOURCE"
        | "IP_INVALID_DEST"
        | "IP_LOCALNET"
            if !matches!(class, Class::Inner) =>
        {
            Reason::IpRefused
        }
        "OTHERHOST" if !matches!(class, Class::Inner) => Reason::OtherHost,
        "IP_NOPROTO" if is_outer => Reason::NoReceiver,
        "SOCKET_RCVBUFF" | "PROTO_MEM" if is_outer => Reason::RawSocketFull,
        "SOCKET_FILTER" | "XFRM_POLICY" if is_outer => Reason::RawSocketRefused,
        "SOCKET_BACKLOG" if is_outer => Reason::PptpBacklog,
        "QUEUE_PURGE" | "SOCKET_CLOSE" => Reason::SocketClosed,
        _ => return None,
    })
}

fn by_function(class: Class, function: &str) -> Option<Reason> {
    let is_outer = matches!(class, Class::Outer);
    Some(match function {
        "nf_hook_slow" | "nft_do_chain" | "ipt_do_table" | "nf_queue" => Reason::NetfilterDrop,
        "enqueue_to_backlog" => Reason::CpuBacklog,
        "kfree_skb_list"
        | "kfree_skb_list_reason"
        | "__dev_queue_xmit"
        | "__dev_xmit_skb"
        | "pfifo_fast_enqueue"
        | "fq_codel_enqueue"
        | "dev_hard_start_xmit" => Reason::QueueFull,
        "skb_queue_purge" | "skb_queue_purge_reason" | "inet_sock_destruct" | "__skb_queue_purge" => {
            Reason::SocketClosed
        }
        "packet_rcv" | "tpacket_rcv" => Reason::CaptureCopy,
        "ip_forward" if !matches!(class, Class::Inner) => Reason::IpRefused,
        "ip_error"
        | "arp_error_report"
        | "neigh_invalidate"
        | "__neigh_event_send"
        | "neigh_resolve_output"
            if !matches!(class, Class::Inner) =>
        {
            Reason::NoRoute
        }
        "ip_defrag" | "ip_expire" | "ip_frag_queue" | "inet_frag_rbtree_purge" | "inet_frag_destroy" => {
            Reason::ReassemblyFailed
        }
        "ip_rcv" | "ip_rcv_core" | "ip_rcv_finish_core" | "ip_route_input_slow" if is_outer => {
            Reason::IpRefused
        }
        "ip_protocol_deliver_rcu" | "ip_local_deliver_finish" if is_outer => Reason::NoReceiver,
        "raw_rcv" | "raw_rcv_skb" | "sock_queue_rcv_skb" if is_outer => Reason::RawSocketFull,
        "__sk_receive_skb" if is_outer => Reason::PptpBacklog,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(judged: Reason, flags: u8, function: &str) -> Reason {
        let key = DropKey {
            location: 1,
            class: Class::Stack as u8,
            reason: judged as u8,
            flags,
            ..DropKey::default()
        };
        classify(&key, Some(function), Some("NOT_SPECIFIED"))
    }

    fn host(class: Class, function: &str, kernel_reason: &str) -> Reason {
        let key = DropKey { location: 1, class: class as u8, ..DropKey::default() };
        classify(&key, Some(function), Some(kernel_reason))
    }

    #[test]
    fn a_probe_that_counts_has_the_last_word() {
        let key = DropKey { reason: Reason::MppeLate as u8, ..DropKey::default() };
        assert_eq!(classify(&key, None, None), Reason::MppeLate);
    }

    #[test]
    fn the_verdict_decides_among_the_branches_of_a_function() {
        assert_eq!(stack(Reason::PptpAckOnly, EXACT, "pptp_rcv_core"), Reason::PptpAckOnly);
        assert_eq!(stack(Reason::PptpOldSequence, EXACT, "pptp_rcv_core"), Reason::PptpOldSequence);
        assert_eq!(stack(Reason::RawSocketClone, EXACT, "gre_rcv"), Reason::RawSocketClone);
        assert_eq!(stack(Reason::PppInterfaceDown, EXACT, "ppp_input"), Reason::PppInterfaceDown);
    }

    #[test]
    fn the_verdict_on_another_packet_counts_only_where_one_goes_for_another() {
        assert_eq!(stack(Reason::PptpAckOnly, 0, "pptp_rcv_core"), Reason::Undecided);
        assert_eq!(stack(Reason::PppUnitQueueFull, 0, "ppp_receive_nonmp_frame"), Reason::PppUnitQueueFull);
        assert_eq!(stack(Reason::PppScratch, 0, "ppp_receive_nonmp_frame"), Reason::PppScratch);
        assert_eq!(stack(Reason::RawSocketClone, 0, "ppp_read"), Reason::PppRead);
    }

    #[test]
    fn a_function_that_nobody_knows_is_not_waved_through() {
        assert_eq!(stack(Reason::Undecided, EXACT, "ppp_novel"), Reason::Undecided);
        assert_eq!(host(Class::Outer, "novel", "NOT_SPECIFIED"), Reason::Undecided);
        assert!(Reason::Undecided.is_harmful());
    }

    #[test]
    fn the_kernels_own_reason_comes_before_the_function() {
        assert_eq!(host(Class::Outer, "nft_do_chain", "NETFILTER_DROP"), Reason::NetfilterDrop);
        assert_eq!(host(Class::Outer, "raw_rcv", "XFRM_POLICY"), Reason::RawSocketRefused);
        assert_eq!(host(Class::Outer, "raw_rcv", "SOCKET_RCVBUFF"), Reason::RawSocketFull);
        assert_eq!(host(Class::Inner, "ip_forward", "PKT_TOO_BIG"), Reason::TooBig);
        assert_eq!(host(Class::Outer, "ip_rcv_core", "OTHERHOST"), Reason::OtherHost);
        assert_eq!(host(Class::Control, "tcp_v4_rcv", "NO_SOCKET"), Reason::NoListener);
        assert_eq!(host(Class::Inner, "ip6_pkt_drop", "IP_INNOROUTES"), Reason::InnerRefused);
        assert_eq!(host(Class::Outer, "ip_route_input_slow", "IP_INNOROUTES"), Reason::NoRoute);
    }

    #[test]
    fn old_kernels_give_the_function_alone() {
        assert_eq!(host(Class::Outer, "nf_hook_slow", ""), Reason::NetfilterDrop);
        assert_eq!(host(Class::Outer, "ip_local_deliver_finish", ""), Reason::NoReceiver);
        assert_eq!(host(Class::Outer, "raw_rcv", ""), Reason::RawSocketFull);
        assert_eq!(host(Class::Inner, "ip_local_deliver_finish", "IP_NOPROTO"), Reason::InnerRefused);
        assert_eq!(host(Class::Control, "tcp_data_queue", "TCP_OLD_DATA"), Reason::TcpRefused);
    }
}
