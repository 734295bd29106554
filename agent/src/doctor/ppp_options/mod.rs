//! The options of pppd for a call: names, plugins, authentication and encryption, sizes.

mod auth;
mod table;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::facts::Facts;
use super::report::{Check, Status};

use table::NEWEST;

pub(super) use auth::check as auth_check;
pub use table::Version;
pub(crate) use words::words;
pub use words::{Option, parse};

/// The installed pppd.
#[derive(Debug)]
pub struct Pppd {
    /// Its program.
    pub path: PathBuf,
    /// Its version, and how it was learnt.
    pub version: std::option::Option<(Version, &'static str)>,
    /// The folder of its plugins.
    pub plugins: std::option::Option<PathBuf>,
    /// Names that stand in the program, as a whole string or as the end of one; None when it could not
    /// be read. Linkers let strings share their ends.
    pub strings: std::option::Option<Strings>,
}

/// Which of the asked names a program file has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strings {
    /// Name, and whether it stands alone.
    found: BTreeMap<String, bool>,
}

impl Strings {
    /// Looks for names in a file. A string is followed by a zero byte.
    pub fn find<'a>(bytes: &[u8], names: impl Iterator<Item = &'a str>) -> Self {
        let wanted: Vec<&str> = names.collect();
        let longest = wanted.iter().map(|name| name.len()).max().unwrap_or(0);
        let mut found = BTreeMap::new();
        let mut start = 0;
        for (end, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == 0) {
            let string = bytes.get(start..end).unwrap_or_default();
            start = end + 1;
            if string.is_empty() {
                continue;
            }
            let tail = string.get(string.len().saturating_sub(longest)..).unwrap_or_default();
            for name in wanted.iter().filter(|name| tail.ends_with(name.as_bytes())) {
                let alone = string.len() == name.len();
                let entry = found.entry((*name).to_owned()).or_insert(alone);
                *entry |= alone;
            }
        }
        Self { found }
    }

    fn has(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    fn stands_alone(&self, name: &str) -> bool {
        self.found.get(name).copied().unwrap_or(false)
    }
}

/// A plugin that options name.
#[derive(Debug)]
pub struct PluginFile {
    /// As it was given.
    pub name: String,
    /// Where it was given.
    pub place: String,
    /// The file that pppd will open.
    pub path: PathBuf,
    /// Whether it is there; None when that cannot be said.
    pub exists: std::option::Option<bool>,
    /// Versions of pppd that stand in the file.
    pub versions: Vec<Version>,
    /// Which of the options in use it has.
    pub strings: Strings,
}

/// The last value of each option: that is the one which counts (for options that are not lists).
pub(super) struct Effective<'a>(BTreeMap<&'a str, &'a Option>);

impl<'a> Effective<'a> {
    pub(super) fn of(options: &'a [Option]) -> Self {
        Self(options.iter().map(|option| (option.name.as_str(), option)).collect())
    }

    pub(super) fn get(&self, name: &str) -> std::option::Option<&'a Option> {
        self.0.get(name).copied()
    }

    /// The one of these that was given.
    pub(super) fn any(&self, names: &[&str]) -> std::option::Option<&'a Option> {
        names.iter().find_map(|name| self.get(name))
    }

    pub(super) fn number(&self, name: &str) -> std::option::Option<(u32, &'a Option)> {
        let option = self.get(name)?;
        Some((option.value.as_deref()?.parse().ok()?, option))
    }
}

/// Whether pppd's options matter on this host.
pub(super) fn is_used(facts: &Facts) -> bool {
    facts.has_pptpd() || !facts.ppp_options.is_empty()
}

fn begin(facts: &Facts, id: &'static str, why: &'static str) -> Result<Check, Check> {
    let mut check = Check::new(id, why);
    if !is_used(facts) {
        return Err(check.skipped("no pptpd is installed or configured here: nothing hands calls to pppd"));
    }
    for (path, unseen) in &facts.ppp_unread {
        let place = path.display().to_string();
        match unseen {
            super::facts::Unseen::Absent(_) => check.at(
                Status::Fail,
                place,
                "this options file is named and does not exist: pppd ends at once with exit code 2",
                format!("create {}, or name the right file", path.display()),
            ),
            _ => check.at(
                Status::Unknown,
                place,
                format!("this options file was not read: {unseen}"),
                "run as root",
            ),
        }
    }
    Ok(check)
}

/// Whether pppd knows every option.
pub(super) fn names_check(facts: &Facts) -> Check {
    let why = "pppd refuses to start on the first option that it does not know (exit code 2): the client sees a \
               call that is accepted and closed within two seconds, without any LCP.";
    let mut check = match begin(facts, "ppp.options", why) {
        Ok(check) => check,
        Err(check) => return check,
    };
    let pppd = match &facts.pppd {
        Ok(pppd) => pppd,
        Err(unseen) => {
            check.fail(format!("pppd: {unseen}"), "apt install ppp (or the package of your distribution)");
            return check;
        }
    };
    let version = pppd.version.map(|(version, _)| version);
    match pppd.version {
        Some((version, source)) => check.saw(format!("pppd {version} ({source})")),
        None => check.saw("pppd of a version that could not be learnt"),
    }
    let mut files: Vec<_> =
        facts.ppp_options.iter().map(|option| option.file.display().to_string()).collect();
    files.dedup();
    check.saw(format!("{} options in {}", facts.ppp_options.len(), files.join(", ")));
    for option in &facts.ppp_options {
        if let Some((status, what, fix)) = judge(option, pppd, version, &facts.plugins) {
            check.at(status, option.place(), what, fix);
            // To look for the nearest name takes time, and a file may be anything.
            if check.more_problems {
                break;
            }
        }
    }
    check
}

/// What is wrong with an option's name.
fn judge(
    option: &Option,
    pppd: &Pppd,
    version: std::option::Option<Version>,
    plugins: &[PluginFile],
) -> std::option::Option<(Status, String, String)> {
    let name = option.name.as_str();
    if is_wild(name) || plugins.iter().any(|plugin| plugin.strings.has(name)) {
        return None;
    }
    let known = table::find(name);
    let in_program = pppd.strings.as_ref().map(|strings| strings.has(name));
    let test = format!("; to try it: pppd dryrun notty file {}", option.file.display());
    if let Some(known) = known {
        let in_version = version
            .is_none_or(|version| version >= known.since && known.until.is_none_or(|until| version <= until));
        return match (in_version, in_program) {
            (true, None | Some(true)) => None,
            // Distributions bring options of later versions to older ones.
            (false, Some(true))
                if pppd.strings.as_ref().is_some_and(|strings| strings.stands_alone(name)) =>
            {
                None
            }
            (true, Some(false)) => Some((
                Status::Fail,
                format!("this pppd was built without {name}"),
                format!("delete the line, or install a pppd that has it{test}"),
            )),
            (false, _) => {
                let gone = known.until.filter(|until| version.is_some_and(|version| version > *until));
                let version = version.map(|version| version.to_string()).unwrap_or_default();
                let what = match gone {
                    Some(until) => {
                        format!("pppd {version} has no {name} any more: {until} was the last version with it")
                    }
                    None => format!("pppd {version} has no {name} yet: it came with {}", known.since),
                };
                Some((Status::Fail, what, format!("delete the line{test}")))
            }
        };
    }
    if let Some(true) = pppd.strings.as_ref().map(|strings| strings.stands_alone(name)) {
        return None;
    }
    if table::plugin_option(name).is_some() {
        return Some((
            Status::Fail,
            format!("{name} is an option of a plugin that is not loaded before it"),
            "put the plugin's line above it".to_owned(),
        ));
    }
    // A newer pppd than the table, whose program could not be read, may know it.
    let status = match (in_program, version) {
        (None, None) => Status::Warn,
        (None, Some(version)) if version > NEWEST => Status::Warn,
        _ => Status::Fail,
    };
    let fix = match (replacement(name), nearest(name, version)) {
        (Some(instead), _) => format!("write {instead} instead{test}"),
        (None, Some(nearest)) => format!("write {nearest}, if that was meant{test}"),
        (None, None) => format!("delete the line{test}"),
    };
    Some((status, format!("pppd knows no option {name}"), fix))
}

/// Options of other pppd (MPPE and MPPC patches, pppd of other systems) and what ours calls them.
fn replacement(name: &str) -> std::option::Option<&'static str> {
    Some(match name {
        "mppe" | "mppc" => "require-mppe-128",
        "mppe-128" | "+mppe128" => "require-mppe-128",
        "mppe-40" => "require-mppe-40",
        "chapms" | "+chapms" => "require-mschap",
        "chapms-v2" | "+chapms-v2" => "require-mschap-v2",
        "mppe-stateless" | "require-mppe-stateless" | "nomppe-stateless" => "nomppe-stateful",
        "require-mppe-stateful" => "mppe-stateful",
        "dns-addr" => "ms-dns",
        "wins-addr" => "ms-wins",
        _ => return None,
    })
}

/// Words that are no names: addresses, speeds, devices (the wild options of pppd).
fn is_wild(word: &str) -> bool {
    let is_speed = word.bytes().all(|byte| byte.is_ascii_digit());
    let is_host =
        |part: &str| part.is_empty() || part.parse::<std::net::Ipv4Addr>().is_ok() || !part.contains('/');
    let is_pair = word.split_once(':').is_some_and(|(local, remote)| is_host(local) && is_host(remote));
    is_speed || is_pair || word.starts_with("/dev/") || word.starts_with("tty")
}

/// The option that is one or two letters away.
fn nearest(name: &str, version: std::option::Option<Version>) -> std::option::Option<&'static str> {
    let limit = if name.len() < 6 { 1 } else { 3 };
    table::all()
        .filter(|known| known.until.is_none_or(|until| version.is_some_and(|version| version <= until)))
        .filter(|known| version.is_none_or(|version| version >= known.since))
        .map(|known| (distance(name, known.name), known.name))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Letters to add, drop, change or swap (optimal string alignment).
pub(super) fn distance(left: &str, right: &str) -> usize {
    // The option's own name is short; what a file holds may be anything.
    let (left, right): (Vec<char>, Vec<char>) =
        (left.chars().take(64).collect(), right.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
            let above = rows.get(i).map(Vec::as_slice).unwrap_or_default();
            let mut best =
                (at(above, j) + usize::from(a != b)).min(at(above, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && left.get(i - 1) == Some(b) && right.get(j - 1) == Some(a);
            if swapped && let Some(before) = rows.get(i - 1) {
                best = best.min(at(before, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

/// Whether the plugins are there, and are of this pppd.
pub(super) fn plugins_check(facts: &Facts) -> Check {
    let why = "pppd refuses to start when a plugin is missing or was built for another version of it: they must \
               be equal to the last digit.";
    let mut check = match begin(facts, "ppp.plugins", why) {
        Ok(check) => check,
        Err(check) => return check,
    };
    // That is a matter of ppp.options.
    check.problems.clear();
    check.status = Status::Ok;
    if facts.plugins.is_empty() {
        check.saw("no plugin is named");
    }
    let version = facts.pppd.as_ref().ok().and_then(|pppd| pppd.version).map(|(version, _)| version);
    for plugin in &facts.plugins {
        let path = plugin.path.display();
        match (plugin.exists, version) {
            (Some(false), _) => check.at(
                Status::Fail,
                plugin.place.clone(),
                format!("plugin {}: {path} does not exist", plugin.name),
                "install the package that has it, or delete the line (pptpd's own plugin: the line logwtmp of pptpd.conf)",
            ),
            (None, _) => check.at(
                Status::Unknown,
                plugin.place.clone(),
                format!("plugin {}: whether {path} exists could not be seen", plugin.name),
                "run as root",
            ),
            (Some(true), Some(version)) if !plugin.versions.is_empty() && !plugin.versions.contains(&version) => {
                let built: Vec<_> = plugin.versions.iter().map(ToString::to_string).collect();
                check.at(
                    Status::Fail,
                    plugin.place.clone(),
                    format!("{path} is for pppd {}, this is {version}", built.join(" or ")),
                    "install the plugin that belongs to this pppd, or delete the line",
                );
            }
            (Some(true), _) => check.saw(format!("{path} is there")),
        }
    }
    check
}

/// Sizes of packets.
pub(super) fn mtu_check(facts: &Facts) -> Check {
    let why = "A packet of the tunnel grows by up to 44 bytes on the wire (IP 20, GRE 16, PPP 4, MPPE 2 and the \
               protocol inside it 2). One that does not fit is fragmented, and many firewalls drop fragments.";
    let mut check = match begin(facts, "ppp.mtu", why) {
        Ok(check) => check,
        Err(check) => return check,
    };
    check.problems.clear();
    check.status = Status::Ok;
    let uplink = facts.uplinks().iter().map(|device| device.mtu).min().unwrap_or(1500);
    let fits = uplink.saturating_sub(OVERHEAD);
    check.saw(format!("smallest uplink MTU {uplink}, so at most {fits} inside (1400 leaves room for PPPoE and more on the way)"));
    let effective = Effective::of(&facts.ppp_options);
    for (name, whose) in [("mtu", "to clients"), ("mru", "from clients")] {
        match effective.number(name) {
            Some((size, option)) if size > fits => check.at(
                Status::Warn,
                option.place(),
                format!("{name} {size}: packets {whose} of more than {fits} bytes are fragmented"),
                format!("{name} {}", fits.min(1400)),
            ),
            Some((size, option)) if size < 576 => check.at(
                Status::Warn,
                option.place(),
                format!("{name} {size} is smaller than what every host must take (576, RFC 791)"),
                format!("{name} {}", fits.min(1400)),
            ),
            Some((size, _)) => check.saw(format!("{name} {size}")),
            None => {
                let file = facts.ppp_options.iter().rev().find(|option| option.line > 0);
                let file = file.map_or_else(
                    || "/etc/ppp/options".to_owned(),
                    |option| option.file.display().to_string(),
                );
                let what =
                    format!("no {name}: the client alone decides how large packets {whose} are, up to 1500");
                check.at(Status::Warn, file, what, format!("{name} {}", fits.min(1400)));
            }
        }
    }
    check
}

/// What a packet of the tunnel gains at most, bytes.
pub(super) const OVERHEAD: u32 = 20 + 16 + 4 + 2 + 2;

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
