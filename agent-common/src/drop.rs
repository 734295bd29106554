//! Losses inside the host: their names, and the entries that count them.

/// Version of the names below. Raised when one of them changes its meaning or goes away.
pub const REASONS_VERSION: u32 = 1;

macro_rules! reasons {
    (@harmful) => { true };
    (@benign) => { false };
    ($($variant:ident = $number:literal, $name:literal, $kind:ident, $function:literal, $condition:literal;)+) => {
        /// Why the kernel let go of a packet, or what went wrong with it.
        ///
        /// The kernel's own `enum skb_drop_reason` has no value for anything inside GRE, pptp and
        /// PPP: every one of those is `NOT_SPECIFIED`. These are ours; docs/drops.md tells them.
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            /// The programs did not decide: the place must tell.
            #[default]
            Undecided = 0,
            $(
                #[doc = concat!($condition, " (`", $function, "`).")]
                $variant = $number,
            )+
        }

        impl Reason {
            /// Every reason that can be reported.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The reason of a key's byte.
            pub const fn from_byte(byte: u8) -> Self {
                match byte {
                    $($number => Self::$variant,)+
                    _ => Self::Undecided,
                }
            }

            /// Its name in events and documentation.
            pub const fn name(self) -> &'static str {
                match self {
                    Self::Undecided => "undecided",
                    $(Self::$variant => $name,)+
                }
            }

            /// Whether something was lost that the call needed.
            pub const fn is_harmful(self) -> bool {
                match self {
                    Self::Undecided => true,
                    $(Self::$variant => reasons!(@$kind),)+
                }
            }

            /// The kernel function that decides.
            pub const fn function(self) -> &'static str {
                match self {
                    Self::Undecided => "",
                    $(Self::$variant => $function,)+
                }
            }

            /// The condition in it, in words.
            pub const fn condition(self) -> &'static str {
                match self {
                    Self::Undecided => "",
                    $(Self::$variant => $condition,)+
                }
            }
        }
    };
}

reasons! {
    // Between the wire and the tunnel.
    NetfilterDrop = 1, "netfilter_drop", harmful, "nf_hook_slow, nft_do_chain",
        "a firewall rule of this host dropped it";
    IpRefused = 2, "ip_refused", harmful, "ip_rcv_core, ip_rcv_finish_core",
        "the IPv4 layer refused it: header, reverse path filter, martian address";
    OtherHost = 19, "other_host", benign, "ip_rcv_core; reasons of drops from 5.19 on",
        "its link-layer address is that of another host, and the interface hears everything";
    ReassemblyFailed = 3, "reassembly_failed", harmful, "ip_defrag, ip_expire",
        "its fragments did not become whole: one was lost, came late, or contradicts another";
    NoReceiver = 4, "no_receiver", harmful, "ip_protocol_deliver_rcu",
        "neither a raw socket nor a module takes GRE from this address; the sender is told protocol unreachable, which ends its tunnel";
    RawSocketFull = 5, "raw_socket_full", harmful, "raw_rcv; from 6.12 raw_v4_input",
        "the daemon does not read its GRE socket fast enough";
    RawSocketRefused = 6, "raw_socket_refused", harmful, "raw_rcv",
        "a filter or policy of the daemon's GRE socket refused it";
    DaemonDiscarded = 17, "daemon_discarded", benign, "decaps_gre of pptpd",
        "the daemon has no use for it: a duplicate, or overtaken for too long; concluded from the books, at most as many as the wire shows out of order";
    RawSocketClone = 7, "raw_socket_clone", benign, "gre_rcv, pptp_rcv",
        "a raw socket has a copy of it; the kernel's own handler has no use for the original";
    CpuBacklog = 8, "cpu_backlog", harmful, "enqueue_to_backlog",
        "the queue of a CPU is full";
    QueueFull = 9, "queue_full", harmful, "__dev_queue_xmit",
        "the queueing discipline of the interface is full";
    NoRoute = 10, "no_route", harmful, "ip_output, ip_error",
        "there is no route, or the next hop does not answer";
    TooBig = 11, "too_big", harmful, "ip_forward",
        "it is larger than the MTU of the next hop and may not be fragmented";
    NoListener = 12, "no_listener", harmful, "tcp_v4_rcv",
        "nobody listens on port 1723";
    TcpRefused = 13, "tcp_refused", benign, "tcp_v4_rcv",
        "TCP let go of a segment of the control connection: it was old, repeated or of a connection that is gone";
    InnerRefused = 14, "inner_refused", benign, "ip_rcv, ipv6_rcv, udp_rcv",
        "a packet out of or into the tunnel, of no interest to this host: nobody listens, no IPv6, and the like";
    SocketClosed = 15, "socket_closed", benign, "skb_queue_purge",
        "it was still in the queue of a socket or device that is closed";
    ConntrackFull = 18, "conntrack_full", harmful, "nf_conntrack_in",
        "the connection tracking of this host has no room for another connection: refused before any rule saw it";
    CaptureCopy = 16, "capture_copy", benign, "packet_rcv, tpacket_rcv",
        "a packet socket (tcpdump) let go of its own copy";
    // GRE in the kernel.
    GreShort = 20, "gre_short", harmful, "gre_rcv",
        "less than 12 bytes";
    GreVersionUnknown = 21, "gre_version_unknown", harmful, "gre_rcv",
        "GRE version 2 or above";
    GreNoHandler = 22, "gre_no_handler", harmful, "gre_rcv",
        "no module handles this version of GRE, and no raw socket takes it";
    PptpBadHeader = 23, "pptp_bad_header", harmful, "pptp_rcv",
        "not the GRE header of RFC 2637: protocol type, checksum, routing, key or flags";
    PptpUnknownCall = 24, "pptp_unknown_call", harmful, "pptp_rcv",
        "no call in the kernel has this call id and this peer";
    PptpBacklog = 25, "pptp_backlog", harmful, "__sk_receive_skb",
        "the socket of the call is busy and its backlog full";
    PptpNotConnected = 26, "pptp_not_connected", harmful, "pptp_rcv_core",
        "the socket of the call is not connected (yet, or any more)";
    PptpAckOnly = 27, "pptp_ack_only", benign, "pptp_rcv_core",
        "an acknowledgement without payload: it has done its work";
    PptpTruncated = 28, "pptp_truncated", harmful, "pptp_rcv_core",
        "shorter than its payload length field says";
    PptpOldSequence = 29, "pptp_old_sequence", harmful, "pptp_rcv_core",
        "its sequence number is not above the last one: a duplicate, or overtaken on the way";
    PptpNotSent = 30, "pptp_not_sent", harmful, "pptp_xmit",
        "the call is gone, or there is no route to the peer";
    // PPP.
    PppNoUnit = 40, "ppp_no_unit", harmful, "ppp_input",
        "the channel is not registered any more";
    PppBadProtocol = 41, "ppp_bad_protocol", harmful, "ppp_input",
        "too short for a protocol number";
    PppChannelQueueFull = 42, "ppp_channel_queue_full", harmful, "ppp_input",
        "pppd does not read: 32 frames of LCP or authentication wait, the oldest goes";
    PppUnitQueueFull = 43, "ppp_unit_queue_full", harmful, "ppp_receive_nonmp_frame",
        "pppd does not read: 32 frames of CCP, IPCP or undecrypted data wait, the oldest goes";
    PppInterfaceDown = 44, "ppp_interface_down", harmful, "ppp_receive_nonmp_frame",
        "the ppp interface is down although it has an address: somebody took it down";
    PppReceiveError = 45, "ppp_receive_error", harmful, "ppp_receive_nonmp_frame",
        "the frame cannot be read: after a fatal decryption error, or by header compression";
    PppLinkError = 46, "ppp_link_error", harmful, "ppp_input_error",
        "at least one frame before this one was damaged on the link to pppd: checksum, length or abort";
    PppErrorMarker = 47, "ppp_error_marker", benign, "ppp_receive_frame",
        "the empty frame by which the kernel notes ppp_link_error";
    PppRead = 48, "ppp_read", benign, "ppp_read",
        "pppd has read it";
    PppScratch = 49, "ppp_scratch", benign, "ppp_receive_nonmp_frame",
        "the buffer of a decryption that failed; the frame itself goes to pppd";
    PppAsyncFrame = 50, "ppp_async_frame", benign, "ppp_asynctty_receive",
        "a damaged frame on the pty is freed, on kernels that do; its loss is counted as ppp_link_error";
    PppNotSent = 51, "ppp_not_sent", harmful, "ppp_start_xmit, ppp_xmit_process, ppp_push",
        "the unit cannot send: network protocol not open, no channel, or encryption demanded and not there";
    PppNotOpen = 52, "ppp_not_open", benign, "ppp_receive_nonmp_frame",
        "user traffic before pppd has opened the network protocol, or after it has closed it";
    // MPPE: what happens to a frame on its way through decryption.
    MppeStalled = 60, "mppe_stalled", harmful, "ppp_receive_nonmp_frame",
        "not decrypted: after an error everything goes to pppd until the peer acknowledges a reset of CCP";
    MppeShort = 61, "mppe_short", harmful, "mppe_decompress",
        "too short for an MPPE header and a protocol";
    MppeTooLong = 62, "mppe_too_long", harmful, "mppe_decompress",
        "longer than the MRU of the unit and 4 bytes";
    MppeBadBits = 63, "mppe_bad_bits", harmful, "mppe_decompress",
        "not marked as encrypted, or without the flushed bit where it is demanded";
    MppeLate = 64, "mppe_late", harmful, "mppe_decompress",
        "its coherency count is behind: it was overtaken on the way";
    MppeDesynchronised = 65, "mppe_desynchronised", harmful, "mppe_decompress",
        "stateful encryption lost a frame and waits for one with the flushed bit";
    MppePlaintext = 66, "mppe_plaintext", harmful, "ppp_receive_nonmp_frame",
        "not lost: user traffic came unencrypted although encryption is in force, and the kernel took it";
    MppeReset = 67, "mppe_reset", benign, "mppe_decomp_reset",
        "not lost: the peer acknowledged the reset of CCP; decryption goes on";
    // ICMP.
    IcmpError = 80, "icmp_error", harmful, "raw_icmp_error",
        "not lost: an ICMP error quotes a GRE packet of this host; the daemon's next read fails and the tunnel ends";
}

/// What part of a call's way a packet was on.
#[repr(u8)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// A GRE packet, in the IPv4 stack of this host.
    Outer = 0,
    /// A segment of a control connection.
    Control = 1,
    /// A packet on a ppp interface.
    Inner = 2,
    /// A frame inside the modules that carry calls.
    Stack = 3,
}

impl Class {
    /// The class of a key's byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Outer),
            1 => Some(Self::Control),
            2 => Some(Self::Inner),
            3 => Some(Self::Stack),
            _ => None,
        }
    }
}

/// Bit of [`DropKey::flags`]: the packet that was freed is the one that the reason was decided on.
pub const EXACT: u8 = 1;
/// Bit of [`DropKey::flags`]: the network namespace is known to be the agent's.
pub const OWN_NETNS: u8 = 2;
/// Bit of [`DropKey::flags`]: the call id is of a GRE header.
pub const HAS_CALL: u8 = 4;
/// Bit of [`DropKey::flags`]: the packet had been routed.
pub const ROUTED: u8 = 8;
/// Bit of [`DropKey::flags`]: a socket of this host sent it.
pub const LOCAL: u8 = 16;

/// Bit of [`Verdict::flags`]: a raw socket has a clone of the packet.
pub const CLONED: u8 = 32;

/// What drops are counted by.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DropKey {
    /// Address behind the call of `kfree_skb`; zero when a probe counted it.
    pub location: u64,
    /// The kernel's `enum skb_drop_reason`; zero where there is none.
    pub kernel_reason: u32,
    /// The interface that the packet was on, or that of the ppp unit; zero when not known.
    pub ifindex: u32,
    /// IPv4 source of the outer packet, network byte order; zero when not known.
    pub source: [u8; 4],
    /// IPv4 destination of the outer packet.
    pub destination: [u8; 4],
    /// Call id of the GRE header, see [`HAS_CALL`].
    pub call_id: u16,
    /// A [`Class`].
    pub class: u8,
    /// A [`Reason`].
    pub reason: u8,
    /// [`EXACT`] and the others.
    pub flags: u8,
    /// Always zero: hash maps compare every byte.
    pub _pad: [u8; 3],
}

const _: () = assert!(size_of::<DropKey>() == 32);

/// How often, and when last.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCount {
    /// How often.
    pub count: u64,
    /// CLOCK_MONOTONIC of the last one, nanoseconds.
    pub last_ns: u64,
}

const _: () = assert!(size_of::<DropCount>() == 16);

/// What the probes on the way of a packet found out about it, per CPU. Each overwrites what the one
/// before it said, as long as it is the same packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Address of the `struct sk_buff`.
    pub skb: u64,
    /// `head` of the GRE packet that a raw socket has just taken a clone of; zero once the kernel's own
    /// handler has asked.
    pub raw_head: u64,
    /// IPv4 source of that packet: a buffer is used again, and the handler does not ask when there is none.
    pub raw_source: [u8; 4],
    /// IPv4 source of the outer packet, network byte order.
    pub source: [u8; 4],
    /// IPv4 destination of the outer packet.
    pub destination: [u8; 4],
    /// Interface.
    pub ifindex: u32,
    /// Call id of the GRE header, see [`HAS_CALL`].
    pub call_id: u16,
    /// The [`Reason`] that applies if the packet is freed now.
    pub reason: u8,
    /// [`OWN_NETNS`], [`HAS_CALL`], [`CLONED`].
    pub flags: u8,
    /// Always zero.
    pub _pad: [u8; 4],
}

const _: () = assert!(size_of::<Verdict>() == 40);

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no implicit padding (size asserted).
unsafe impl aya::Pod for DropKey {}
#[cfg(feature = "user")]
// SAFETY: as above.
unsafe impl aya::Pod for DropCount {}

#[cfg(test)]
mod tests {
    use super::Reason;

    #[test]
    fn every_reason_has_one_number_and_one_name() {
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(Reason::from_byte(*reason as u8), *reason);
            assert!(Reason::ALL[..index].iter().all(|other| other.name() != reason.name()));
        }
        assert_eq!(Reason::from_byte(0), Reason::Undecided);
        assert_eq!(Reason::from_byte(255), Reason::Undecided);
        assert!(Reason::Undecided.is_harmful(), "what nobody understands is not waved through");
    }
}
