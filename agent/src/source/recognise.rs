//! What a file is, by its content: names and endings lie.

use crate::windows;

/// Bytes at the beginning of a file that are looked at.
pub const LOOKED_AT: usize = 64 * 1024;

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A capture of packets.
    Capture,
    /// A file of Windows.
    Windows(windows::Format),
    /// A recording of pptpscope: for `replay`.
    Recording,
    /// Lines of text.
    Text,
    /// None of these.
    Unknown,
}

impl Kind {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capture => "capture",
            Self::Windows(format) => format.name(),
            Self::Recording => "recording of pptpscope",
            Self::Text => "log",
            Self::Unknown => "unknown",
        }
    }
}

/// Magic numbers of pcap in both byte orders and both resolutions, of modified pcap, and of pcapng.
const CAPTURES: [[u8; 4]; 7] = [
    [0xa1, 0xb2, 0xc3, 0xd4],
    [0xd4, 0xc3, 0xb2, 0xa1],
    [0xa1, 0xb2, 0x3c, 0x4d],
    [0x4d, 0x3c, 0xb2, 0xa1],
    [0xa1, 0xb2, 0xcd, 0x34],
    [0x34, 0xcd, 0xb2, 0xa1],
    [0x0a, 0x0d, 0x0d, 0x0a],
];

/// Recognises a file by its beginning, decompressed.
pub fn recognise(head: &[u8]) -> Kind {
    let head = head.get(..LOOKED_AT).unwrap_or(head);
    if head.first_chunk().is_some_and(|magic| CAPTURES.contains(magic)) {
        return Kind::Capture;
    }
    if head.starts_with(b"{\"format\":\"pptpscope recording\"") {
        return Kind::Recording;
    }
    if let Some(format) = windows::recognise(head) {
        return Kind::Windows(format);
    }
    if is_text(head) { Kind::Text } else { Kind::Unknown }
}

/// Whether it reads as text: no NUL, and few other control characters (logs hold some of peers).
fn is_text(head: &[u8]) -> bool {
    let controls = head.iter().filter(|byte| matches!(byte, 0x01..=0x08 | 0x0e..=0x1a | 0x1c..=0x1f)).count();
    !head.is_empty() && !head.contains(&0) && controls * 20 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::windows::Format;

    #[test]
    fn every_kind_is_recognised_by_its_content() {
        for (head, kind) in [
            (&b"\xd4\xc3\xb2\xa1\x02\x00\x04\x00"[..], Kind::Capture),
            (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00", Kind::Capture),
            (b"ElfFile\0\0\0", Kind::Windows(Format::Evtx)),
            (b"<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'>", Kind::Windows(Format::EventXml)),
            (b"- <Event xmlns=\"http://schemas.microsoft.com/win/2004/08/events/event\">\r\n- <System>", Kind::Windows(Format::EventXml)),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?><Events><Event xmlns='x'><System>", Kind::Windows(Format::EventXml)),
            (b"<Event><Timestamp data_type=\"4\">06/18/2024 14:45:48.123</Timestamp>", Kind::Windows(Format::AccountingXml)),
            (b"#TYPE System.Diagnostics.Eventing.Reader.EventLogRecord\r\n\"Message\",\"Id\",\"ProviderName\",\"TimeCreated\"", Kind::Windows(Format::EventCsv)),
            (b"Niveau,Date et heure,Source,ID,Categorie\r\nInfo,23/03/2020 15:40:08,RasClient,20221,Aucun,\"x\"", Kind::Windows(Format::EventCsv)),
            (b"\"VPN1\",\"RAS\",06/18/2024,14:45:48,4,\"alice\",,\"192.0.2.1\"", Kind::Windows(Format::AccountingDatabase)),
            (b"192.0.2.1,alice,06/18/2024,14:45:48,RAS,VPN1,4136,4,4142,0", Kind::Windows(Format::AccountingLegacy)),
            (b"{\"format\":\"pptpscope recording\",\"version\":1", Kind::Recording),
            (b"Nov 26 20:31:31 host pppd[1234]: Connect: ppp0 <--> /dev/pts/1", Kind::Text),
            (b"a, b, c, d, e\nf", Kind::Text),
            (b"\x00\x01\x02\x03", Kind::Unknown),
            (b"", Kind::Unknown),
        ] {
            assert_eq!(recognise(head), kind, "{}", String::from_utf8_lossy(head));
        }
        let utf16: Vec<u8> =
            "<Events><Event xmlns='x'><System>".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(recognise(&utf16), Kind::Windows(Format::EventXml));
    }

    proptest::proptest! {
        #[test]
        fn anything_can_be_looked_at(bytes: Vec<u8>) {
            recognise(&bytes);
        }
    }
}
