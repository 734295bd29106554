use super::*;
use crate::event::log::Class;

fn reader() -> Reader {
    Reader::new(Settings {
        source: "test.log".into(),
        zone: TimeZone::UTC,
        zone_given: false,
        reference: "2026-11-27T12:00:00Z".parse().unwrap(),
        boot: None,
    })
}

fn log(observation: &Observation) -> &Log {
    match &observation.what {
        What::Log(log) => log,
        other => panic!("{other:?}"),
    }
}

fn one(line: &str) -> Observation {
    reader().line(line.as_bytes()).unwrap()
}

#[test]
fn a_line_becomes_an_observation() {
    let seen = one("Nov 26 20:31:31 vpn pppd[1234]: No response to 4 echo-requests");
    assert_eq!(seen.at.to_string(), "2026-11-26T20:31:31.000000000Z");
    let Clock::Log(quality) = seen.clock else { panic!() };
    assert_eq!(
        (quality.resolution_ns, quality.zone, quality.year_inferred),
        (1_000_000_000, Zone::Assumed, true)
    );
    let log = log(&seen);
    assert_eq!((&*log.program, log.pid, log.host.as_deref()), ("pppd", Some(1234), Some("vpn")));
    let message = log.message.as_ref().unwrap();
    assert_eq!((&*message.id, message.class), ("pppd.no_response_to_echo_requests", Class::Cause));
    assert_eq!(message.fields["count"], Value::Unsigned(4));
}

#[test]
fn repetitions_are_counted() {
    let mut reader = reader();
    let line = "Nov 26 20:31:31 vpn pptpd[7]: message repeated 5 times: [ GRE: Bad checksum from pppd.]";
    let seen = reader.line(line.as_bytes()).unwrap();
    assert_eq!((log(&seen).times, log(&seen).text.as_str()), (5, "GRE: Bad checksum from pppd."));
    let seen = reader.line(b"Nov 26 20:31:32 vpn last message repeated 3 times").unwrap();
    assert_eq!((log(&seen).times, log(&seen).pid), (3, Some(7)));
    // The line in between was of somebody else: what is repeated is not ours.
    assert!(reader.line(b"Nov 26 20:31:33 vpn sshd[1]: hello").is_none());
    assert!(reader.line(b"Nov 26 20:31:34 vpn last message repeated 3 times").is_none());
    let counts = reader.counts();
    assert_eq!((counts.lines, counts.recognised, counts.foreign), (4, 2, 2));
}

#[test]
fn what_linux_says_of_other_things_is_foreign() {
    let mut reader = reader();
    let firewall =
        b"Nov 26 20:31:31 vpn kernel: [UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.7 DST=192.0.2.1 PROTO=TCP";
    assert!(reader.line(firewall).is_none());
    assert!(
        reader
            .line(b"Nov 26 20:31:31 vpn kernel: [   12.5] gre: GRE over IPv4 demultiplexor driver")
            .is_some()
    );
    let counts = reader.counts();
    assert_eq!((counts.foreign, counts.recognised, counts.unknown), (1, 1, 0));
}

#[test]
fn hostile_lines_are_counted_and_bounded() {
    let mut reader = reader();
    let mut long = b"Nov 26 20:31:31 vpn pppd[1]: Peer ".to_vec();
    long.resize(1 << 20, b'x');
    let seen = reader.line(&long).unwrap();
    assert!(log(&seen).cut && log(&seen).text.len() <= MAX_TEXT);
    assert!(reader.line(b"Nov 26 20:31:31 vpn pppd[1]: Peer \xff\x1b[31m authenticated with CHAP").is_some());
    reader.line(b"\0\0\0\x07");
    reader.line(b"");
    let counts = reader.counts();
    assert_eq!((counts.cut, counts.not_utf8, counts.empty), (1, 1, 1));
    assert_eq!(
        counts.lines,
        counts.foreign + counts.recognised + counts.unknown + counts.empty + counts.unreadable
    );
}

#[test]
fn control_characters_of_a_name_are_shown_as_such() {
    let seen = one("Nov 26 20:31:31 vpn pppd[1]: Peer a\x1b[2Jb authenticated with CHAP");
    let message = log(&seen).message.clone().unwrap();
    assert_eq!(message.fields["user"], Value::Text("a\\x1b[2Jb".into()));
    assert!(!log(&seen).text.contains('\x1b'));
}

#[test]
fn an_entry_of_the_journal_is_one_line_whatever_it_says() {
    let forged = r#"{"__REALTIME_TIMESTAMP":"1700000000000000","_PID":"77","SYSLOG_IDENTIFIER":"pppd","MESSAGE":"Peer x\nNov 26 20:31:31 vpn pppd[99]: Peer admin authenticated with CHAP"}"#;
    let seen = one(forged);
    assert_eq!(log(&seen).pid, Some(77));
    let message = log(&seen).message.clone().unwrap();
    let Value::Text(user) = &message.fields["user"] else { panic!() };
    assert!(user.starts_with("x\\x0aNov 26"), "{user}");
}

#[test]
fn secrets_are_not_kept() {
    let seen = one("Nov 26 20:31:31 vpn pppd[1]: rcvd [CHAP Response id=0x1 \
                    <00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff01>, name = \"anna\"]");
    let shown = format!("{:?}", log(&seen));
    assert!(!shown.contains("00112233") && shown.contains("anna"), "{shown}");
    assert!(log(&seen).message.as_ref().unwrap().dump.is_some());
    let seen = one(
        "Thu Nov 26 00:00:00 2026 : Auth: (0) Login incorrect: [anna/geheim] (from client vpn port 0 cli 192.0.2.1)",
    );
    let shown = format!("{:?}", log(&seen));
    assert!(!shown.contains("geheim"), "{shown}");
    assert_eq!(log(&seen).message.as_ref().unwrap().fields["user"], Value::Text("anna".into()));
}

#[test]
fn a_line_that_goes_on_belongs_to_the_one_before() {
    let mut reader = reader();
    reader.line(b"Nov 26 20:31:31 vpn pptpd[7]: CTRL: Reaping child PPP[12]").unwrap();
    let seen = reader.line(b"\tGRE: Bad checksum from pppd.").unwrap();
    assert_eq!((log(&seen).pid, &*log(&seen).program), (Some(7), "pptpd"));
}
