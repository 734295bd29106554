//! Events of Windows find their calls.

use std::time::Duration;

use super::script::{CLIENT, CLIENT_TUNNEL, Script};
use crate::event::log::{Confidence, Key};
use crate::event::{Body, Event};
use crate::observation::log::{Class, Fields, Level, Message, Quality, Value, Zone};
use crate::observation::{Clock, Log, Observation, Origin, What};
use crate::time::Timestamp;

const COID: &str = "6d9f17c2-0a1b-4c2d-8e3f-0123456789ab";

/// Tells an event of Windows with these fields, seen at `at`, and gives what became of it.
fn tell(script: &mut Script, at: Timestamp, fields: &[(&str, &str)]) -> Event {
    let value = |value: &str| Value::Text(value.to_owned());
    let fields: Fields = fields.iter().map(|(name, text)| ((*name).to_owned().into(), value(text))).collect();
    let id = "windows.remoteaccess.20271".to_owned();
    let message = Message { id: id.into(), class: Class::Cause, level: Level::Warning, fields, dump: None };
    let log = Log {
        source: "System.evtx".into(),
        host: None,
        program: "RemoteAccess".into(),
        pid: None,
        message: Some(message),
        text: String::new(),
        cut: false,
        times: 1,
    };
    let quality = Quality { resolution_ns: 100, zone: Zone::Stated, year_inferred: false };
    let observation =
        Observation { at, clock: Clock::Log(quality), origin: Origin::Log, what: What::Log(Box::new(log)) };
    script.correlator.observe(&observation, &mut script.events);
    // Findings may follow it.
    script.events.iter().rfind(|event| matches!(event.body, Body::Log { .. })).unwrap().clone()
}

fn join(event: &Event) -> Option<(Key, Confidence)> {
    let Body::Log { log } = &event.body else { panic!("{event:?}") };
    assert_eq!(log.join.is_some(), event.session.is_some());
    log.join.map(|join| (join.key, join.confidence))
}

#[test]
fn by_the_address_of_the_client_then_by_coid_then_after_the_end() {
    let mut script = Script::new();
    script.up();
    let now = script.now;
    let client = CLIENT.to_string();
    let first =
        tell(&mut script, now, &[("coid", COID), ("client_address", &client), ("user", "EXAMPLE\\alice")]);
    assert_eq!(join(&first), Some((Key::ClientAddress, Confidence::High)));
    let session = first.session.clone().unwrap();
    let second = tell(&mut script, now, &[("coid", COID)]);
    assert_eq!(join(&second), Some((Key::CorrelationId, Confidence::High)));
    assert_eq!(second.session.unwrap().id, session.id);
    let third = tell(&mut script, now, &[("tunnel_address", &CLIENT_TUNNEL.to_string())]);
    assert_eq!(join(&third), Some((Key::TunnelAddress, Confidence::High)));
    assert_eq!(
        join(&tell(&mut script, now, &[("user", "alice@example.com")])),
        Some((Key::User, Confidence::Medium))
    );
    // Another user at the same address, and another address with the same user, are others.
    assert_eq!(join(&tell(&mut script, now, &[("client_address", &client), ("user", "bob")])), None);
    assert_eq!(join(&tell(&mut script, now, &[("client_address", "192.0.2.99"), ("user", "alice")])), None);
    // A clock that is a minute off still finds the only call, and says how sure that is.
    let before = Timestamp::from_unix_ns(now.unix_ns() - 60_000_000_000);
    let off = tell(&mut script, before, &[("client_address", &client)]);
    assert_eq!(join(&off), Some((Key::ClientAddress, Confidence::Low)));
    let long_ago = Timestamp::from_unix_ns(now.unix_ns() - 3_600_000_000_000);
    assert_eq!(join(&tell(&mut script, long_ago, &[("client_address", &client)])), None);
    script.wait_ms(400_000);
    script.wait_ms(5_000);
    assert!(script.events.iter().any(|event| matches!(event.body, Body::SessionEnd { .. })));
    let after = script.now + Duration::from_secs(1);
    let late = tell(&mut script, after, &[("coid", COID)]);
    assert_eq!(late.session.unwrap().id, session.id);
}

#[test]
fn two_calls_behind_one_address_are_not_mixed_up() {
    let mut script = Script::new();
    script.up();
    script.port += 1;
    script.client_call_id += 1;
    script.server_call_id += 1;
    script.connect();
    script.call();
    let now = script.now;
    let client = CLIENT.to_string();
    assert_eq!(join(&tell(&mut script, now, &[("client_address", &client)])), None);
    // The first call is somebody else's, the second has no name yet.
    let named = tell(&mut script, now, &[("client_address", &client), ("user", "carol")]);
    assert_eq!(join(&named), Some((Key::ClientAddress, Confidence::High)));
}
