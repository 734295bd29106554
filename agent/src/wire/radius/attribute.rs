//! The attributes: those that say something about a call, by name; secrets by name and without value.

use std::net::Ipv4Addr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::codes::{
    AcctAuthentic, AcctStatusType, ErrorCause, FramedProtocol, MppePolicy, NasPortType, RadiusMppeTypes,
    ServiceType, TerminateCause, TunnelMediumType, TunnelType,
};
use super::value::{ChapError, Identified, Tagged};
use crate::wire::Hex;
use crate::wire::ppp::option::Value;
use crate::wire::read::Reader;

/// Type of a vendor's attributes (RFC 2865 §5.26).
const VENDOR_SPECIFIC: u8 = 26;
/// Microsoft's number (RFC 2548 §2).
const MICROSOFT: u32 = 311;
/// Longest value that a length byte can tell.
const MAX_VALUE: usize = 253;

/// Defines [`Attribute`]: `Name(Type) = number` has a value, `Name = number` is a secret that was dropped.
macro_rules! attributes {
    (
        standard { $($(#[doc = $sdoc:expr])* $standard:ident $(($sty:ty))? = $snumber:literal,)* }
        microsoft { $($(#[doc = $mdoc:expr])* $microsoft:ident $(($mty:ty))? = $mnumber:literal,)* }
    ) => {
        /// An attribute (RFC 2865 §5, RFC 2866 §5, RFC 2868 §3, RFC 2869 §5, RFC 5176 §3; Microsoft's:
        /// RFC 2548 §2).
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(tag = "attribute", content = "value", rename_all = "snake_case")]
        #[schemars(rename = "RadiusAttribute")]
        pub enum Attribute {
            $($(#[doc = $sdoc])* $standard $(($sty))?,)*
            $($(#[doc = $mdoc])* $microsoft $(($mty))?,)*
            /// Of another vendor. Its value was dropped: it may be a secret.
            Vendor(Vendor),
            /// A type that we do not know, or a value that does not have the form of its type.
            Unknown(Unknown),
        }

        impl Attribute {
            fn standard(kind: u8, value: &[u8]) -> Option<Self> {
                match kind {
                    $($snumber => attributes!(@read value $standard $(($sty))?),)*
                    _ => None,
                }
            }

            fn microsoft(kind: u8, value: &[u8]) -> Option<Self> {
                match kind {
                    $($mnumber => attributes!(@read value $microsoft $(($mty))?),)*
                    _ => None,
                }
            }

            /// Type and value on the wire; inside a vendor's attribute where the third says so.
            fn parts(&self) -> (u8, Vec<u8>, bool) {
                match self {
                    $(attributes!(@pattern value $standard $(($sty))?) =>
                        ($snumber, attributes!(@write value $(($sty))?), false),)*
                    $(attributes!(@pattern value $microsoft $(($mty))?) =>
                        ($mnumber, attributes!(@write value $(($mty))?), true),)*
                    Self::Vendor(vendor) => (VENDOR_SPECIFIC, vendor.write(), false),
                    Self::Unknown(unknown) => (unknown.kind, unknown.value.as_bytes().into(), false),
                }
            }
        }
    };
    (@read $value:ident $name:ident) => { Some(Self::$name) };
    (@read $value:ident $name:ident ($ty:ty)) => { <$ty>::read($value).map(Self::$name) };
    (@pattern $value:ident $name:ident) => { Self::$name };
    (@pattern $value:ident $name:ident ($ty:ty)) => { Self::$name($value) };
    (@write $value:ident) => { Vec::new() };
    (@write $value:ident ($ty:ty)) => { $value.write() };
}

attributes! {
    standard {
        /// Name of the user.
        UserName(String) = 1,
        /// PAP: the password. Dropped.
        UserPassword = 2,
        /// CHAP with MD5: the response. Dropped.
        ChapPassword = 3,
        /// Address of the VPN server, as it knows itself.
        NasIpAddress(Ipv4Addr) = 4,
        /// Which of its ports: with pppd's plugin the unit of pppN.
        NasPort(u32) = 5,
        /// What the user wants or gets.
        ServiceType(ServiceType) = 6,
        /// Framing of the link.
        FramedProtocol(FramedProtocol) = 7,
        /// Address of the user inside the tunnel; 255.255.255.255 lets the user choose, 255.255.255.254
        /// the VPN server.
        FramedIpAddress(Ipv4Addr) = 8,
        /// Its netmask.
        FramedIpNetmask(Ipv4Addr) = 9,
        /// Name of a filter to apply.
        FilterId(String) = 11,
        /// MTU of the link, bytes.
        FramedMtu(u32) = 12,
        /// Compression of the link: 0 none, 1 Van Jacobson.
        FramedCompression(u32) = 13,
        /// Text for the user.
        ReplyMessage(String) = 18,
        /// A route to the user.
        FramedRoute(String) = 22,
        /// What the server wants back in the next round. Dropped: it may identify the login.
        State = 24,
        /// What the server wants back in accounting.
        Class(Hex) = 25,
        /// How long the call may last, seconds.
        SessionTimeout(u32) = 27,
        /// How long it may be silent, seconds.
        IdleTimeout(u32) = 28,
        /// What was called: address or number of the VPN server.
        CalledStationId(String) = 30,
        /// Who calls: address of the client.
        CallingStationId(String) = 31,
        /// Name of the VPN server.
        NasIdentifier(String) = 32,
        /// What a proxy wants back.
        ProxyState(Hex) = 33,
        /// What an Accounting-Request tells.
        AcctStatusType(AcctStatusType) = 40,
        /// How long the request has been tried, seconds.
        AcctDelayTime(u32) = 41,
        /// Bytes from the user, modulo 2^32.
        AcctInputOctets(u32) = 42,
        /// Bytes to the user, modulo 2^32.
        AcctOutputOctets(u32) = 43,
        /// Name of the session.
        AcctSessionId(String) = 44,
        /// Who authenticated the user.
        AcctAuthentic(AcctAuthentic) = 45,
        /// How long the call has lasted, seconds.
        AcctSessionTime(u32) = 46,
        /// Packets from the user.
        AcctInputPackets(u32) = 47,
        /// Packets to the user.
        AcctOutputPackets(u32) = 48,
        /// Why the call ended.
        AcctTerminateCause(TerminateCause) = 49,
        /// Name of several sessions that belong together.
        AcctMultiSessionId(String) = 50,
        /// How many links the session has.
        AcctLinkCount(u32) = 51,
        /// How often the bytes from the user have wrapped.
        AcctInputGigawords(u32) = 52,
        /// How often the bytes to the user have wrapped.
        AcctOutputGigawords(u32) = 53,
        /// When it happened, seconds since 1970.
        EventTimestamp(u32) = 55,
        /// CHAP with MD5: the challenge. Dropped.
        ChapChallenge = 60,
        /// What the user comes in on.
        NasPortType(NasPortType) = 61,
        /// Calls that the user may have at a time.
        PortLimit(u32) = 62,
        /// Kind of the tunnel.
        TunnelType(Tagged<TunnelType>) = 64,
        /// What the tunnel runs over.
        TunnelMediumType(Tagged<TunnelMediumType>) = 65,
        /// The client's end of the tunnel.
        TunnelClientEndpoint(Tagged<String>) = 66,
        /// The server's end of the tunnel.
        TunnelServerEndpoint(Tagged<String>) = 67,
        /// Password of a tunnel. Dropped.
        TunnelPassword = 69,
        /// ARAP: the proof. Dropped.
        ArapPassword = 70,
        /// ARAP: dropped.
        ArapSecurityData = 74,
        /// Part of an EAP packet. Dropped.
        EapMessage = 79,
        /// Keyed hash of the packet (RFC 3579 §3.2). Dropped.
        MessageAuthenticator = 80,
        /// ARAP: the challenge and its answer. Dropped.
        ArapChallengeResponse = 84,
        /// Time between two interim updates, seconds.
        AcctInterimInterval(u32) = 85,
        /// Name of the port, such as `ppp0`.
        NasPortId(String) = 87,
        /// Name of the pool that the address is to come from.
        FramedPool(String) = 88,
        /// Name of the user as the operator knows it.
        ChargeableUserIdentity(String) = 89,
        /// Why a request to end or change a call failed.
        ErrorCause(ErrorCause) = 101,
    }
    microsoft {
        /// MS-CHAP: the response. Dropped.
        MsChapResponse = 1,
        /// What the VPN server is to tell the client in CHAP Failure.
        MsChapError(ChapError) = 2,
        /// MS-CHAP: a new password. Dropped.
        MsChapCpw1 = 3,
        /// MS-CHAP: a new password. Dropped.
        MsChapCpw2 = 4,
        /// MS-CHAP: a new password. Dropped.
        MsChapLmEncPw = 5,
        /// MS-CHAP: a new password. Dropped.
        MsChapNtEncPw = 6,
        /// Whether traffic must be encrypted.
        MsMppeEncryptionPolicy(MppePolicy) = 7,
        /// Keys that may be used.
        MsMppeEncryptionTypes(RadiusMppeTypes) = 8,
        /// Vendor of the VPN server, by its number; 311 is Microsoft.
        MsRasVendor(u32) = 9,
        /// Domain of the user.
        MsChapDomain(Identified) = 10,
        /// MS-CHAP: the challenge. Dropped.
        MsChapChallenge = 11,
        /// MPPE keys from MS-CHAP. Dropped.
        MsChapMppeKeys = 12,
        /// MPPE key for sending. Dropped.
        MsMppeSendKey = 16,
        /// MPPE key for receiving. Dropped.
        MsMppeRecvKey = 17,
        /// Version of the VPN server.
        MsRasVersion(String) = 18,
        /// ARAP: dropped.
        MsOldArapPassword = 19,
        /// ARAP: dropped.
        MsNewArapPassword = 20,
        /// How the user was authenticated: 1 PAP, 2 CHAP, 3 MS-CHAP, 4 MS-CHAPv2, 5 EAP.
        MsAcctAuthType(u32) = 23,
        /// Which EAP that was.
        MsAcctEapType(u32) = 24,
        /// MS-CHAPv2: the response. Dropped.
        MsChap2Response = 25,
        /// MS-CHAPv2: the server's proof. Dropped.
        MsChap2Success = 26,
        /// MS-CHAPv2: a new password. Dropped.
        MsChap2Cpw = 27,
        /// First DNS server for the user.
        MsPrimaryDnsServer(Ipv4Addr) = 28,
        /// Second DNS server.
        MsSecondaryDnsServer(Ipv4Addr) = 29,
        /// First WINS server.
        MsPrimaryNbnsServer(Ipv4Addr) = 30,
        /// Second WINS server.
        MsSecondaryNbnsServer(Ipv4Addr) = 31,
        /// ARAP: dropped.
        MsArapChallenge = 33,
        /// Name of the user's computer.
        MsRasClientName(String) = 34,
        /// Version of the user's software, such as `MSRASV5.20`.
        MsRasClientVersion(String) = 35,
    }
}

/// What is known of an attribute of a vendor that we do not read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusVendor")]
pub struct Vendor {
    /// The vendor's number (IANA, Private Enterprise Numbers); absent where the attribute is too short to
    /// have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vendor: Option<u32>,
    /// Length of what follows it.
    pub bytes: u8,
}

impl Vendor {
    fn read(value: &[u8]) -> Self {
        let mut reader = Reader::new(value);
        let vendor = reader.u32();
        Self { vendor, bytes: reader.rest().len() as u8 }
    }

    fn write(&self) -> Vec<u8> {
        let vendor = self.vendor.iter().flat_map(|vendor| vendor.to_be_bytes());
        vendor.chain(std::iter::repeat_n(0, self.bytes.into())).collect()
    }
}

/// An attribute as it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RadiusUnknown")]
pub struct Unknown {
    /// Type of the attribute.
    #[serde(rename = "type")]
    pub kind: u8,
    /// Its value.
    pub value: Hex,
}

impl Attribute {
    /// Reads an attribute and appends it to `list`: one of Microsoft may hold several.
    pub(super) fn decode(kind: u8, value: &[u8], list: &mut Vec<Self>) {
        if kind != VENDOR_SPECIFIC {
            let unknown = || Self::Unknown(Unknown { kind, value: value.into() });
            list.push(Self::standard(kind, value).unwrap_or_else(unknown));
            return;
        }
        match Self::of_microsoft(value) {
            Some(attributes) => list.extend(attributes),
            None => list.push(Self::Vendor(Vendor::read(value))),
        }
    }

    /// Microsoft's attributes inside a vendor's; None when there is any that we cannot read.
    fn of_microsoft(value: &[u8]) -> Option<Vec<Self>> {
        let mut reader = Reader::new(value);
        if reader.u32()? != MICROSOFT || reader.is_empty() {
            return None;
        }
        super::attributes(reader.rest())
            .map(|attribute| {
                let (kind, value) = attribute.ok()?;
                Self::microsoft(kind, value)
            })
            .collect()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let (kind, value, microsoft) = self.parts();
        if !microsoft {
            return tlv(kind, &value, MAX_VALUE);
        }
        // The vendor's number and the inner type and length leave six bytes less.
        let inner = tlv(kind, &value, MAX_VALUE - 6);
        tlv(VENDOR_SPECIFIC, &[MICROSOFT.to_be_bytes().as_slice(), &inner].concat(), MAX_VALUE)
    }
}

/// Type, length and at most `limit` bytes of value.
fn tlv(kind: u8, value: &[u8], limit: usize) -> Vec<u8> {
    let value = value.get(..limit).unwrap_or(value);
    [&[kind, value.len() as u8 + 2], value].concat()
}
