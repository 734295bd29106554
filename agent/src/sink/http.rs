//! HTTP: rows for ClickHouse (JSONEachRow), or log records for an OpenTelemetry collector (OTLP/HTTP, JSON).
//!
//! What is sent is repeated until the receiver has said that it has it, so that it may get some events twice
//! when an answer is lost. A receiver that refuses a batch is asked again with its halves: one event that it
//! cannot take does not keep back the others.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::StatusCode;

use super::entry::Entry;
use super::worker::{Outlet, Progress};
use super::{otlp, rows};
use crate::tls::Client;

/// How long the receiver may take for one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Between two requests, unless there is a lot to send: receivers like few large ones.
const PACE: Duration = Duration::from_secs(1);
/// A batch of this size does not wait.
const LARGE: usize = 256;
/// More than this of an answer is not read.
const ANSWER_LIMIT: u64 = 64 << 10;

/// What the receiver understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// Rows of a table, one JSON object on each line.
    Rows,
    /// An `ExportLogsServiceRequest`.
    Otlp,
}

/// What goes with each request: authorisation, mostly. `Debug` does not show the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// Reads lines of `Name: value`. `#` begins a comment line.
    ///
    /// # Errors
    /// The number of the line that is none. The error does not quote it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut headers = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once(':')
                .filter(|(name, _)| {
                    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                })
                .ok_or_else(|| format!("line {} is no `Name: value`", index + 1))?;
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        Ok(Self(headers))
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// A receiver.
#[derive(Debug)]
pub struct Http {
    agent: Agent,
    url: String,
    form: Form,
    headers: Headers,
    last: Option<Instant>,
}

/// What the receiver said to a request.
enum Answer {
    /// It has it.
    Taken,
    /// It has it but for some, which it will never take. It does not say which.
    TakenInPart { refused: u64, complaint: String },
    /// It will never take this.
    Refused(String),
}

impl Http {
    /// Will send to `url`; `tls` is for `https://`.
    pub fn new(url: String, form: Form, headers: Headers, tls: Option<&Client>) -> Self {
        let config = Agent::config_builder()
            .tls_config(tls.map(Client::http).unwrap_or_default())
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("pptpscope/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), url, form, headers, last: None }
    }

    fn send(&self, entries: &[Arc<Entry>]) -> io::Result<Answer> {
        let (kind, body) = match self.form {
            Form::Rows => ("application/x-ndjson", rows::body(entries)?),
            Form::Otlp => ("application/json", serde_json::to_vec(&otlp::request(entries))?),
        };
        let mut request = self.agent.post(&self.url).header("Content-Type", kind);
        for (name, value) in &self.headers.0 {
            request = request.header(name, value);
        }
        let mut response = request.send(&body).map_err(io::Error::other)?;
        let status = response.status();
        // What cannot be read of the answer says nothing: the status counts.
        let said = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec().unwrap_or_default();
        if status.is_success() {
            return Ok(match self.form {
                Form::Rows => Answer::Taken,
                Form::Otlp => otlp::refused(&said).map_or(Answer::Taken, |(refused, message)| {
                    Answer::TakenInPart { refused, complaint: printable(&message) }
                }),
            });
        }
        let complaint =
            format!("the receiver answers {status}: {}", printable(&String::from_utf8_lossy(&said)));
        match status {
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => {
                Ok(Answer::Refused(complaint))
            }
            // A wrong password or a missing table is mended by somebody, and then goes on.
            _ => Err(io::Error::other(complaint)),
        }
    }

    /// Sends as many as the receiver takes.
    fn push(&self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        match self.send(entries)? {
            Answer::Taken => progress.written += entries.len(),
            Answer::TakenInPart { refused, complaint } => {
                let refused = usize::try_from(refused).unwrap_or(usize::MAX).min(entries.len());
                tracing::warn!("{refused} of {} events are not taken: {complaint}", entries.len());
                progress.refused += refused;
                progress.written += entries.len() - refused;
            }
            Answer::Refused(complaint) if entries.len() <= 1 => {
                tracing::warn!("an event is not taken: {complaint}");
                progress.refused += entries.len();
            }
            Answer::Refused(_) => {
                let (first, second) = entries.split_at(entries.len() / 2);
                self.push(first, progress)?;
                self.push(second, progress)?;
            }
        }
        Ok(())
    }
}

/// What the receiver says, fit for a line of a message.
fn printable(said: &str) -> String {
    said.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

impl Outlet for Http {
    fn deliver(&mut self, entries: &[Arc<Entry>], progress: &mut Progress) -> io::Result<()> {
        let wait = self.last.map_or(Duration::ZERO, |last| PACE.saturating_sub(last.elapsed()));
        if entries.len() < LARGE {
            thread::sleep(wait);
        }
        self.last = Some(Instant::now());
        self.push(entries, progress)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;
    use crate::event::Severity;
    use crate::tls::testing::Authority;

    fn entry(text: &str) -> Arc<Entry> {
        let line = format!(
            r#"{{"ts":"2026-01-01T00:00:00.000000001Z","event":"drop","drop":{{"text":"{text}"}},"severity":"info","host":"vpn"}}"#
        );
        Arc::new(Entry { event: "drop".into(), severity: Severity::Info, line: (line + "\n").into() })
    }

    /// Answers each request with the status that `judge` gives to its head and body.
    fn receiver(judge: impl Fn(&str, &str) -> u16 + Send + 'static) -> String {
        answering(move |head, body| (judge(head, body), "no".to_owned()))
    }

    /// Answers each request with the status and the text that `judge` gives to its head and body.
    fn answering(judge: impl Fn(&str, &str) -> (u16, String) + Send + 'static) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut text = Vec::new();
                let mut block = [0; 4096];
                loop {
                    let length = stream.read(&mut block).unwrap();
                    text.extend(&block[..length]);
                    let so_far = String::from_utf8_lossy(&text).into_owned();
                    let Some((head, body)) = so_far.split_once("\r\n\r\n") else { continue };
                    let wanted = head.lines().find_map(|line| {
                        line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok()
                    });
                    if body.len() >= wanted.unwrap() {
                        let (status, answer) = judge(head, body);
                        let length = answer.len();
                        // A client that does not want all of it closes before the end.
                        let _ = write!(
                            stream,
                            "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
                        );
                        break;
                    }
                }
            }
        });
        format!("http://{address}/?query=INSERT")
    }

    #[test]
    fn one_event_that_is_refused_does_not_keep_back_the_others() {
        let url = receiver(|head, body| {
            let is_right = head.starts_with("POST /?query=INSERT ") && head.contains("x-key: secret");
            match (is_right, body.contains("bad")) {
                (false, _) => 500,
                (true, true) => 400,
                (true, false) => 200,
            }
        });
        let headers = Headers::parse("# for the receiver\nx-key: secret\n").unwrap();
        assert_eq!(format!("{headers:?}"), r#"["x-key"]"#);
        let mut http = Http::new(url, Form::Rows, headers, None);
        let mut progress = Progress::default();
        let entries = [entry("a"), entry("b"), entry("bad"), entry("c"), entry("d")];
        http.deliver(&entries, &mut progress).unwrap();
        assert_eq!(progress, Progress { written: 4, refused: 1 });
    }

    #[test]
    fn log_records_that_a_collector_rejects_are_not_counted_as_written() {
        let deliver = |answer: String| {
            let url = answering(move |_, _| (200, answer.clone()));
            let mut http = Http::new(url, Form::Otlp, Headers::default(), None);
            let mut progress = Progress::default();
            let entries = [entry("a"), entry("b"), entry("c")];
            http.deliver(&entries, &mut progress).unwrap();
            assert_eq!(progress.written + progress.refused, 3);
            progress.refused
        };
        let answer = |rejected: &str| {
            format!(r#"{{"partialSuccess":{{"rejectedLogRecords":{rejected},"errorMessage":"too\nold"}}}}"#)
        };
        assert_eq!(deliver(answer("2")), 2);
        assert_eq!(deliver(answer(r#""1""#)), 1);
        assert_eq!(deliver(answer(r#""9000000000000000000""#)), 3, "no more than were sent");
        // Longer than anything that is read.
        let long = answer("2").replace("too", &"o".repeat(1 << 20));
        for all_taken in ["", "no", "{}", "[]", &answer("0"), &answer("-1"), &answer("null"), &long] {
            assert_eq!(deliver(all_taken.to_owned()), 0, "{}", &all_taken[..all_taken.len().min(99)]);
        }
        assert_eq!(printable("too\nold\u{1b}[2J"), "tooold[2J");
    }

    #[test]
    fn what_may_be_mended_is_tried_again() {
        for status in [401, 404, 429, 500, 503, 307] {
            let mut http = Http::new(receiver(move |_, _| status), Form::Rows, Headers::default(), None);
            let mut progress = Progress::default();
            let error = http.deliver(&[entry("a")], &mut progress).unwrap_err().to_string();
            assert!(error.contains(&status.to_string()), "{error}");
            assert_eq!(progress, Progress::default());
        }
        let mut http = Http::new("http://127.0.0.1:9".into(), Form::Otlp, Headers::default(), None);
        assert!(http.deliver(&[entry("a")], &mut Progress::default()).is_err());
    }

    #[test]
    fn headers_that_are_none_are_told_without_their_text() {
        for text in ["secret", "a b: c", ": x"] {
            assert_eq!(Headers::parse(text), Err("line 1 is no `Name: value`".into()));
        }
    }

    #[test]
    fn over_tls_it_knows_the_receiver_and_the_receiver_knows_it() {
        let authority = Authority::new("http");
        let server = authority.strict_server(authority.issue("localhost"));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("https://localhost:{}/v1/logs", listener.local_addr().unwrap().port());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let session = rustls::ServerConnection::new(Arc::clone(&server)).unwrap();
                let mut stream = rustls::StreamOwned::new(session, stream.unwrap());
                let mut block = [0; 65536];
                // The request is small: its head and body come at once or in two parts.
                let mut text = Vec::new();
                while !text.ends_with(b"}]}]}]}") {
                    match stream.read(&mut block) {
                        Ok(length) if length > 0 => text.extend(&block[..length]),
                        _ => break,
                    }
                }
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        let deliver = |identity| {
            let client = Client::new(Some(&authority.path("ca.pem")), identity).unwrap();
            let mut http = Http::new(url.clone(), Form::Otlp, Headers::default(), Some(&client));
            let mut progress = Progress::default();
            http.deliver(&[entry("a")], &mut progress).map(|()| progress)
        };
        let known = deliver(Some(authority.issue("vpn"))).unwrap();
        assert_eq!(known, Progress { written: 1, refused: 0 });
        assert!(deliver(None).is_err());
    }
}
