//! A log that can be made anywhere: the messages of the catalogue in turn, lines of pppd's debug dump, and
//! lines of programs that nobody asks about, in the envelopes that loggers write.

use std::fmt::Write as _;

use pptpscope::logs::catalogue::{Program, catalogue};
use pptpscope::logs::pattern::{Conversion, Pattern, Piece};

/// What a line looks like around its message.
#[derive(Clone, Copy)]
pub(crate) enum Envelope {
    /// `Nov 26 20:31:31 vpn pppd[812]: …`
    Rfc3164,
    /// `2026-11-26T20:31:31.123456+00:00 vpn pppd[812]: …`
    Rsyslog,
    /// `<29>1 2026-11-26T20:31:31.123456Z vpn pppd 812 - - …`
    Rfc5424,
    /// An entry of `journalctl -o json`.
    Journal,
}

/// The debug dump of a call, as pppd 2.4.9 and 2.5.2 write it.
const DUMP: [&str; 16] = [
    "sent [LCP ConfReq id=0x1 <mru 1400> <asyncmap 0x0> <auth chap MS-v2> <magic 0x1c6d8e8b> <pcomp> <accomp>]",
    "rcvd [LCP ConfReq id=0x1 <mru 1400> <magic 0x72f8b8f> <pcomp> <accomp> <callback CBCP>]",
    "sent [LCP ConfRej id=0x1 <callback CBCP>]",
    "rcvd [LCP ConfAck id=0x1 <mru 1400> <asyncmap 0x0> <auth chap MS-v2> <magic 0x1c6d8e8b> <pcomp> <accomp>]",
    "sent [LCP EchoReq id=0x0 magic=0x1c6d8e8b]",
    "rcvd [LCP EchoRep id=0x0 magic=0x72f8b8f]",
    "sent [CHAP Challenge id=0xe0 <e37701acdfcff45c1fb48b183be8b2e2>, name = \"vpn\"]",
    "rcvd [CHAP Response id=0xe0 <8d9f45a57d41667c3291bcf3b646048f0000000000000000805bf94c5cf3188aabb96908e8430f2c7a53458c464ad00100>, name = \"ALICE_7\"]",
    "sent [CHAP Success id=0xe0 \"S=E5AF117D3F5AB7DD67AA53C9F6A21B09D278510D M=Access granted\"]",
    "rcvd [PAP AuthReq id=0x1 user=\"ALICE_7\" password=<hidden>]",
    "sent [CCP ConfReq id=0x1 <mppe +H -M +S -L -D -C>]",
    "rcvd [CCP ConfNak id=0x1 <mppe +H -M +S -L -D -C>]",
    "rcvd [IPCP ConfReq id=0x6 <addr 0.0.0.0> <ms-dns1 0.0.0.0> <ms-wins 0.0.0.0> <ms-dns2 0.0.0.0>]",
    "sent [IPCP ConfNak id=0x7 <addr 10.99.0.10> <ms-dns1 10.99.0.1> <ms-dns2 10.99.0.1>]",
    "rcvd [LCP TermReq id=0x8 \"\\007/\\0x18\\000<\\315t\\000\\000\\000\\000\"]",
    "sent [LCP TermAck id=0x8]",
];

/// What else a server says.
const FOREIGN: [(&str, &str); 6] = [
    ("sshd", "Failed password for invalid user admin from 203.0.113.77 port 51122 ssh2"),
    ("CRON", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
    ("dnsmasq", "query[A] www.example.org from 10.99.0.12"),
    ("systemd", "Started Session 4711 of User root."),
    ("postfix/smtpd", "connect from unknown[198.51.100.23]"),
    ("dhclient", "DHCPREQUEST for 192.0.2.10 on eth0 to 192.0.2.1 port 67"),
];

/// A log and what is in it.
pub(crate) struct Corpus {
    /// The lines, each with its line feed.
    pub(crate) text: String,
    /// How many.
    pub(crate) lines: u64,
    /// How many of them are of the catalogue's programs.
    pub(crate) ours: u64,
}

/// A log of `lines` lines: of ten, four are of the debug dump, three other messages of the catalogue, three of
/// nobody. The envelopes take turns.
pub(crate) fn mixed(lines: u64, envelopes: &[Envelope]) -> Corpus {
    let messages = messages();
    let mut corpus = Corpus { text: String::new(), lines, ours: 0 };
    let (mut dump, mut message, mut foreign) =
        (DUMP.iter().cycle(), messages.iter().cycle(), FOREIGN.iter().cycle());
    for (number, envelope) in (0..lines).zip(envelopes.iter().cycle()) {
        // Calls of a server: processes of a few lines each.
        let pid = 1000 + (number / 40) % 30_000;
        let next = match number % 10 {
            0..=3 => dump.next().map(|text| ("pppd", *text)),
            4..=6 => message.next().map(|(ident, text)| (*ident, text.as_str())),
            _ => foreign.next().copied(),
        };
        let Some((ident, text)) = next else { continue };
        corpus.ours += u64::from(number % 10 <= 6);
        write(&mut corpus.text, *envelope, number / 1000, ident, pid, text);
    }
    corpus
}

/// The texts by which the catalogue knows its messages, each once: what grep is asked for.
pub(crate) fn literals() -> Vec<String> {
    let entries = Program::ALL.into_iter().flat_map(|program| catalogue(program).entries());
    let mut texts: Vec<String> = entries.map(|entry| entry.pattern.longest().trim().to_owned()).collect();
    texts.retain(|text| !text.is_empty());
    texts.sort();
    texts.dedup();
    texts
}

/// Every message of the catalogue with values, and who says it.
fn messages() -> Vec<(&'static str, String)> {
    let ident = |program: Program| match program {
        Program::AccelPpp => "accel-pppd",
        Program::FreeRadius => "radiusd",
        other => other.name(),
    };
    let entries = Program::ALL
        .into_iter()
        .flat_map(|program| catalogue(program).entries().iter().map(move |entry| (program, entry)));
    entries.map(|(program, entry)| (ident(program), filled(&entry.pattern))).collect()
}

fn filled(pattern: &Pattern) -> String {
    let values = pattern.pieces().iter().filter_map(|piece| match piece {
        Piece::Literal(_) => None,
        Piece::Value(conversion) => Some(match conversion {
            Conversion::Signed | Conversion::Unsigned => "1203",
            Conversion::Hex => "5d2a",
            Conversion::Fraction => "12.5",
            Conversion::Address => "10.99.0.12",
            Conversion::Character => "x",
            Conversion::Text | Conversion::GreedyText => "ALICE_7",
        }),
    });
    pattern.render(&values.collect::<Vec<_>>())
}

fn write(out: &mut String, envelope: Envelope, second: u64, ident: &str, pid: u64, text: &str) {
    // 26 November 2026.
    let at = 1_795_651_200 + second;
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    let result = match envelope {
        Envelope::Rfc3164 => {
            writeln!(out, "Nov 26 {hour:02}:{minute:02}:{second:02} vpn {ident}[{pid}]: {text}")
        }
        Envelope::Rsyslog => writeln!(
            out,
            "2026-11-26T{hour:02}:{minute:02}:{second:02}.123456+00:00 vpn {ident}[{pid}]: {text}"
        ),
        Envelope::Rfc5424 => writeln!(
            out,
            "<29>1 2026-11-26T{hour:02}:{minute:02}:{second:02}.123456Z vpn {ident} {pid} - - {text}"
        ),
        Envelope::Journal => writeln!(
            out,
            r#"{{"__CURSOR":"s=0f;i={pid};b=3c","__REALTIME_TIMESTAMP":"{at}123456","_PID":"{pid}","PRIORITY":"6","_TRANSPORT":"syslog","_HOSTNAME":"vpn","SYSLOG_IDENTIFIER":"{ident}","_UID":"0","_GID":"0","_COMM":"{ident}","_EXE":"/usr/sbin/{ident}","_SYSTEMD_UNIT":"pptpd.service","_BOOT_ID":"3c3f5e5dfb2a4a5d8d5c6f1a2b3c4d5e","_MACHINE_ID":"9c3f5e5dfb2a4a5d8d5c6f1a2b3c4d5e","MESSAGE":{}}}"#,
            serde_json::Value::from(text)
        ),
    };
    // Writing to a string does not fail.
    debug_assert!(result.is_ok());
}
