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
    /// The kernel does not let go of them.
    #[error("cannot give up the capabilities that are not needed: {0}")]
    Unchanged(#[source] caps::errors::CapsError),
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

/// What is kept: what probes and programs that are attached later need, the addresses of functions in
/// modules that are loaded later, and reading logs of other users. CAP_SYS_ADMIN only where it stands for
/// one of the others, or where the kernel wants nothing less for a probe.
const KEPT: [Capability; 6] = [
    Capability::CAP_BPF,
    Capability::CAP_NET_ADMIN,
    Capability::CAP_PERFMON,
    Capability::CAP_SYSLOG,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_SYS_ADMIN,
];

/// What of `effective` is kept.
fn kept(effective: &CapsHashSet, probes_want_admin: bool, makes_files: bool) -> CapsHashSet {
    let is_implied =
        [Capability::CAP_BPF, Capability::CAP_PERFMON].iter().any(|one| !effective.contains(one));
    let is_kept = |one: &&Capability| {
        if **one == Capability::CAP_DAC_OVERRIDE {
            return makes_files;
        }
        KEPT.contains(one) && (**one != Capability::CAP_SYS_ADMIN || is_implied || probes_want_admin)
    };
    effective.iter().filter(is_kept).copied().collect()
}

/// Whether the kernel opens probes for CAP_SYS_ADMIN alone: Debian's and Ubuntu's do when
/// kernel.perf_event_paranoid is above 2, which is their default.
pub(super) fn probes_want_admin() -> bool {
    let level = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
    level.is_ok_and(|level| level.trim().parse::<i32>().is_ok_and(|level| level > 2))
}

/// Gives up every capability that the agent does not need, for this thread and those that it starts
/// later: call it before there are others. With `makes_files` files may be made in folders of other users.
/// Programs that the agent starts (`nft`, to see which rule drops packets) have CAP_NET_ADMIN and nothing else,
/// whoever it runs as; those of root have by themselves what is in the bounds.
///
/// # Errors
/// The kernel refuses to change the capabilities.
pub fn confine(makes_files: bool) -> Result<(), PrivilegeError> {
    let effective = caps::read(None, CapSet::Effective).map_err(PrivilegeError::Unreadable)?;
    let kept = kept(&effective, probes_want_admin(), makes_files);
    // Locked memory counts for the process and is raised while that is still allowed.
    if let Err(error) = super::load::raise_memlock() {
        // Where it matters, loading fails with the same words.
        tracing::debug!(%error, "the limit of locked memory stays");
    }
    // The set of the bounds needs CAP_SETPCAP. Without it nothing that the agent starts could regain anything
    // either, unless a file of another user gives it: NoNewPrivileges forbids that to the service.
    if effective.contains(&Capability::CAP_SETPCAP) {
        for capability in caps::all().difference(&kept) {
            // A kernel that does not know one of them has nothing to give up.
            let _ = caps::drop(None, CapSet::Bounding, *capability);
        }
    }
    // What is not inheritable cannot be ambient.
    let handed_on = CapsHashSet::from([Capability::CAP_NET_ADMIN]);
    caps::set(None, CapSet::Inheritable, &handed_on).map_err(PrivilegeError::Unchanged)?;
    caps::set(None, CapSet::Effective, &kept).map_err(PrivilegeError::Unchanged)?;
    caps::set(None, CapSet::Permitted, &kept).map_err(PrivilegeError::Unchanged)?;
    if let Err(error) = caps::raise(None, CapSet::Ambient, Capability::CAP_NET_ADMIN) {
        tracing::debug!(%error, "programs that the agent starts have no capabilities");
    }
    Ok(())
}

/// The capabilities of this thread, sorted by name.
pub fn held() -> Vec<String> {
    let effective = caps::read(None, CapSet::Effective).unwrap_or_default();
    let mut names: Vec<String> = effective.iter().map(ToString::to_string).collect();
    names.sort();
    names
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
    fn keeps_what_is_needed_and_no_more() {
        use Capability::{
            CAP_BPF, CAP_DAC_OVERRIDE, CAP_NET_ADMIN, CAP_NET_RAW, CAP_PERFMON, CAP_SYS_ADMIN, CAP_SYS_PTRACE,
        };
        let root = [
            CAP_DAC_OVERRIDE,
            CAP_BPF,
            CAP_NET_ADMIN,
            CAP_NET_RAW,
            CAP_PERFMON,
            CAP_SYS_ADMIN,
            CAP_SYS_PTRACE,
        ];
        let of = |held: &[Capability]| kept(&held.iter().copied().collect(), false, false);
        let admin = kept(&root.into_iter().collect(), true, true);
        assert!(admin.contains(&CAP_DAC_OVERRIDE) && !of(&root).contains(&CAP_DAC_OVERRIDE));
        assert!(admin.contains(&CAP_SYS_ADMIN) && !admin.contains(&CAP_SYS_PTRACE));
        assert_eq!(of(&root), [CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON].into_iter().collect());
        let old = [CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_SYS_PTRACE];
        assert_eq!(of(&old), [CAP_SYS_ADMIN, CAP_NET_ADMIN].into_iter().collect());
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
