//! Checks of the host itself: listener, connection tracking, modules, sysctls, clock.

use super::facts::{Facts, Module, Unseen};
use super::ppp_options::Effective;
use super::report::{Check, Status};

/// Who listens on port 1723.
pub(super) fn listener(facts: &Facts) -> Check {
    let why =
        "Clients begin with a TCP connection to port 1723. Without a listener they are refused at once.";
    let mut check = Check::new("listener", why);
    let listeners = match &facts.listeners {
        Ok(listeners) => listeners,
        Err(Unseen::OtherRoot) => return check.skipped(Unseen::OtherRoot.to_string()),
        Err(unseen) => return check.unknown(unseen.to_string()),
    };
    for listener in listeners {
        let address = listener.address.map_or("[::]".to_owned(), |address| address.to_string());
        match &listener.owner {
            Some((name, pid)) => {
                check.saw(format!("{name} (pid {pid}) listens on {address}:1723"));
                if !["pptpd", "accel-pppd", "systemd", "inetd", "xinetd"].contains(&name.as_str()) {
                    let what = format!("{name} is no daemon for PPTP that is known here");
                    check.warn(what, "see which service it belongs to: systemctl status PID");
                }
            }
            None => check.saw(format!("a process that this user may not see listens on {address}:1723")),
        }
    }
    if listeners.is_empty() {
        let fix = match (facts.has_pptpd(), facts.has_accel()) {
            (_, true) => "systemctl start accel-ppp",
            (true, _) => "systemctl start pptpd; journalctl -u pptpd says why it ended",
            _ => "install and start pptpd or accel-ppp",
        };
        check.saw("nothing listens on port 1723");
        check.fail("no process accepts PPTP connections", fix);
        return check;
    }
    let loopback = |address: std::net::Ipv4Addr| address.is_loopback();
    if listeners.iter().all(|listener| listener.address.is_some_and(loopback)) {
        check.fail(
            "it listens on the loopback address only",
            "listen ADDRESS in pptpd.conf, or bind= in accel-ppp.conf",
        );
    }
    check
}

/// Fill of the table, and the helper.
pub(super) fn conntrack(facts: &Facts) -> Check {
    let why = "A full table drops the first packet of every new connection. The PPTP helper lets GRE through a \
               firewall that accepts only known connections, and through NAT.";
    let mut check = Check::new("conntrack", why);
    let conntrack = match &facts.conntrack {
        Ok(conntrack) => conntrack,
        Err(Unseen::OtherRoot) => return check.skipped(Unseen::OtherRoot.to_string()),
        Err(Unseen::Absent(_)) => return check.skipped("connection tracking is not in use"),
        Err(unseen) => return check.unknown(unseen.to_string()),
    };
    check.saw(format!("{} of {} entries", conntrack.count, conntrack.max));
    let fix = format!("sysctl -w net.netfilter.nf_conntrack_max={}", conntrack.max.saturating_mul(2));
    if conntrack.max > 0 && conntrack.count >= conntrack.max {
        check.fail("the table is full: new connections are dropped", fix);
    } else if conntrack.max > 0 && conntrack.count.saturating_mul(10) >= conntrack.max.saturating_mul(8) {
        check.warn("more than 80 % of the table are in use", fix);
    }
    let helper = facts.modules.as_ref().ok().and_then(|modules| modules.states.get("nf_conntrack_pptp"));
    match helper {
        Some(Module::Loaded | Module::BuiltIn) => check.saw("nf_conntrack_pptp is loaded"),
        Some(_) => check.saw("nf_conntrack_pptp is not loaded (needed only for NAT of other hosts' calls, or for rules that accept related packets)"),
        None => {}
    }
    match conntrack.automatic_helpers {
        Some(true) => check.saw("helpers are assigned by port"),
        Some(false) | None => check.saw("helpers are assigned by rules only (ct helper set \"pptp\")"),
    }
    check
}

/// What a call needs of the kernel.
pub(super) fn modules(facts: &Facts) -> Check {
    let why = "pppd needs the kernel's PPP, its line discipline and MPPE; without them it ends with \"This system \
               lacks kernel support for PPP\" or refuses encryption.";
    let mut check = Check::new("modules", why);
    let modules = match &facts.modules {
        Ok(modules) => modules,
        Err(unseen) => {
            return check.unknown(format!("the modules of the kernel could not be seen: {unseen}"));
        }
    };
    let options = Effective::of(&facts.ppp_options);
    let in_kernel = facts.has_accel();
    let mut needed: Vec<(&'static str, &str, Status)> = vec![("ppp_generic", "every call", Status::Fail)];
    if facts.has_pptpd() || !in_kernel {
        needed.push(if options.get("sync").is_some() {
            ("ppp_synctty", "pppd's option sync", Status::Fail)
        } else {
            ("ppp_async", "calls of pptpd", Status::Fail)
        });
    }
    if in_kernel {
        needed.push(("pptp", "calls of accel-ppp", Status::Fail));
        needed.push(("gre", "pptp", Status::Fail));
        needed.push(("pppox", "pptp", Status::Fail));
    }
    let mppe =
        facts.ppp_options.iter().any(|option| option.name.contains("mppe") && !option.name.starts_with("no"))
            || facts.accel.as_ref().is_ok_and(|conf| {
                ["ppp", "pptp"]
                    .iter()
                    .any(|section| conf.get(section, "mppe").is_some_and(|(value, _)| value == "require"))
            });
    let severity = if mppe { Status::Fail } else { Status::Warn };
    needed.push(("ppp_mppe", "encryption", severity));
    let mut words = Vec::new();
    for (name, purpose, severity) in needed {
        let state = modules.states.get(name).copied().unwrap_or(Module::Missing);
        words.push(format!(
            "{name} {}",
            match state {
                Module::Loaded => "loaded",
                Module::BuiltIn => "built in",
                Module::Loadable => "can be loaded",
                Module::Missing => "missing",
            }
        ));
        let blocked = modules.blocked.iter().find(|(module, ..)| module == name);
        match (state, blocked) {
            (Module::Missing, _) => {
                let fix = format!(
                    "install the package with all modules of {} (Debian: linux-image-…, not -cloud; Ubuntu: linux-modules-extra-{})",
                    modules.release, modules.release
                );
                check.add_module(
                    severity,
                    format!("{name}: kernel {} has no such module, {purpose} needs it", modules.release),
                    None,
                    fix,
                );
            }
            (Module::Loadable, Some((_, place, line))) => {
                check.add_module(
                    severity,
                    format!("{name} is kept from loading: {line}"),
                    Some(place.clone()),
                    format!("delete the line, or: modprobe {name}"),
                );
            }
            (Module::Loadable, None) if modules.loading_disabled => {
                check.add_module(severity, format!("{name} is not loaded, and kernel.modules_disabled forbids to load it until the next boot"), None, format!("add {name} to /etc/modules-load.d and reboot"));
            }
            (Module::Loaded | Module::BuiltIn | Module::Loadable, _) => {}
        }
        if name == "ppp_mppe" && modules.fips && state != Module::Loaded {
            check.add_module(
                severity,
                "the kernel is in FIPS mode, in which ppp_mppe refuses to load (RC4)".to_owned(),
                None,
                "boot without fips=1, or use another VPN".to_owned(),
            );
        }
    }
    check.saw(format!("kernel {}: {}", modules.release, words.join(", ")));
    device(facts, &mut check);
    check
}

/// /dev/ppp: character device 108, 0 (Documentation/admin-guide/devices.txt).
fn device(facts: &Facts, check: &mut Check) {
    match &facts.dev_ppp {
        Ok(Some((108, 0))) => check.saw("/dev/ppp is there"),
        Ok(_) => check.fail(
            "/dev/ppp is not the character device 108, 0",
            "rm /dev/ppp; mknod -m 600 /dev/ppp c 108 0",
        ),
        Err(Unseen::Absent(_)) => {
            let generic = facts.modules.as_ref().ok().and_then(|modules| modules.states.get("ppp_generic"));
            match generic {
                // udev makes it as a static node, and the module makes it when it is loaded.
                Some(Module::Loadable) if facts.root.is_none() => check
                    .warn("/dev/ppp is not there while ppp_generic is not loaded", "modprobe ppp_generic"),
                _ if facts.root.is_some() => {}
                _ => check.fail(
                    "/dev/ppp does not exist (in a container it must be passed in: --device /dev/ppp)",
                    "mknod -m 600 /dev/ppp c 108 0",
                ),
            }
        }
        Err(unseen) => check.saw(format!("/dev/ppp: {unseen}")),
    }
}

/// Forwarding.
pub(super) fn forwarding(facts: &Facts) -> Check {
    let why = "Without forwarding clients reach this host and nothing behind it.";
    let mut check = Check::new("sysctl.forward", why);
    let Some(value) = facts.sysctls.get("net.ipv4.ip_forward") else {
        return unread(facts, check, "/proc/sys/net/ipv4/ip_forward could not be read");
    };
    check.saw(format!("net.ipv4.ip_forward = {value}"));
    if value == "0" {
        check.warn(
            "forwarding is off",
            "sysctl -w net.ipv4.ip_forward=1; echo net.ipv4.ip_forward=1 > /etc/sysctl.d/60-pptp.conf",
        );
    }
    check
}

/// A value of a running host is not there.
fn unread(facts: &Facts, check: Check, why: &str) -> Check {
    if facts.root.is_some() { check.skipped(Unseen::OtherRoot.to_string()) } else { check.unknown(why) }
}

/// Reverse path filter, in strict mode.
pub(super) fn reverse_path(facts: &Facts) -> Check {
    let why = "In strict mode the kernel drops packets that come in where it would not send the answer: with \
               several uplinks or policy routing that is GRE of some clients.";
    let mut check = Check::new("sysctl.rp_filter", why);
    let values: Vec<(&str, &str)> = facts
        .sysctls
        .iter()
        .filter_map(|(name, value)| {
            Some((name.strip_prefix("net.ipv4.conf.")?.strip_suffix(".rp_filter")?, value.as_str()))
        })
        .collect();
    let of = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    let Some(all) = of("all") else {
        return unread(facts, check, "/proc/sys/net/ipv4/conf could not be read");
    };
    // The larger of both counts (Documentation/networking/ip-sysctl.rst).
    let uplinks = facts.uplinks();
    let strict: Vec<&str> = uplinks
        .iter()
        .map(|device| device.name.as_str())
        .filter(|name| [Some(all), of(name)].into_iter().flatten().max() == Some("1"))
        .collect();
    check.saw(format!(
        "all {all}, strict on: {}",
        if strict.is_empty() { "no uplink".to_owned() } else { strict.join(", ") }
    ));
    if !strict.is_empty() && uplinks.len() > 1 {
        check.warn(
            format!("strict on {} of {} uplinks", strict.len(), uplinks.len()),
            "sysctl -w net.ipv4.conf.all.rp_filter=2 (loose), if answers take another way",
        );
    }
    check
}

/// Receive buffers: each call of pptpd has a raw socket of the default size.
pub(super) fn buffers(facts: &Facts) -> Check {
    let why = "pptpd reads GRE from a raw socket with the default receive buffer. While it waits for the CPU, what \
               does not fit is lost; from Linux 6.12 on the kernel then even tells the client that GRE is not spoken here.";
    let mut check = Check::new("sysctl.rmem", why);
    let number = |name: &str| facts.sysctls.get(name)?.parse::<u64>().ok();
    let (Some(default), Some(max)) = (number("net.core.rmem_default"), number("net.core.rmem_max")) else {
        if facts.root.is_some() {
            return check.skipped(Unseen::OtherRoot.to_string());
        }
        return check.skipped(
            "net.core.rmem_* is not visible here (network namespaces other than the first lack it)",
        );
    };
    check.saw(format!("net.core.rmem_default = {default}, net.core.rmem_max = {max}"));
    if default < 212_992 {
        check.warn(
            "the default receive buffer is smaller than the kernel's own default",
            "sysctl -w net.core.rmem_default=212992",
        );
    }
    if max < default {
        check.warn("rmem_max is smaller than rmem_default", format!("sysctl -w net.core.rmem_max={default}"));
    }
    check
}

/// Whether the clock is kept.
pub(super) fn clock(facts: &Facts) -> Check {
    let why = "Logs, RADIUS and captures are joined by time; certificates and accounting depend on it too.";
    let mut check = Check::new("clock", why);
    match &facts.clock {
        Err(Unseen::OtherRoot) => check.skipped(Unseen::OtherRoot.to_string()),
        Err(unseen) => check.unknown(unseen.to_string()),
        Ok(clock) => {
            if clock.synchronised {
                check.saw(format!("synchronised, error below {} ms", clock.max_error_us / 1000 + 1));
            } else {
                check.saw("the kernel's clock is not synchronised (STA_UNSYNC)");
                check.warn("nothing keeps the clock", "systemctl enable --now systemd-timesyncd (or chrony)");
            }
            check
        }
    }
}

/// What `pptpscope run` needs of this kernel.
pub(super) fn probes(facts: &Facts) -> Check {
    let why = "pptpscope run looks into the kernel with these; what is missing is not seen, and calls are not \
               touched by it.";
    let mut check = Check::new("probes", why);
    let probes = match &facts.probes {
        Err(Unseen::OtherRoot) => return check.skipped(Unseen::OtherRoot.to_string()),
        Err(unseen) => return check.unknown(unseen.to_string()),
        Ok(probes) => probes,
    };
    let version = release(&probes.release);
    check.saw(format!("kernel {}", probes.release));
    match version {
        Some(version) if version < (5, 10) => check.fail("older than 5.10", "a newer kernel"),
        Some(version) => check.saw(format!(
            "ring buffer, XDP, {}",
            if version >= (6, 6) { "TCX" } else { "clsact (TCX from 6.6)" }
        )),
        None => {}
    }
    if probes.btf {
        check.saw("BTF");
    } else {
        check.warn("no /sys/kernel/btf/vmlinux: the places of fields are not known, so losses inside this host are not seen", "a kernel with CONFIG_DEBUG_INFO_BTF");
    }
    if probes.kprobes {
        check.saw("kprobes");
    } else {
        check.warn(
            "no kernel probes (CONFIG_KPROBE_EVENTS): losses in GRE and PPP are not named",
            "a kernel with CONFIG_KPROBE_EVENTS",
        );
    }
    match &probes.functions {
        Some(functions) => {
            let missing: Vec<_> =
                functions.iter().filter(|(_, there)| !**there).map(|(name, _)| *name).collect();
            check.saw(format!(
                "{} of {} functions to look into",
                functions.len() - missing.len(),
                functions.len()
            ));
            if !missing.is_empty() {
                let all_loaded = facts.modules.as_ref().is_ok_and(|modules| {
                    ["gre", "pptp", "ppp_generic", "ppp_mppe"].iter().all(|name| {
                        matches!(modules.states.get(name), Some(Module::Loaded | Module::BuiltIn))
                    })
                });
                let words = format!("not there now: {}", missing.join(", "));
                if all_loaded {
                    check.warn(words, "their probes stay off; agent.status says which");
                } else {
                    check.saw(format!("{words} (their modules are not loaded; probes follow when they are)"));
                }
            }
        }
        None => check.saw("/proc/kallsyms could not be read"),
    }
    if let Some(lockdown) = &probes.lockdown {
        check.warn(
            format!("lockdown is {lockdown}: the kernel forbids programs to read it"),
            "boot without lockdown=confidentiality",
        );
    }
    match &probes.privilege {
        Some(missing) => check.unknown(format!("whether programs load was not tried: {missing}")),
        None => check,
    }
}

fn release(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

impl Check {
    fn add_module(&mut self, status: Status, what: String, place: Option<String>, fix: String) {
        self.problem(super::report::Problem { status, what, place, fix: Some(fix) });
    }
}
