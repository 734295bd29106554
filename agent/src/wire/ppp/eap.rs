//! Extensible Authentication Protocol (RFC 3748): who, and by which method.
//!
//! Type data are dropped here, as they are challenges, responses and TLS records; but for an identity, and
//! for the error of MS-CHAPv2 inside EAP (draft-kamath-pppext-eap-mschapv2 §2.4).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{read::Reader, text};

use super::{
    Error, Protocol,
    chap::{FailureCode, Message},
    cp::Raw,
};

codes! {
    /// Codes of EAP (RFC 3748 §4).
    Code: u8 as "EapCode" {
        /// The authenticator asks.
        Request = 1 "request",
        /// The peer answers.
        Response = 2 "response",
        /// Accepted.
        Success = 3 "success",
        /// Refused.
        Failure = 4 "failure",
    }
}

codes! {
    /// Types of requests and responses (IANA, EAP registry).
    Type: u8 as "EapType" {
        /// Who the peer is.
        Identity = 1 "identity",
        /// A message for the user.
        Notification = 2 "notification",
        /// The peer refuses the method and names others.
        Nak = 3 "nak",
        /// MD5, as CHAP (RFC 3748 §5.4).
        Md5Challenge = 4 "md5_challenge",
        /// One-time password.
        OneTimePassword = 5 "one_time_password",
        /// Token card.
        GenericTokenCard = 6 "generic_token_card",
        /// TLS with certificates (RFC 5216).
        Tls = 13 "tls",
        /// Tunnelled TLS (RFC 5281).
        Ttls = 21 "ttls",
        /// Protected EAP.
        Peap = 25 "peap",
        /// MS-CHAP version 2.
        MsChapV2 = 26 "ms_chap_v2",
        /// The peer refuses and names methods in the long form.
        Expanded = 254 "expanded",
    }
}

/// Operation code of a failure in EAP MS-CHAPv2; its identifier and length follow, then text as in CHAP.
const MS_CHAP_FAILURE: u8 = 4;

/// Why MS-CHAPv2 inside EAP failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EapFailure")]
pub struct Failure {
    /// `E=`: why.
    pub error: FailureCode,
    /// `R=`: whether the peer may try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<bool>,
}

impl Failure {
    /// Reads what follows the type of a request.
    fn read(mut reader: Reader<'_>) -> Option<Self> {
        let [operation, _id, _, _] = reader.array()?;
        let message = (operation == MS_CHAP_FAILURE).then(|| Message::parse(reader.rest()))?;
        Some(Self { error: message.error?, retry: message.retry })
    }

    fn write(self) -> Vec<u8> {
        let retry = self.retry.map_or(String::new(), |retry| format!(" R={}", u8::from(retry)));
        let text = format!("E={}{retry}", self.error.number());
        let length = (text.len() as u16 + 4).to_be_bytes();
        [&[MS_CHAP_FAILURE, 0], length.as_slice(), text.as_bytes()].concat()
    }
}

/// A packet of EAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "EapPacket")]
pub struct Packet {
    /// Matches a response to its request.
    pub id: u8,
    /// What it is.
    pub code: Code,
    /// Method, in requests and responses.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Type>,
    /// Name of the user, in a response of type identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Methods that the peer wants instead, in a Nak.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub desired: Vec<Type>,
    /// Why, in a request of type MS-CHAPv2 that says no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Packet {
    /// Decodes the information field of a frame, of which the capture lacks `missing` bytes at the end.
    ///
    /// # Errors
    ///
    /// When a length is impossible or a field is cut.
    pub fn decode(bytes: &[u8], missing: usize) -> Result<Self, Error> {
        let raw = Raw::decode(Protocol::Eap, bytes, missing)?;
        let code = Code::from(raw.code);
        let mut packet =
            Self { id: raw.id, code, kind: None, identity: None, desired: Vec::new(), failure: None };
        if matches!(code, Code::Request | Code::Response) {
            let mut reader = Reader::new(raw.data);
            let kind = reader.u8().ok_or(Error::Field { protocol: Protocol::Eap, code: raw.code })?;
            packet.kind = Some(kind.into());
            match Type::from(kind) {
                Type::Identity if code == Code::Response && !raw.cut => {
                    packet.identity = Some(text::escape(reader.rest()));
                }
                Type::MsChapV2 if code == Code::Request => packet.failure = Failure::read(reader),
                Type::Nak => packet.desired = reader.rest().iter().map(|kind| (*kind).into()).collect(),
                _ => {}
            }
        }
        Ok(packet)
    }

    /// Writes the information field of a frame, without what was dropped.
    pub fn encode(&self) -> Vec<u8> {
        let mut data: Vec<u8> = self.kind.iter().map(|kind| kind.number()).collect();
        data.extend(self.identity.iter().flat_map(|identity| identity.bytes()));
        data.extend(self.failure.iter().flat_map(|failure| failure.write()));
        data.extend(self.desired.iter().map(|kind| kind.number()));
        Raw { code: self.code.number(), id: self.id, data: &data, cut: false }.encode()
    }
}
