//! What the process must be allowed to do.

use std::fs;

use caps::{CapSet, Capability, CapsHashSet};

/// The process lacks a capability.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Which one, and for what.
    #[error(
        "pptpscope lacks {missing}, needed to {purpose}. Run it with sudo, or as a systemd service with \
         AmbientCapabilities=CAP_BPF CAP_NET_ADMIN CAP_PERFMON, or once: \
         setcap cap_bpf,cap_net_admin,cap_perfmon+ep /path/to/pptpscope"
    )]
    Missing {
        /// The capability.
        missing: Capability,
        /// What needs it.
        purpose: &'static str,
    },
    /// The capabilities are only worth something inside a user namespace.
    #[error(
        "pptpscope runs in a user namespace, where no capability allows to load kernel programs: run it on \
         the host, or in a container without user namespace (docker: --userns=host, podman: as root)"
    )]
    UserNamespace,
    /// The kernel does not say.
    #[error("cannot read the capabilities of this process: {0}")]
    Unreadable(#[source] caps::errors::CapsError),
}

/// What is needed, and for what (capabilities(7)). Before Linux 5.8 the first and the last were
/// part of CAP_SYS_ADMIN, which still implies them.
const NEEDED: [(Capability, &str); 3] = [
    (Capability::CAP_BPF, "load programs into the kernel"),
    (Capability::CAP_NET_ADMIN, "attach them to network interfaces"),
    (Capability::CAP_PERFMON, "let them read packets without speculation barriers and, later, kernel probes"),
];

/// Whether this process may load and attach the programs.
///
/// # Errors
/// The first capability that is missing.
pub fn check() -> Result<(), PrivilegeError> {
    let effective = caps::read(None, CapSet::Effective).map_err(PrivilegeError::Unreadable)?;
    if let Some((missing, purpose)) = missing(&effective) {
        return Err(PrivilegeError::Missing { missing, purpose });
    }
    // Without /proc the kernel will say.
    match fs::read_to_string("/proc/self/uid_map") {
        Ok(map) if !is_initial(&map) => Err(PrivilegeError::UserNamespace),
        _ => Ok(()),
    }
}

/// Whether the map of user ids is that of the initial user namespace: everything to itself
/// (user_namespaces(7)).
fn is_initial(map: &str) -> bool {
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn missing(effective: &CapsHashSet) -> Option<(Capability, &'static str)> {
    let implied = |capability| {
        capability != Capability::CAP_NET_ADMIN && effective.contains(&Capability::CAP_SYS_ADMIN)
    };
    NEEDED.into_iter().find(|(capability, _)| !effective.contains(capability) && !implied(*capability))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_missing(held: &[Capability]) -> Option<Capability> {
        missing(&held.iter().copied().collect()).map(|(capability, _)| capability)
    }

    #[test]
    fn knows_the_initial_user_namespace() {
        assert!(is_initial("         0          0 4294967295\n"));
        assert!(!is_initial("         0     100000      65536\n"));
        assert!(!is_initial("         0          0          1\n         1     100000      65535\n"));
        assert!(!is_initial(""));
    }

    #[test]
    fn names_the_first_missing_capability() {
        use Capability::{CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON, CAP_SYS_ADMIN};
        assert_eq!(first_missing(&[]), Some(CAP_BPF));
        assert_eq!(first_missing(&[CAP_BPF, CAP_PERFMON]), Some(CAP_NET_ADMIN));
        assert_eq!(first_missing(&[CAP_BPF, CAP_NET_ADMIN]), Some(CAP_PERFMON));
        assert_eq!(first_missing(&[CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON]), None);
        assert_eq!(first_missing(&[CAP_SYS_ADMIN]), Some(CAP_NET_ADMIN));
        assert_eq!(first_missing(&[CAP_SYS_ADMIN, CAP_NET_ADMIN]), None);
    }
}
