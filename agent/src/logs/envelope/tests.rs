use super::*;

fn civil(line: &str) -> Civil {
    match parse(line).when {
        When::Civil(civil) => civil,
        other => panic!("{line}: {other:?}"),
    }
}

fn who(line: &str) -> (Option<&str>, Option<&str>, Option<u32>, &str) {
    let line = parse(line);
    (line.host, line.ident, line.pid, line.text)
}

#[test]
fn rfc3164_in_all_its_forms() {
    let usual = (Some("vpn"), Some("pppd"), Some(1234), "Exit.");
    for line in [
        "Nov 26 20:31:31 vpn pppd[1234]: Exit.",
        "<29>Nov 26 20:31:31 vpn pppd[1234]: Exit.",
        "Nov  6 20:31:31 vpn pppd[1234]: Exit.",
        "Nov 26 2026 20:31:31 vpn pppd[1234]: Exit.",
        "Nov 26 20:31:31 2026 vpn pppd[1234]: Exit.",
        "Nov 26 20:31:31.123 vpn pppd[1234]: Exit.",
        "Nov 26 20:31:31 vpn /usr/sbin/pppd[1234]: Exit.\r\n",
    ] {
        assert_eq!(who(line), usual, "{line}");
    }
    let date = civil("Nov 26 2026 20:31:31 vpn pppd[1234]: Exit.");
    assert_eq!((date.year, date.month, date.day, date.hour), (Some(2026), 11, 26, 20));
    assert_eq!(civil("Nov 26 20:31:31 vpn pppd[1234]: Exit.").year, None);
    assert_eq!(who("Jan  1 00:00:13 pppd[123]: Exit."), (None, Some("pppd"), Some(123), "Exit."));
    assert_eq!(who("Nov 26 20:31:31 vpn last message repeated 3 times").3, "last message repeated 3 times");
}

#[test]
fn rfc5424_with_and_without_version() {
    let text = "LCP: timeout sending Config-Requests";
    let data = r#"[meta sequenceId="1" x="a\]b"][y@1 z="]"]"#;
    for head in ["<29>1 ", "", "<29>"] {
        let line = format!("{head}2026-11-22T08:39:01.003Z vpn pppd 1234 - {data} {text}");
        assert_eq!(who(&line), (Some("vpn"), Some("pppd"), Some(1234), text), "{line}");
    }
    let nil = "<29>1 - - pppd - ID47 - \u{feff}Exit.";
    assert_eq!((who(nil), parse(nil).when), ((None, Some("pppd"), None, "Exit."), When::Unknown));
    assert_eq!(civil("<29>1 2026-11-22T08:39:01.003-05:30 vpn pppd 1 - - x").offset, Some(-19_800));
}

#[test]
fn rsyslog_routers_and_openwrt() {
    let line = "2026-11-22T08:39:01.123456+01:00 vpn pppd[1234]: Exit.";
    assert_eq!(who(line), (Some("vpn"), Some("pppd"), Some(1234), "Exit."));
    let stamp = civil(line);
    assert_eq!((stamp.nanosecond, stamp.digits, stamp.offset), (123_456_000, 6, Some(3600)));
    assert_eq!(who("2022-05-25 10:26:41 daemon.info pppd[1]: Exit."), (None, Some("pppd"), Some(1), "Exit."));
    assert_eq!(
        who("Thu Jan  1 00:00:00 2026 daemon.notice pppd[1234]: Exit."),
        (None, Some("pppd"), Some(1234), "Exit.")
    );
}

#[test]
fn formats_of_daemons() {
    let main = parse("[2026-11-22 08:39:01]: error: ppp0: pptp: no echo reply");
    assert_eq!((main.program, main.text), (Some(Program::AccelPpp), "ppp0: pptp: no echo reply"));
    let padded = parse("[2026-11-22 08:39:01]:  info: pptp: new connection from 192.0.2.1");
    assert_eq!(padded.text, "pptp: new connection from 192.0.2.1");
    let session = parse("[2017-12-07 01:22:29.501] ppp0: da66f165863ab669: disconnected");
    assert_eq!(
        (session.program, session.text),
        (Some(Program::AccelPpp), "ppp0: da66f165863ab669: disconnected")
    );
    let radius = parse("Thu Jan  1 00:00:00 2026 : Auth: (0) Login OK: [anna] (from client vpn port 0)");
    assert_eq!(
        (radius.program, radius.text),
        (Some(Program::FreeRadius), "(0) Login OK: [anna] (from client vpn port 0)")
    );
    let ring = parse("[   12.345678] ppp0: recursion detected");
    assert_eq!((ring.when, ring.program), (When::Boot(12_345_678_000), Some(Program::Kernel)));
    let dated = parse("[Thu Jan  1 00:00:00 2026] ppp0: recursion detected");
    assert_eq!((dated.program, dated.text), (Some(Program::Kernel), "ppp0: recursion detected"));
    let kernel = parse("Nov 26 20:31:31 vpn kernel: [   12.345678] ppp0: recursion detected");
    assert_eq!((kernel.ident, kernel.text), (Some("kernel"), "[   12.345678] ppp0: recursion detected"));
}

#[test]
fn lines_without_a_stamp() {
    assert_eq!(who("pppd[4789]: Exit."), (None, Some("pppd"), Some(4789), "Exit."));
    assert_eq!(who("Exit."), (None, None, None, "Exit."));
    assert_eq!(who("LCP: timeout sending Config-Requests").3, "LCP: timeout sending Config-Requests");
    assert_eq!(who("vpn_1  | Using interface ppp0").3, "Using interface ppp0");
}

#[test]
fn months_of_other_languages_are_no_time() {
    for line in [
        "oct. 26 20:31:31 vpn pppd[1234]: Exit.",
        "26 oct. 20:31:31 vpn pppd[1234]: Exit.",
        "febr 18 20:31:31 vpn pppd[1234]: Exit.",
        "févr. 18 20:31:31 vpn pppd[1234]: Exit.",
        "M\u{e4}r 18 20:31:31 vpn pppd[1234]: Exit.",
    ] {
        let line = parse(line);
        assert_eq!(line.when, When::Localised, "{line:?}");
        assert_eq!((line.ident, line.text), (Some("pppd"), "Exit."));
    }
}

#[test]
fn what_a_message_says_is_no_envelope() {
    let inner = "Nov 26 20:31:31 vpn pppd[99]: Peer admin authenticated with CHAP";
    let outer = format!("Nov 27 10:00:00 vpn pppd[7]: Peer {inner} failed CHAP authentication");
    let line = parse(&outer);
    assert_eq!((line.pid, line.text.starts_with("Peer Nov 26")), (Some(7), true));
}
