//! Which implementation is at the other end, by how it introduces itself in Start-Control-Connection.
//!
//! No version is reliable, but the vendor tells which log lines and which habits to expect.

use schemars::JsonSchema;
use serde::Serialize;

use super::Message;

/// An implementation of PPTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "PptpSoftware")]
pub enum Software {
    /// accel-ppp; borrows the vendor name of pptp-linux.
    AccelPpp,
    /// Windows client or RRAS. Old ones put their build number into the firmware revision.
    Microsoft,
    /// MikroTik RouterOS.
    MikroTik,
    /// Not a VPN client but the port scanner.
    Nmap,
    /// PoPToP, the pptpd of Linux distributions.
    Pptpd,
    /// pptp-linux, the client that pppd and NetworkManager start.
    PptpLinux,
}

impl Software {
    /// Tells the sender of a Start-Control-Connection-Request or -Reply; None for other messages and
    /// for vendors that we do not know.
    pub fn of(message: &Message) -> Option<Self> {
        let (vendor, server) = match message {
            Message::StartControlConnectionRequest(body) => (&body.vendor, false),
            Message::StartControlConnectionReply(body) => (&body.vendor, true),
            _ => return None,
        };
        match (vendor.as_str(), server) {
            ("cananian", true) => Some(Self::AccelPpp),
            ("cananian", false) => Some(Self::PptpLinux),
            ("linux" | "MoretonBay", true) => Some(Self::Pptpd),
            ("MikroTik", _) => Some(Self::MikroTik),
            ("nmap", false) => Some(Self::Nmap),
            (vendor, _) if vendor.starts_with("Microsoft") => Some(Self::Microsoft),
            _ => None,
        }
    }
}
