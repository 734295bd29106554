//! Internet Protocol Control Protocol (RFC 1332, RFC 1877): addresses of the tunnel.
//!
//! A client asks for 0.0.0.0 and the server answers with a Nak that holds its address.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::Hex;

use super::{
    Protocol, cp,
    option::{Value, all},
};

/// A packet of IPCP.
pub type Packet = cp::Packet<IpcpOption>;

options! {
    /// Options of IPCP (RFC 1332 §3, RFC 1877 §1).
    IpcpOption of Ipcp {
        /// Both addresses; deprecated.
        IpAddresses {
            /// Source, then destination.
            value: Hex
        } = 1,
        /// The sender takes compressed TCP headers.
        IpCompression {
            /// How.
            compression: Compression
        } = 2,
        /// Address of the sender, or 0.0.0.0 to ask for one.
        IpAddress {
            /// The address.
            address: Ipv4Addr
        } = 3,
        /// First DNS server, or 0.0.0.0 to ask for it.
        PrimaryDns {
            /// The address.
            address: Ipv4Addr
        } = 129,
        /// First WINS server, or 0.0.0.0 to ask for it.
        PrimaryNbns {
            /// The address.
            address: Ipv4Addr
        } = 130,
        /// Second DNS server.
        SecondaryDns {
            /// The address.
            address: Ipv4Addr
        } = 131,
        /// Second WINS server.
        SecondaryNbns {
            /// The address.
            address: Ipv4Addr
        } = 132,
    }
}

/// Van Jacobson compression (RFC 1332 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "IpCompression")]
pub struct Compression {
    /// 0x002d, Van Jacobson.
    pub protocol: Protocol,
    /// Highest slot number.
    pub max_slot_id: u8,
    /// Whether the slot number may be left out.
    pub compress_slot_id: bool,
}

impl Value for Compression {
    fn read(value: &[u8]) -> Option<Self> {
        all(value, |reader| {
            let protocol = reader.u16()?.into();
            let [max_slot_id, compress_slot_id] = reader.array()?;
            let compress_slot_id = match compress_slot_id {
                0 => false,
                1 => true,
                _ => return None,
            };
            Some(Self { protocol, max_slot_id, compress_slot_id })
        })
    }

    fn write(&self) -> Vec<u8> {
        let [high, low] = self.protocol.number().to_be_bytes();
        vec![high, low, self.max_slot_id, self.compress_slot_id.into()]
    }
}
