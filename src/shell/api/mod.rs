//! The HTTP API: JSON and metrics from one picture of the daemon, and the few changes people may make.
//!
//! The daemon publishes a [`Picture`]; requests are answered from the newest one, so that the
//! parts of an answer agree with each other and no request holds up the engine. The few questions
//! about one rule that no picture answers go to the loop, one at a time. A connection
//! serves one request and has a bounded life: scrapes come seconds apart and gain nothing from
//! being kept, and a client that stalls costs one slot for half a minute at most.

mod access;
mod change;
mod exposition;
mod look;
mod metrics;
mod performance;
mod status;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{FromRef, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::{Serialize, Serializer};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};

use crate::engine::dispatch::AckView;
use crate::engine::event::{AlertEvent, Silence};
use crate::engine::view::{AlertMessages, View};
use crate::model::Timestamp;
pub use access::{Access, AccessError};
pub use change::{Asked, Change, Ends, LONGEST, Refused, Wish};
pub use status::{DaemonStatus, SourceStatus};

/// Connections at once; further ones wait in the system's queue.
const CONNECTIONS: usize = 128;
/// How long a client may take to say what it wants.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection may live.
const CONNECTION_LIFE: Duration = Duration::from_secs(30);
/// How long requests in flight may go on after the end was asked for.
const GRACE: Duration = Duration::from_secs(5);
/// A picture older than this means that the daemon's loop hangs.
const STALLED: Duration = Duration::from_secs(60);

/// Everything that the API shows, of one moment.
#[derive(Debug)]
pub struct Picture {
    /// What the engine knows.
    pub view: View,
    /// What the shell around it knows.
    pub daemon: DaemonStatus,
    published: Instant,
}

impl Picture {
    /// A picture of this moment. The daemon publishes one at least every 10 s, idle or not: one
    /// that is a minute old makes `/healthz` fail.
    pub fn new(view: View, daemon: DaemonStatus) -> Picture {
        Picture { view, daemon, published: Instant::now() }
    }

    /// Why the daemon is not well; empty when it is.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = self.daemon.faults.clone();
        let age = self.published.elapsed();
        if age > STALLED {
            faults.push(format!("the engine has reported nothing for {} s", age.as_secs()));
        }
        faults
    }
}

type Pictures = watch::Receiver<Arc<Picture>>;

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    pictures: Pictures,
    asks: mpsc::Sender<Asked>,
}

impl FromRef<Shared> for Pictures {
    fn from_ref(shared: &Shared) -> Pictures {
        shared.pictures.clone()
    }
}

/// Answers requests until `end`, then lets those in flight finish for a few seconds. What people want
/// changed goes to `asks`.
pub async fn serve(
    listener: TcpListener,
    access: Access,
    pictures: Pictures,
    asks: mpsc::Sender<Asked>,
    end: impl Future<Output = ()>,
) {
    let service = TowerToHyperService::new(router(access, Shared { pictures, asks }));
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let next = async {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            (slot, accept(&listener).await)
        };
        let (slot, stream) = tokio::select! {
            () = &mut end => break,
            next = next => next,
        };
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIMEOUT)
            .keep_alive(false)
            .serve_connection(TokioIo::new(stream), service.clone());
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that goes away in the middle is its own affair.
            let _ = tokio::time::timeout(CONNECTION_LIFE, connection).await;
            drop(slot);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}

/// The next connection. Errors of accepting pass: descriptors come back when connections end.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "the API cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

/// What is served, by path.
const PATHS: [&str; 14] = [
    "/healthz",
    "/metrics",
    "/api/agent-performance",
    "/api/v1/agents",
    "/api/v1/alerts",
    "/api/v1/recommendations",
    "/api/v1/silences",
    "/api/v1/silences/{id}",
    "/api/v1/alerts/{id}/ack",
    "/api/v1/budgets",
    "/api/v1/why",
    "/api/v1/margins",
    "/api/v1/rules",
    "/api/v1/slos",
];

fn router(access: Access, shared: Shared) -> Router {
    let router = Router::new()
        .route(PATHS[0], get(healthz))
        .route(PATHS[1], get(scrape))
        .route(PATHS[2], get(agent_performance))
        .route(PATHS[3], get(agents))
        .route(PATHS[4], get(alerts))
        .route(PATHS[5], get(recommendations))
        .route(PATHS[6], get(silences).post(change::silence))
        .route(PATHS[7], delete(change::expire))
        .route(PATHS[8], post(change::acknowledge))
        .route(PATHS[9], get(budgets))
        .route(PATHS[10], get(look::why))
        .route(PATHS[11], get(look::margins))
        .route(PATHS[12], get(look::rules))
        .route(PATHS[13], get(slos))
        .fallback(|| async { problem(StatusCode::NOT_FOUND, "nothing here; see `paths`", Some(&PATHS)) })
        .method_not_allowed_fallback(|| async {
            problem(StatusCode::METHOD_NOT_ALLOWED, "not this method on this path", None)
        })
        .with_state(shared);
    router.layer(middleware::from_fn_with_state(Arc::new(access), guard))
}

/// Lets a request through or says why not; no answer is kept by caches or guessed at by browsers.
async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    let changes = !matches!(*request.method(), Method::GET | Method::HEAD);
    let checked = access.check(request.headers()).and_then(|()| match changes {
        true => access.check_change(request.headers()),
        false => Ok(()),
    });
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            let mut response = problem(refusal.status(), &refusal.to_string(), None);
            if refusal.status() == StatusCode::UNAUTHORIZED {
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            response
        }
    };
    let fixed: [(HeaderName, &str); 2] =
        [(header::CACHE_CONTROL, "no-store"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A refusal in JSON: `error`, and what exists.
fn problem(status: StatusCode, error: &str, paths: Option<&[&str]>) -> Response {
    let body = match paths {
        Some(paths) => json!({"error": error, "paths": paths}),
        None => json!({"error": error}),
    };
    (status, Json(body)).into_response()
}

fn newest(pictures: &Pictures) -> Arc<Picture> {
    pictures.borrow().clone()
}

async fn healthz(State(pictures): State<Pictures>) -> Response {
    let picture = newest(&pictures);
    let faults = picture.faults();
    let (code, status) = match faults.is_empty() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unhealthy"),
    };
    (code, Json(json!({"status": status, "reasons": faults, "warnings": picture.daemon.warnings}))).into_response()
}

async fn scrape(State(pictures): State<Pictures>, headers: HeaderMap) -> Result<Response, Infallible> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = exposition::Format::wanted(accept);
    let text = format.render(metrics::openmetrics(newest(&pictures)));
    Ok(([(header::CONTENT_TYPE, format.content_type())], text).into_response())
}

async fn agent_performance(State(pictures): State<Pictures>) -> Response {
    Json(performance::document(&newest(&pictures).view)).into_response()
}

async fn agents(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    Json(List { at: view.now, name: "agents", items: &view.agents }).into_response()
}

async fn alerts(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    let told = |alert: &AlertEvent, messages: Option<&AlertMessages>| {
        json!(ToldAlert {
            alert: alert.shown(),
            acknowledged: messages.and_then(|m| m.acknowledged.as_ref()),
            messages
        })
    };
    let items: Vec<_> = view.alerts.iter().enumerate().map(|(n, alert)| told(alert, view.messages.get(n))).collect();
    let ended: Vec<_> = view.ended.iter().map(|ended| told(&ended.alert, Some(&ended.messages))).collect();
    Json(json!({"at": view.now, "alerts": items, "ended": ended, "digests": view.digests})).into_response()
}

/// An alert, and who is told of it when.
#[derive(Serialize)]
struct ToldAlert<'a> {
    #[serde(flatten)]
    alert: serde_json::Value,
    acknowledged: Option<&'a AckView>,
    messages: Option<&'a AlertMessages>,
}

async fn silences(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    let ended = |silence: &Silence| view.now.is_some_and(|now| silence.ends <= now);
    let alerts = |silence: &Silence| if ended(silence) { 0 } else { silence.count(&view.alerts) };
    let counted = |silence| CountedSilence { silence, alerts: alerts(silence) };
    let items: Vec<CountedSilence<'_>> = view.silences.iter().map(counted).collect();
    Json(List { at: view.now, name: "silences", items: &items }).into_response()
}

/// A silence, and how many active alerts its matchers fit; none when it ended.
#[derive(Serialize)]
struct CountedSilence<'a> {
    #[serde(flatten)]
    silence: &'a Silence,
    alerts: usize,
}

async fn recommendations(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    Json(List { at: view.now, name: "recommendations", items: &view.recommendations }).into_response()
}

async fn budgets(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    Json(List { at: view.now, name: "budgets", items: &view.budgets }).into_response()
}

async fn slos(State(pictures): State<Pictures>) -> Response {
    let view = &newest(&pictures).view;
    Json(List { at: view.now, name: "slos", items: &view.slos }).into_response()
}

/// `{"at": <the engine's clock>, <name>: [...]}`.
struct List<'a, T> {
    at: Option<Timestamp>,
    name: &'static str,
    items: &'a [T],
}

impl<T: Serialize> Serialize for List<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map([("at", Field::At(self.at)), (self.name, Field::Items(self.items))])
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Field<'a, T> {
    At(Option<Timestamp>),
    Items(&'a [T]),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_publishes_nothing_is_not_well() {
        let picture = |age| Picture {
            published: Instant::now().checked_sub(Duration::from_secs(age)).expect("the machine is up for longer"),
            ..Picture::new(View::default(), DaemonStatus::default())
        };
        assert_eq!(picture(30).faults(), Vec::<String>::new());
        assert_eq!(picture(90).faults(), ["the engine has reported nothing for 90 s"]);
    }
}
