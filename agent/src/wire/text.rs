//! Bytes of a peer, made safe to print.

use std::fmt::{self, Write as _};

/// Text of a peer: UTF-8 is kept, control characters and invalid bytes become `\xNN`.
///
/// A backslash stays as it is, so that `DOMAIN\user` reads as everywhere else. The result is at most
/// four times as long as the input.
pub(crate) fn escape(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => escape_text(text),
        Err(_) => escape_any(bytes),
    }
}

/// The same of text.
pub(crate) fn escape_text(text: &str) -> String {
    // Nearly every text is such; a loop without a way out goes many bytes at a time.
    let is_plain = text.bytes().fold(true, |plain, byte| plain & matches!(byte, 0x20..=0x7e));
    if is_plain { text.to_owned() } else { escape_any(text.as_bytes()) }
}

fn escape_any(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                let mut buffer = [0; 4];
                hex_escape(&mut out, character.encode_utf8(&mut buffer).as_bytes());
            } else {
                out.push(character);
            }
        }
        hex_escape(&mut out, chunk.invalid());
    }
    out
}

/// Text in a fixed field that a NUL ends early (RFC 2637 §2.1).
pub(crate) fn escape_field(field: &[u8]) -> String {
    escape(field.split(|byte| *byte == 0).next().unwrap_or_default())
}

/// Text, or None where there is none.
pub(crate) fn escape_some(bytes: &[u8]) -> Option<String> {
    (!bytes.is_empty()).then(|| escape(bytes))
}

fn hex_escape(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(out, "\\x{byte:02x}");
    }
}

/// Bytes that we do not interpret, written as lower-case hexadecimal digits.
#[derive(Clone, Default, PartialEq, Eq, Hash, schemars::JsonSchema)]
#[schemars(with = "String", extend("pattern" = "^([0-9a-f]{2})*$"))]
pub struct Hex(Box<[u8]>);

impl Hex {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Hex {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hex({self})")
    }
}

impl std::str::FromStr for Hex {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).map(|digit| digit as u8).ok_or(()))
            .collect::<Result<_, _>>()?;
        if !digits.len().is_multiple_of(2) {
            return Err(());
        }
        Ok(Self(
            digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect(),
        ))
    }
}

impl<'de> serde::Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str> as serde::Deserialize>::deserialize(deserializer)?;
        text.parse().map_err(|()| serde::de::Error::custom("not pairs of hexadecimal digits"))
    }
}

impl serde::Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{Hex, escape, escape_field};

    #[test]
    fn text_of_a_peer_is_safe_to_print() {
        assert_eq!(escape(b"CORP\\anna"), "CORP\\anna");
        assert_eq!(escape("Zoë".as_bytes()), "Zoë");
        assert_eq!(escape(b"a\xff\x1b[2Jb\n"), "a\\xff\\x1b[2Jb\\x0a");
        assert_eq!(escape_field(b"local\0rubbish"), "local");
        assert_eq!(escape_field(b"full"), "full");
        assert_eq!(escape_field(b""), "");
    }

    #[test]
    fn hex_is_text() {
        let hex = Hex::from([0u8, 0xab].as_slice());
        assert_eq!(serde_json::to_string(&hex).unwrap(), "\"00ab\"");
        assert_eq!(format!("{hex:?}"), "Hex(00ab)");
    }
}
