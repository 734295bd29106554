//! Answers Prometheus: HTTP/1.1 on a thread of its own, so that no scraper slows the loop.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tracing::{debug, warn};

use super::Metrics;

/// Connections at the same time; others wait in the queue of the socket.
const CONNECTIONS: usize = 16;
/// A connection has so long, from its first byte to its last.
const PATIENCE: Duration = Duration::from_secs(10);
/// After an error of accept(2), such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// What a scraper must show. Its hash is kept, and compared: how long that takes tells nothing.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// The token is `text` without white space around it; there must be one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(Sha256::digest(text).into()))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Binds `address` and serves until the process ends, over TLS when `tls` says how.
///
/// # Errors
/// The address cannot be bound, or there can be no more threads.
pub fn start(
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    token: Option<Token>,
    metrics: Arc<Metrics>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("metrics".into()).spawn(move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => {
                    accept(listener, tls.map(TlsAcceptor::from), token.map(Arc::new), metrics).await;
                }
                Err(error) => warn!("metrics cannot be served: {error}"),
            }
        });
    })?;
    Ok(address)
}

async fn accept(
    listener: tokio::net::TcpListener,
    tls: Option<TlsAcceptor>,
    token: Option<Arc<Token>>,
    metrics: Arc<Metrics>,
) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // It is never closed.
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("cannot accept a connection for metrics: {error}");
                sleep(PAUSE).await;
                continue;
            }
        };
        let (tls, token, metrics) = (tls.clone(), token.clone(), Arc::clone(&metrics));
        tokio::spawn(async move {
            let serve = async {
                match tls {
                    Some(tls) => converse(tls.accept(stream).await?, token, metrics).await,
                    None => converse(stream, token, metrics).await,
                }
            };
            // One that is too slow is cut off without a word.
            if let Ok(Err(error)) = timeout(PATIENCE, serve).await {
                debug!(%error, "a scraper went away");
            }
            drop(permit);
        });
    }
}

/// One connection.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    token: Option<Arc<Token>>,
    metrics: Arc<Metrics>,
) -> io::Result<()> {
    let service = service_fn(|request| {
        let response = answer(&request, token.as_deref(), &metrics);
        async { Ok::<_, Infallible>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false).max_buf_size(16 << 10);
    server.serve_connection(TokioIo::new(stream), service).await.map_err(io::Error::other)
}

fn answer(request: &Request<Incoming>, token: Option<&Token>, metrics: &Metrics) -> Response<Full<Bytes>> {
    if let Some(token) = token
        && !request.headers().get(AUTHORIZATION).is_some_and(|shown| shows(shown, token))
    {
        let mut response = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed\n".into());
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".into());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/metrics" => match metrics.text() {
            Ok(text) => {
                let mut response = plain(StatusCode::OK, text);
                let kind = HeaderValue::from_static(prometheus::TEXT_FORMAT);
                response.headers_mut().insert(CONTENT_TYPE, kind);
                response
            }
            Err(error) => {
                warn!("metrics cannot be written: {error}");
                plain(StatusCode::INTERNAL_SERVER_ERROR, "see the log of the agent\n".into())
            }
        },
        "/" => plain(StatusCode::OK, "pptpscope: /metrics\n".into()),
        _ => plain(StatusCode::NOT_FOUND, "only /metrics\n".into()),
    }
}

fn shows(shown: &HeaderValue, token: &Token) -> bool {
    let Some((scheme, shown)) = shown.to_str().ok().and_then(|shown| shown.split_once(' ')) else {
        return false;
    };
    let shown: [u8; 32] = Sha256::digest(shown.trim()).into();
    scheme.eq_ignore_ascii_case("bearer") && shown == token.0
}

fn plain(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Client;
    use crate::tls::testing::Authority;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    fn get(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn serve(token: Option<&str>) -> SocketAddr {
        let metrics = Arc::new(Metrics::new().unwrap());
        start("127.0.0.1:0".parse().unwrap(), None, token.and_then(Token::new), metrics).unwrap()
    }

    #[test]
    fn answers_get_of_metrics_and_nothing_else() {
        let address = serve(None);
        let text = get(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(text.starts_with("HTTP/1.1 200 OK") && text.contains("text/plain; version=0.0.4"), "{text}");
        assert!(text.contains("pptpscope_calls_started_total 0"), "{text}");
        for (request, status) in [
            ("GET /secret HTTP/1.1\r\nHost: x\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "405"),
            ("nonsense\r\n\r\n", "400"),
        ] {
            let answer = get(address, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {answer}");
        }
    }

    #[test]
    fn wants_the_token() {
        assert!(Token::new(" \n").is_none());
        let address = serve(Some("s3cret\n"));
        for (header, status) in [
            ("", "401"),
            ("Authorization: Bearer wrong\r\n", "401"),
            ("Authorization: Basic s3cret\r\n", "401"),
            ("Authorization: Bearer s3cret\r\n", "200"),
            ("authorization: bearer s3cret\r\n", "200"),
        ] {
            let answer = get(address, &format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{header}\r\n"));
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{header}: {answer}");
        }
    }

    #[test]
    fn talks_tls_when_it_has_a_certificate() {
        let authority = Authority::new("metrics");
        let tls = authority.issue("localhost").server().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let address =
            start("127.0.0.1:0".parse().unwrap(), Some(tls), Token::new("s3cret"), metrics).unwrap();
        let client = Client::new(Some(&authority.path("ca.pem")), None).unwrap();
        let agent = ureq::Agent::config_builder().tls_config(client.http()).build().new_agent();
        let get = || agent.get(format!("https://localhost:{}/metrics", address.port()));
        let mut answer = get().header("Authorization", "Bearer s3cret").call().unwrap();
        assert!(answer.body_mut().read_to_string().unwrap().contains("pptpscope_calls_started_total 0"));
        assert!(matches!(get().call(), Err(ureq::Error::StatusCode(401))));
        // Whoever speaks plain HTTP gets nothing.
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.windows(9).any(|part| part == b"pptpscope"));
    }
}
