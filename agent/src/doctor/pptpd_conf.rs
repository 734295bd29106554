//! pptpd.conf, and the arguments that a running pptpd was given instead.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::facts::{Facts, Process};
use super::ppp_options::distance;
use super::report::{Check, Status};

/// Keywords of pptpd 1.3 to 1.5 (defaults.h), and whether a value follows.
const KEYWORDS: [(&str, bool); 15] = [
    ("bcrelay", true),
    ("connections", true),
    ("debug", false),
    ("delegate", false),
    ("listen", true),
    ("localip", true),
    ("logwtmp", false),
    ("noipparam", false),
    ("option", true),
    ("pidfile", true),
    ("ppp", true),
    ("remoteip", true),
    ("speed", true),
    ("stimeout", true),
    ("vrf", true),
];
/// Calls at once unless `connections` says otherwise.
const CONNECTIONS: usize = 100;
/// What pptpd takes when the lines are missing.
const LOCAL: &str = "192.168.0.1-100";
const REMOTE: &str = "192.168.1.1-100";
/// Addresses that are listed at most: pptpd would take more, no host carries more calls.
const MAX_ADDRESSES: usize = 65_536;
/// Longer lines are ignored by pptpd.
const MAX_LINE: usize = 510;

/// The configuration in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PptpdConf {
    /// The file.
    pub path: PathBuf,
    /// pppd's options file.
    pub option: Option<PathBuf>,
    /// Calls at once.
    pub connections: usize,
    /// Address to listen on.
    pub listen: Option<String>,
    /// Another pppd.
    pub ppp: Option<PathBuf>,
    /// pptpd's plugin is given to pppd.
    pub logwtmp: bool,
    /// pppd or RADIUS assigns addresses.
    pub delegate: bool,
    /// Addresses of this end, with the line's number.
    pub local: Vec<Ipv4Addr>,
    /// Addresses of clients.
    pub remote: Vec<Ipv4Addr>,
    /// Where the pool stands.
    pub pool_line: Option<usize>,
    /// What is wrong with lines.
    pub mistakes: Vec<Mistake>,
}

/// A line with something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// From 1; 0 when no line is to blame.
    pub line: usize,
    /// How bad.
    pub status: Status,
    /// What.
    pub what: String,
    /// What to write.
    pub fix: String,
}

impl PptpdConf {
    /// Reads the file, as pptpd does: the first line with a keyword counts.
    pub fn parse(text: &str, path: &Path) -> Self {
        let mut conf = Self {
            path: path.to_owned(),
            option: None,
            connections: CONNECTIONS,
            listen: None,
            ppp: None,
            logwtmp: false,
            delegate: false,
            local: Vec::new(),
            remote: Vec::new(),
            pool_line: None,
            mistakes: Vec::new(),
        };
        let mut seen: Vec<(&str, &str, usize)> = Vec::new();
        for (number, raw) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
            let line = raw.trim_end_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with([' ', '\t']) {
                conf.mistake(
                    number,
                    Status::Warn,
                    "pptpd ignores a line that begins with a blank",
                    line.trim_start(),
                );
                continue;
            }
            if line.len() > MAX_LINE {
                conf.mistake(
                    number,
                    Status::Warn,
                    "pptpd ignores lines of more than 510 characters",
                    "shorten it: ranges such as 10.0.0.2-254",
                );
                continue;
            }
            let (keyword, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            let value = value.trim_start();
            match KEYWORDS.iter().find(|(known, _)| *known == keyword) {
                None => conf.unknown(number, keyword),
                Some((_, true)) if value.is_empty() => {
                    conf.mistake(number, Status::Warn, &format!("{keyword} without a value"), "");
                }
                _ if seen.iter().any(|(known, ..)| *known == keyword) => {
                    conf.mistake(
                        number,
                        Status::Warn,
                        &format!("{keyword} a second time: the first line counts"),
                        "delete one",
                    );
                }
                _ => seen.push((keyword, value, number)),
            }
        }
        let get = |name: &str| seen.iter().find(|(keyword, ..)| *keyword == name).copied();
        conf.option = get("option").map(|(_, value, _)| PathBuf::from(value));
        conf.ppp = get("ppp").map(|(_, value, _)| PathBuf::from(value));
        conf.listen = get("listen").map(|(_, value, _)| value.to_owned());
        conf.logwtmp = get("logwtmp").is_some();
        conf.delegate = get("delegate").is_some();
        for name in ["connections", "stimeout"] {
            if let Some((_, value, line)) = get(name) {
                match value.parse::<usize>() {
                    Ok(number) if number > 0 => {
                        if name == "connections" {
                            conf.connections = number;
                        }
                    }
                    _ => conf.mistake(
                        line,
                        Status::Warn,
                        &format!("{name} {value} is no positive number: the default counts"),
                        "",
                    ),
                }
            }
        }
        if !conf.delegate {
            conf.remote = conf.addresses(get("remoteip"), "remoteip", REMOTE);
            conf.local = conf.addresses(get("localip"), "localip", LOCAL);
            conf.pool_line = get("remoteip").map(|(.., line)| line);
        }
        conf
    }

    /// Arguments count before the file (pptpd(8)).
    pub fn with_arguments(mut self, process: &Process) -> Self {
        let mut arguments = process.arguments.iter().skip(1);
        while let Some(argument) = arguments.next() {
            let (name, inline) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (argument.as_str(), None),
            };
            let mut value = || inline.clone().or_else(|| arguments.next().cloned());
            match name {
                "-o" | "--option" => self.option = value().map(PathBuf::from),
                "-C" | "--connections" => {
                    self.connections =
                        value().and_then(|value| value.parse().ok()).unwrap_or(self.connections);
                }
                "-e" | "--ppp" => self.ppp = value().map(PathBuf::from),
                "-l" | "--listen" => self.listen = value(),
                "-D" | "--delegate" => {
                    self.delegate = true;
                    self.remote.clear();
                    self.local.clear();
                }
                "-w" | "--logwtmp" => self.logwtmp = true,
                "-c" | "--conf" | "-p" | "--pidfile" | "-s" | "--speed" | "-t" | "--stimeout" | "-V"
                | "--vrf" => {
                    value();
                }
                _ => {}
            }
        }
        self
    }

    /// The file that a running pptpd was told to read.
    pub fn file_of(process: &Process) -> Option<PathBuf> {
        let mut arguments = process.arguments.iter();
        while let Some(argument) = arguments.next() {
            if let Some(path) = argument.strip_prefix("--conf=") {
                return Some(path.into());
            }
            if matches!(argument.as_str(), "-c" | "--conf") {
                return arguments.next().map(PathBuf::from);
            }
        }
        None
    }

    fn mistake(&mut self, line: usize, status: Status, what: &str, fix: &str) {
        // More are not reported, and a file may be anything.
        if self.mistakes.len() > 1000 {
            return;
        }
        self.mistakes.push(Mistake { line, status, what: what.to_owned(), fix: fix.to_owned() });
    }

    fn unknown(&mut self, line: usize, keyword: &str) {
        let nearest = KEYWORDS.iter().map(|(known, _)| (distance(keyword, known), *known)).min();
        let fix = match nearest {
            Some((distance, known)) if distance <= 2 => format!("write {known}"),
            _ => "delete the line; options of pppd belong into the file that `option` names".to_owned(),
        };
        let what = format!("pptpd knows no keyword {keyword}, and ignores the line");
        // A setting that is not in force: with a pool or an options file calls get something else.
        let wrong = matches!(nearest, Some((1..=2, "remoteip" | "localip" | "option" | "listen")));
        self.mistake(line, if wrong { Status::Fail } else { Status::Warn }, &what, &fix);
    }

    fn addresses(&mut self, given: Option<(&str, &str, usize)>, name: &str, default: &str) -> Vec<Ipv4Addr> {
        let (value, line) = match given {
            Some((_, value, line)) => (value, line),
            None => {
                let what = format!("no {name}: pptpd takes {default}, which is hardly what this network has");
                self.mistake(0, Status::Warn, &what, &format!("{name} …"));
                (default, 0)
            }
        };
        let mut all = Vec::new();
        for part in value.split(',') {
            match range(part) {
                Some(addresses) => {
                    let room = MAX_ADDRESSES.saturating_sub(all.len());
                    all.extend(addresses.into_iter().take(room));
                }
                None => {
                    let what = format!(
                        "{name}: \"{part}\" is no address and no range (10.0.0.2-254): pptpd does not start"
                    );
                    self.mistake(
                        line,
                        Status::Fail,
                        &what,
                        "write the addresses without blanks, ranges in one of the four numbers",
                    );
                }
            }
        }
        all
    }
}

/// `a.b.c.d`, or with a range in one of its numbers, as in `a.b.c.d-e` (pptpd.c, processIPStr).
fn range(part: &str) -> Option<Vec<Ipv4Addr>> {
    let mut ends = [(0u8, 0u8); 4];
    let mut octets = part.split('.');
    for end in &mut ends {
        let octet = octets.next()?;
        let (first, last) = octet.split_once('-').unwrap_or((octet, octet));
        *end = (first.parse().ok()?, last.parse().ok()?);
    }
    let ranges = ends.iter().filter(|(first, last)| first != last).count();
    if octets.next().is_some() || ranges > 1 || ends.iter().any(|(first, last)| first > last) {
        return None;
    }
    let [a, b, c, d] = ends.map(|(first, last)| first..=last);
    let mut all = Vec::new();
    for a in a {
        for b in b.clone() {
            for c in c.clone() {
                all.extend(d.clone().map(|d| Ipv4Addr::new(a, b, c, d)));
            }
        }
    }
    Some(all)
}

/// The check.
pub(super) fn check(facts: &Facts) -> Check {
    let why = "pptpd takes a line that it does not know for nothing at all, and goes on with its defaults.";
    let mut check = Check::new("pptpd.conf", why);
    let conf = match &facts.pptpd {
        Ok(conf) => conf,
        Err(super::facts::Unseen::Absent(what)) => {
            return check.skipped(format!("no pptpd here: {what} does not exist"));
        }
        Err(unseen) => return check.unknown(unseen.to_string()),
    };
    check.saw(conf.path.display().to_string());
    for mistake in &conf.mistakes {
        let place = match mistake.line {
            0 => conf.path.display().to_string(),
            line => format!("{}:{line}", conf.path.display()),
        };
        check.at(mistake.status, place, mistake.what.clone(), mistake.fix.clone());
    }
    if let Some(listen) = &conf.listen
        && let Ok(address) = listen.parse::<Ipv4Addr>()
        && facts.devices.is_ok()
        && !address.is_unspecified()
        && !facts.local.contains(&address)
    {
        let place = conf.path.display().to_string();
        let what = format!("listen {address} is no address of this host: pptpd cannot bind to it");
        check.at(Status::Fail, place, what, "listen ADDRESS of an interface, or delete the line");
    }
    if conf.option.is_none() {
        check.warn(
            "no `option` line: calls get only what /etc/ppp/options says",
            "option /etc/ppp/pptpd-options",
        );
    }
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> PptpdConf {
        PptpdConf::parse(text, Path::new("/etc/pptpd.conf"))
    }

    #[test]
    fn reads_what_pptpd_reads() {
        let conf = parse(
            "option /etc/ppp/o\nlogwtmp\nconnections 3\nlocalip 10.0.0.1\nremoteip 10.0.0.2-4,10.0.1.9\n# x\n",
        );
        assert_eq!(conf.option, Some("/etc/ppp/o".into()));
        assert_eq!((conf.connections, conf.logwtmp, conf.remote.len()), (3, true, 4));
        assert_eq!(conf.remote[3], Ipv4Addr::new(10, 0, 1, 9));
        assert!(conf.mistakes.is_empty(), "{:?}", conf.mistakes);
    }

    #[test]
    fn names_the_line_of_a_mistake() {
        let conf = parse("remotip 10.0.0.2-9\n localip 10.0.0.1\nlocalip 10.0.0.5-300\nrequire-mppe\n");
        let lines: Vec<_> = conf.mistakes.iter().map(|mistake| (mistake.line, mistake.status)).collect();
        use Status::{Fail, Warn};
        assert_eq!(lines, [(1, Fail), (2, Warn), (4, Warn), (0, Warn), (3, Fail)]);
        assert_eq!(conf.mistakes[0].fix, "write remoteip");
    }

    #[test]
    fn arguments_count_before_the_file() {
        let arguments = ["pptpd", "--fg", "-c", "/x/p.conf", "-C", "7", "--option=/x/o", "-D"];
        let arguments = arguments.map(str::to_owned).to_vec();
        let process = Process { pid: 1, name: "pptpd".to_owned(), arguments };
        assert_eq!(PptpdConf::file_of(&process), Some("/x/p.conf".into()));
        let conf = parse("option /etc/o\nlocalip 10.0.0.1\nremoteip 10.0.0.2\n").with_arguments(&process);
        assert_eq!((conf.connections, conf.option, conf.delegate), (7, Some("/x/o".into()), true));
        assert!(conf.remote.is_empty());
    }

    #[test]
    fn a_range_is_in_one_number() {
        let strings = |part| range(part).map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(strings("10.0.8-9.1").unwrap(), ["10.0.8.1", "10.0.9.1"]);
        for bad in ["10.0.0.9-5", "10.0.0-1.2-3", "10.0.0", "10.0.0.1.2", "10.0.0.5-300", " 10.0.0.1", ""] {
            assert_eq!(range(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_range_never_runs_away() {
        let many = vec!["10.0.0.0-255"; 400].join(",");
        assert!(parse(&format!("remoteip {}\n", &many[..500])).remote.len() <= MAX_ADDRESSES);
    }
}
