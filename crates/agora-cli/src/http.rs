//! The HTTP server of `agora node --http`: three pages, read only, and small in every respect.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agora::{Error, ErrorKind};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::failure::Failure;
use crate::output::Output;
use crate::signs::Signs;

/// Connections at a time. Further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 32;
/// How long the head of a request may take.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last: one request, and its answer.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// The pause after a connection could not be accepted: there are too many files open, which passes.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often what was recorded is folded together.
const UPKEEP: Duration = Duration::from_secs(5);

const TEXT: &str = "text/plain; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// An address to listen at.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let help = "an address with a port looks like 127.0.0.1:9464 or [::]:9464; port 0 takes a free one";
    text.parse().map_err(|_| help.to_owned())
}

/// Says where the server listens.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "http")]
struct HttpNote {
    address: SocketAddr,
}

/// A server that listens.
#[derive(Debug)]
pub(crate) struct Server {
    listener: TcpListener,
    signs: Arc<Signs>,
}

impl Server {
    /// Listens at the address, and says so.
    ///
    /// # Errors
    /// - `Config`: the address is in use, or not this machine's.
    /// - `Runtime`: see [`Signs::new`].
    pub(crate) async fn bind(address: SocketAddr, output: &Output) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            Failure::Error(
                Error::new(ErrorKind::Config, "cannot listen for HTTP")
                    .operation("http")
                    .context("address", address)
                    .help("take another address for --http; port 0 takes a free one")
                    .source(error),
            )
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let signs = Arc::new(Signs::new()?);
        output.note(&HttpNote { address }, || format!("signs of life at http://{address}"));
        Ok(Self { listener, signs })
    }

    /// What the pages tell.
    pub(crate) fn signs(&self) -> Arc<Signs> {
        self.signs.clone()
    }

    /// Serves until it is dropped, and every connection with it.
    pub(crate) async fn serve(self) -> Infallible {
        let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        let mut connections = JoinSet::new();
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let accepted = async {
                let permit = room.clone().acquire_owned().await;
                (permit, self.listener.accept().await)
            };
            tokio::select! {
                (permit, accepted) = accepted => match accepted {
                    Ok((stream, _)) => {
                        let serving = serve_connection(stream, self.signs.clone());
                        connections.spawn(async move {
                            // What a client does wrong is the client's.
                            let _ = tokio::time::timeout(CONNECTION_TIMEOUT, serving).await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
                _ = upkeep.tick() => self.signs.upkeep(),
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

async fn serve_connection(stream: TcpStream, signs: Arc<Signs>) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let signs = signs.clone();
        async move { Ok::<_, Infallible>(answer(&request, &signs).await) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn answer<B>(request: &Request<B>, signs: &Signs) -> Response<Full<Bytes>> {
    let known = ["/livez", "/readyz", "/metrics"].contains(&request.uri().path());
    if known && ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match request.uri().path() {
        "/livez" => page(StatusCode::OK, TEXT, "alive\n"),
        "/readyz" => ready(signs.ready().await.err().map(|why| why.0), wants_json(request)),
        "/metrics" => page(StatusCode::OK, PROMETHEUS, signs.metrics()),
        _ => page(StatusCode::NOT_FOUND, TEXT, "there are /livez, /readyz and /metrics\n"),
    }
}

/// Ready, or the reason why not.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reason: Option<String>,
}

fn ready(reason: Option<String>, json: bool) -> Response<Full<Bytes>> {
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if json {
        let body = crate::json::line(&Readiness { ready: reason.is_none(), reason });
        return page(status, JSON, body + "\n");
    }
    page(status, TEXT, reason.unwrap_or_else(|| "ready".to_owned()) + "\n")
}

fn wants_json<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    accepted.is_some_and(|accepted| accepted.contains(JSON))
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
