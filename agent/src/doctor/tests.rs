//! Whole hosts, as trees of files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::facts::{Conntrack, Facts, Listener};
use super::*;
use crate::kernel::{Address, Device, LinkLayer};

/// A folder that is gone with the value.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root = std::env::temp_dir().join(format!("pptpscope-doctor-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
        Self(root)
    }

    fn facts(&self) -> Facts {
        gather::facts(&gather::Options { root: Some(self.0.clone()), client: None }).unwrap()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const CONF: (&str, &str) = (
    "etc/pptpd.conf",
    "option /etc/ppp/pptpd-options\nlocalip 10.10.0.1\nremoteip 10.10.0.100-109\nconnections 10\n",
);
const OPTIONS: (&str, &str) = (
    "etc/ppp/pptpd-options",
    "name vpn\nrequire-mschap-v2\nrequire-mppe-128\nmtu 1400\nmru 1400\nplugin pptpd-logwtmp.so\n",
);
const SECRETS: (&str, &str) = ("etc/ppp/chap-secrets", "alice vpn wonderland *\n");
const PPPD: (&str, &str) = (
    "usr/sbin/pppd",
    "\u{7f}ELF\0/usr/lib/pppd/2.4.9\0name\0require-mschap-v2\0require-mppe-128\0mtu\0mru\0plugin\0",
);
const PLUGIN: (&str, &str) = ("usr/lib/pppd/2.4.9/pptpd-logwtmp.so", "\u{7f}ELF\0x\x002.4.9\0");
const DEP: (&str, &str) = (
    "lib/modules/6.1.0-9-amd64/modules.dep",
    "kernel/drivers/net/ppp/ppp_async.ko.xz: x\nkernel/drivers/net/ppp/ppp_mppe.ko:\nkernel/drivers/net/ppp/ppp_generic.ko:\n",
);
const BUILTIN: (&str, &str) = ("lib/modules/6.1.0-9-amd64/modules.builtin", "kernel/lib/x.ko\n");

fn healthy(name: &str) -> Tree {
    Tree::new(name, &[CONF, OPTIONS, SECRETS, PPPD, PLUGIN, DEP, BUILTIN])
}

fn status(facts: &Facts, id: &str) -> Status {
    examine(facts).checks.iter().find(|check| check.id == id).unwrap().status
}

/// The same tree with one file different.
fn broken(name: &str, path: &'static str, text: &str, id: &str) -> (Status, String) {
    let mut files = vec![CONF, OPTIONS, SECRETS, PPPD, PLUGIN, DEP, BUILTIN];
    files.retain(|(known, _)| *known != path);
    files.push((path, text));
    let tree = Tree::new(name, &files);
    let report = examine(&tree.facts());
    let check = report.checks.iter().find(|check| check.id == id).unwrap();
    (check.status, check.problems.iter().map(|problem| format!("{problem:?}\n")).collect())
}

#[test]
fn a_healthy_tree_fails_nothing() {
    let tree = healthy("healthy");
    let report = examine(&tree.facts());
    for check in &report.checks {
        // Tests are not run as root everywhere: whose file it is may be a warning.
        assert!(check.status < Status::Fail, "{check:?}");
    }
    for id in ["pptpd.conf", "ppp.options", "ppp.plugins", "ppp.auth", "ppp.mtu", "pool"] {
        assert_eq!(status(&tree.facts(), id), Status::Ok, "{id}");
    }
    assert_eq!(status(&tree.facts(), "listener"), Status::Skipped);
    let mut ids: Vec<_> = report.checks.iter().map(|check| check.id).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an id is used twice");
    assert!(!serde_json::to_string(&report).unwrap().contains("wonderland"));
}

#[test]
fn each_fault_turns_its_check() {
    let cases: &[(&str, &'static str, &str, &str, &str)] = &[
        ("option", OPTIONS.0, "require-mppe-126\n", "ppp.options", "write require-mppe-128"),
        (
            "lost",
            CONF.0,
            "option /etc/ppp/lost\nlocalip 10.10.0.1\nremoteip 10.10.0.2-9\n",
            "ppp.options",
            "does not exist",
        ),
        ("noauth", OPTIONS.0, "noauth\nrequire-mppe-128\n", "ppp.auth", "no key"),
        ("pap", OPTIONS.0, "require-pap\nrequire-mppe-128\n", "ppp.auth", "gives no key"),
        ("abi", PLUGIN.0, "\0x\x002.4.5\0", "ppp.plugins", "is for pppd 2.4.5, this is 2.4.9"),
        ("twice", SECRETS.0, "alice vpn a *\nalice vpn b *\n", "secrets", "/etc/ppp/chap-secrets:2"),
        ("name", SECRETS.0, "alice server a *\n", "secrets", "calls itself vpn"),
        (
            "range",
            CONF.0,
            "option /o\nlocalip 10.10.0.1\nremoteip 10.10.0.9-5\n",
            "pptpd.conf",
            "does not start",
        ),
        ("own", CONF.0, "option /o\nlocalip 10.10.0.1\nremoteip 10.10.0.1-9\n", "pool", "own end"),
        (
            "module",
            DEP.0,
            "kernel/drivers/net/ppp/ppp_async.ko:\nkernel/drivers/net/ppp/ppp_generic.ko:\n",
            "modules",
            "ppp_mppe",
        ),
        (
            "black",
            "etc/modprobe.d/x.conf",
            "install ppp-mppe /bin/false\n",
            "modules",
            "/etc/modprobe.d/x.conf:1",
        ),
    ];
    for (name, path, text, id, words) in cases {
        let (status, problems) = broken(name, path, text, id);
        assert_eq!(status, Status::Fail, "{name}: {problems}");
        assert!(problems.contains(words), "{name}: {problems}");
    }
    let (status, problems) = broken("mtu", OPTIONS.0, "require-mschap-v2\nmtu 1500\nmru 1400\n", "ppp.mtu");
    assert_eq!(status, Status::Warn, "{problems}");
}

#[test]
fn links_of_another_root_do_not_lead_out_of_it() {
    let tree = healthy("links");
    let link = tree.0.join("etc/ppp/chap-secrets");
    fs::remove_file(&link).unwrap();
    // Absolute: it means the file below the root, which is not there.
    std::os::unix::fs::symlink("/etc/passwd", &link).unwrap();
    assert!(matches!(tree.facts().secrets, Err(facts::Unseen::Absent(_))));
    assert!(gather::facts(&gather::Options { root: Some("/does/not/exist".into()), client: None }).is_err());
}

#[test]
fn world_readable_secrets_fail() {
    let tree = healthy("mode");
    fs::set_permissions(tree.0.join(SECRETS.0), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(status(&tree.facts(), "secrets"), Status::Fail);
}

fn device(name: &str, layer: LinkLayer, addresses: &[(&str, u8, Option<&str>)]) -> Device {
    let address = |(local, prefix, peer): &(&str, u8, Option<&str>)| Address {
        local: local.parse().unwrap(),
        prefix: *prefix,
        peer: peer.map(|peer| peer.parse().unwrap()),
    };
    Device {
        index: 1,
        name: name.to_owned(),
        layer,
        lower: None,
        master: None,
        is_vrf: false,
        is_veth: false,
        up: true,
        mtu: 1500,
        addresses: addresses.iter().map(address).collect(),
    }
}

/// The tree, and what a running host adds to it.
fn running(tree: &Tree) -> Facts {
    let mut facts = tree.facts();
    facts.root = None;
    facts.devices = Ok(vec![device("eth0", LinkLayer::Ethernet, &[("203.0.113.2", 24, None)])]);
    facts.local = ["203.0.113.2".parse().unwrap()].into();
    facts.listeners =
        Ok(vec![Listener { address: "203.0.113.2".parse().ok(), owner: Some(("pptpd".to_owned(), 7)) }]);
    facts.firewall.tables = Ok(Vec::new());
    facts.conntrack = Ok(Conntrack { count: 10, max: 100, automatic_helpers: None });
    facts.sysctls.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
    facts
}

#[test]
fn a_running_host() {
    let tree = healthy("running");
    let facts = running(&tree);
    for id in [
        "listener",
        "firewall.gre_in",
        "firewall.gre_out",
        "firewall.control_in",
        "firewall.forward",
        "conntrack",
        "pool",
    ] {
        assert_eq!(status(&facts, id), Status::Ok, "{id}");
    }
    assert_eq!(status(&facts, "firewall.mss_clamp"), Status::Warn);

    let mut facts = running(&tree);
    facts.listeners = Ok(Vec::new());
    assert_eq!(status(&facts, "listener"), Status::Fail);

    let mut facts = running(&tree);
    facts.conntrack = Ok(Conntrack { count: 100, max: 100, automatic_helpers: None });
    assert_eq!(status(&facts, "conntrack"), Status::Fail);
}

#[test]
fn the_pool_against_this_host() {
    let tree = healthy("overlap");
    let mut facts = running(&tree);
    let lan = |address| device("eth1", LinkLayer::Ethernet, &[(address, 24, None)]);
    facts.devices.as_mut().unwrap().push(lan("10.10.0.1"));
    assert_eq!(status(&facts, "pool"), Status::Warn);
    facts.devices.as_mut().unwrap().push(lan("10.10.0.105"));
    assert_eq!(status(&facts, "pool"), Status::Fail);

    let mut facts = running(&tree);
    for last in 100..110 {
        let peer = format!("10.10.0.{last}");
        facts.devices.as_mut().unwrap().push(device(
            "ppp0",
            LinkLayer::Ppp,
            &[("10.10.0.1", 32, Some(&peer))],
        ));
    }
    assert_eq!(status(&facts, "pool"), Status::Fail, "it is full");
}

#[test]
fn gre_that_only_the_helper_lets_in() {
    let tree = healthy("helper");
    let mut facts = running(&tree);
    let rules = "*filter\n:INPUT DROP [0:0]\n-A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 1723 -j ACCEPT\nCOMMIT\n";
    let parse = |text: &str| firewall::parse_iptables(text, firewall::Backend::IptablesLegacy);
    facts.firewall.tables = Ok(parse(rules));
    assert_eq!(status(&facts, "firewall.control_in"), Status::Ok);
    assert_eq!(status(&facts, "firewall.gre_in"), Status::Fail);
    let helper = "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 1723 -j CT --helper pptp\nCOMMIT\n";
    facts.firewall.tables = Ok(parse(&format!("{helper}{rules}")));
    assert_eq!(status(&facts, "firewall.gre_in"), Status::Fail, "the helper's module is missing");
    facts.modules.as_mut().unwrap().states.insert("nf_conntrack_pptp", facts::Module::Loaded);
    assert_eq!(status(&facts, "firewall.gre_in"), Status::Ok);
}

#[test]
fn text_says_everything_once() {
    let tree = healthy("text");
    let report = examine(&running(&tree));
    let mut plain = Vec::new();
    write_text(&report, false, &mut plain).unwrap();
    let plain = String::from_utf8(plain).unwrap();
    assert!(!plain.contains('\x1b') && plain.contains("firewall.gre_in") && plain.contains("fix: "));
    let mut coloured = Vec::new();
    write_text(&report, true, &mut coloured).unwrap();
    assert!(String::from_utf8(coloured).unwrap().contains("\x1b[32mok"));
}
