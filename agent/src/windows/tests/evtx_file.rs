//! Writes small event logs, after the description of the format in MS-EVEN6 and libevtx: one chunk, each
//! event as plain binary XML without templates. Made here because no sample of these providers may be
//! shipped.

/// One event.
pub(crate) struct Event<'a> {
    pub(crate) provider: &'a str,
    pub(crate) id: &'a str,
    pub(crate) time: &'a str,
    pub(crate) computer: &'a str,
    pub(crate) data: &'a [&'a str],
    pub(crate) binary: &'a str,
}

const FILE_HEADER: usize = 4096;
const CHUNK: usize = 65536;
const CHUNK_HEADER: usize = 512;
const RECORD_HEADER: usize = 24;

/// Binary XML that begins at an offset of its chunk.
struct BinaryXml {
    at: usize,
    bytes: Vec<u8>,
}

impl BinaryXml {
    fn new(at: usize) -> Self {
        Self { at, bytes: vec![0x0f, 1, 1, 0] }
    }

    fn text(&mut self, text: &str) {
        let units: Vec<u16> = text.encode_utf16().collect();
        self.bytes.extend((units.len() as u16).to_le_bytes());
        self.bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    }

    /// Offset of the name, which follows at once.
    fn name(&mut self, name: &str) {
        let offset = (self.at + self.bytes.len() + 4) as u32;
        self.bytes.extend(offset.to_le_bytes());
        self.bytes.extend([0; 6]);
        self.text(name);
        self.bytes.extend([0, 0]);
    }

    fn open(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.bytes.push(if attributes.is_empty() { 0x01 } else { 0x41 });
        self.bytes.extend([0; 4]);
        self.name(name);
        if !attributes.is_empty() {
            self.bytes.extend([0; 4]);
        }
        for (index, (name, value)) in attributes.iter().enumerate() {
            self.bytes.push(if index + 1 < attributes.len() { 0x46 } else { 0x06 });
            self.name(name);
            self.value(value);
        }
        self.bytes.push(0x02);
    }

    fn value(&mut self, value: &str) {
        self.bytes.extend([0x05, 0x01]);
        self.text(value);
    }

    fn close(&mut self) {
        self.bytes.push(0x04);
    }

    fn leaf(&mut self, name: &str, attributes: &[(&str, &str)], value: &str) {
        self.open(name, attributes);
        if !value.is_empty() {
            self.value(value);
        }
        self.close();
    }

    fn event(mut self, event: &Event<'_>) -> Vec<u8> {
        self.open("Event", &[]);
        self.open("System", &[]);
        self.leaf("Provider", &[("Name", event.provider)], "");
        self.leaf("EventID", &[("Qualifiers", "0")], event.id);
        self.leaf("TimeCreated", &[("SystemTime", event.time)], "");
        self.leaf("Computer", &[], event.computer);
        self.close();
        self.open("EventData", &[]);
        for data in event.data {
            self.leaf("Data", &[], data);
        }
        if !event.binary.is_empty() {
            self.leaf("Binary", &[], event.binary);
        }
        self.close();
        self.close();
        self.bytes.push(0);
        self.bytes
    }
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A log of these events.
pub(crate) fn write(events: &[Event<'_>]) -> Vec<u8> {
    let mut file = vec![0; FILE_HEADER + CHUNK];
    put(&mut file, 0, b"ElfFile\0");
    put(&mut file, 24, &(events.len() as u64 + 1).to_le_bytes());
    put(&mut file, 32, &128u32.to_le_bytes());
    put(&mut file, 36, &[1, 0, 3, 0]);
    put(&mut file, 40, &(FILE_HEADER as u16).to_le_bytes());
    put(&mut file, 42, &1u16.to_le_bytes());
    let checksum = evtx::checksum_ieee(&file[..120]);
    put(&mut file, 124, &checksum.to_le_bytes());

    let chunk = &mut file[FILE_HEADER..];
    let (mut at, mut last) = (CHUNK_HEADER, CHUNK_HEADER);
    for (index, event) in events.iter().enumerate() {
        let xml = BinaryXml::new(at + RECORD_HEADER).event(event);
        let size = (RECORD_HEADER + xml.len() + 4) as u32;
        put(chunk, at, &[0x2a, 0x2a, 0, 0]);
        put(chunk, at + 4, &size.to_le_bytes());
        put(chunk, at + 8, &(index as u64 + 1).to_le_bytes());
        put(chunk, at + 16, &133_500_000_000_000_000u64.to_le_bytes());
        put(chunk, at + RECORD_HEADER, &xml);
        put(chunk, at + size as usize - 4, &size.to_le_bytes());
        last = at;
        at += size as usize;
    }
    put(chunk, 0, b"ElfChnk\0");
    for (offset, number) in [(8, 1), (16, events.len() as u64), (24, 1), (32, events.len() as u64)] {
        put(chunk, offset, &number.to_le_bytes());
    }
    put(chunk, 40, &128u32.to_le_bytes());
    put(chunk, 44, &(last as u32).to_le_bytes());
    put(chunk, 48, &(at as u32).to_le_bytes());
    let events = evtx::checksum_ieee(&chunk[CHUNK_HEADER..at]);
    put(chunk, 52, &events.to_le_bytes());
    let header = evtx::checksum_ieee(&[&chunk[..120], &chunk[128..CHUNK_HEADER]].concat());
    put(chunk, 124, &header.to_le_bytes());
    file
}
