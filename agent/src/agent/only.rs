//! One agent for each network namespace.
//!
//! Two would take each other's filters for those of a killed one, and remove them. The claim is an
//! abstract Unix socket: its name belongs to the network namespace, and the kernel frees it however the
//! process ends.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::thread::sleep;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tracing::warn;

/// Name of the socket.
pub(super) const NAME: &str = "pptpscope";

/// Why there can be no claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Somebody has it.
    #[error(
        "another pptpscope{} watches this network namespace already, and two would take each other's programs \
         away: stop the other one, or read its output",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Taken {
        /// Its process.
        pid: Option<i32>,
    },
    /// The kernel has no such sockets.
    #[error("cannot claim this network namespace: {0}")]
    Impossible(#[source] io::Error),
}

/// Held as long as the agent runs.
#[derive(Debug)]
pub(super) struct Claim {
    _listener: Option<UnixListener>,
}

impl Claim {
    /// Claims the namespace. Needs a tokio runtime.
    ///
    /// # Errors
    /// Another agent has it.
    pub(super) fn new(name: &str) -> Result<Self, ClaimError> {
        let address = SocketAddr::from_abstract_name(name).map_err(ClaimError::Impossible)?;
        match UnixListener::bind_addr(&address) {
            Ok(listener) => Ok(Self { _listener: Some(listener) }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => match holder(name) {
                Ok((uid, pid)) if uid == 0 || uid == rustix::process::geteuid().as_raw() => {
                    Err(ClaimError::Taken { pid })
                }
                // Anybody can make such a socket: only who could be an agent keeps another one from its work.
                holder => {
                    let holder = holder.map_err(|error| error.to_string());
                    warn!(?holder, "the name of the agent's socket is taken by something that is no agent");
                    Ok(Self { _listener: None })
                }
            },
            Err(error) => Err(ClaimError::Impossible(error)),
        }
    }
}

/// User and process that hold the socket. Whoever does not answer at once is no agent, which listens and is asked by
/// few.
fn holder(name: &str) -> io::Result<(u32, Option<i32>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let address = SocketAddrUnix::new_abstract_name(name.as_bytes())?;
    let mut tries = 0;
    while let Err(error) = connect(&socket, &address) {
        // An agent that starts at the same moment may not listen yet.
        tries += 1;
        if tries > 5 {
            return Err(error.into());
        }
        sleep(Duration::from_millis(20));
    }
    let peer = tokio::net::UnixStream::from_std(UnixStream::from(socket))?.peer_cred()?;
    Ok((peer.uid(), peer.pid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn there_is_one_claim_at_a_time_and_its_holder_is_named() {
        let own = i32::try_from(std::process::id()).unwrap();
        let name = format!("pptpscope-test-{own}");
        let claim = Claim::new(&name).unwrap();
        match Claim::new(&name) {
            Err(ClaimError::Taken { pid }) => assert_eq!(pid, Some(own)),
            other => panic!("{other:?}"),
        }
        drop(claim);
        Claim::new(&name).unwrap();
    }

    #[tokio::test(flavor = "current_thread")]
    async fn whoever_does_not_answer_keeps_no_agent_from_its_work() {
        use rustix::net::{bind, listen};
        let socket =
            || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        for backlog in [None, Some(0)] {
            let name = format!("pptpscope-test-{}-{backlog:?}", std::process::id());
            let address = SocketAddrUnix::new_abstract_name(name.as_bytes()).unwrap();
            let (squatter, filler) = (socket(), socket());
            bind(&squatter, &address).unwrap();
            if let Some(backlog) = backlog {
                listen(&squatter, backlog).unwrap();
                connect(&filler, &address).unwrap();
            }
            Claim::new(&name).unwrap();
        }
    }
}
