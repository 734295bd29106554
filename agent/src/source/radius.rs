//! From UDP datagrams to observations of RADIUS. What must not be kept is used here and nowhere else: the
//! authenticators of requests, which tell a repeated request from a new one, and the shared secrets,
//! which show whether an answer is one that its client will believe.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};

use crate::observation::{Proof, Radius};
use crate::wire::radius::authenticator::{self, Authenticator, Verdict};
use crate::wire::radius::{self, Packet};
use crate::wire::{ip, udp};

/// Requests that are remembered; each takes about 60 bytes.
const REMEMBERED: usize = 8192;

/// UDP ports of RADIUS servers: those of the RFCs, and those before them.
pub const PORTS: [u16; 4] = [1812, 1813, 1645, 1646];
/// Ports that can be watched at once.
pub const MAX_PORTS: usize = 8;

/// Shared secrets. They have no serialised form, and `Debug` does not show them.
#[derive(Clone, Default)]
pub struct Secrets {
    any: Option<Box<[u8]>>,
    of_server: BTreeMap<Ipv4Addr, Box<[u8]>>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets of {} servers", self.of_server.len() + usize::from(self.any.is_some()))
    }
}

/// Why a file of secrets cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// A line has more than two words, or a server without an address.
    #[error("line {0}: write the secret alone, or the IPv4 address of the server and its secret")]
    Line(usize),
    /// There is no secret in it.
    #[error("it holds no secret")]
    Empty,
}

impl Secrets {
    /// Reads lines of `secret`, for every server, or `address secret`, as in the `servers` file of
    /// radcli and radiusclient. `#` begins a comment line.
    ///
    /// # Errors
    ///
    /// When a line is neither. The error does not quote it.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        let mut secrets = Self::default();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = SecretsError::Line(index + 1);
            let mut words = line.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (Some(secret), None, _) => secrets.any = Some(secret.as_bytes().into()),
                (Some(server), Some(secret), None) => {
                    // radcli lets a server be `name/name`, for clients with several addresses.
                    let name = server.split('/').next().unwrap_or(server);
                    let address = if name == "localhost" { Ok(Ipv4Addr::LOCALHOST) } else { name.parse() };
                    secrets.of_server.insert(address.map_err(|_| wrong)?, secret.as_bytes().into());
                }
                _ => return Err(wrong),
            }
        }
        if secrets.any.is_none() && secrets.of_server.is_empty() {
            return Err(SecretsError::Empty);
        }
        Ok(secrets)
    }

    fn of(&self, server: Ipv4Addr) -> Option<&[u8]> {
        self.of_server.get(&server).or(self.any.as_ref()).map(AsRef::as_ref)
    }
}

/// Which ports are looked at, and with which secrets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Ports of servers, at most [`MAX_PORTS`].
    pub ports: Vec<u16>,
    /// Their secrets, where they are known.
    pub secrets: Secrets,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ports: PORTS.to_vec(), secrets: Secrets::default() }
    }
}

/// Why a datagram tells nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The IPv4 header cannot be read.
    #[error("IPv4")]
    Ip(#[from] ip::Error),
    /// The UDP header cannot be read.
    #[error("UDP")]
    Udp(#[from] udp::Error),
    /// Not from or to a port of a server.
    #[error("ports {0} and {1} are not those of a RADIUS server")]
    Ports(u16, u16),
    /// No RADIUS packet.
    #[error(transparent)]
    Radius(#[from] radius::Error),
    /// A later fragment.
    #[error("a later fragment")]
    LaterFragment,
}

type Key = (SocketAddrV4, SocketAddrV4, u8);

/// Looks into datagrams.
#[derive(Debug, Default)]
pub struct Inspector {
    settings: Settings,
    requests: BTreeMap<Key, Authenticator>,
    order: VecDeque<Key>,
}

impl Inspector {
    /// With these ports and secrets.
    pub fn new(settings: Settings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// Takes other secrets.
    pub fn set_secrets(&mut self, secrets: Secrets) {
        self.settings.secrets = secrets;
    }

    /// Whether one of the ports is that of a server.
    pub fn is_server_port(&self, port: u16) -> bool {
        self.settings.ports.contains(&port)
    }

    /// Reads a packet that begins with its IPv4 header.
    ///
    /// # Errors
    ///
    /// When it is no RADIUS packet, or not whole.
    pub fn inspect(&mut self, bytes: bytes::Bytes) -> Result<Radius, Error> {
        let packet = ip::Packet::decode(bytes)?;
        if packet.fragment_offset > 0 {
            return Err(Error::LaterFragment);
        }
        let payload = packet.payload.into_bytes();
        let datagram = udp::Datagram::decode(&payload)?;
        let (from, to) = (datagram.source_port, datagram.destination_port);
        let source = SocketAddrV4::new(packet.source, from);
        let destination = SocketAddrV4::new(packet.destination, to);
        let decoded = Packet::decode(datagram.payload)?;
        let is_answer = decoded.code.is_answer();
        // Proxies use a server's port at both ends: then the code tells.
        let (client, server) = match (self.is_server_port(from), self.is_server_port(to)) {
            (true, true) if is_answer => (destination, source),
            (_, true) => (source, destination),
            (true, false) => (destination, source),
            (false, false) => return Err(Error::Ports(from, to)),
        };
        let key = (client, server, decoded.id);
        let secret = self.settings.secrets.of(*server.ip());
        let (mut repeated, mut verdict) = (false, None);
        if is_answer {
            if let (Some(secret), Some(request)) = (secret, self.requests.get(&key)) {
                verdict = authenticator::check_answer(datagram.payload, *request, secret).ok();
            }
        } else {
            verdict = secret.and_then(|secret| authenticator::check_request(datagram.payload, secret).ok());
            if let Some(own) = Authenticator::of(datagram.payload) {
                repeated = self.remember(key, own);
            }
        }
        let proof = match verdict {
            None => Proof::Unchecked,
            Some(Verdict::Genuine) => Proof::Genuine,
            Some(Verdict::Forged) => Proof::Forged,
            Some(Verdict::NoProof) => Proof::None,
        };
        Ok(Radius { client, server, packet: decoded, repeated, proof })
    }

    /// Remembers a request; whether it is the one that was remembered.
    fn remember(&mut self, key: Key, own: Authenticator) -> bool {
        match self.requests.insert(key, own) {
            Some(known) => known == own,
            None => {
                self.order.push_back(key);
                if self.order.len() > REMEMBERED
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.requests.remove(&oldest);
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_never_shown() {
        let secrets =
            Secrets::parse("# servers\nlocalhost/localhost  topsecret\n192.0.2.1 other\n\nfallback\n")
                .unwrap();
        assert_eq!(secrets.of(Ipv4Addr::LOCALHOST), Some(&b"topsecret"[..]));
        assert_eq!(secrets.of(Ipv4Addr::new(192, 0, 2, 1)), Some(&b"other"[..]));
        assert_eq!(secrets.of(Ipv4Addr::new(192, 0, 2, 2)), Some(&b"fallback"[..]));
        assert!(!format!("{secrets:?}").contains("secret "));
        assert!(!format!("{secrets:?}").contains("topsecret"));
        assert_eq!(Secrets::parse("radius.example.com x").unwrap_err(), SecretsError::Line(1));
        assert_eq!(Secrets::parse("a b c").unwrap_err(), SecretsError::Line(1));
        assert_eq!(Secrets::parse("# nothing\n").unwrap_err(), SecretsError::Empty);
    }
}
