//! Joins what Windows says to the calls: by CoID, by address and name of the client, by the address that
//! it got.

use super::Correlator;
use super::directory::Description;
use crate::event::log::{self, Key};
use crate::event::{Body, Event, Severity};
use crate::observation::log::{Class, Fields, Quality};
use crate::observation::{Clock, Log};
use crate::time::Timestamp;

/// What the ids of messages of Windows begin with.
const PREFIX: &str = "windows.";

/// Whether a line is an event of Windows.
pub(super) fn is_windows(log: &Log) -> bool {
    log.message.as_ref().is_some_and(|message| message.id.starts_with(PREFIX))
}

/// What the fields of an event say about its call. NPS counts sessions per VPN server.
fn description(fields: &Fields) -> Description<'_> {
    let text = |name: &str| fields.get(name).and_then(|value| value.as_str());
    let mut aliases = Vec::new();
    aliases.extend(text("coid").map(|coid| (Key::CorrelationId, format!("coid {coid}"))));
    if let (Some(id), Some(server)) =
        (fields.get("acct_session_id"), text("nas_address").or(text("radius_client")))
    {
        aliases.push((Key::AcctSessionId, format!("acct {server} {id}")));
    }
    Description {
        aliases,
        client: fields.get("client_address").and_then(|value| value.as_address()),
        tunnel: fields.get("tunnel_address").and_then(|value| value.as_address()),
        user: text("user"),
        ..Description::default()
    }
}

impl Correlator {
    /// An event of Windows.
    pub(super) fn windows_event(&mut self, at: Timestamp, clock: Clock, log: &Log, out: &mut Vec<Event>) {
        let Some(message) = &log.message else { return };
        let description = description(&message.fields);
        let found = self.directory.find(at, &description);
        if let Some((id, _)) = found {
            for (_, alias) in description.aliases {
                self.directory.learn(alias, id);
            }
        }
        let session = found.and_then(|(id, _)| self.directory.get(id)).map(|entry| entry.reference.clone());
        let payload = log::Log {
            source: log.source.clone(),
            program: log.program.clone(),
            pid: log.pid,
            log_host: log.host.clone(),
            message: Some(message.id.clone()),
            class: Some(message.class),
            level: Some(message.level),
            fields: message.fields.clone(),
            text: log.text.clone(),
            times: None,
            time: quality(clock),
            join: found.map(|(_, join)| join),
        };
        let severity = match message.class {
            Class::Cause => Severity::Warning,
            Class::Effect | Class::Other => Severity::Notice,
            Class::Progress | Class::Benign => Severity::Info,
        };
        let host = self.config.host.clone();
        out.push(Event { ts: at, body: Body::Log { log: payload }, severity, host, session });
    }
}

const fn quality(clock: Clock) -> Option<Quality> {
    match clock {
        Clock::Log(quality) => Some(quality),
        Clock::Kernel | Clock::Agent | Clock::Capture => None,
    }
}
