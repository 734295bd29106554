//! What can go wrong between the agent and the kernel.

use std::io;

use aya::EbpfError;
use aya::maps::MapError;
use aya::programs::ProgramError;

use super::attach::{IngressMode, TcMechanism};
use super::devices::LinkLayer;
use super::privilege::PrivilegeError;

/// Why the programs are not in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The process may not do it.
    #[error(transparent)]
    Privilege(#[from] PrivilegeError),
    /// A size is out of range.
    #[error("{name} is {value}, but must be {minimum} to {maximum}")]
    Size {
        /// The setting.
        name: &'static str,
        /// What was asked for.
        value: u32,
        /// Smallest value.
        minimum: u32,
        /// Largest value.
        maximum: u32,
    },
    /// Kernels before 5.11 charge BPF memory to this limit.
    #[error(
        "cannot raise the limit of locked memory: {0}. Grant CAP_SYS_RESOURCE or set LimitMEMLOCK=infinity"
    )]
    Memlock(#[source] io::Error),
    /// The maps could not be made, or the object does not fit the kernel.
    #[error(
        "cannot load the kernel programs: {0}. pptpscope needs Linux 5.10 or newer with CONFIG_BPF_SYSCALL"
    )]
    Object(#[source] EbpfError),
    /// The verifier refused a program.
    #[error(
        "the kernel refuses program {name}: {reason}. This is a bug in pptpscope: report it with the output of uname -a\n{log}"
    )]
    Rejected {
        /// Name of the program.
        name: &'static str,
        /// What the system call said.
        reason: io::Error,
        /// The last lines of the verifier's log.
        log: String,
    },
    /// Loading failed for a reason that is not the program's.
    #[error("cannot load program {name}: {source}")]
    Program {
        /// Name of the program.
        name: &'static str,
        /// What aya says.
        #[source]
        source: ProgramError,
    },
    /// The embedded object has no such part.
    #[error("the embedded kernel programs have no {name}: this build of pptpscope is broken, build it again")]
    Missing {
        /// Name of the program or map.
        name: &'static str,
    },
    /// A map is not what the agent was built for.
    #[error("cannot use map {name}: {source}")]
    Map {
        /// Name of the map.
        name: &'static str,
        /// What aya says.
        #[source]
        source: MapError,
    },
}

/// Why a device is not watched.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// It went away, or its name now belongs to another one.
    #[error("interface {name} (index {index}) is gone")]
    Gone {
        /// Name when it was last seen.
        name: String,
        /// Interface index.
        index: u32,
    },
    /// It is watched already.
    #[error("interface {name} is watched already")]
    Already {
        /// Name of the device.
        name: String,
    },
    /// Its packets begin with something that the programs do not know.
    #[error("interface {name} has link layer {layer}, which {mode} cannot watch")]
    Layer {
        /// Name of the device.
        name: String,
        /// Its link layer.
        layer: LinkLayer,
        /// What was asked for.
        mode: IngressMode,
    },
    /// XDP was demanded and refused.
    #[error("cannot attach XDP to interface {name}: {reason}. Use TC ingress instead")]
    Xdp {
        /// Name of the device.
        name: String,
        /// What the driver or the kernel says.
        reason: String,
    },
    /// Its counters found no room.
    #[error("interface {name}: no room for its counters ({reason}): raise --max-sessions")]
    Map {
        /// Name of the device.
        name: String,
        /// What the kernel says.
        reason: String,
    },
    /// TC was refused.
    #[error("cannot attach TC {direction} to interface {name} by {mechanism}: {reason}")]
    Tc {
        /// Name of the device.
        name: String,
        /// `ingress` or `egress`.
        direction: &'static str,
        /// How it was tried.
        mechanism: TcMechanism,
        /// What the kernel says.
        reason: String,
    },
}

/// Why the counters could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read map {name}: {source}")]
pub struct ReadError {
    /// Name of the map.
    pub name: &'static str,
    /// What aya says.
    #[source]
    pub source: MapError,
}
