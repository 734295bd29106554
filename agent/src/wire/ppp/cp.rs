//! What all control protocols of PPP share: packets of code, identifier and length, and the automaton
//! that configures a link with options (RFC 1661 §4, §5).
//!
//! Each side sends a Configure-Request with the options it wants for its own receiving side. The peer
//! answers with Ack (agreed), Nak (other values, please) or Reject (does not know or want these options), and
//! the loser asks again. A layer is open when both requests are acknowledged.
//!
//! ```text
//! |     Code      |  Identifier   |            Length             |
//! |    Data ...      options:  |     Type      |    Length     |    Data ...
//! ```

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{read::Reader, text};

use super::{Error, Protocol};

codes! {
    /// Codes of the configure protocols (RFC 1661 §5, RFC 1570 §2, RFC 1962 §3).
    Code: u8 {
        /// Asks for options.
        ConfigureRequest = 1 "configure_request",
        /// Agrees to all options of the request.
        ConfigureAck = 2 "configure_ack",
        /// Wants other values for these options.
        ConfigureNak = 3 "configure_nak",
        /// Does not know or want these options.
        ConfigureReject = 4 "configure_reject",
        /// Closes the layer.
        TerminateRequest = 5 "terminate_request",
        /// Agrees to close it.
        TerminateAck = 6 "terminate_ack",
        /// A packet had a code that the sender does not know.
        CodeReject = 7 "code_reject",
        /// A frame had a protocol that the sender does not know (LCP only).
        ProtocolReject = 8 "protocol_reject",
        /// Asks whether the peer is alive (LCP only).
        EchoRequest = 9 "echo_request",
        /// Answers it (LCP only).
        EchoReply = 10 "echo_reply",
        /// Nothing, to load the link (LCP only).
        DiscardRequest = 11 "discard_request",
        /// Who the sender is (LCP only, RFC 1570 §2.1).
        Identification = 12 "identification",
        /// How long the session may still last (LCP only, RFC 1570 §2.2).
        TimeRemaining = 13 "time_remaining",
        /// Decompression failed: start over (CCP only, RFC 1962 §3).
        ResetRequest = 14 "reset_request",
        /// Started over (CCP only).
        ResetAck = 15 "reset_ack",
    }
}

/// An option of one of the configure protocols.
pub trait ConfigureOption: Sized {
    /// Protocol that the options belong to.
    const PROTOCOL: Protocol;

    /// Reads an option from its type and value. What does not have the form that its RFC demands is kept
    /// raw: peers may send anything in a Nak.
    fn decode(kind: u8, value: &[u8]) -> Self;

    /// Type and value on the wire.
    fn encode(&self) -> (u8, Vec<u8>);
}

/// A packet of a configure protocol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Packet_of_{O}")]
pub struct Packet<O> {
    /// Matches an answer to its request.
    pub id: u8,
    /// Code and contents.
    #[serde(flatten)]
    pub body: Body<O>,
}

/// Contents of a packet, by code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
#[schemars(rename = "Body_of_{O}")]
pub enum Body<O> {
    /// Asks for options.
    ConfigureRequest {
        /// Options that the sender wants; what is not listed has its default.
        options: Vec<O>,
    },
    /// Agrees to all options of the request.
    ConfigureAck {
        /// The options of the request, unchanged.
        options: Vec<O>,
    },
    /// Wants other values for these options.
    ConfigureNak {
        /// Options with acceptable values.
        options: Vec<O>,
    },
    /// Does not know or want these options.
    ConfigureReject {
        /// Options that are refused, unchanged.
        options: Vec<O>,
    },
    /// Closes the layer.
    TerminateRequest {
        /// Why, where the sender says.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<TerminateReason>,
    },
    /// Agrees to close it.
    TerminateAck,
    /// A packet had a code that the sender does not know.
    CodeReject {
        /// Code of the packet that was refused.
        rejected_code: u8,
        /// Its identifier.
        #[serde(skip_serializing_if = "Option::is_none")]
        rejected_id: Option<u8>,
    },
    /// A frame had a protocol that the sender does not know (LCP only). The refused packet is not kept: it
    /// may hold a password.
    ProtocolReject {
        /// Protocol that the peer does not speak.
        rejected_protocol: Protocol,
    },
    /// Asks whether the peer is alive (LCP only).
    EchoRequest {
        /// Magic number of the sender, 0 when it has none.
        magic: u32,
    },
    /// Answers it (LCP only).
    EchoReply {
        /// Magic number of the sender.
        magic: u32,
    },
    /// Nothing, to load the link (LCP only).
    DiscardRequest {
        /// Magic number of the sender.
        magic: u32,
    },
    /// Who the sender is (LCP only).
    Identification {
        /// Magic number of the sender.
        magic: u32,
        /// Who the sender is, such as `MSRASV5.20`.
        message: String,
    },
    /// How long the session may still last (LCP only).
    TimeRemaining {
        /// Magic number of the sender.
        magic: u32,
        /// Time left, seconds.
        seconds: u32,
        /// More, in words.
        message: String,
    },
    /// Decompression failed: start over (CCP only).
    ResetRequest,
    /// Started over (CCP only).
    ResetAck,
    /// A code that the protocol does not define.
    Unknown {
        /// The code.
        #[serde(rename = "number")]
        code: u8,
    },
}

/// Why a layer is closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TerminateReason {
    /// In words, as pppd says it: `User request`, `Peer not responding`, …
    Text(String),
    /// In the form of Microsoft's remote access: magic number, 00 3c cd 74, error code.
    Microsoft {
        /// Magic number of the sender.
        magic: u32,
        /// A RAS or Windows error: 691 access denied, 738 no address, 742 no encryption; 0 none.
        error: u32,
    },
}

/// `<\xcdt` after a NUL: marks the data of Microsoft's Terminate-Request.
const MICROSOFT_TERMINATE: u32 = 0x003c_cd74;

impl TerminateReason {
    fn decode(data: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(data);
        if let (Some(magic), Some(MICROSOFT_TERMINATE), Some(error)) =
            (reader.u32(), reader.u32(), reader.u32())
        {
            return Some(Self::Microsoft { magic, error });
        }
        text::escape_some(data).map(Self::Text)
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Microsoft { magic, error } => {
                [*magic, MICROSOFT_TERMINATE, *error].into_iter().flat_map(u32::to_be_bytes).collect()
            }
        }
    }
}

/// Code, identifier and data of a packet of any control protocol.
#[derive(Clone, Copy)]
pub(super) struct Raw<'a> {
    pub(super) code: u8,
    pub(super) id: u8,
    pub(super) data: &'a [u8],
    /// The capture cut the data.
    pub(super) cut: bool,
}

impl<'a> Raw<'a> {
    /// Splits a packet, without the padding after its length; `missing` bytes were not captured.
    pub(super) fn decode(protocol: Protocol, bytes: &'a [u8], missing: usize) -> Result<Self, Error> {
        let short = Error::Short { protocol, present: bytes.len() };
        let mut reader = Reader::new(bytes);
        let [code, id] = reader.array().ok_or(short)?;
        let length = reader.u16().ok_or(short)?;
        let wrong = Error::Length { protocol, length, present: bytes.len() };
        let wanted = usize::from(length).checked_sub(4).ok_or(wrong)?;
        let rest = reader.rest();
        if wanted > rest.len().saturating_add(missing) {
            return Err(wrong);
        }
        let data = rest.get(..wanted).unwrap_or(rest);
        Ok(Self { code, id, data, cut: wanted > rest.len() })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![self.code, self.id];
        out.extend((self.data.len() as u16 + 4).to_be_bytes());
        out.extend(self.data);
        out
    }
}

impl<O: ConfigureOption> Packet<O> {
    /// Decodes the information field of a frame, of which the capture lacks `missing` bytes at the end.
    ///
    /// # Errors
    ///
    /// When a length is impossible or a field is cut.
    pub fn decode(bytes: &[u8], missing: usize) -> Result<Self, Error> {
        let raw = Raw::decode(O::PROTOCOL, bytes, missing)?;
        Ok(Self { id: raw.id, body: Body::decode(raw)? })
    }

    /// Writes the information field of a frame.
    pub fn encode(&self) -> Vec<u8> {
        let data = self.body.data();
        Raw { code: self.body.number(), id: self.id, data: &data, cut: false }.encode()
    }

    /// Code of the packet.
    pub fn code(&self) -> Code {
        Code::from(self.body.number())
    }

    /// Options, where the packet lists some.
    pub fn options(&self) -> Option<&[O]> {
        match &self.body {
            Body::ConfigureRequest { options }
            | Body::ConfigureAck { options }
            | Body::ConfigureNak { options }
            | Body::ConfigureReject { options } => Some(options),
            _ => None,
        }
    }
}

impl<O: ConfigureOption> Body<O> {
    fn decode(raw: Raw<'_>) -> Result<Self, Error> {
        let protocol = O::PROTOCOL;
        let field = Error::Field { protocol, code: raw.code };
        let mut reader = Reader::new(raw.data);
        let lcp = protocol == Protocol::Lcp;
        let ccp = protocol == Protocol::Ccp;
        Ok(match Code::from(raw.code) {
            Code::ConfigureRequest => Self::ConfigureRequest { options: options(raw)? },
            Code::ConfigureAck => Self::ConfigureAck { options: options(raw)? },
            Code::ConfigureNak => Self::ConfigureNak { options: options(raw)? },
            Code::ConfigureReject => Self::ConfigureReject { options: options(raw)? },
            Code::TerminateRequest => Self::TerminateRequest { reason: TerminateReason::decode(raw.data) },
            Code::TerminateAck => Self::TerminateAck,
            Code::CodeReject => {
                Self::CodeReject { rejected_code: reader.u8().ok_or(field)?, rejected_id: reader.u8() }
            }
            Code::ProtocolReject if lcp => {
                Self::ProtocolReject { rejected_protocol: reader.u16().ok_or(field)?.into() }
            }
            Code::EchoRequest if lcp => Self::EchoRequest { magic: reader.u32().ok_or(field)? },
            Code::EchoReply if lcp => Self::EchoReply { magic: reader.u32().ok_or(field)? },
            Code::DiscardRequest if lcp => Self::DiscardRequest { magic: reader.u32().ok_or(field)? },
            Code::Identification if lcp => Self::Identification {
                magic: reader.u32().ok_or(field)?,
                message: text::escape(reader.rest()),
            },
            Code::TimeRemaining if lcp => Self::TimeRemaining {
                magic: reader.u32().ok_or(field)?,
                seconds: reader.u32().ok_or(field)?,
                message: text::escape(reader.rest()),
            },
            Code::ResetRequest if ccp => Self::ResetRequest,
            Code::ResetAck if ccp => Self::ResetAck,
            other => Self::Unknown { code: other.number() },
        })
    }

    fn number(&self) -> u8 {
        let code = match self {
            Self::ConfigureRequest { .. } => Code::ConfigureRequest,
            Self::ConfigureAck { .. } => Code::ConfigureAck,
            Self::ConfigureNak { .. } => Code::ConfigureNak,
            Self::ConfigureReject { .. } => Code::ConfigureReject,
            Self::TerminateRequest { .. } => Code::TerminateRequest,
            Self::TerminateAck => Code::TerminateAck,
            Self::CodeReject { .. } => Code::CodeReject,
            Self::ProtocolReject { .. } => Code::ProtocolReject,
            Self::EchoRequest { .. } => Code::EchoRequest,
            Self::EchoReply { .. } => Code::EchoReply,
            Self::DiscardRequest { .. } => Code::DiscardRequest,
            Self::Identification { .. } => Code::Identification,
            Self::TimeRemaining { .. } => Code::TimeRemaining,
            Self::ResetRequest => Code::ResetRequest,
            Self::ResetAck => Code::ResetAck,
            Self::Unknown { code } => return *code,
        };
        code.number()
    }

    fn data(&self) -> Vec<u8> {
        match self {
            Self::ConfigureRequest { options }
            | Self::ConfigureAck { options }
            | Self::ConfigureNak { options }
            | Self::ConfigureReject { options } => options.iter().flat_map(encode_option).collect(),
            Self::TerminateRequest { reason } => {
                reason.as_ref().map(TerminateReason::encode).unwrap_or_default()
            }
            Self::CodeReject { rejected_code, rejected_id } => {
                [*rejected_code].into_iter().chain(*rejected_id).collect()
            }
            Self::ProtocolReject { rejected_protocol } => rejected_protocol.number().to_be_bytes().into(),
            Self::EchoRequest { magic } | Self::EchoReply { magic } | Self::DiscardRequest { magic } => {
                magic.to_be_bytes().into()
            }
            Self::Identification { magic, message } => {
                magic.to_be_bytes().into_iter().chain(message.bytes()).collect()
            }
            Self::TimeRemaining { magic, seconds, message } => [magic.to_be_bytes(), seconds.to_be_bytes()]
                .concat()
                .into_iter()
                .chain(message.bytes())
                .collect(),
            Self::TerminateAck | Self::ResetRequest | Self::ResetAck | Self::Unknown { .. } => Vec::new(),
        }
    }
}

/// Reads a list of options; the length of each includes its type and length bytes.
fn options<O: ConfigureOption>(raw: Raw<'_>) -> Result<Vec<O>, Error> {
    let protocol = O::PROTOCOL;
    if raw.cut {
        return Err(Error::Field { protocol, code: raw.code });
    }
    let mut reader = Reader::new(raw.data);
    let mut options = Vec::new();
    while let Some(kind) = reader.u8() {
        let wrong = Error::Option { protocol, kind };
        let length = usize::from(reader.u8().ok_or(wrong)?).checked_sub(2).ok_or(wrong)?;
        options.push(O::decode(kind, reader.take(length).ok_or(wrong)?));
    }
    Ok(options)
}

fn encode_option<O: ConfigureOption>(option: &O) -> Vec<u8> {
    let (kind, value) = option.encode();
    let mut out = vec![kind, value.len() as u8 + 2];
    out.extend(value);
    out
}
