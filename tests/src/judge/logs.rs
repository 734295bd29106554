//! The server's log, against what the agent made of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::events::Event;
use crate::time::{self, Nanos};

/// Programs whose lines the agent must all know.
const PROGRAMS: [&str; 2] = ["pppd", "pptpd"];

/// One line of the log.
pub(super) struct Line<'a> {
    pub(super) at: Nanos,
    pub(super) program: &'a str,
    pub(super) pid: Option<u32>,
    pub(super) text: &'a str,
}

/// The worker that pptpd makes for a control connection, and the pppd of it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Worker {
    pid: u32,
    begun: Nanos,
    client: String,
}

/// The lines of the log up to `until`, and how many there are that cannot be read.
pub(super) fn lines(log: &str, until: Nanos) -> (Vec<Line<'_>>, usize) {
    let mut unreadable = 0;
    let mut lines = Vec::new();
    for text in log.lines() {
        match line(text) {
            Some(line) if line.at <= until => lines.push(line),
            Some(_) => {}
            None => unreadable += 1,
        }
    }
    (lines, unreadable)
}

/// `2026-11-22T08:39:01.123456+01:00 vpn pppd[1234]: text`.
fn line(text: &str) -> Option<Line<'_>> {
    let (stamp, rest) = text.split_once(' ')?;
    let (_host, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(": ").or_else(|| Some((rest.strip_suffix(':')?, "")))?;
    let (program, pid) = match tag.split_once('[') {
        Some((program, pid)) => (program, Some(pid.strip_suffix(']')?.parse().ok()?)),
        None => (tag, None),
    };
    Some(Line { at: time::parse_rfc3339(stamp)?, program, pid, text })
}

/// Every line of pppd and pptpd was read and is in the catalogue, and no other.
pub(super) fn recognised(events: &[Event], log: &str) -> Result<String, String> {
    let stop = events.iter().rfind(|event| event.name == "agent.stop").ok_or("there is no agent.stop")?;
    let sources = stop.body().pointer("/status/logs").and_then(Value::as_array);
    let is_server =
        |source: &&Value| source["name"].as_str().is_some_and(|name| name.ends_with("/server.log"));
    let books =
        sources.into_iter().flatten().find(is_server).ok_or("the agent does not follow server.log")?;
    let (lines, unreadable) = lines(log, stop.at);
    let known = lines.iter().filter(|line| PROGRAMS.contains(&line.program)).count();
    let mut problems = Vec::new();
    if unreadable > 0 {
        problems.push(format!("{unreadable} lines of server.log are none of rsyslog's"));
    }
    let wanted = [
        ("lines", lines.len()),
        ("recognised", known),
        ("foreign", lines.len() - known),
        ("unknown", 0),
        ("unreadable", 0),
        ("undated", 0),
        ("cut", 0),
        ("lost_bytes", 0),
    ];
    for (name, wanted) in wanted {
        if books[name].as_u64() != Some(wanted as u64) {
            problems.push(format!("{name} is {}, server.log has {wanted}", books[name]));
        }
    }
    let unknown = events.iter().filter(|event| event.name == "log" && event.body()["message"].is_null());
    problems.extend(unknown.take(3).map(|event| format!("not known: {}", event.body()["text"])));
    if problems.is_empty() { Ok(format!("{known} lines")) } else { Err(problems.join("; ")) }
}

/// The session of each process id, as the agent says.
pub(super) fn owners(events: &[Event]) -> HashMap<u32, &str> {
    let lines = events.iter().filter(|event| event.name == "log");
    let owner = |event| {
        let Event { value, .. }: &Event = event;
        let pid = value["log"]["pid"].as_u64()?;
        Some((u32::try_from(pid).ok()?, value["session"]["id"].as_str()?))
    };
    lines.filter_map(owner).collect()
}

/// The worker of each process, as pptpd itself says at its end (`Reaping child`), or pppd by the calling
/// number where only one worker serves that client.
fn workers(lines: &[Line<'_>]) -> Result<HashMap<u32, Worker>, String> {
    let mut workers: HashMap<u32, Worker> = HashMap::new();
    for line in lines.iter().filter(|line| line.program == "pptpd") {
        let Some(pid) = line.pid else { continue };
        let begins = line.text.strip_prefix("CTRL: Client ");
        if let Some(client) = begins.and_then(|rest| rest.strip_suffix(" control connection started")) {
            let worker = Worker { pid, begun: line.at, client: client.to_owned() };
            if workers.insert(pid, worker).is_some() {
                return Err(format!("process id {pid} is used twice: play it again"));
            }
        }
    }
    let mut all = workers.clone();
    for line in lines {
        let Some(pid) = line.pid else { continue };
        if let Some(child) = line.text.strip_prefix("CTRL: Reaping child PPP[")
            && let Some(child) = child.strip_suffix(']').and_then(|child| child.parse().ok())
            && let Some(worker) = workers.get(&pid)
        {
            all.insert(child, worker.clone());
        }
        if let Some(client) = line.text.strip_prefix("peer from calling number ")
            && let Some(client) = client.split_whitespace().next()
            && !all.contains_key(&pid)
        {
            let mut serving = workers.values().filter(|worker| worker.client == client);
            if let (Some(worker), None) = (serving.next(), serving.next()) {
                all.insert(pid, worker.clone());
            }
        }
    }
    Ok(all)
}

/// Every line of a process of a call is attached to the session of that call, and to no other.
/// `every_line`: the agent was told to write an event for each line.
pub(super) fn attached(events: &[Event], log: &str, every_line: bool) -> Result<String, String> {
    let at = |name: &str| events.iter().find(|event| event.name == name).map(|event| event.at);
    let (start, stop) = (at("agent.start").unwrap_or(0), at("agent.stop").unwrap_or(Nanos::MAX));
    let (lines, _) = lines(log, stop);
    let workers = workers(&lines)?;
    let mut problems = Vec::new();
    let mut sessions: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
    let mut told = 0;
    let from_server = |event: &&Event| {
        event.name == "log"
            && event.body()["source"].as_str().is_some_and(|name| name.ends_with("/server.log"))
    };
    for event in events.iter().filter(from_server) {
        told += 1;
        let body = event.body();
        let shown = || format!("line {}: {}[{}]: {}", event.line, body["program"], body["pid"], body["text"]);
        let pid = body["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let worker = pid.and_then(|pid| workers.get(&pid));
        let of_nobody = body["text"].as_str().is_some_and(|text| text.starts_with("MGR:"));
        match (worker, event.session_id()) {
            (_, Some(_)) if of_nobody => problems.push(format!("{} is about no call", shown())),
            (Some(worker), Some(id)) => {
                sessions.entry(worker.pid).or_default().insert(id);
                if event.value["session"]["client"] != worker.client.as_str() {
                    problems.push(format!("{} is about {}", shown(), worker.client));
                }
            }
            // What was said before the agent came, or by those that began before, may be nobody's.
            (Some(worker), None) if worker.begun >= start => {
                problems.push(format!("{} has no session", shown()));
            }
            _ => {}
        }
    }
    if every_line {
        let said = lines.iter().filter(|line| PROGRAMS.contains(&line.program)).count();
        if told != said {
            problems.push(format!("server.log has {said} lines, there are {told} log events"));
        }
    }
    problems.extend(one_each(&workers, &sessions));
    problems.extend(in_order(events, &workers, &sessions, start));
    let processes = workers.len();
    if problems.is_empty() {
        Ok(format!("{told} lines of {processes} processes in {} sessions", sessions.len()))
    } else {
        let count = problems.len();
        problems.truncate(5);
        Err(format!("{count} problems: {}", problems.join("; ")))
    }
}

/// Each worker has one session, each session one worker.
fn one_each(workers: &HashMap<u32, Worker>, sessions: &BTreeMap<u32, BTreeSet<&str>>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for (pid, ids) in sessions {
        if ids.len() > 1 {
            let client = workers.get(pid).map_or("", |worker| worker.client.as_str());
            problems.push(format!("the worker {pid} of {client} has the sessions {ids:?}"));
        }
        for id in ids {
            if let Some(other) = taken.insert(id, *pid) {
                problems.push(format!("session {id} has the workers {other} and {pid}"));
            }
        }
    }
    problems
}

/// The workers of one client began in the order of their sessions.
fn in_order(
    events: &[Event],
    workers: &HashMap<u32, Worker>,
    sessions: &BTreeMap<u32, BTreeSet<&str>>,
    start: Nanos,
) -> Vec<String> {
    let mut order: Vec<&str> = Vec::new();
    for event in events {
        if let Some(id) = event.session_id().filter(|id| !order.contains(id)) {
            order.push(id);
        }
    }
    let place = |worker: &Worker| {
        let id = sessions.get(&worker.pid)?.first()?;
        order.iter().position(|known| known == id)
    };
    let mut begun: Vec<&Worker> = workers
        .iter()
        .filter(|(pid, worker)| **pid == worker.pid && worker.begun >= start)
        .map(|(_, worker)| worker)
        .collect();
    begun.sort_by_key(|worker| (&worker.client, worker.begun));
    let mut problems = Vec::new();
    for pair in begun.windows(2) {
        if let [one, other] = pair
            && one.client == other.client
            && let (Some(first), Some(second)) = (place(one), place(other))
            && first > second
        {
            let (one, other) = (one.pid, other.pid);
            problems.push(format!("the worker {one} began before {other}, its session after that one's"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::parse;

    const LOG: &str = "\
2001-01-01T00:00:01.1+00:00 vpn pptpd[9]: MGR: Manager process started
2001-01-01T00:00:01.2+00:00 vpn pptpd[10]: CTRL: Client 192.0.2.10 control connection started
2001-01-01T00:00:01.3+00:00 vpn pppd[11]: Using interface ppp0
2001-01-01T00:00:02.2+00:00 vpn pptpd[20]: CTRL: Client 192.0.2.10 control connection started
2001-01-01T00:00:02.3+00:00 vpn pppd[21]: Using interface ppp1
2001-01-01T00:00:03.1+00:00 vpn pptpd[10]: CTRL: Reaping child PPP[11]
2001-01-01T00:00:03.2+00:00 vpn pptpd[20]: CTRL: Reaping child PPP[21]
2001-01-01T00:00:03.3+00:00 vpn cron[5]: nothing
2001-01-01T00:00:09.3+00:00 vpn pppd[31]: too late
";

    fn run(edit: impl Fn(u32, &str) -> Option<&'static str>) -> Vec<Event> {
        let head = |at: &str, name: &str| {
            format!(
                "{{\"ts\":\"2001-01-01T00:00:{at}Z\",\"severity\":\"info\",\"host\":\"vpn\",\"event\":\"{name}\""
            )
        };
        let mut text = head("00", "agent.start") + "}\n";
        for id in ["a", "b"] {
            text += &(head("01", "session.start") + &format!(",\"session\":{{\"id\":\"{id}\"}}}}\n"));
        }
        for line in lines(LOG, Nanos::MAX).0.iter().filter(|line| PROGRAMS.contains(&line.program)) {
            let pid = line.pid.unwrap();
            let right = match pid {
                10 | 11 => Some("a"),
                20 | 21 => Some("b"),
                _ => None,
            };
            let session = edit(pid, line.text).or(right).filter(|id| !id.is_empty());
            let session = session.map_or(String::new(), |id| {
                format!(",\"session\":{{\"id\":\"{id}\",\"client\":\"192.0.2.10\"}}")
            });
            if pid != 31 {
                text += &head("01", "log");
                text += &format!(
                    "{session},\"log\":{{\"source\":\"/x/server.log\",\"program\":\"p\",\"pid\":{pid},\"message\":\"m\",\"text\":\"{}\"}}}}\n",
                    line.text
                );
            }
        }
        text += &head("05", "agent.stop");
        text += ",\"agent_stop\":{\"status\":{\"logs\":[{\"name\":\"/x/server.log\",\"lines\":8,\"recognised\":7,\
                 \"foreign\":1,\"unknown\":0,\"unreadable\":0,\"undated\":0,\"cut\":0,\"lost_bytes\":0}]}}}";
        parse(&text).unwrap()
    }

    #[test]
    fn what_is_right_passes() {
        let events = run(|_, _| None);
        assert_eq!(recognised(&events, LOG), Ok("7 lines".into()));
        assert_eq!(attached(&events, LOG, true), Ok("7 lines of 4 processes in 2 sessions".into()));
    }

    #[test]
    fn a_line_that_was_not_read_is_found() {
        let more = LOG.replace("vpn cron[5]", "vpn pppd[5]");
        let error = recognised(&run(|_, _| None), &more).unwrap_err();
        assert!(error.contains("recognised is 7, server.log has 8"), "{error}");
        let error = attached(&run(|_, _| None), &more, true).unwrap_err();
        assert!(error.contains("has 8 lines, there are 7"), "{error}");
        assert!(recognised(&[], LOG).is_err());
    }

    #[test]
    fn a_line_in_the_wrong_session_is_found() {
        let cases: [(u32, &'static str, &str); 4] = [
            (21, "a", "the worker 20 of 192.0.2.10 has the sessions"),
            (21, "", "has no session"),
            (9, "a", "is about no call"),
            (20, "a", "session a has the workers 10 and 20"),
        ];
        for (pid, session, part) in cases {
            let error = attached(&run(|other, _| (other == pid).then_some(session)), LOG, false).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let crossed = run(|pid, _| match pid {
            10 | 11 => Some("b"),
            20 | 21 => Some("a"),
            _ => None,
        });
        let error = attached(&crossed, LOG, false).unwrap_err();
        assert!(error.contains("began before"), "{error}");
    }
}
