//! The debug dump of pppd (`debug` option): negotiation frames as text, back to the frames of the wire.
//!
//! ```text
//! sent [LCP ConfReq id=0x1 <mru 1400> <asyncmap 0x0> <auth chap MS-v2> <magic 0x5d2a>]
//! rcvd [CCP ConfNak id=0x1 <mppe +H -M +S -L -D -C>]
//! ```
//!
//! The text is turned into the bytes that it shows, and those go through the decoder of the wire, so that
//! both witnesses of a negotiation have the same type and can be compared. Challenges, responses and
//! passwords are not read: zeros of their length stand for them.

use bytes::Bytes;

use super::scan_dump::{Argument, Dumped};
use crate::wire::ppp::{Error, Frame, Framed, Protocol};

/// A frame that a daemon showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// Whether the daemon sent it.
    pub sent: bool,
    /// The frame.
    pub frame: Frame,
    /// The text was cut: options at the end may be missing.
    pub cut: bool,
}

/// Codes as pppd names them (fsm, LCP and CCP), by number from 1.
const CONFIGURE_CODES: [&str; 15] = [
    "ConfReq", "ConfAck", "ConfNak", "ConfRej", "TermReq", "TermAck", "CodeRej", "ProtRej", "EchoReq",
    "EchoRep", "DiscReq", "Ident", "TimeRem", "ResetReq", "ResetAck",
];

/// Reads a line of the dump; None when it is none, or shows what the wire decoder does not know.
pub fn parse(text: &str) -> Option<Dump> {
    let sent = text.starts_with("sent [");
    if !sent && !text.starts_with("rcvd [") {
        return None;
    }
    let (inside, mut cut) = match text.get(6..)?.trim_end().strip_suffix(']') {
        Some(inside) => (inside, false),
        None => (text.get(6..)?, true),
    };
    let (name, rest) = inside.split_once(' ')?;
    let (code_name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let protocol = protocol(name)?;
    let code = code(protocol, code_name)?;
    let after = rest.strip_prefix("id=0x")?;
    let digits = after.bytes().take_while(u8::is_ascii_hexdigit).count();
    let id = u8::from_str_radix(after.get(..digits)?, 16).ok()?;
    let dumped = Dumped::read(after.get(digits..)?);
    cut |= dumped.cut;
    let data = data(protocol, code, &dumped, &mut cut)?;
    let length = u16::try_from(data.len().checked_add(4)?).ok()?;
    let mut bytes = vec![code, id];
    bytes.extend(length.to_be_bytes());
    bytes.extend(data);
    let framed = Framed {
        protocol,
        address_control_compressed: false,
        protocol_compressed: false,
        information: Bytes::from(bytes).into(),
        missing_bytes: 0,
    };
    let decoded: Result<Frame, Error> = Frame::of(&framed);
    let frame = match decoded {
        Ok(frame) => frame,
        // A cut line lacks fields that the decoder demands.
        Err(_) if cut => Frame::Other { protocol, code, id },
        Err(_) => return None,
    };
    Some(Dump { sent, frame, cut })
}

fn protocol(name: &str) -> Option<Protocol> {
    Some(match name {
        "LCP" => Protocol::Lcp,
        "PAP" => Protocol::Pap,
        "CHAP" => Protocol::Chap,
        "EAP" => Protocol::Eap,
        "CCP" => Protocol::Ccp,
        "IPCP" => Protocol::Ipcp,
        "IPV6CP" => Protocol::Ipv6cp,
        _ => return None,
    })
}

fn code(protocol: Protocol, name: &str) -> Option<u8> {
    if let Some(number) = name.strip_prefix("code=0x") {
        return u8::from_str_radix(number, 16).ok();
    }
    let names: &[&str] = match protocol {
        Protocol::Pap => &["AuthReq", "AuthAck", "AuthNak"],
        Protocol::Chap => &["Challenge", "Response", "Success", "Failure"],
        Protocol::Eap => &["Request", "Response", "Success", "Failure"],
        _ => &CONFIGURE_CODES,
    };
    let index = names.iter().position(|known| *known == name)?;
    u8::try_from(index + 1).ok()
}

/// The bytes behind the length field.
fn data(protocol: Protocol, code: u8, dumped: &Dumped, cut: &mut bool) -> Option<Vec<u8>> {
    Some(match protocol {
        Protocol::Pap => pap(code, dumped),
        Protocol::Chap => chap(code, dumped),
        Protocol::Eap => eap(code, dumped),
        _ => match code {
            1..=4 => {
                let mut bytes = Vec::new();
                for option in &dumped.options {
                    match option_bytes(protocol, option) {
                        Some(option) => bytes.extend(option),
                        None => *cut = true,
                    }
                }
                bytes
            }
            // Echo, discard, identification, time remaining: the magic number comes first.
            9..=13 if protocol == Protocol::Lcp => {
                let mut bytes = dumped.magic.to_be_bytes().to_vec();
                if code == 13 {
                    bytes.extend(dumped.number.to_be_bytes());
                }
                bytes.extend(dumped.text_bytes());
                bytes
            }
            _ => dumped.text_bytes(),
        },
    })
}

fn pap(code: u8, dumped: &Dumped) -> Vec<u8> {
    match code {
        1 => {
            let user = dumped.named("user").unwrap_or_default();
            // A length for the name, none for the password.
            let length = u8::try_from(user.len()).unwrap_or(u8::MAX);
            let name = user.get(..usize::from(length)).unwrap_or_default();
            [&[length], name, &[0]].concat()
        }
        _ => {
            let text = dumped.text_bytes();
            let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
            [&[length], text.get(..usize::from(length)).unwrap_or_default()].concat()
        }
    }
}

fn chap(code: u8, dumped: &Dumped) -> Vec<u8> {
    match code {
        1 | 2 => {
            let size = u8::try_from(dumped.secret_bytes).unwrap_or(u8::MAX);
            let mut bytes = vec![size];
            bytes.resize(1 + usize::from(size), 0);
            bytes.extend(dumped.named("name").unwrap_or_default());
            bytes
        }
        _ => dumped.text_bytes(),
    }
}

/// Types of EAP, as pppd names them.
const EAP_TYPES: [(&str, u8); 8] = [
    ("Identity", 1),
    ("Notification", 2),
    ("Nak", 3),
    ("MD5-Challenge", 4),
    ("OTP", 5),
    ("Generic-Token", 6),
    ("TLS", 13),
    ("MSCHAPv2", 26),
];

fn eap(code: u8, dumped: &Dumped) -> Vec<u8> {
    if code > 2 {
        return Vec::new();
    }
    let word = dumped.words.first().map_or("", String::as_str);
    let Some((_, kind)) = EAP_TYPES.iter().find(|(name, _)| word.starts_with(name)) else {
        return vec![0];
    };
    let mut bytes = vec![*kind];
    if *kind == 1 {
        bytes.extend(dumped.inner_text().unwrap_or_default());
    }
    bytes
}

/// An option in its wire form: type, length, value.
fn option_bytes(protocol: Protocol, option: &Argument) -> Option<Vec<u8>> {
    // Older versions show what they do not know, and all of MPPE, as bytes.
    if let Some(bytes) = option.hex_bytes() {
        return Some(bytes);
    }
    let name = option.words.first()?.as_str();
    let value = |index: usize| option.words.get(index).map(String::as_str);
    let (kind, bytes): (u8, Vec<u8>) = match protocol {
        Protocol::Lcp => lcp_option(name, option)?,
        Protocol::Ccp => match name {
            "mppe" => (18, mppe_bits(option)?.to_be_bytes().into()),
            "deflate" | "deflate(old#)" => {
                let window: u8 = value(1)?.parse().ok()?;
                let number = if name == "deflate" { 26 } else { 24 };
                (number, vec![(window.checked_sub(8)? << 4) | 8, 0])
            }
            "bsd" => {
                let version: u8 = value(1)?.strip_prefix('v')?.parse().ok()?;
                let bits: u8 = value(2)?.parse().ok()?;
                (21, vec![(version << 5) | (bits & 0x1f)])
            }
            "predictor" => (value(1)?.parse().ok().filter(|kind| matches!(kind, 1 | 2))?, Vec::new()),
            _ => return None,
        },
        Protocol::Ipcp => {
            let address = |index| Some(value(index)?.parse::<std::net::Ipv4Addr>().ok()?.octets().to_vec());
            match name {
                "addr" => (3, address(1)?),
                "addrs" => (1, [address(1)?, address(2)?].concat()),
                "compress" => (2, compression(option)?),
                "ms-dns1" | "ms-dns" => (129, address(1)?),
                "ms-dns2" | "ms-dns3" => (131, address(1)?),
                "ms-wins" => (130, address(1)?),
                _ => return None,
            }
        }
        Protocol::Ipv6cp => match name {
            "addr" => {
                let address: std::net::Ipv6Addr = value(1)?.parse().ok()?;
                (1, address.octets().get(8..)?.to_vec())
            }
            _ => return None,
        },
        _ => return None,
    };
    let length = u8::try_from(bytes.len().checked_add(2)?).ok()?;
    Some([&[kind, length], bytes.as_slice()].concat())
}

fn lcp_option(name: &str, option: &Argument) -> Option<(u8, Vec<u8>)> {
    let word = |index: usize| option.words.get(index).map(String::as_str);
    let hex32 = |text: &str| u32::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(match name {
        "mru" => (1, word(1)?.parse::<u16>().ok()?.to_be_bytes().into()),
        "asyncmap" => (2, hex32(word(1)?)?.to_be_bytes().into()),
        "auth" => (3, authentication(option)?),
        "quality" => {
            let protocol = match word(1)? {
                "lqr" => 0xc025,
                number => u16::try_from(hex32(number)?).ok()?,
            };
            let period = word(2).and_then(hex32).unwrap_or(0);
            (4, [protocol.to_be_bytes().as_slice(), &period.to_be_bytes()].concat())
        }
        "magic" => (5, hex32(word(1)?)?.to_be_bytes().into()),
        "pcomp" => (7, Vec::new()),
        "accomp" => (8, Vec::new()),
        "callback" => {
            let operation = match word(1)? {
                "CBCP" => 6,
                number => u8::try_from(hex32(number)?).ok()?,
            };
            (13, vec![operation])
        }
        "mrru" => (17, word(1)?.parse::<u16>().ok()?.to_be_bytes().into()),
        "ssnhf" => (18, Vec::new()),
        "endpoint" => (19, endpoint(word(1)?)?),
        _ => return None,
    })
}

fn authentication(option: &Argument) -> Option<Vec<u8>> {
    let word = |index: usize| option.words.get(index).map(String::as_str);
    let number = |text: &str| u16::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(match word(1)? {
        "pap" => vec![0xc0, 0x23],
        "eap" => vec![0xc2, 0x27],
        "chap" => {
            let algorithm = match word(2)? {
                "MD5" => 5,
                "MS" => 0x80,
                "MS-v2" => 0x81,
                other => u8::try_from(number(other)?).ok()?,
            };
            vec![0xc2, 0x23, algorithm]
        }
        other => number(other)?.to_be_bytes().into(),
    })
}

/// `[MAC:00:11:22:33:44:55]`, `[local:01.02]`, `[IP:10.0.0.1]`, `[null]`.
fn endpoint(text: &str) -> Option<Vec<u8>> {
    let inside = text.strip_prefix('[')?.strip_suffix(']')?;
    let (class, address) = inside.split_once(':').unwrap_or((inside, ""));
    let hex = |text: &str| -> Option<Vec<u8>> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '.')).collect();
        let pairs = digits.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let (number, bytes) = match class {
        "null" => (0, Vec::new()),
        "local" => (1, hex(address)?),
        "IP" => (2, address.parse::<std::net::Ipv4Addr>().ok()?.octets().into()),
        "MAC" => (3, hex(address)?),
        "magic" => (4, hex(address)?),
        "phone" => (5, hex(address)?),
        _ => return None,
    };
    Some([&[number], bytes.as_slice()].concat())
}

/// `+H -M +S -L -D -C`, perhaps ` +U (xx xx xx xx)` with all bits.
fn mppe_bits(option: &Argument) -> Option<u32> {
    let mut bits = 0;
    for word in option.words.iter().skip(1) {
        let bit = match word.get(1..)? {
            "H" => 0x0100_0000,
            "M" => 0x80,
            "S" => 0x40,
            "L" => 0x20,
            "D" => 0x10,
            "C" => 0x01,
            // Bits that nobody defined; the bytes behind show them all.
            "U" => break,
            _ => return None,
        };
        if word.starts_with('+') {
            bits |= bit;
        }
    }
    Some(option.bracketed_number().unwrap_or(bits))
}

/// `compress VJ 0f 01`.
fn compression(option: &Argument) -> Option<Vec<u8>> {
    let mut bytes = match option.words.get(1)?.as_str() {
        "VJ" => vec![0x00, 0x2d],
        "old-VJ" => vec![0x00, 0x37],
        number => u16::from_str_radix(number.strip_prefix("0x")?, 16).ok()?.to_be_bytes().into(),
    };
    for word in option.words.iter().skip(2) {
        bytes.push(u8::from_str_radix(word, 16).ok()?);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
