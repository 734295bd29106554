//! Where the kernel keeps the fields that the path programs read.
//!
//! Offsets move between kernels, even inside one stable series, so the agent resolves them from the
//! running kernel's BTF and writes them into one map value. A map and not read-only data: the
//! structures of a module are known only once it is loaded, which may be long after the programs.

/// Marks a field that could not be resolved.
pub const ABSENT: u32 = u32::MAX;

/// Offsets that a [`Layout`] has room for.
pub const OFFSETS: usize = 48;

/// Modules whose text a [`Layout`] has room for.
pub const TEXTS: usize = 8;

macro_rules! fields {
    ($($variant:ident: $module:literal, $structure:literal . $member:literal, $bytes:literal, $built_in:expr;)+) => {
        /// A field that the path programs read. The discriminant is its index in [`Layout::offsets`].
        #[repr(u8)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Field {
            $(
                #[doc = concat!("`", $structure, ".", $member, "` of ", $module, ".")]
                $variant,
            )+
        }

        impl Field {
            /// Every field, in the order of [`Layout::offsets`].
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Whose type information describes it: `vmlinux` or a module.
            pub const fn module(self) -> &'static str {
                match self { $(Self::$variant => $module,)+ }
            }

            /// The structure.
            pub const fn structure(self) -> &'static str {
                match self { $(Self::$variant => $structure,)+ }
            }

            /// The member, with dots for members of members; empty: the size of the structure.
            pub const fn member(self) -> &'static str {
                match self { $(Self::$variant => $member,)+ }
            }

            /// Bytes that the programs read there; zero when they read a part of it.
            pub const fn bytes(self) -> u32 {
                match self { $(Self::$variant => $bytes,)+ }
            }

            /// Offset in Linux 5.10 on x86-64, whose modules have no type information.
            pub const fn built_in(self) -> Option<u32> {
                match self { $(Self::$variant => $built_in,)+ }
            }
        }
    };
}

fields! {
    SkBuffDev: "vmlinux", "sk_buff"."dev", 8, None;
    SkBuffSk: "vmlinux", "sk_buff"."sk", 8, None;
    SkBuffRefdst: "vmlinux", "sk_buff"."_skb_refdst", 8, None;
    SkBuffLen: "vmlinux", "sk_buff"."len", 4, None;
    SkBuffProtocol: "vmlinux", "sk_buff"."protocol", 2, None;
    SkBuffNetworkHeader: "vmlinux", "sk_buff"."network_header", 2, None;
    SkBuffHead: "vmlinux", "sk_buff"."head", 8, None;
    SkBuffData: "vmlinux", "sk_buff"."data", 8, None;
    NetDeviceIfindex: "vmlinux", "net_device"."ifindex", 4, None;
    NetDeviceType: "vmlinux", "net_device"."type", 2, None;
    NetDeviceFlags: "vmlinux", "net_device"."flags", 4, None;
    NetDeviceNet: "vmlinux", "net_device"."nd_net", 8, None;
    NetDeviceIpPtr: "vmlinux", "net_device"."ip_ptr", 8, None;
    InDeviceIfaList: "vmlinux", "in_device"."ifa_list", 8, None;
    NetDeviceSize: "vmlinux", "net_device"."", 0, None;
    NetInum: "vmlinux", "net"."ns.inum", 4, None;
    SockNet: "vmlinux", "sock"."__sk_common.skc_net", 8, None;
    SockState: "vmlinux", "sock"."__sk_common.skc_state", 1, None;
    PppKind: "ppp_generic", "ppp"."file.kind", 4, Some(0);
    PppQueue: "ppp_generic", "ppp"."file.rq.qlen", 4, Some(48);
    PppFlags: "ppp_generic", "ppp"."flags", 4, Some(148);
    PppRstate: "ppp_generic", "ppp"."rstate", 4, Some(156);
    PppNpmode: "ppp_generic", "ppp"."npmode", 0, Some(176);
    ChannelKind: "ppp_generic", "channel"."file.kind", 4, Some(0);
    ChannelQueue: "ppp_generic", "channel"."file.rq.qlen", 4, Some(48);
    ChannelUnit: "ppp_generic", "channel"."ppp", 8, Some(168);
    ChannelNet: "ppp_generic", "channel"."chan_net", 8, Some(176);
    PppChannelChannel: "ppp_generic", "ppp_channel"."ppp", 8, Some(24);
    // On 5.10 these two follow from the size of struct sock, which depends on the configuration:
    // the agent computes the first (see its `kernel::layout`).
    PppoxSockProto: "pptp", "pppox_sock"."proto", 0, None;
    PppoxSockChannel: "pptp", "pppox_sock"."chan", 0, None;
    PptpOptCallId: "pptp", "pptp_opt"."src_addr.call_id", 2, Some(0);
    PptpOptSeqRecv: "pptp", "pptp_opt"."seq_recv", 4, Some(28);
    MppeCcount: "ppp_mppe", "ppp_mppe_state"."ccount", 4, Some(1088);
    MppeStateful: "ppp_mppe", "ppp_mppe_state"."stateful", 4, Some(1092);
    MppeDiscard: "ppp_mppe", "ppp_mppe_state"."discard", 4, Some(1096);
    MppeSanityErrors: "ppp_mppe", "ppp_mppe_state"."sanity_errors", 4, Some(1100);
}

impl Field {
    /// Its index in [`Layout::offsets`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

const _: () = assert!(Field::ALL.len() <= OFFSETS);

/// Addresses of a module's functions: `start <= address < end`. Both zero: none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// First address.
    pub start: u64,
    /// First address behind it.
    pub end: u64,
}

/// The one value of the map: all that the path programs must know of the running kernel.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The span of `texts`, so that one comparison dismisses all other functions.
    pub span: Text,
    /// Functions of the modules that carry calls: gre, pptp, the PPP stack.
    pub texts: [Text; TEXTS],
    /// Offset of each [`Field`], or [`ABSENT`].
    pub offsets: [u32; OFFSETS],
}

const _: () = assert!(size_of::<Layout>() == 16 + 16 * TEXTS + 4 * OFFSETS);

impl Layout {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self {
        span: Text { start: 0, end: 0 },
        texts: [Text { start: 0, end: 0 }; TEXTS],
        offsets: [ABSENT; OFFSETS],
    };

    /// Offset of a field, when it is known.
    pub const fn offset(&self, field: Field) -> Option<u32> {
        match self.offsets[field.index()] {
            ABSENT => None,
            offset => Some(offset),
        }
    }
}

#[cfg(feature = "user")]
// SAFETY: repr(C), plain integers, every bit pattern valid, no padding (size asserted).
unsafe impl aya::Pod for Layout {}
