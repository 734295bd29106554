//! Callback Control Protocol: Microsoft's, after authentication, where LCP agreed on callback with
//! operation 6 (draft-gidwani-ppp-callback-cp). Servers of VPNs offer no callback, and a client that
//! insists on it waits here for ever.
//!
//! Telephone numbers are dropped: nobody needs them to see why a call fails.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::read::Reader;

use super::{Error, Protocol, cp::Raw};

codes! {
    /// Codes of CBCP.
    Code: u8 as "CbcpCode" {
        /// The server offers ways of calling back.
        CallbackRequest = 1 "callback_request",
        /// The client takes one.
        CallbackResponse = 2 "callback_response",
        /// The server agrees.
        CallbackAck = 3 "callback_ack",
    }
}

codes! {
    /// Ways of calling back.
    Kind: u8 as "CbcpKind" {
        /// No callback: the call goes on.
        NoCallback = 1 "no_callback",
        /// To a number that the client gives.
        UserSpecified = 2 "user_specified",
        /// To a number that the server knows.
        Preset = 3 "preset",
        /// To one of a list.
        List = 4 "list",
    }
}

/// A packet of CBCP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CbcpPacket")]
pub struct Packet {
    /// Matches an answer to its request.
    pub id: u8,
    /// What it is.
    pub code: Code,
    /// Ways of calling back.
    pub options: Vec<Callback>,
}

/// One way of calling back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "CbcpCallback")]
pub struct Callback {
    /// Which.
    pub option: Kind,
    /// Pause before the server calls, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u8>,
}

impl Packet {
    /// Decodes the information field of a frame, of which the capture lacks `missing` bytes at the end.
    ///
    /// # Errors
    ///
    /// When a length is impossible or the options are cut.
    pub fn decode(bytes: &[u8], missing: usize) -> Result<Self, Error> {
        let protocol = Protocol::Cbcp;
        let raw = Raw::decode(protocol, bytes, missing)?;
        if raw.cut {
            return Err(Error::Field { protocol, code: raw.code });
        }
        let mut packet = Self { id: raw.id, code: raw.code.into(), options: Vec::new() };
        if matches!(packet.code, Code::Unknown(_)) {
            return Ok(packet);
        }
        let mut reader = Reader::new(raw.data);
        while let Some(kind) = reader.u8() {
            let wrong = Error::Option { protocol, kind };
            let length = usize::from(reader.u8().ok_or(wrong)?).checked_sub(2).ok_or(wrong)?;
            let value = reader.take(length).ok_or(wrong)?;
            packet.options.push(Callback { option: kind.into(), delay_seconds: value.first().copied() });
        }
        Ok(packet)
    }

    /// Writes the information field of a frame, without what was dropped.
    pub fn encode(&self) -> Vec<u8> {
        let mut data = Vec::new();
        for Callback { option, delay_seconds } in &self.options {
            data.extend([option.number(), 2 + u8::from(delay_seconds.is_some())]);
            data.extend(delay_seconds);
        }
        Raw { code: self.code.number(), id: self.id, data: &data, cut: false }.encode()
    }
}
