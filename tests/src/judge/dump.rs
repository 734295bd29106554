//! pppd's debug dump, against what the agent saw on the wire: the frames of each session, sent and received,
//! in their order, with ids and options.
//!
//! Both are brought into the words of [`Frame`]. The dump is read here, from the log itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::logs;
use crate::events::Event;
use crate::time::Nanos;

/// A negotiation frame: protocol, code, id, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    name: String,
    content: Vec<String>,
}

impl std::fmt::Display for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [{}]", self.name, self.content.join(", "))
    }
}

/// Codes in pppd's words and in the agent's. Not LCP's echoes: with a single `debug`, pppd leaves out those of a
/// link that is up.
const CODES: [(&str, &str); 15] = [
    ("ConfReq", "configure_request"),
    ("ConfAck", "configure_ack"),
    ("ConfNak", "configure_nak"),
    ("ConfRej", "configure_reject"),
    ("TermReq", "terminate_request"),
    ("TermAck", "terminate_ack"),
    ("CodeRej", "code_reject"),
    ("ProtRej", "protocol_reject"),
    ("DiscReq", "discard_request"),
    ("ResetReq", "reset_request"),
    ("ResetAck", "reset_ack"),
    ("Challenge", "challenge"),
    ("Response", "response"),
    ("Success", "success"),
    ("Failure", "failure"),
];

/// Letters of an MPPE option and the agent's names of their bits.
const MPPE_BITS: [(char, &str); 6] = [
    ('H', "stateless"),
    ('M', "56_bit"),
    ('S', "128_bit"),
    ('L', "40_bit"),
    ('D', "obsolete"),
    ('C', "compression"),
];

/// `sent [LCP ConfReq id=0x1 <mru 1400> <magic 0x5a7acf36>]`: whether it was sent, and the frame. None for
/// other lines, and for protocols and codes that are not compared.
fn of_dump(text: &str) -> Option<(bool, Frame)> {
    let (sent, rest) = match text.strip_prefix("sent [") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("rcvd [")?),
    };
    let mut words = rest.strip_suffix(']')?.splitn(4, ' ');
    let protocol = words.next()?.to_lowercase();
    let word = words.next()?;
    let (_, code) = CODES.iter().find(|(known, _)| *known == word)?;
    let id = words.next()?.strip_prefix("id=0x")?;
    let id = u64::from_str_radix(id, 16).ok()?;
    if !matches!(protocol.as_str(), "lcp" | "ccp" | "ipcp" | "ipv6cp" | "chap") {
        return None;
    }
    let content = words.next().unwrap_or_default();
    let content = match *code {
        // Proofs and messages are masked; the name is not.
        "challenge" | "response" => {
            let (_, name) = content.split_once("name = \"")?;
            vec![format!("name {}", name.strip_suffix('"')?)]
        }
        code if code.starts_with("configure_") => {
            let options = content.split('<').skip(1);
            options.map(|option| option_of_dump(option.trim_end().trim_end_matches('>'))).collect()
        }
        _ => Vec::new(),
    };
    Some((sent, Frame { name: format!("{protocol} {code} {id}"), content }))
}

/// A number of the dump: hexadecimal or decimal.
fn hex(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn option_of_dump(text: &str) -> String {
    let (name, value) = text.split_once(' ').unwrap_or((text, ""));
    let number = || hex(value).map_or_else(|| value.to_owned(), |number| number.to_string());
    match (name, value) {
        ("mru", _) => format!("mru {}", number()),
        ("asyncmap", _) => format!("accm {}", number()),
        ("magic", _) => format!("magic {}", number()),
        ("mrru", _) => format!("mrru {}", number()),
        ("pcomp", _) => "protocol_field_compression".into(),
        ("accomp", _) => "address_control_field_compression".into(),
        ("auth", "chap MS-v2") => "auth ms_chap_v2".into(),
        ("auth", "chap MS") => "auth ms_chap".into(),
        ("auth", "chap MD5") => "auth chap_md5".into(),
        ("auth", other) => format!("auth {other}"),
        // Interface identifiers have zeros where addresses leave them out.
        ("addr", _) if value.starts_with("fe80::") => format!("identifier {}", groups(&value[6..])),
        ("addr", _) => format!("ip_address {value}"),
        ("ms-dns1" | "ms-dns", _) => format!("primary_dns {value}"),
        ("ms-dns2" | "ms-dns3", _) => format!("secondary_dns {value}"),
        ("ms-wins" | "ms-wins1", _) => format!("primary_nbns {value}"),
        ("ms-wins2", _) => format!("secondary_nbns {value}"),
        ("mppe", _) => {
            let set: BTreeSet<&str> = MPPE_BITS
                .iter()
                .filter(|(letter, _)| value.contains(&format!("+{letter}")))
                .map(|(_, bit)| *bit)
                .collect();
            format!("mppe {set:?}")
        }
        _ => text.to_owned(),
    }
}

/// `91bc:e41f:1998:8dd` with all digits.
fn groups(text: &str) -> String {
    text.split(':').map(|group| format!("{group:0>4}")).collect::<Vec<_>>().join(":")
}

/// The frame of a `ppp.negotiation`, and whether the server sent it.
fn of_event(body: &Value) -> Option<(bool, Frame)> {
    let text = |name: &str| body[name].as_str();
    let (protocol, code, id) = (text("protocol")?, text("code")?, body["id"].as_u64()?);
    let content = match code {
        "echo_request" | "echo_reply" => return None,
        "challenge" | "response" => vec![format!("name {}", text("name")?)],
        code if code.starts_with("configure_") => {
            body["options"].as_array().into_iter().flatten().map(option_of_event).collect()
        }
        _ => Vec::new(),
    };
    Some((text("sender")? == "server", Frame { name: format!("{protocol} {code} {id}"), content }))
}

fn option_of_event(option: &Value) -> String {
    let text = |name: &str| option[name].as_str().unwrap_or_default();
    match text("option") {
        name @ ("mru" | "accm" | "mrru") => format!("{name} {}", option[name]),
        "magic_number" => format!("magic {}", option["magic"]),
        "authentication_protocol" => format!("auth {}", text("method")),
        "interface_identifier" => format!("identifier {}", groups(text("identifier"))),
        "mppe" => {
            let set: BTreeSet<&str> =
                option["bits"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            format!("mppe {set:?}")
        }
        name => match option["address"].as_str() {
            Some(address) => format!("{name} {address}"),
            None => name.to_owned(),
        },
    }
}

/// What one end of a session said, in order.
type Said = BTreeMap<(String, bool), Vec<Frame>>;

/// The dump of each session is what the agent saw of it.
pub(super) fn agrees(events: &[Event], log: &str) -> Result<String, String> {
    let begun = events.iter().find(|event| event.name == "agent.start").map_or(0, |event| event.at);
    let (mut dump, mut wire) = (Said::new(), Said::new());
    let owners = logs::owners(events);
    let (lines, _) = logs::lines(log, Nanos::MAX);
    for line in lines.iter().filter(|line| line.program == "pppd") {
        if let Some((sent, frame)) = of_dump(line.text)
            && let Some(id) = line.pid.and_then(|pid| owners.get(&pid))
            && line.at >= begun
        {
            dump.entry((id.to_string(), sent)).or_default().push(frame);
        }
    }
    for event in events.iter().filter(|event| event.name == "ppp.negotiation") {
        // Frames that the network doubles pppd sees twice, too; its GRE daemon throws copies away.
        if event.body()["copy"] == true {
            continue;
        }
        if let Some((sent, frame)) = of_event(event.body())
            && let Some(id) = event.session_id()
        {
            wire.entry((id.to_owned(), sent)).or_default().push(frame);
        }
    }
    let mut problems = Vec::new();
    let ends: BTreeSet<_> = dump.keys().chain(wire.keys()).collect();
    for end @ (id, sent) in ends {
        let none = Vec::new();
        let (one, other) = (dump.get(end).unwrap_or(&none), wire.get(end).unwrap_or(&none));
        let whose = if *sent { "sent" } else { "rcvd" };
        let differs = one.iter().zip(other).position(|(one, other)| one != other);
        if let Some(at) = differs {
            let (one, other) = (&one[at], &other[at]);
            problems.push(format!("session {id}, {whose} {}: pppd says {one}, the wire {other}", at + 1));
        } else if one.len() != other.len() {
            let next = one.get(other.len()).or_else(|| other.get(one.len()));
            let next = next.map_or(String::new(), ToString::to_string);
            problems.push(format!(
                "session {id}, {whose}: pppd says {} frames, the wire {}: {next}",
                one.len(),
                other.len()
            ));
        }
    }
    let compared: usize = dump.values().map(Vec::len).sum();
    if compared == 0 {
        problems.push("pppd has dumped nothing: does it have `debug`?".into());
    }
    if problems.is_empty() { Ok(format!("{compared} frames")) } else { Err(problems.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse;

    const LOG: &str = "\
2001-01-01T00:00:01.1+00:00 vpn pppd[11]: sent [LCP ConfReq id=0x1 <asyncmap 0x0> <auth chap MS-v2> <magic 0x10> <pcomp> <accomp>]
2001-01-01T00:00:01.2+00:00 vpn pppd[11]: rcvd [CCP ConfReq id=0x2 <mppe +H -M +S -L -D -C>]
2001-01-01T00:00:01.3+00:00 vpn pppd[11]: sent [IPV6CP ConfReq id=0x1 <addr fe80::91bc:e41f:1998:8dd>]
2001-01-01T00:00:01.4+00:00 vpn pppd[11]: rcvd [CHAP Response id=0xe <00>, name = \"alice\"]
2001-01-01T00:00:01.5+00:00 vpn pppd[11]: sent [LCP EchoReq id=0x0 magic=0x10]
";

    const WIRE: [&str; 5] = [
        r#"{"sender":"server","protocol":"lcp","code":"configure_request","id":1,"options":[{"option":"accm","accm":0},{"option":"authentication_protocol","method":"ms_chap_v2"},{"option":"magic_number","magic":16},{"option":"protocol_field_compression"},{"option":"address_control_field_compression"}]}"#,
        r#"{"sender":"client","protocol":"ccp","code":"configure_request","id":2,"options":[{"option":"mppe","bits":["128_bit","stateless"]}]}"#,
        r#"{"sender":"server","protocol":"ipv6cp","code":"configure_request","id":1,"options":[{"option":"interface_identifier","identifier":"91bc:e41f:1998:08dd"}]}"#,
        r#"{"sender":"client","protocol":"chap","code":"response","id":14,"name":"alice"}"#,
        r#"{"sender":"server","protocol":"lcp","code":"echo_request","id":0,"magic":16}"#,
    ];

    fn run(from: &str, to: &str) -> Vec<Event> {
        let head = |name: &str| {
            format!(
                r#"{{"ts":"2001-01-01T00:00:01Z","severity":"info","host":"h","event":"{name}","session":{{"id":"a"}}"#
            )
        };
        let mut text = head("log") + r#","log":{"pid":11,"program":"pppd"}}"# + "\n";
        for frame in WIRE {
            text += &(head("ppp.negotiation") + ",\"ppp_negotiation\":" + &frame.replace(from, to) + "}\n");
        }
        parse(&text).unwrap()
    }

    #[test]
    fn both_say_the_same() {
        assert_eq!(agrees(&run("", ""), LOG), Ok("4 frames".into()));
    }

    #[test]
    fn a_disagreement_is_named() {
        for (from, to, part) in [
            (r#""magic":16},{"#, r#""magic":17},{"#, "pppd says lcp configure_request 1"),
            ("128_bit", "40_bit", "the wire ccp configure_request 2 [mppe {\"40_bit\", \"stateless\"}]"),
            ("08dd", "18dd", "identifier 91bc:e41f:1998:08dd"),
            (r#""id":14"#, r#""id":15"#, "the wire chap response 15"),
            (r#""code":"echo_request""#, r#""code":"none""#, "pppd says 2 frames, the wire 3: lcp none 0"),
            (r#""protocol":"chap","code""#, r#""protocol":"chap","cod""#, "pppd says 2 frames, the wire 1"),
        ] {
            let error = agrees(&run(from, to), LOG).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert!(agrees(&run("", ""), "").is_err());
    }
}
