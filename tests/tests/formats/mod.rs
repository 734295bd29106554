//! The same packets in other files: formats, byte orders, links.

/// Packets of an Ethernet pcap in little-endian microseconds: time and bytes.
pub(crate) fn packets(pcap: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    let (mut at, mut packets) = (24, Vec::new());
    while at < pcap.len() {
        let length = word(at + 8) as usize;
        let us = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        packets.push((us, pcap[at + 16..at + 16 + length].to_vec()));
        at += 16 + length;
    }
    packets
}

type Word = fn(u32) -> [u8; 4];

/// A pcap with this magic number; `unit` is nanoseconds of a fraction.
pub(crate) fn pcap(packets: &[(u64, Vec<u8>)], magic: u32, unit: u64, link_type: u32, word: Word) -> Vec<u8> {
    let mut file = word(magic).to_vec();
    // The version is two halves.
    file.extend(if word(1)[0] == 1 { [2, 0, 4, 0] } else { [0, 2, 0, 4] });
    for field in [0, 0, 65535, link_type] {
        file.extend(word(field));
    }
    for (us, bytes) in packets {
        let fraction = (us % 1_000_000) * 1000 / unit;
        for field in [(us / 1_000_000) as u32, fraction as u32, bytes.len() as u32, bytes.len() as u32] {
            file.extend(word(field));
        }
        file.extend(bytes);
    }
    file
}

/// A pcapng whose interface counts time as `resolution` says, with `ticks` of a microsecond.
pub(crate) fn pcapng(
    packets: &[(u64, Vec<u8>)],
    resolution: u8,
    ticks: fn(u64) -> u64,
    word: Word,
) -> Vec<u8> {
    let little = word(1)[0] == 1;
    let half = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
    let block = |kind: u32, body: Vec<u8>| {
        let mut body = body;
        body.resize(body.len().next_multiple_of(4), 0);
        let length = word(body.len() as u32 + 12);
        [&word(kind)[..], &length, &body, &length].concat()
    };
    let mut section = word(0x1a2b_3c4d).to_vec();
    section.extend(half(1));
    section.extend(half(0));
    section.extend([0xff; 8]);
    let mut interface = half(1).to_vec();
    interface.extend(half(0));
    interface.extend(word(0));
    interface.extend(half(9));
    interface.extend(half(1));
    interface.extend([resolution, 0, 0, 0]);
    interface.extend([0; 4]);
    let mut file = [block(0x0a0d_0d0a, section), block(1, interface)].concat();
    // What nobody knows is skipped.
    file.extend(block(0x0bad_0bad, vec![1, 2, 3]));
    for (us, bytes) in packets {
        let time = ticks(*us);
        let mut body = word(0).to_vec();
        for field in [(time >> 32) as u32, time as u32, bytes.len() as u32, bytes.len() as u32] {
            body.extend(word(field));
        }
        body.extend(bytes);
        file.extend(block(6, body));
    }
    file
}

/// The packets with another link header: `make` gets the Ethernet header and gives the new one.
pub(crate) fn relink(packets: &[(u64, Vec<u8>)], make: fn(&[u8]) -> Vec<u8>) -> Vec<(u64, Vec<u8>)> {
    packets.iter().map(|(at, bytes)| (*at, [make(&bytes[..14]), bytes[14..].to_vec()].concat())).collect()
}
