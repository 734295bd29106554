//! Every sink that has a receiver, all at once: 5,000 events a second, and the receivers die on the way and come
//! back. Nothing is lost but what the documentation says, all of that is counted, memory stays, and a sink
//! that is well does not notice.
//!
//! `PPTPSCOPE_SINKS_SECONDS` (default 6) is how long it runs; for half of it the receivers are dead. For minutes it
//! takes `--profile lab`: without optimisation a receiver of OTLP does not catch up.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a helper may fail like the test itself"
)]

mod numbered;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use numbered::{event, free_port};
use pptpscope::sink::Sinks;
use pptpscope::sink::spec::{self, SinkSpec};
use pptpscope::sink::worker::Report;
use serde_json::Value;

const PER_SECOND: u64 = 5_000;

/// The numbers that a receiver has read.
type Numbers = Arc<Mutex<BTreeSet<u64>>>;

fn number(event: &Value) -> Option<u64> {
    event["agent_loss"]["lost"].as_u64()
}

/// JSON Lines.
fn lines(stream: impl Read, numbers: &Numbers) {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let Ok(event) = serde_json::from_str(&line) else { return };
        numbers.lock().unwrap().extend(number(&event));
    }
}

/// RFC 5424 with counted octets.
fn syslog(stream: impl Read, numbers: &Numbers) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut count = Vec::new();
        if stream.read_until(b' ', &mut count).is_err() || count.is_empty() {
            return;
        }
        let mut message = vec![0; String::from_utf8(count).unwrap().trim().parse().unwrap()];
        if stream.read_exact(&mut message).is_err() {
            return;
        }
        let message = String::from_utf8(message).unwrap();
        let event = serde_json::from_str(
            message.split_once(" - {").map(|(_, json)| format!("{{{json}")).unwrap().as_str(),
        );
        numbers.lock().unwrap().extend(number(&event.unwrap()));
    }
}

/// Finds the events in the log records of OTLP.
fn otlp(value: &Value, numbers: &mut BTreeSet<u64>) {
    match value {
        Value::Object(object) if object.get("key").is_some_and(|key| key == "lost") => {
            numbers
                .extend(object["value"]["intValue"].as_str().and_then(|number| number.parse::<u64>().ok()));
        }
        Value::Object(object) => object.values().for_each(|value| otlp(value, numbers)),
        Value::Array(items) => items.iter().for_each(|value| otlp(value, numbers)),
        _ => {}
    }
}

/// One request of HTTP, and an answer when it was read whole.
fn http(mut stream: TcpStream, numbers: &Numbers) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).is_err() || line.is_empty() {
            return;
        }
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    if reader.read_exact(&mut body).is_err() {
        return;
    }
    let mut found = BTreeSet::new();
    match serde_json::from_slice::<Value>(&body) {
        Ok(whole) if whole.get("resourceLogs").is_some() => otlp(&whole, &mut found),
        _ => found.extend(
            body.split(|byte| *byte == b'\n')
                .filter_map(|row| serde_json::from_slice::<Value>(row).ok())
                .filter_map(|row| serde_json::from_str::<Value>(row["json"].as_str()?).ok())
                .filter_map(|event| number(&event)),
        ),
    }
    numbers.lock().unwrap().extend(found);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
}

/// A receiver that can die.
struct Receiver {
    numbers: Numbers,
    is_dead: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    begin: Box<dyn Fn(Numbers, Arc<AtomicBool>) -> JoinHandle<()>>,
}

impl Receiver {
    fn new(begin: impl Fn(Numbers, Arc<AtomicBool>) -> JoinHandle<()> + 'static) -> Self {
        let mut receiver = Self {
            numbers: Numbers::default(),
            is_dead: Arc::default(),
            thread: None,
            begin: Box::new(begin),
        };
        receiver.live();
        receiver
    }

    fn live(&mut self) {
        self.is_dead = Arc::default();
        self.thread = Some((self.begin)(Arc::clone(&self.numbers), Arc::clone(&self.is_dead)));
    }

    fn die(&mut self) {
        self.is_dead.store(true, Ordering::Release);
        self.thread.take().unwrap().join().unwrap();
    }

    fn read(&self) -> BTreeSet<u64> {
        self.numbers.lock().unwrap().clone()
    }
}

/// Gives up when the receiver is to die: what it has not read then is lost.
struct Mortal<S> {
    stream: S,
    is_dead: Arc<AtomicBool>,
}

impl<S: Read> Read for Mortal<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        loop {
            if self.is_dead.load(Ordering::Acquire) {
                return Ok(0);
            }
            match self.stream.read(buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

const LOOK: Duration = Duration::from_millis(20);

/// Takes one connection after the other from `accept` until the receiver is to die.
fn serve<S: Send + 'static>(
    accept: impl Fn() -> std::io::Result<S> + Send + 'static,
    talk: impl Fn(S) + Send + 'static,
    is_dead: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        while !is_dead.load(Ordering::Acquire) {
            match accept() {
                Ok(stream) => talk(stream),
                Err(_) => thread::sleep(Duration::from_millis(1)),
            }
        }
    })
}

fn tcp(port: u16, talk: impl Fn(TcpStream, Arc<AtomicBool>, &Numbers) + Copy + Send + 'static) -> Receiver {
    Receiver::new(move |numbers, is_dead| {
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let also = Arc::clone(&is_dead);
        let talk = move |stream: TcpStream| {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(LOOK)).unwrap();
            talk(stream, Arc::clone(&also), &numbers);
        };
        serve(move || listener.accept().map(|(stream, _)| stream), talk, is_dead)
    })
}

fn unix(path: &Path) -> Receiver {
    let path = path.to_owned();
    Receiver::new(move |numbers, is_dead| {
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        listener.set_nonblocking(true).unwrap();
        let also = Arc::clone(&is_dead);
        let talk = move |stream: UnixStream| {
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(LOOK)).unwrap();
            lines(Mortal { stream, is_dead: Arc::clone(&also) }, &numbers);
        };
        serve(move || listener.accept().map(|(stream, _)| stream), talk, is_dead)
    })
}

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn report(sinks: &Sinks, begin: &str) -> Report {
    sinks.reports().into_iter().find(|report| report.name.starts_with(begin)).unwrap()
}

/// Writes `numbers` at the speed of the test; the most events that waited for the file meanwhile.
fn write(sinks: &Sinks, numbers: std::ops::Range<u64>) -> u64 {
    let (begun, first) = (Instant::now(), numbers.start);
    let mut most = 0;
    let remedy = "as long as the event of a call ".repeat(10);
    for number in numbers {
        sinks.write(&event(number, &remedy)).unwrap();
        let due = begun + Duration::from_nanos((number - first + 1) * 1_000_000_000 / PER_SECOND);
        if number % 50 == 0 {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            most = most.max(report(sinks, "file").waiting);
        }
    }
    most
}

#[test]
fn receivers_die_and_come_back() {
    let seconds = std::env::var("PPTPSCOPE_SINKS_SECONDS").map_or(6, |text| text.parse().unwrap());
    let folder = Folder(std::env::temp_dir().join(format!("pptpscope-sinks-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let path = |name: &str| folder.0.join(name).display().to_string();

    let ports: Vec<u16> = (0..4).map(|_| free_port()).collect();
    let mut receivers = [
        unix(&folder.0.join("socket")),
        tcp(ports[0], |stream, is_dead, numbers| syslog(Mortal { stream, is_dead }, numbers)),
        tcp(ports[1], |stream, is_dead, numbers| syslog(Mortal { stream, is_dead }, numbers)),
        tcp(ports[2], |stream, _, numbers| http(stream, numbers)),
        tcp(ports[3], |stream, _, numbers| http(stream, numbers)),
    ];
    let names = [
        format!("socket:{}", path("socket")),
        format!("syslog:tcp://127.0.0.1:{}", ports[0]),
        format!("syslog:tcp://127.0.0.1:{}", ports[1]),
        format!("clickhouse:http://127.0.0.1:{}", ports[2]),
        format!("otlp:http://127.0.0.1:{}/v1/logs", ports[3]),
    ];
    // The third one has no spool: memory holds a part of what comes meanwhile.
    let spool_less = 2;
    let words = names.iter().enumerate().map(|(index, name)| match index {
        _ if index == spool_less => format!("{name},buffer=1M"),
        _ => format!("{name},buffer=4M,spool={}", path(&format!("{index}.spool"))),
    });
    let words = words.chain([format!("file:{}", path("events.jsonl"))]);
    let specs: Vec<SinkSpec> = words.map(|word| word.parse().unwrap()).collect();
    let sinks =
        spec::begin(&names.iter().cloned().chain(["file".to_owned()]).zip(specs).collect(), "vpn").unwrap();

    // Half of the time they are dead.
    let (dies, returns, ends) =
        (PER_SECOND * seconds / 4, PER_SECOND * seconds * 3 / 4, PER_SECOND * seconds);
    let mut most = write(&sinks, 0..dies);
    let resident_before = resident();
    receivers.iter_mut().for_each(Receiver::die);
    most = most.max(write(&sinks, dies..returns));
    let resident_dead = resident();
    let waiting = report(&sinks, &names[4]);
    assert!(waiting.spooled > 0 && waiting.error.is_some(), "{waiting:?}");
    receivers.iter_mut().for_each(Receiver::live);
    most = most.max(write(&sinks, returns..ends));
    let deadline = Instant::now() + Duration::from_secs(120);
    while sinks.reports().iter().any(|report| report.waiting > 0) {
        assert!(Instant::now() < deadline, "it is still waiting: {:?}", sinks.reports());
        thread::sleep(LOOK);
    }
    // What the kernel has of a stream the receiver reads yet.
    thread::sleep(Duration::from_millis(500));

    let all: BTreeSet<u64> = (0..ends).collect();
    for (name, receiver) in names.iter().zip(&receivers) {
        let report = report(&sinks, name);
        assert_eq!(report.written + report.dropped, ends, "{report:?}");
        let read = receiver.read();
        let missing: Vec<u64> = all.difference(&read).copied().collect();
        println!(
            "{name}: {} read, {} dropped and counted, {} lost with the receiver",
            read.len(),
            report.dropped,
            missing.len() as u64 - report.dropped
        );
        if name == &names[spool_less] {
            assert!(report.dropped > 0, "the buffer was too large for the test");
            continue;
        }
        assert_eq!(report.dropped, 0, "{report:?}");
        // A receiver of HTTP has said what it has. A stream loses what the kernel had for it when it died.
        let is_http = name.contains("http://");
        let may_miss = if is_http { 0..0 } else { dies.saturating_sub(2 * PER_SECOND)..dies + PER_SECOND };
        assert!(missing.iter().all(|number| may_miss.contains(number)), "{name}: {missing:?}");
    }

    let file = report(&sinks, "file");
    assert_eq!((file.written, file.dropped), (ends, 0));
    assert!(most < PER_SECOND, "the file had {most} events waiting");
    let numbers = Numbers::default();
    lines(std::fs::File::open(path("events.jsonl")).unwrap(), &numbers);
    assert_eq!(*numbers.lock().unwrap(), all);
    let grown = resident_dead.saturating_sub(resident_before);
    println!("{} KiB more resident while they were dead", grown / 1024);
    assert!(grown < 32 << 20, "{grown} bytes more resident while the receivers were dead");
}
