//! The options of pppd, version by version: 2.4.5 to 2.5.3, read from its option tables.

use std::fmt;

/// Version of pppd.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// From "2.4.9", also with something behind it, such as "2.4.9-1+1.1".
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let mut numbers = text.get(..end)?.split('.').map(str::parse::<u32>);
        let mut next = || numbers.next()?.ok();
        Some(Self(next()?, next()?, next().unwrap_or(0)))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// The oldest version that the table knows, and the newest.
const OLDEST: Version = Version(2, 4, 5);
pub(super) const NEWEST: Version = Version(2, 5, 3);

const V247: Version = Version(2, 4, 7);
const V248: Version = Version(2, 4, 8);
const V249: Version = Version(2, 4, 9);
const V250: Version = Version(2, 5, 0);
const V251: Version = Version(2, 5, 1);
const V253: Version = Version(2, 5, 3);
/// IPX went with 2.5.0.
const LAST_IPX: Version = V249;

/// An option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) name: &'static str,
    /// Whether a word follows that belongs to it.
    pub(super) takes_value: bool,
    pub(super) since: Version,
    /// The last version that had it; None when the newest has it.
    pub(super) until: Option<Version>,
}

const fn dated(name: &'static str, takes_value: bool, since: Version, until: Option<Version>) -> Known {
    Known { name, takes_value, since, until }
}

/// In every version, without a value.
const FLAGS: &[&str] = &[
    "+chap",
    "+ipv6",
    "+mppe",
    "+mppe-128",
    "+mppe-40",
    "+mschap",
    "+mschap-v2",
    "+pap",
    "--help",
    "--version",
    "-ac",
    "-all",
    "-am",
    "-bsdcomp",
    "-ccp",
    "-chap",
    "-crtscts",
    "-d",
    "-defaultroute",
    "-deflate",
    "-detach",
    "-ecp",
    "-h",
    "-ip",
    "-ipv6",
    "-mn",
    "-mppe",
    "-mppe-128",
    "-mppe-40",
    "-mru",
    "-mschap",
    "-mschap-v2",
    "-p",
    "-pap",
    "-pc",
    "-predictor1",
    "-proxyarp",
    "-vj",
    "-vjccomp",
    "auth",
    "cdtrcts",
    "crtscts",
    "debug",
    "default-asyncmap",
    "default-mru",
    "defaultroute",
    "demand",
    "dryrun",
    "dump",
    "enable-session",
    "hide-password",
    "ipcp-accept-local",
    "ipcp-accept-remote",
    "ipcp-no-address",
    "ipcp-no-addresses",
    "ipv6cp-accept-local",
    "ipv6cp-use-ipaddr",
    "ipv6cp-use-persistent",
    "ktune",
    "local",
    "lock",
    "login",
    "modem",
    "mp",
    "mppe-stateful",
    "mpshortseq",
    "ms-lanman",
    "multilink",
    "noaccomp",
    "noauth",
    "nobsdcomp",
    "noccp",
    "nocdtrcts",
    "nocrtscts",
    "nodefaultroute",
    "nodeflate",
    "nodeflatedraft",
    "nodetach",
    "noecp",
    "noendpoint",
    "noip",
    "noipdefault",
    "noipv6",
    "noipx",
    "noktune",
    "nolock",
    "nolog",
    "nologfd",
    "nomagic",
    "nomp",
    "nomppe",
    "nomppe-128",
    "nomppe-40",
    "nomppe-stateful",
    "nompshortseq",
    "nomultilink",
    "nopcomp",
    "nopersist",
    "nopredictor1",
    "noproxyarp",
    "noremoteip",
    "nosendip",
    "notty",
    "novj",
    "novjccomp",
    "papcrypt",
    "passive",
    "persist",
    "predictor1",
    "proxyarp",
    "receive-all",
    "refuse-chap",
    "refuse-eap",
    "refuse-mschap",
    "refuse-mschap-v2",
    "refuse-pap",
    "require-chap",
    "require-eap",
    "require-mppe",
    "require-mppe-128",
    "require-mppe-40",
    "require-mschap",
    "require-mschap-v2",
    "require-pap",
    "show-password",
    "silent",
    "srp-use-pseudonym",
    "sync",
    "updetach",
    "usehostname",
    "usepeerdns",
    "xonxoff",
];

/// In every version, with a value.
const VALUES: &[&str] = &[
    "+ua",
    "-as",
    "active-filter",
    "allow-ip",
    "allow-number",
    "asyncmap",
    "bsdcomp",
    "bundle",
    "call",
    "callback",
    "chap-interval",
    "chap-max-challenge",
    "chap-restart",
    "child-timeout",
    "connect",
    "connect-delay",
    "datarate",
    "deflate",
    "disconnect",
    "domain",
    "eap-interval",
    "eap-max-rreq",
    "eap-max-sreq",
    "eap-restart",
    "eap-timeout",
    "endpoint",
    "escape",
    "file",
    "holdoff",
    "idle",
    "init",
    "ipcp-max-configure",
    "ipcp-max-failure",
    "ipcp-max-terminate",
    "ipcp-restart",
    "ipparam",
    "ipv6",
    "ipv6cp-max-configure",
    "ipv6cp-max-failure",
    "ipv6cp-max-terminate",
    "ipv6cp-restart",
    "kdebug",
    "lcp-echo-failure",
    "lcp-echo-interval",
    "lcp-max-configure",
    "lcp-max-failure",
    "lcp-max-terminate",
    "lcp-restart",
    "linkname",
    "logfd",
    "logfile",
    "maxconnect",
    "maxfail",
    "maxoctets",
    "mo",
    "mo-direction",
    "mo-timeout",
    "mrru",
    "mru",
    "ms-dns",
    "ms-wins",
    "mschap-challenge",
    "mschap2-peer-challenge",
    "mtu",
    "name",
    "netmask",
    "pap-max-authreq",
    "pap-restart",
    "pap-timeout",
    "pass-filter",
    "password",
    "plugin",
    "privgroup",
    "pty",
    "record",
    "remotename",
    "remotenumber",
    "socket",
    "srp-interval",
    "srp-pn-secret",
    "unit",
    "user",
    "vj-max-slots",
    "welcome",
];

/// Not in every version.
#[rustfmt::skip]
const DATED: &[Known] = &[
    dated("+ipx", false, OLDEST, Some(LAST_IPX)),
    dated("-defaultroute6", false, V248, None),
    dated("-ipx", false, OLDEST, Some(LAST_IPX)),
    dated("-v", false, V250, None),
    dated("auth-down-script", true, V253, None),
    dated("auth-up-script", true, V253, None),
    dated("ca", true, V249, None),
    dated("capath", true, V249, None),
    dated("cert", true, V249, None),
    dated("chap-secrets", true, V251, None),
    dated("chap-timeout", true, V249, None),
    dated("chapms-strip-domain", false, V249, None),
    dated("crl", true, V249, None),
    dated("crl-dir", true, V249, None),
    dated("defaultroute-metric", true, V248, None),
    dated("defaultroute6", false, V248, None),
    dated("defaultroute6-metric", true, V253, None),
    dated("ifname", true, V248, None),
    dated("ip-down-script", true, V249, None),
    dated("ip-pre-up-script", true, V251, None),
    dated("ip-up-script", true, V249, None),
    dated("ipv6-down-script", true, V250, None),
    dated("ipv6-up-script", true, V250, None),
    dated("ipv6cp-accept-remote", false, V249, None),
    dated("ipv6cp-noremote", false, V250, None),
    dated("ipv6cp-nosend", false, V250, None),
    dated("ipv6cp-use-remotenumber", false, V250, None),
    dated("ipx", false, OLDEST, Some(LAST_IPX)),
    dated("ipx-network", true, OLDEST, Some(LAST_IPX)),
    dated("ipx-node", true, OLDEST, Some(LAST_IPX)),
    dated("ipx-router-name", true, OLDEST, Some(LAST_IPX)),
    dated("ipx-routing", true, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-accept-local", false, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-accept-network", false, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-accept-remote", false, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-max-configure", true, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-max-failure", true, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-max-terminate", true, OLDEST, Some(LAST_IPX)),
    dated("ipxcp-restart", true, OLDEST, Some(LAST_IPX)),
    dated("key", true, V249, None),
    dated("lcp-echo-adaptive", false, V249, None),
    dated("lcp-rtt-file", true, V251, None),
    dated("master_detach", false, V247, None),
    dated("max-tls-version", true, V249, None),
    dated("need-peer-eap", false, V249, None),
    dated("net-down-script", true, V251, None),
    dated("net-init-script", true, V251, None),
    dated("net-pre-up-script", true, V251, None),
    dated("nodefaultroute6", false, V248, None),
    dated("noreplacedefaultroute", false, V249, None),
    dated("noresolvconf", false, V251, None),
    dated("pap-secrets", true, V251, None),
    dated("pkcs12", true, V250, None),
    dated("replacedefaultroute", false, V249, None),
    dated("set", true, V247, None),
    dated("show-options", false, V250, None),
    dated("stop-bits", true, V247, None),
    dated("tls-verify-key-usage", false, V250, None),
    dated("tls-verify-method", true, V250, None),
    dated("unset", true, V247, None),
    dated("up_sdnotify", false, V248, None),
    dated("usepeerwins", false, V250, None),
    dated("vrf", true, V253, None),
];

/// Options of the plugins that come with pppd, and of pptpd's and pptp-linux'; those without a value.
const PLUGIN_FLAGS: &[&str] = &[
    "dhcpv6-trusted",
    "dhcpv6-untrusted",
    "llc-encaps",
    "map-to-ifname",
    "map-to-ttyname",
    "pppol2tp_lns_mode",
    "pppol2tp_recv_seq",
    "pppol2tp_send_seq",
    "pptpd-logwtmp-strip-domain",
    "vc-encaps",
];

/// The same, with a value.
const PLUGIN_VALUES: &[&str] = &[
    "avpair",
    "dhcpv6-metric",
    "dhcpv6-ra-intvl",
    "dhcpv6-server",
    "host-uniq",
    "minconnect",
    "ntlm_auth-helper",
    "passwordfd",
    "pppoe-ac",
    "pppoe-host-uniq",
    "pppoe-mac",
    "pppoe-padi-attempts",
    "pppoe-padi-timeout",
    "pppoe-service",
    "pppoe-sess",
    "pppoe-verbose",
    "pppol2tp",
    "pppol2tp_debug_mask",
    "pppol2tp_ifname",
    "pppol2tp_reorderto",
    "pppol2tp_session_id",
    "pppol2tp_tunnel_id",
    "pptp_client",
    "pptp_phone",
    "pptp_server",
    "pptp_window",
    "pptpd-original-ip",
    "promptprog",
    "qos",
    "radius-config-file",
    "realms-config-file",
    "rp_pppoe_ac",
    "rp_pppoe_service",
    "rp_pppoe_sess",
    "rp_pppoe_verbose",
];

/// Every option of every version.
pub(super) fn all() -> impl Iterator<Item = Known> {
    let plain = |names: &'static [&'static str], takes_value| {
        names.iter().map(move |name| dated(name, takes_value, OLDEST, None))
    };
    plain(FLAGS, false).chain(plain(VALUES, true)).chain(DATED.iter().copied())
}

/// An option by its name.
pub(super) fn find(name: &str) -> Option<Known> {
    all().find(|known| known.name == name)
}

/// Whether an option of a plugin takes a value; None when no plugin is known to have it.
pub(super) fn plugin_option(name: &str) -> Option<bool> {
    if PLUGIN_FLAGS.contains(&name) {
        return Some(false);
    }
    PLUGIN_VALUES.contains(&name).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_there_once() {
        let mut names: Vec<_> = all().map(|known| known.name).collect();
        names.extend(PLUGIN_FLAGS);
        names.extend(PLUGIN_VALUES);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(count > 300);
    }

    #[test]
    fn versions_compare_as_numbers() {
        let parse = |text| Version::parse(text).unwrap();
        assert!(parse("2.4.9") < parse("2.4.10"));
        assert_eq!(parse("2.4.9-1+1.1+b1"), Version(2, 4, 9));
        assert_eq!(parse("2.5"), Version(2, 5, 0));
        assert_eq!(Version::parse("v2"), None);
    }

    #[test]
    fn knows_when_an_option_came_and_went() {
        assert_eq!(find("ipx").unwrap().until, Some(Version(2, 4, 9)));
        assert_eq!(find("noipx").unwrap().until, None, "2.5 still takes it, and does nothing");
        assert_eq!(find("chap-secrets").unwrap().since, Version(2, 5, 1));
        assert!(find("lcp-restart").unwrap().takes_value);
        assert!(!find("require-mppe-128").unwrap().takes_value);
        assert_eq!(find("mppe"), None);
    }
}
