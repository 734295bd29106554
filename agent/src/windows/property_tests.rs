//! Nothing that a file can hold makes a reader panic, or keep more than the file.

use proptest::prelude::*;

use super::tests::evtx_file;
use super::*;

const FORMATS: [Format; 6] = [
    Format::Evtx,
    Format::EventXml,
    Format::EventCsv,
    Format::AccountingLegacy,
    Format::AccountingDatabase,
    Format::AccountingXml,
];

/// Pieces that make files which get far.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("<Event xmlns='x'>".to_owned()),
        Just("</Event>".to_owned()),
        Just("<System>".to_owned()),
        Just("</System>".to_owned()),
        Just("<Provider Name='RemoteAccess'/>".to_owned()),
        Just("<EventID>20271</EventID>".to_owned()),
        Just("<EventData>".to_owned()),
        Just("<Data>{6D9F17C2-0A1B-4C2D-8E3F-0123456789AB}</Data>".to_owned()),
        Just("<Binary>B30200".to_owned()),
        Just("<Packet-Type data_type='0'>4</Packet-Type>".to_owned()),
        Just("<![CDATA[".to_owned()),
        Just("<!DOCTYPE a [<!ENTITY b 'c'>]>".to_owned()),
        Just("&b;&#x41;&#0;&lt;".to_owned()),
        Just("Message,Id,ProviderName,TimeCreated\r\n".to_owned()),
        Just("\"CoId={x}: The user ".to_owned()),
        Just("20271,RemoteAccess,3/4/2026 10:00:00 PM\r\n".to_owned()),
        Just("\"".to_owned()),
        Just("\n".to_owned()),
        Just("192.0.2.1,a,1/2/2026,1:2:3,RAS,V,4136,4,40,1\n".to_owned()),
        Just("\"V\",\"RAS\",13/2/2026,1:2:3,4,\"a\",,,,,\n".to_owned()),
        "\\PC{0,12}",
    ]
}

fn check(format: Format, bytes: &[u8]) {
    let reading = read(format, bytes, &Options::default());
    // Every record is accounted for, unless the dates of the file were refused.
    if reading.problem.is_none() {
        let booked = reading.observations.len() as u64 + reading.unrelated + reading.damaged + reading.beyond;
        assert_eq!(reading.records, booked, "{format:?}");
    }
    assert!(reading.observations.is_sorted_by_key(|one| one.at));
}

proptest! {
    #[test]
    fn bytes(bytes: Vec<u8>) {
        for format in FORMATS {
            check(format, &bytes);
        }
    }

    #[test]
    fn pieces(pieces in proptest::collection::vec(piece(), 0..40)) {
        let text = pieces.concat();
        recognise(text.as_bytes());
        for format in FORMATS {
            check(format, text.as_bytes());
        }
    }

    #[test]
    fn damaged_event_logs(changes in proptest::collection::vec((0usize..8192, any::<u8>()), 1..16), keep in 0usize..70_000) {
        let event = evtx_file::Event {
            provider: "RemoteAccess", id: "20271", time: "2026-03-23T19:40:08Z", computer: "v",
            data: &["{NA}", "alice", "192.0.2.10", "denied", "0x10"], binary: "B3020000",
        };
        let mut file = evtx_file::write(&[event]);
        for (at, byte) in changes {
            // The interesting bytes: the header, and the records of the chunk.
            let at = if at < 128 { at } else { 4096 + (at - 128) % 1600 };
            file[at] = byte;
        }
        file.truncate(keep.max(8));
        check(Format::Evtx, &file);
    }
}
