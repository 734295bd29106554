//! Text of Windows: UTF-8, or UTF-16 with or without its mark.

use std::borrow::Cow;

/// Bytes that are looked at to tell UTF-16 without a mark.
const LOOKED_AT: usize = 64;

/// The text in `bytes`, without its byte order mark. What is no text becomes U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Cow<'_, str> {
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8_lossy(rest),
        _ if looks_like_utf16le(bytes) => utf16(bytes, u16::from_le_bytes),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Whether every second byte at the beginning is zero: ASCII in UTF-16.
fn looks_like_utf16le(bytes: &[u8]) -> bool {
    let head = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    head.len() >= 8 && head.chunks_exact(2).all(|pair| matches!(pair, [low, 0] if *low != 0))
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Cow<'static, str> {
    let units = bytes.chunks_exact(2).map(|pair| unit(*pair.first_chunk().unwrap_or(&[0; 2])));
    char::decode_utf16(units).map(|one| one.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<Event>Jürgen</Event>";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decode(text.as_bytes()), text);
        assert_eq!(decode(&[b"\xef\xbb\xbf", text.as_bytes()].concat()), text);
        assert_eq!(decode(&[&[0xff, 0xfe], little.as_slice()].concat()), text);
        assert_eq!(decode(&[&[0xfe, 0xff], big.as_slice()].concat()), text);
        // A console wrote it without a mark; the u-umlaut keeps its zero byte.
        assert_eq!(decode(&little), text);
        assert_eq!(decode(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(decode(&[]), "");
    }
}
