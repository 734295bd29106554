//! Real logs with known causes, where they are at hand: each line is recognised, and the message that
//! decides is there with what it says.

use std::path::Path;

use jiff::tz::TimeZone;

use super::reader::{Reader, Settings};
use crate::event::log::Class;
use crate::observation::{Log, What};

/// A case: its log, the message that decides, one of its values, and lines that nobody of ours said.
struct Case {
    file: &'static str,
    decides: &'static str,
    value: Option<(&'static str, &'static str)>,
    foreign: u64,
}

const CASES: [Case; 11] = [
    Case {
        file: "01-lcp-timeout-one-client-site",
        decides: "pppd.timeout_sending_config_requests",
        value: Some(("protocol", "LCP")),
        foreign: 0,
    },
    Case {
        file: "05-crouton-kernel-no-mppe",
        decides: "pppd.mppe_required_but_kernel_has_no_support",
        value: None,
        foreign: 0,
    },
    Case {
        file: "07-wl500g-stateful-mppe-refused",
        decides: "pppd.refusing_mppe_stateful_mode_offered_by_peer",
        value: None,
        foreign: 0,
    },
    Case {
        file: "09-mppe-40-vs-128",
        decides: "pppd.mppe_required_but_peer_negotiation_failed",
        value: None,
        foreign: 0,
    },
    Case {
        file: "11-client-mppe-unticked",
        decides: "pppd.mppe_required_but_peer_negotiation_failed",
        value: None,
        foreign: 0,
    },
    Case {
        file: "15-unrecognized-option-require-mppe-stateful",
        decides: "pppd.in_file_unrecognized_option",
        value: Some(("option", "require-mppe-stateful")),
        foreign: 0,
    },
    // Two lines are what somebody typed.
    Case {
        file: "20-docker-cap-net-admin",
        decides: "pppd.couldn_t_open_the_dev_ppp_device",
        value: Some(("error", "Operation not permitted")),
        foreign: 2,
    },
    // One line is NetworkManager's.
    Case {
        file: "25-windows-termreq-691",
        decides: "pppd.terminated_by_peer",
        value: Some(("reason", "^BM-^L9^N^@<M-Mt^@^@^BM-3")),
        foreign: 1,
    },
    Case {
        file: "29-gre-xmit-eperm-conntrack",
        decides: "pptpd.gre_xmit_failed_from_decaps_hdlc",
        value: Some(("error", "Operation not permitted")),
        foreign: 0,
    },
    Case {
        file: "30-freeradius-no-nt-password-domain",
        decides: "freeradius.login_incorrect",
        value: Some(("reason", "mschap_default: FAILED: No NT-Password.  Cannot perform authentication")),
        foreign: 0,
    },
    Case {
        file: "41-u-echo-loss-after-7min",
        decides: "pppd.no_response_to_echo_requests",
        value: Some(("count", "4")),
        foreign: 0,
    },
];

#[test]
fn real_logs_are_understood() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cases");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is not here", folder.display());
        return;
    }
    for case in CASES {
        let text = std::fs::read(folder.join(format!("{}.log", case.file))).unwrap();
        let mut reader = Reader::new(Settings {
            source: case.file.into(),
            zone: TimeZone::UTC,
            zone_given: false,
            reference: "2026-11-24T00:00:00Z".parse().unwrap(),
            boot: None,
        });
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let logs: Vec<Log> = lines
            .iter()
            .filter_map(|line| match reader.line(line)?.what {
                What::Log(log) => Some(*log),
                _ => None,
            })
            .collect();
        let unknown: Vec<_> = logs.iter().filter(|log| log.message.is_none()).map(|log| &log.text).collect();
        assert!(unknown.is_empty(), "{}: {unknown:#?}", case.file);
        assert_eq!(reader.counts().foreign, case.foreign, "{}", case.file);
        let decides: Vec<_> = logs
            .iter()
            .filter_map(|log| log.message.as_ref())
            .filter(|message| message.id.starts_with(case.decides))
            .collect();
        assert!(!decides.is_empty(), "{}: {} is not among {logs:#?}", case.file, case.decides);
        for message in decides {
            assert_eq!(message.class, Class::Cause, "{}", case.file);
            if let Some((name, value)) = case.value {
                assert_eq!(message.fields[name].to_string(), value, "{}", case.file);
            }
        }
        // What follows from a failure is never taken for its cause.
        for effect in [
            "pppd.modem_hangup",
            "pppd.connection_terminated",
            "pptp.the_synchronous_pptp_option_is_activated",
        ] {
            let class =
                logs.iter().filter_map(|log| log.message.as_ref()).find(|message| message.id == effect);
            assert!(
                class.is_none_or(|message| matches!(message.class, Class::Effect | Class::Benign)),
                "{effect}"
            );
        }
    }
}
