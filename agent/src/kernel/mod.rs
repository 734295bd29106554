//! The kernel side of the agent: the only place that knows aya and netlink.
//!
//! [`Kernel`] loads the programs once and attaches them to devices; [`Records`] is what they say;
//! [`Devices`] follows the network interfaces; [`plan`] decides which of them to watch.
//!
//! One agent per network namespace: everything here acts on the namespace of the calling thread.

mod attach;
mod btf;
mod clsact;
mod debug;
mod devices;
mod drops;
mod error;
mod inner;
mod layout;
mod load;
mod netlink;
mod path;
mod plan;
mod privilege;
mod raw_sockets;
mod records;
mod ring_level;
mod sources;
mod symbols;

pub use attach::{Attachment, Ingress, IngressMode, TcMechanism, TcMode};
pub use debug::DebugLog;
pub use devices::{
    Address, Device, DeviceChange, Devices, DevicesError, LinkLayer, LinkStats, devices, ppp_stats,
};
pub use drops::classify;
pub use error::{AttachError, LoadError, ReadError};
pub use load::{Config, Kernel, Load, ProgramRuns};
pub use path::{Probe, ProbeState, probed_functions};
pub use plan::{Choice, Verdict, Wanted, plan};
pub use privilege::{PrivilegeError, check as check_privileges, confine, held as held_capabilities};
pub use raw_sockets::{GreSocket, gre_sockets};
pub use records::Records;
pub use ring_level::RingLevel;
pub use sources::LimitedSource;
pub use symbols::{Symbol, lookup as lookup_symbols};
