//! The raw sockets of the daemons that carry GRE themselves (/proc/net/raw).
//!
//! A full one is the one loss that drop tracing may not see at all: from 6.12 on the kernel looks at
//! the socket before it makes a copy for it, and only counts.

use std::net::Ipv4Addr;
use std::{fs, io};

const FILE: &str = "/proc/net/raw";
/// IPv4 protocol of GRE, in the place of the port.
const GRE: u16 = 47;

/// A raw socket for GRE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GreSocket {
    /// Address of this host; unspecified when it takes any.
    pub local: Ipv4Addr,
    /// The peer; unspecified when it takes any.
    pub remote: Ipv4Addr,
    /// Names the socket, as long as it lives.
    pub inode: u64,
    /// Packets that it was too full for, or that it refused, since it was made.
    pub drops: u64,
}

/// The raw sockets for GRE in the agent's network namespace.
///
/// # Errors
/// The kernel does not show them.
pub fn gre_sockets() -> io::Result<Vec<GreSocket>> {
    Ok(fs::read_to_string(FILE)?.lines().skip(1).filter_map(parse).collect())
}

/// A line: slot, local and remote address with protocol and port, state, queues, timers, retransmits,
/// user, timeout, inode, references, pointer, drops (net/ipv4/raw.c, raw_sock_seq_show).
fn parse(line: &str) -> Option<GreSocket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, protocol) = address(words.get(1)?)?;
    let (remote, _) = address(words.get(2)?)?;
    if protocol != GRE {
        return None;
    }
    Some(GreSocket { local, remote, inode: words.get(9)?.parse().ok()?, drops: words.last()?.parse().ok()? })
}

/// An address as it lies in memory, and a port.
fn address(text: &str) -> Option<(Ipv4Addr, u16)> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    Some((Ipv4Addr::from(address.to_ne_bytes()), u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_sockets_of_gre_alone() {
        let line = "  47: 027100CB:002F 0A0200C0:0000 01 00000000:00000000 00:00000000 00000000     0        0 17583 2 000000006ae9e2ca 38";
        let socket = parse(line).unwrap();
        assert_eq!((socket.inode, socket.drops), (17583, 38));
        if cfg!(target_endian = "little") {
            assert_eq!(socket.local, Ipv4Addr::new(203, 0, 113, 2));
            assert_eq!(socket.remote, Ipv4Addr::new(192, 0, 2, 10));
        }
        assert_eq!(parse(&line.replace(":002F", ":0001")), None);
        assert_eq!(parse("  47: 027100CB:002F"), None);
        assert_eq!(parse(""), None);
    }
}
