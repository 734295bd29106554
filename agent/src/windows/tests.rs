//! Every format, with files that we made after Microsoft's documented templates; no public sample is
//! among them.

use super::*;
use crate::observation::log::{Class, Value, Zone};
use crate::observation::{Clock, Log, What};

pub(super) mod evtx_file;

const COID: &str = "{6D9F17C2-0A1B-4C2D-8E3F-0123456789AB}";
const NIL: &str = "{00000000-0000-0000-0000-000000000000}";

fn event(provider: &str, id: u32, time: &str, data: &[&str], binary: &str) -> String {
    let data: String = data.iter().map(|item| format!("<Data>{item}</Data>")).collect();
    let binary = if binary.is_empty() { String::new() } else { format!("<Binary>{binary}</Binary>") };
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='{provider}'/>\
         <EventID Qualifiers='0'>{id}</EventID><Level>3</Level><TimeCreated SystemTime='{time}'/>\
         <EventRecordID>7</EventRecordID><Execution ProcessID='0' ThreadID='0'/><Channel>System</Channel>\
         <Computer>vpn1.example.com</Computer><Security/></System><EventData>{data}{binary}</EventData></Event>"
    )
}

fn denied() -> String {
    let reason = "The remote connection was denied because the user name and password combination you provided \
        is not recognized.";
    let data = [NIL, COID, "EXAMPLE\\alice", "192.0.2.10", reason, "0x10"];
    event("RemoteAccess", 20271, "2026-03-23T19:40:08.225301000Z", &data, "B3020000")
}

fn read_text(format: Format, text: &str) -> Reading {
    read(format, text.as_bytes(), &Options { source: "file".into(), ..Options::default() })
}

fn logs(reading: &Reading) -> Vec<(String, Log)> {
    let log = |observation: &Observation| match &observation.what {
        What::Log(log) => (observation.at.to_string(), (**log).clone()),
        other => panic!("{other:?}"),
    };
    reading.observations.iter().map(log).collect()
}

fn field(log: &Log, name: &str) -> String {
    let fields = &log.message.as_ref().unwrap().fields;
    fields.get(name).map(ToString::to_string).unwrap_or_default()
}

/// The denial of [`denied`], whichever format it came in.
fn assert_denied(log: &Log) {
    let message = log.message.as_ref().unwrap();
    assert_eq!((&*message.id, message.class), ("windows.remoteaccess.20271", Class::Cause));
    assert_eq!(field(log, "user"), "EXAMPLE\\alice");
    assert_eq!(field(log, "client_address"), "192.0.2.10");
    assert_eq!(field(log, "coid"), "6d9f17c2-0a1b-4c2d-8e3f-0123456789ab");
}

fn assert_codes(log: &Log) {
    let fields = &log.message.as_ref().unwrap().fields;
    assert_eq!(fields["ras_error"], Value::Unsigned(691));
    assert_eq!(field(log, "ras_error_name"), "ERROR_AUTHENTICATION_FAILURE");
    assert_eq!(fields["nps_reason"], Value::Unsigned(16));
    assert!(field(log, "nps_reason_evidence").contains("CHAP Failure E=691"));
}

#[test]
fn xml_of_wevtutil_has_no_root() {
    let text =
        [denied(), event("Service Control Manager", 7036, "2026-03-23T19:40:09Z", &["a", "b"], "")].concat();
    let reading = read_text(Format::EventXml, &text);
    assert_eq!((reading.records, reading.unrelated, reading.damaged, &reading.problem), (2, 1, 0, &None));
    let [(at, log)] = logs(&reading).try_into().unwrap();
    assert_eq!(at, "2026-03-23T19:40:08.225301000Z");
    assert_eq!((&*log.program, log.host.as_deref()), ("RemoteAccess", Some("vpn1.example.com")));
    assert_denied(&log);
    assert_codes(&log);
    assert!(
        log.text.starts_with("The user EXAMPLE\\alice connected from 192.0.2.10 but failed"),
        "{}",
        log.text
    );
    let Clock::Log(quality) = reading.observations[0].clock else { panic!() };
    assert_eq!((quality.resolution_ns, quality.zone), (100, Zone::Stated));
}

#[test]
fn event_viewer_writes_a_root_utf16_and_minus_signs() {
    let text = format!("<?xml version='1.0' encoding='utf-16'?><Events>{}</Events>", denied());
    let utf16: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let reading = read(Format::EventXml, &utf16, &Options::default());
    assert_denied(&logs(&reading)[0].1);
    let copied =
        denied().replace("<System>", "\r\n- <System>\r\n  ").replace("<EventData>", "\r\n- <EventData>");
    let reading = read_text(Format::EventXml, &format!("- {copied}"));
    assert_denied(&logs(&reading)[0].1);
    assert_eq!(reading.problem, None);
}

#[test]
fn the_newest_event_may_come_first() {
    let at = |second: u32| format!("2026-03-23T19:40:{second:02}Z");
    let text: String = (0..5)
        .rev()
        .map(|second| event("RemoteAccess", 20275, &at(second), &[COID, "10.0.0.9"], ""))
        .collect();
    let times: Vec<String> =
        logs(&read_text(Format::EventXml, &text)).into_iter().map(|(at, _)| at).collect();
    assert!(times.is_sorted() && times.len() == 5, "{times:?}");
}

#[test]
fn an_event_log_gives_what_its_xml_gives() {
    let reading =
        read(Format::Evtx, &evtx_file::write(&[denied_parts(), client_parts()]), &Options::default());
    assert_eq!((reading.records, reading.damaged, &reading.problem), (2, 0, &None));
    let [(at, log), (_, client)] = logs(&reading).try_into().unwrap();
    assert_eq!(at, "2026-03-23T19:40:08.225301000Z");
    assert_denied(&log);
    assert_codes(&log);
    assert_eq!(field(&client, "ras_error_name"), "ERROR_VPN_GRE_BLOCKED");
    assert_eq!(field(&client, "user"), "EXAMPLE\\bob");
}

fn denied_parts() -> evtx_file::Event<'static> {
    evtx_file::Event {
        provider: "RemoteAccess",
        id: "20271",
        time: "2026-03-23T19:40:08.2253010Z",
        computer: "vpn1.example.com",
        data: &[NIL, COID, "EXAMPLE\\alice", "192.0.2.10", "The remote connection was denied.", "0x10"],
        binary: "B3020000",
    }
}

fn client_parts() -> evtx_file::Event<'static> {
    evtx_file::Event {
        provider: "RasClient",
        id: "20227",
        time: "2026-03-23T19:40:09.5Z",
        computer: "pc1",
        data: &[COID, "EXAMPLE\\bob", "VPN", "806"],
        binary: "",
    }
}

#[test]
fn tables_give_back_what_the_text_holds() {
    let text = format!(
        "RoutingDomainID- {NIL}: CoID={COID}: The user EXAMPLE\\alice connected from 192.0.2.10 but \
        failed an authentication attempt due to the following reason: The remote connection was denied."
    );
    let powershell = format!(
        "#TYPE System.Diagnostics.Eventing.Reader.EventLogRecord\r\n\
         \"Message\",\"Id\",\"Version\",\"ProviderName\",\"ProcessId\",\"MachineName\",\"TimeCreated\"\r\n\
         \"{text}\",\"20271\",\"0\",\"RemoteAccess\",\"0\",\"vpn1.example.com\",\"3/23/2026 7:40:08 PM\"\r\n"
    );
    let viewer = format!(
        "Ebene;Datum und Uhrzeit;Quelle;Ereignis-ID;Aufgabenkategorie\r\n\
         Warnung;23.03.2026 19:40:08;RemoteAccess;20271;Keine;\"{text}\"\r\n"
    );
    for table in [powershell, viewer] {
        let head = table.as_bytes();
        assert_eq!(recognise(head), Some(Format::EventCsv), "{table}");
        let reading = read_text(Format::EventCsv, &table);
        assert_eq!(reading.problem, None);
        let [(at, log)] = logs(&reading).try_into().unwrap();
        assert_eq!(at, "2026-03-23T19:40:08.000000000Z");
        assert_denied(&log);
        let Clock::Log(quality) = reading.observations[0].clock else { panic!() };
        assert_eq!((quality.resolution_ns, quality.zone), (1_000_000_000, Zone::Assumed));
    }
}

#[test]
fn ambiguous_dates_are_refused_and_told_ones_taken() {
    let table = "\"Id\",\"ProviderName\",\"TimeCreated\",\"Message\"\r\n\"20275\",\"RemoteAccess\",\"03/04/2026 10:00:00\",\"x\"\r\n";
    let reading = read_text(Format::EventCsv, table);
    assert_eq!(reading.problem, Some(Error::AmbiguousDates { example: "03/04/2026".into() }));
    assert!(reading.observations.is_empty());
    let told =
        Options { date_order: Some(Order::DayFirst), utc_offset_seconds: Some(7200), ..Options::default() };
    let reading = read(Format::EventCsv, table.as_bytes(), &told);
    assert_eq!(logs(&reading)[0].0, "2026-04-03T08:00:00.000000000Z");
}

#[test]
fn nps_denials_are_read_from_xml_and_from_text() {
    let named = [
        ("SubjectUserName", "alice"),
        ("CallingStationID", "192.0.2.10"),
        ("ReasonCode", "48"),
        ("NASPort", "3"),
    ];
    let data: String =
        named.iter().map(|(name, value)| format!("<Data Name='{name}'>{value}</Data>")).collect();
    let xml = event("Microsoft-Windows-Security-Auditing", 6273, "2026-03-23T19:40:08Z", &[], "")
        .replace("<EventData>", &format!("<EventData>{data}"));
    let table = "Message,Id,ProviderName,TimeCreated\r\n\"Network Policy Server denied access to a user.\r\n\r\nUser:\r\n\t\
        Account Name:\t\t\talice\r\n\r\nClient Machine:\r\n\tAccount Name:\t\t\t-\r\n\tCalling Station Identifier:\t\t192.0.2.10\r\n\
        NAS:\r\n\tNAS Port:\t\t\t3\r\nAuthentication Details:\r\n\tReason Code:\t\t\t48\r\n\tReason:\t\t\t\tThe connection request did not match.\",\
        6273,Microsoft-Windows-Security-Auditing,2026-03-23 19:40:08\r\n";
    for reading in [read_text(Format::EventXml, &xml), read_text(Format::EventCsv, table)] {
        let [(_, log)] = logs(&reading).try_into().unwrap();
        assert_eq!(log.message.as_ref().unwrap().id, "windows.nps.6273");
        for (name, value) in
            [("user", "alice"), ("client_address", "192.0.2.10"), ("nps_reason", "48"), ("nas_port", "3")]
        {
            assert_eq!(field(&log, name), value, "{name}");
        }
        assert_eq!(field(&log, "nps_reason_name"), "IAS_NO_POLICY_MATCH");
    }
    // A logon of somebody else is none of our business.
    let other = event("Microsoft-Windows-Security-Auditing", 4624, "2026-03-23T19:40:08Z", &["x"], "");
    assert_eq!(read_text(Format::EventXml, &other).unrelated, 1);
}

#[test]
fn the_client_tells_its_server_and_its_stage() {
    let settings = "\nServer address/Phone Number = vpn.example.com\nDevice = WAN Miniport (PPTP)\nPort = VPN3-1\nMediaType = VPN.";
    let text = event("RasClient", 20222, "2026-03-23T19:40:08Z", &[COID, "PC\\bob", "VPN", settings], "");
    let (_, log) = logs(&read_text(Format::EventXml, &text)).remove(0);
    for (name, value) in [
        ("server", "vpn.example.com"),
        ("device", "WAN Miniport (PPTP)"),
        ("stage", "tcp"),
        ("user", "PC\\bob"),
    ] {
        assert_eq!(field(&log, name), value, "{name}");
    }
}

#[test]
fn unknown_events_keep_their_parameters_by_number() {
    let text = event("RemoteAccess", 20999, "2026-03-23T19:40:08Z", &[COID, "one", "two"], "");
    let (_, log) = logs(&read_text(Format::EventXml, &text)).remove(0);
    assert_eq!((field(&log, "parameter_1"), field(&log, "parameter_2")), ("one".into(), "two".into()));
    assert_eq!(log.message.unwrap().class, Class::Other);
}

/// One session in the three accounting formats: Start, as the server at UTC+3 writes it.
#[test]
fn accounting_formats_tell_the_same() {
    let database = "\"VPN1\",\"RAS\",06/05/2026,14:45:48,4,\"EXAMPLE\\alice\",,\"192.0.2.1\",\"192.0.2.10\",,\"10.0.0.9\",\"VPN1\",\
        \"192.0.2.1\",9,,\"192.0.2.1\",\"VPN1\",1780659948,,5,,1,2,,,0,\"311 1 192.0.2.1 06/01/2026 17:41:37 169\",,1800,,,1,,,,\"168\",\
        3,,,,,\"117\",1,,79617,1,\"192.0.2.10\",\"192.0.2.1\",,,,,,,\"VPN1.20\",311,,\"0x0145584D504C45\",0,,\"Policy\",1,,,\"MSRAS-0-PC1\",\"x\"";
    let legacy = "192.0.2.1,EXAMPLE\\alice,06/05/2026,14:45:48,RAS,VPN1,4136,4,40,1,31,192.0.2.10,8,10.0.0.9,44,168,5,9,\
        25,311 1 192.0.2.1 06/01/2026 17:41:37 169,55,1780659948,4142,0";
    let leaf = |name: &str, value: &str| format!("<{name} data_type=\"1\">{value}</{name}>");
    let dts = format!(
        "<Event><Timestamp data_type=\"4\">06/05/2026 14:45:48.000</Timestamp>{}</Event>",
        [
            ("Computer-Name", "VPN1"),
            ("Event-Source", "RAS"),
            ("Packet-Type", "4"),
            ("User-Name", "EXAMPLE\\alice"),
            ("Acct-Status-Type", "1"),
            ("Calling-Station-Id", "192.0.2.10"),
            ("Framed-IP-Address", "10.0.0.9"),
            ("Acct-Session-Id", "168"),
            ("NAS-Port", "9"),
            ("Class", "311 1 192.0.2.1 06/01/2026 17:41:37 169"),
            ("Event-Timestamp", "1780659948"),
            ("Reason-Code", "0"),
        ]
        .map(|(name, value)| leaf(name, value))
        .concat()
    );
    for (format, text) in [
        (Format::AccountingDatabase, database),
        (Format::AccountingLegacy, legacy),
        (Format::AccountingXml, dts.as_str()),
    ] {
        assert_eq!(recognise(text.as_bytes()), Some(format));
        let reading = read_text(format, text);
        assert_eq!(reading.problem, None, "{format:?}");
        let [(at, log)] = logs(&reading).try_into().unwrap();
        assert_eq!(at, "2026-06-05T11:45:48.000000000Z", "{format:?}");
        assert_eq!(log.message.as_ref().unwrap().id, "windows.ias.accounting_start", "{format:?}");
        for (name, value) in [
            ("user", "EXAMPLE\\alice"),
            ("client_address", "192.0.2.10"),
            ("tunnel_address", "10.0.0.9"),
            ("acct_session_id", "168"),
            ("nas_port", "9"),
            ("nps_reason", "0"),
            ("class", "311 1 192.0.2.1 06/01/2026 17:41:37 169"),
        ] {
            assert_eq!(field(&log, name), value, "{name} of {format:?}");
        }
    }
}

/// Files of others that are not in the project; skipped loudly where they are not.
#[test]
fn real_cases() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/cases/");
    let folder = if std::path::Path::new(folder).exists() {
        folder.to_owned()
    } else {
        "../../../shared/cases/".to_owned()
    };
    let Ok(bytes) = std::fs::read(format!("{folder}34-rras-20271-bruteforce.log")) else {
        eprintln!("SKIPPED: no shared cases here");
        return;
    };
    assert_eq!(recognise(&bytes), Some(Format::EventXml));
    let (_, log) = logs(&read(Format::EventXml, &bytes, &Options::default())).remove(0);
    assert_eq!((field(&log, "nps_reason"), field(&log, "ras_error")), ("16".into(), "691".into()));
    let bytes = std::fs::read(format!("{folder}35-rras-accounting-success-csv.log")).unwrap();
    assert_eq!(recognise(&bytes), Some(Format::AccountingDatabase));
    let (at, log) = logs(&read(Format::AccountingDatabase, &bytes, &Options::default())).remove(0);
    assert_eq!(log.message.as_ref().unwrap().id, "windows.ias.accounting_start");
    assert_eq!(
        (at.as_str(), field(&log, "acct_session_id").as_str()),
        ("2024-06-18T13:45:48.000000000Z", "168")
    );
}

#[test]
fn challenges_in_errors_are_dropped() {
    let hex: String = "\u{1}E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3"
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    for error in ["E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3".to_owned(), format!("0x{hex}")] {
        let text = format!(
            "<Event><Timestamp data_type=\"4\">06/15/2026 14:45:48</Timestamp><Packet-Type data_type=\"0\">3\
            </Packet-Type><MS-CHAP-Error data_type=\"1\">{error}</MS-CHAP-Error><User-Password>pw</User-Password></Event>"
        );
        let (_, log) = logs(&read_text(Format::AccountingXml, &text)).remove(0);
        let all = format!("{log:?}");
        assert!(field(&log, "chap_error").contains("E=691 R=1 V=3"), "{all}");
        assert!(!all.contains("0011") && !all.contains("pw"), "{all}");
    }
}

#[test]
fn hostile_xml_stays_small() {
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]>{}",
        denied().replace("192.0.2.10", "&b;")
    );
    let reading = read_text(Format::EventXml, &bomb);
    assert!(format!("{reading:?}").len() < 4000);
    let deep = format!("{}{}{}", "<a>".repeat(100_000), "<a><b>".repeat(1000), denied());
    assert_eq!(read_text(Format::EventXml, &deep).observations.len(), 1);
    let long = denied().replace("EXAMPLE", &"x".repeat(1 << 20));
    let reading = read_text(Format::EventXml, &long);
    let (_, log) = logs(&reading).remove(0);
    assert!(log.text.len() <= 1024 && format!("{log:?}").len() < 20_000);
    let many = denied().replace("</EventData>", &format!("{}</EventData>", "<Data>y</Data>".repeat(100_000)));
    assert!(format!("{:?}", read_text(Format::EventXml, &many)).len() < 20_000);
}

#[test]
fn a_damaged_event_costs_only_itself() {
    let text = format!("{}<Event><System></Oops></Event>{}", denied(), denied());
    let reading = read_text(Format::EventXml, &text);
    assert_eq!((reading.observations.len(), reading.damaged), (2, 1));
    let text = denied();
    let reading = read_text(Format::EventXml, &format!("{text}{}", &text[..text.len() / 2]));
    assert_eq!((reading.observations.len(), reading.problem), (1, Some(Error::Cut)));
}
