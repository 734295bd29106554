//! Binary event logs. The crate renders each event as XML, within bounds of its own (16 MiB and 2^18
//! nodes an event, 64 KiB of input a chunk); the rest is the reader of XML.

use std::io::Cursor;

use evtx::{EvtxParser, ParserSettings};

use super::record::Time;
use super::{Error, Format, Intake, xml};
use crate::time::Timestamp;

/// Windows keeps the time of an event in 100 ns.
const RESOLUTION_NS: u64 = 100;

/// Reads every event.
pub(super) fn read(bytes: &[u8], intake: &mut Intake) -> Result<(), Error> {
    let wrong = |error: evtx::err::EvtxError| Error::Format { format: Format::Evtx, what: error.to_string() };
    let mut parser = EvtxParser::from_read_seek(Cursor::new(bytes))
        .map_err(wrong)?
        .with_configuration(ParserSettings::new().num_threads(1).indent(false));
    for event in parser.records() {
        let Ok(event) = event else {
            intake.damaged();
            continue;
        };
        match xml::event(&event.data) {
            Some(mut record) => {
                if record.time == Time::Unknown
                    && let Ok(at) = u64::try_from(event.timestamp.as_nanosecond())
                {
                    record.time = Time::Utc(Timestamp::from_unix_ns(at), RESOLUTION_NS);
                }
                intake.record(record);
            }
            None => intake.damaged(),
        }
    }
    Ok(())
}
