//! One agent for each network namespace.
//!
//! Two would take each other's filters for those of a killed one, and remove them. The claim is an
//! abstract Unix socket: its name belongs to the network namespace, and the kernel frees it however the
//! process ends.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};

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
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let holder = holder(&address);
                // Anybody can make such a socket; only who could be an agent is believed.
                if let Ok((uid, pid)) = holder
                    && uid != 0
                    && uid != rustix::process::geteuid().as_raw()
                {
                    warn!(uid, ?pid, "the name of the agent's socket is taken by somebody else");
                    return Ok(Self { _listener: None });
                }
                Err(ClaimError::Taken { pid: holder.ok().and_then(|(_, pid)| pid) })
            }
            Err(error) => Err(ClaimError::Impossible(error)),
        }
    }
}

/// User and process that hold the socket.
fn holder(address: &SocketAddr) -> io::Result<(u32, Option<i32>)> {
    let stream = UnixStream::connect_addr(address)?;
    stream.set_nonblocking(true)?;
    let peer = tokio::net::UnixStream::from_std(stream)?.peer_cred()?;
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
}
