//! Modules, sysctls, clock, and what our probes need.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::root::Root;
use crate::doctor::facts::{Clock, Conntrack, Module, Modules, Probes, Seen, Unseen};
use crate::kernel::{check_privileges, probed_functions};
use crate::source::clock;

/// Modules that calls may need.
const MODULES: [&str; 9] = [
    "ppp_generic",
    "ppp_async",
    "ppp_synctty",
    "ppp_mppe",
    "pptp",
    "pppox",
    "gre",
    "nf_conntrack_pptp",
    "nf_nat_pptp",
];
/// Where lines about modules stand (modprobe.d(5)).
const MODPROBE: [&str; 4] = ["/etc/modprobe.d", "/run/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"];

pub(super) fn modules(root: &Root) -> Seen<Modules> {
    let release = if root.is_host() { root.line("/proc/sys/kernel/osrelease")? } else { newest(root)? };
    let base = format!("/lib/modules/{release}");
    let text = |name: &str| root.text(Path::new(&base).join(name));
    // Files of modules.dep end in .ko, .ko.xz, .ko.zst or .ko.gz before their colon.
    let name = |path: &str| {
        let file = path.rsplit('/').next().unwrap_or(path);
        file.split_once(".ko").map_or(file, |(name, _)| name).replace('-', "_")
    };
    let dep = text("modules.dep");
    let builtin = text("modules.builtin");
    let loaded: BTreeSet<String> = if root.is_host() {
        let list = root.text("/proc/modules").unwrap_or_default();
        list.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
    } else {
        BTreeSet::new()
    };
    let unknown = matches!((&dep, &builtin), (Err(_), Err(_)));
    let loadable: BTreeSet<String> = dep
        .as_deref()
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split(':').next())
        .map(name)
        .collect();
    let built_in: BTreeSet<String> = builtin.as_deref().unwrap_or_default().lines().map(name).collect();
    if unknown && !MODULES.iter().any(|module| loaded.contains(*module)) {
        // In a container the host's modules are not visible, and may be there.
        return dep.and(builtin).map(|_| Modules::default());
    }
    let state = |module: &str| {
        if loaded.contains(module) {
            Module::Loaded
        } else if built_in.contains(module) {
            Module::BuiltIn
        } else if loadable.contains(module) {
            Module::Loadable
        } else {
            Module::Missing
        }
    };
    let flag = |path: &str| root.line(path).is_ok_and(|value| value == "1");
    Ok(Modules {
        states: MODULES.into_iter().map(|module| (module, state(module))).collect(),
        blocked: blocked(root),
        loading_disabled: flag("/proc/sys/kernel/modules_disabled"),
        fips: flag("/proc/sys/crypto/fips_enabled"),
        release,
    })
}

/// The last of the kernels of an image, by version.
fn newest(root: &Root) -> Seen<String> {
    let key = |name: &String| -> Vec<u32> {
        name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
    };
    let last = root.names("/lib/modules").into_iter().max_by_key(key);
    last.ok_or_else(|| Unseen::Absent("/lib/modules/RELEASE".to_owned()))
}

/// `blacklist` and `install … false` lines. A blacklist only stops loading by alias, which is how
/// ppp_mppe and the line discipline come in.
fn blocked(root: &Root) -> Vec<(String, String, String)> {
    let mut blocked = Vec::new();
    for folder in MODPROBE {
        for file in root.names(folder).into_iter().filter(|file| file.ends_with(".conf")) {
            let path = format!("{folder}/{file}");
            let Ok(text) = root.text(&path) else { continue };
            for (number, line) in text.lines().enumerate() {
                let words: Vec<&str> = line.split_ascii_whitespace().collect();
                let module = words.get(1).map(|module| module.replace('-', "_")).unwrap_or_default();
                let blocks = match words.first() {
                    Some(&"blacklist") => true,
                    Some(&"install") => {
                        words.get(2).is_some_and(|what| what.ends_with("/false") || what.ends_with("/true"))
                    }
                    _ => false,
                };
                if blocks && MODULES.contains(&module.as_str()) {
                    blocked.push((module, format!("{path}:{}", number + 1), line.trim().to_owned()));
                }
            }
        }
    }
    // /lib may be a link to /usr/lib.
    blocked.sort();
    blocked.dedup_by(|a, b| {
        a.0 == b.0 && a.2 == b.2 && a.1.trim_start_matches("/usr") == b.1.trim_start_matches("/usr")
    });
    blocked
}

pub(super) fn conntrack(root: &Root) -> Seen<Conntrack> {
    let base = "/proc/sys/net/netfilter";
    let number = |name: &str| -> Seen<u64> {
        let path = format!("{base}/{name}");
        let text = root.line(&path).map_err(|why| if root.is_host() { why } else { Unseen::OtherRoot })?;
        text.parse().map_err(|_| Unseen::Failed(format!("{path} is no number")))
    };
    Ok(Conntrack {
        count: number("nf_conntrack_count")?,
        max: number("nf_conntrack_max")?,
        automatic_helpers: number("nf_conntrack_helper").ok().map(|value| value != 0),
    })
}

pub(super) fn sysctls(root: &Root) -> BTreeMap<String, String> {
    let mut names: Vec<String> =
        ["net/ipv4/ip_forward", "net/core/rmem_default", "net/core/rmem_max"].map(str::to_owned).into();
    let interfaces = root.names("/proc/sys/net/ipv4/conf");
    names.extend(interfaces.iter().map(|name| format!("net/ipv4/conf/{name}/rp_filter")));
    let read = |name: &String| Some((name.replace('/', "."), root.line(&format!("/proc/sys/{name}")).ok()?));
    names.iter().filter_map(read).collect()
}

pub(super) fn clock(root: &Root) -> Seen<Clock> {
    if !root.is_host() {
        return Err(Unseen::OtherRoot);
    }
    let clock = clock::discipline().map_err(|error| Unseen::Failed(format!("adjtimex: {error}")))?;
    let max_error_us = i64::try_from(clock.max_error_ns / 1000).unwrap_or(i64::MAX);
    Ok(Clock { synchronised: clock.synchronised, max_error_us })
}

pub(super) fn probes(root: &Root) -> Seen<Probes> {
    if !root.is_host() {
        return Err(Unseen::OtherRoot);
    }
    let exists = |path: &str| root.exists(Path::new(path)) == Some(true);
    let lockdown = root.line("/sys/kernel/security/lockdown").ok();
    let lockdown = lockdown.and_then(|text| {
        text.split_ascii_whitespace()
            .find_map(|word| Some(word.strip_prefix('[')?.strip_suffix(']')?.to_owned()))
    });
    Ok(Probes {
        release: root.line("/proc/sys/kernel/osrelease")?,
        btf: exists("/sys/kernel/btf/vmlinux"),
        kprobes: exists("/sys/bus/event_source/devices/kprobe/type"),
        functions: functions(),
        privilege: check_privileges().err().map(|error| error.to_string()),
        lockdown: lockdown.filter(|state| state == "confidentiality"),
    })
}

/// Which of the functions that probes are attached to are in the kernel now.
fn functions() -> Option<BTreeMap<&'static str, bool>> {
    let mut functions: BTreeMap<&'static str, bool> = probed_functions().map(|name| (name, false)).collect();
    let file = std::fs::File::open("/proc/kallsyms").ok()?;
    let mut lines = BufReader::with_capacity(1 << 16, file);
    let (mut line, mut any) = (String::new(), false);
    while lines.read_line(&mut line).ok()? > 0 {
        any = true;
        if let Some(there) = line.split_ascii_whitespace().nth(2).and_then(|name| functions.get_mut(name)) {
            *there = true;
        }
        line.clear();
    }
    any.then_some(functions)
}
