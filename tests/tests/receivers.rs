//! Sinks with the receivers that they are made for: a real ClickHouse server, and OpenTelemetry's own types.
//!
//! `cargo xtask test` names the unpacked server in `PPTPSCOPE_CLICKHOUSE`; without it that part is skipped.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a helper may fail like the test itself")]

mod numbered;

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use numbered::{BEGIN_NS, event, free_port};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use pptpscope::sink::Sinks;
use pptpscope::sink::spec::{self, SinkSpec};

const EVENTS: u64 = 6_000;
/// With what a format may stumble over.
const REMEDY: &str = "\"none\"\n";

fn begin(words: &str) -> Sinks {
    let sink: SinkSpec = words.parse().unwrap();
    spec::begin(&spec::name_by_type(&[sink]), "vpn").unwrap()
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what} after a minute");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sends a request of HTTP, and returns status line and body of the answer.
fn ask(port: u16, body: &str) -> std::io::Result<(String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "POST / HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.trim().to_owned()))
}

/// Where the libraries of an unpacked server are.
fn libraries(root: &Path) -> OsString {
    std::env::join_paths(["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"].map(|place| root.join(place)))
        .unwrap()
}

/// A server with a folder of its own.
struct ClickHouse {
    program: PathBuf,
    libraries: OsString,
    folder: PathBuf,
    port: u16,
    child: Child,
}

impl ClickHouse {
    fn start(root: &Path) -> Self {
        let folder = std::env::temp_dir().join(format!("pptpscope-clickhouse-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (port, place) = (free_port(), folder.display());
        let config = format!(
            "<yandex><logger><level>warning</level><log>{place}/log</log><errorlog>{place}/errors</errorlog></logger>\
             <http_port>{port}</http_port><tcp_port>{}</tcp_port><listen_host>127.0.0.1</listen_host>\
             <path>{place}/data/</path><tmp_path>{place}/tmp/</tmp_path><mark_cache_size>5368709120</mark_cache_size>\
             <users_config>{place}/users.xml</users_config><default_profile>default</default_profile>\
             <default_database>default</default_database></yandex>",
            free_port()
        );
        fs::write(folder.join("config.xml"), config).unwrap();
        let users = "<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>\
                     <networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default>\
                     </users></yandex>";
        fs::write(folder.join("users.xml"), users).unwrap();
        let (program, libraries) = (root.join("usr/sbin/clickhouse-server"), libraries(root));
        let child = Self::spawn(&program, &libraries, &folder);
        let server = Self { program, libraries, folder, port, child };
        server.wait();
        server
    }

    fn spawn(program: &Path, libraries: &OsStr, folder: &Path) -> Child {
        let output = fs::File::create(folder.join("output")).unwrap();
        let mut command = Command::new(program);
        command.arg(format!("--config-file={}", folder.join("config.xml").display()));
        command.env("LD_LIBRARY_PATH", libraries).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output);
        command.spawn().expect("ClickHouse starts")
    }

    fn wait(&self) {
        until("ClickHouse does not answer", || ask(self.port, "SELECT 1").is_ok_and(|(_, body)| body == "1"));
    }

    fn die(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn live_again(&mut self) {
        self.child = Self::spawn(&self.program, &self.libraries, &self.folder);
        self.wait();
    }

    fn query(&self, query: &str) -> String {
        let (status, body) = ask(self.port, query).unwrap();
        assert!(status.contains(" 200 "), "{query}: {body}");
        body
    }
}

impl Drop for ClickHouse {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The table that docs/sinks.md gives for the version of Debian 12.
fn table() -> String {
    let manual = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sinks.md")).unwrap();
    let tables = manual.split("```sql\n").skip(1).filter_map(|rest| rest.split("```").next());
    tables.filter(|sql| sql.contains("unix_ns UInt64")).map(str::to_owned).next().expect("a table")
}

#[test]
fn clickhouse_has_each_event_although_it_was_killed() {
    let Some(root) = std::env::var_os("PPTPSCOPE_CLICKHOUSE") else {
        eprintln!("SKIPPED: PPTPSCOPE_CLICKHOUSE names no unpacked ClickHouse; `cargo xtask test` does");
        return;
    };
    let mut server = ClickHouse::start(Path::new(&root));
    server.query(&table());
    let spool = server.folder.join("spool");
    let sinks = begin(&format!("clickhouse:http://127.0.0.1:{},spool={}", server.port, spool.display()));
    for number in 0..EVENTS {
        if number == EVENTS / 3 {
            server.die();
        }
        if number == EVENTS * 2 / 3 {
            server.live_again();
        }
        sinks.write(&event(number, REMEDY)).unwrap();
    }
    until("events wait", || sinks.reports().iter().all(|report| report.waiting == 0));
    // What was killed between taking rows and saying so gets them again.
    let count = server.query("SELECT uniqExact(unix_ns), min(unix_ns), max(unix_ns) FROM pptpscope");
    assert_eq!(count, format!("{EVENTS}\t{BEGIN_NS}\t{}", BEGIN_NS + EVENTS - 1));
    let one = server.query(&format!(
        "SELECT DISTINCT event, severity, host, session, client, visitParamExtractUInt(json, 'lost') FROM pptpscope \
         WHERE unix_ns = {}",
        BEGIN_NS + 7
    ));
    assert_eq!(one, "agent.loss\twarning\tvpn\t\t\t7");
}

/// The body of one request, which is answered.
fn body_of_one_request(listener: &TcpListener) -> Vec<u8> {
    let (mut stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}").unwrap();
    body
}

#[test]
fn opentelemetry_reads_its_log_records() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sinks = begin(&format!("otlp:http://127.0.0.1:{port}/v1/logs"));
    sinks.write(&event(7, REMEDY)).unwrap();
    let body = body_of_one_request(&listener);
    let request: ExportLogsServiceRequest = serde_json::from_slice(&body).unwrap();
    let resource = &request.resource_logs[0];
    let names: Vec<&str> =
        resource.resource.as_ref().unwrap().attributes.iter().map(|pair| pair.key.as_str()).collect();
    assert_eq!(names, ["service.name", "host.name"]);
    let record = &resource.scope_logs[0].log_records[0];
    assert_eq!((record.time_unix_nano, record.severity_number), (BEGIN_NS + 7, 13));
    assert_eq!(record.event_name, "agent.loss");
    let text = record.body.as_ref().and_then(|body| body.value.as_ref());
    assert!(
        matches!(text, Some(any_value::Value::StringValue(text)) if text.starts_with("agent.loss: ")),
        "{text:?}"
    );
    let facts = record.attributes.iter().find(|pair| pair.key == "pptpscope").unwrap();
    let Some(any_value::Value::KvlistValue(facts)) = facts.value.as_ref().and_then(|any| any.value.as_ref())
    else {
        unreachable!("the facts are no list: {facts:?}")
    };
    let lost = facts.values.iter().find(|pair| pair.key == "lost").unwrap();
    assert_eq!(lost.value.as_ref().unwrap().value, Some(any_value::Value::IntValue(7)));
}
