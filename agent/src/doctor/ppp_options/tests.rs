//! Options and what is said of them.

use std::path::Path;

use super::*;

fn pppd(version: Version, strings: std::option::Option<&[u8]>, options: &[Option]) -> Pppd {
    let names: Vec<&str> = options.iter().map(|option| option.name.as_str()).collect();
    Pppd {
        path: "/usr/sbin/pppd".into(),
        version: Some((version, "test")),
        plugins: None,
        strings: strings.map(|bytes| Strings::find(bytes, names.into_iter())),
    }
}

fn judged(
    text: &str,
    version: Version,
    strings: std::option::Option<&[u8]>,
) -> Vec<(Status, String, String)> {
    let options = parse(text, Path::new("/o"));
    let pppd = pppd(version, strings, &options);
    options
        .iter()
        .filter_map(|option| judge(option, &pppd, pppd.version.map(|(version, _)| version), &[]))
        .collect()
}

#[test]
fn a_good_file_has_no_problem() {
    let text = "name vpn\nrequire-mschap-v2 require-mppe-128\nms-dns 10.0.0.1\n115200 10.0.0.1: lock\nlcp-restart 1\nnobsdcomp\n";
    assert_eq!(judged(text, Version(2, 4, 9), None), []);
}

#[test]
fn misspelt_options_get_their_nearest_name() {
    let found = judged("require-mpe-128\nrequire-mschapv2\nproxy-arp\n", Version(2, 4, 9), None);
    let fixes: Vec<_> = found.iter().map(|(_, _, fix)| fix.split(',').next().unwrap()).collect();
    assert_eq!(fixes, ["write require-mppe-128", "write require-mschap-v2", "write proxyarp"]);
    assert!(found.iter().all(|(status, ..)| *status == Status::Fail));
}

#[test]
fn options_of_other_versions_are_named_with_theirs() {
    let found = judged("ipx\n", Version(2, 5, 2), None);
    assert_eq!(found[0].1, "pppd 2.5.2 has no ipx any more: 2.4.9 was the last version with it");
    assert_eq!(judged("ipx\nnoipx\n", Version(2, 4, 7), None), []);
    let found = judged("chap-secrets /x\n", Version(2, 4, 9), None);
    assert_eq!(found[0].1, "pppd 2.4.9 has no chap-secrets yet: it came with 2.5.1");
    let found = judged("mppe required,stateless\n", Version(2, 5, 2), None);
    assert!(found[0].2.starts_with("write require-mppe-128 instead"), "{found:?}");
}

#[test]
fn the_program_itself_is_the_better_witness() {
    let program = b"x\0nomppe\0chap-secrets\0lock\0";
    // A distribution brought it in early.
    assert_eq!(judged("chap-secrets /x\nlock\n", Version(2, 4, 9), Some(program)), []);
    // It ends another name, which is how linkers share strings.
    assert_eq!(judged("mppe x\n", Version(2, 4, 9), Some(program)).len(), 1);
    let found = judged("require-mppe\n", Version(2, 4, 9), Some(program));
    assert_eq!(found[0].1, "this pppd was built without require-mppe");
}

#[test]
fn distances() {
    assert_eq!(distance("", "abc"), 3);
    assert_eq!(distance("mrtu", "mtu"), 1);
    assert_eq!(distance("nmae", "name"), 1);
    assert_eq!(distance("same", "same"), 0);
}
