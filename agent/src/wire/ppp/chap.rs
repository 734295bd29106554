//! Challenge Handshake Authentication Protocol: MD5 (RFC 1994), MS-CHAP (RFC 2433), MS-CHAP version 2
//! (RFC 2759).
//!
//! Packets do not say which algorithm they belong to, LCP has agreed on it. The size of a response
//! tells: 16 bytes are MD5, 49 either MS-CHAP. Challenges, responses and everything derived from the
//! password are dropped here: no type can hold them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::wire::{read::Reader, text};

use super::{Error, Protocol, cp::Raw};

codes! {
    /// Codes of CHAP (RFC 1994 §4, RFC 2433 §8, RFC 2759 §7).
    Code: u8 {
        /// The authenticator asks.
        Challenge = 1 "challenge",
        /// The peer answers.
        Response = 2 "response",
        /// Accepted.
        Success = 3 "success",
        /// Refused.
        Failure = 4 "failure",
        /// MS-CHAP: new password, version 1.
        ChangePassword1 = 5 "change_password_1",
        /// MS-CHAP: new password, version 2.
        ChangePassword2 = 6 "change_password_2",
        /// MS-CHAP version 2: new password.
        ChangePassword3 = 7 "change_password_3",
    }
}

codes! {
    /// Error codes of MS-CHAP failures (RFC 2433 §6, RFC 2759 §6).
    FailureCode: u32 as "ChapFailureCode" {
        /// The account may not log on at this time.
        RestrictedLogonHours = 646 "restricted_logon_hours",
        /// The account is disabled.
        AccountDisabled = 647 "account_disabled",
        /// The password has expired.
        PasswordExpired = 648 "password_expired",
        /// The account may not dial in.
        NoDialinPermission = 649 "no_dialin_permission",
        /// Wrong name or password.
        AuthenticationFailure = 691 "authentication_failure",
        /// The new password was not accepted.
        ChangingPassword = 709 "changing_password",
    }
}

/// A packet of CHAP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ChapPacket")]
pub struct Packet {
    /// Matches an answer to its challenge.
    pub id: u8,
    /// Code and contents.
    #[serde(flatten)]
    pub body: Body,
}

/// Contents of a packet, by code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
#[schemars(rename = "ChapBody")]
pub enum Body {
    /// The authenticator asks. The challenge was dropped.
    Challenge {
        /// Length of the challenge, bytes.
        value_size: u8,
        /// Who asks.
        name: String,
    },
    /// The peer answers. The response was dropped.
    Response {
        /// Length of the response, bytes: 16 with MD5, 49 with MS-CHAP.
        value_size: u8,
        /// Name of the user.
        name: String,
    },
    /// Accepted. The authenticator's proof (`S=`) was dropped.
    Success {
        /// More, in words: all of it, or what follows `M=`.
        message: String,
    },
    /// Refused.
    Failure {
        /// `E=`: why, where MS-CHAP is used.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<FailureCode>,
        /// `R=`: whether the peer may try again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry: Option<bool>,
        /// `V=`: version of the password change protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
        /// More, in words: all of it, or what follows `M=`. The new challenge (`C=`) was dropped.
        message: String,
    },
    /// A new password. Contents were dropped.
    #[serde(rename = "change_password_1")]
    ChangePassword1,
    /// A new password. Contents were dropped.
    #[serde(rename = "change_password_2")]
    ChangePassword2,
    /// A new password. Contents were dropped.
    #[serde(rename = "change_password_3")]
    ChangePassword3,
    /// A code that CHAP does not define; contents were dropped.
    Unknown {
        /// The code.
        #[serde(rename = "number")]
        code: u8,
    },
}

impl Packet {
    /// Decodes the information field of a frame, of which the capture lacks `missing` bytes at the end.
    ///
    /// # Errors
    ///
    /// When a length is impossible or a field is cut.
    pub fn decode(bytes: &[u8], missing: usize) -> Result<Self, Error> {
        let raw = Raw::decode(Protocol::Chap, bytes, missing)?;
        let body = match Code::from(raw.code) {
            Code::Challenge => {
                let (value_size, name) = name(raw)?;
                Body::Challenge { value_size, name }
            }
            Code::Response => {
                let (value_size, name) = name(raw)?;
                Body::Response { value_size, name }
            }
            Code::Success => Body::Success { message: Message::parse(raw.data).text },
            Code::Failure => {
                let Message { error, retry, version, text } = Message::parse(raw.data);
                Body::Failure { error, retry, version, message: text }
            }
            Code::ChangePassword1 => Body::ChangePassword1,
            Code::ChangePassword2 => Body::ChangePassword2,
            Code::ChangePassword3 => Body::ChangePassword3,
            Code::Unknown(code) => Body::Unknown { code },
        };
        Ok(Self { id: raw.id, body })
    }

    /// Writes the information field of a frame, with zeros for what was dropped.
    pub fn encode(&self) -> Vec<u8> {
        let data = match &self.body {
            Body::Challenge { value_size, name } | Body::Response { value_size, name } => {
                [&[*value_size], vec![0; usize::from(*value_size)].as_slice(), name.as_bytes()].concat()
            }
            Body::Success { message } => message.clone().into_bytes(),
            Body::Failure { error, retry, version, message } => {
                let mut words = Vec::new();
                words.extend(error.map(|error| format!("E={}", error.number())));
                words.extend(retry.map(|retry| format!("R={}", u8::from(retry))));
                words.extend(version.map(|version| format!("V={version}")));
                let prefix = if words.is_empty() { "" } else { "M=" };
                words.extend((!message.is_empty()).then(|| format!("{prefix}{message}")));
                words.join(" ").into_bytes()
            }
            _ => Vec::new(),
        };
        Raw { code: self.code().number(), id: self.id, data: &data, cut: false }.encode()
    }

    /// Code of the packet.
    pub const fn code(&self) -> Code {
        match &self.body {
            Body::Challenge { .. } => Code::Challenge,
            Body::Response { .. } => Code::Response,
            Body::Success { .. } => Code::Success,
            Body::Failure { .. } => Code::Failure,
            Body::ChangePassword1 => Code::ChangePassword1,
            Body::ChangePassword2 => Code::ChangePassword2,
            Body::ChangePassword3 => Code::ChangePassword3,
            Body::Unknown { code } => Code::Unknown(*code),
        }
    }
}

/// Reads a challenge or response: a byte of length, the secret value, then the name.
fn name(raw: Raw<'_>) -> Result<(u8, String), Error> {
    let field = Error::Field { protocol: Protocol::Chap, code: raw.code };
    let mut reader = Reader::new(raw.data);
    let value_size = reader.u8().ok_or(field)?;
    reader.take(usize::from(value_size)).ok_or(field)?;
    // Half a name is no name.
    if raw.cut {
        return Err(field);
    }
    Ok((value_size, text::escape(reader.rest())))
}

/// The message of a success or failure.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::wire) struct Message {
    pub(in crate::wire) error: Option<FailureCode>,
    pub(in crate::wire) retry: Option<bool>,
    pub(in crate::wire) version: Option<u32>,
    pub(in crate::wire) text: String,
}

impl Message {
    /// Parses `E=691 R=1 C=… V=3 M=…` and `S=… M=…`; other text is kept as it is, but never what looks
    /// like key material.
    pub(in crate::wire) fn parse(bytes: &[u8]) -> Self {
        let mut message = Self::default();
        let clean = without_secrets(&text::escape(bytes));
        let mut rest = clean.as_str();
        loop {
            rest = rest.trim_start();
            if let Some(text) = rest.strip_prefix("M=") {
                rest = text;
                break;
            }
            let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
            let taken = match word.split_once('=') {
                Some(("E", value)) => set(&mut message.error, value.parse().ok().map(u32::into)),
                Some(("R", value)) => {
                    set(&mut message.retry, value.parse().ok().map(|retry: u32| retry != 0))
                }
                Some(("V", value)) => set(&mut message.version, value.parse().ok()),
                Some(("C" | "S", "")) => true,
                _ => false,
            };
            if !taken {
                break;
            }
            rest = after;
        }
        message.text = rest.to_owned();
        message
    }
}

fn set<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let taken = value.is_some();
    *slot = value;
    taken
}

/// Removes what may be a challenge or a proof: hexadecimal digits after `C=` or `S=`, and any run of 16
/// hexadecimal digits or more.
fn without_secrets(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let run = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()).len();
        let (digits, after) = rest.split_at(run);
        if run == 0 {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        } else {
            if run < 16 && !out.ends_with("C=") && !out.ends_with("S=") {
                out.push_str(digits);
            }
            rest = after;
        }
    }
    out
}
