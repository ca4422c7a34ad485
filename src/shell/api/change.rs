//! What people may change through the API: silences and acknowledgements.
//!
//! Reads and checks the request, hands it to the daemon's loop as an [`Asked`], and answers with what
//! the loop says once the change is in the journal. Never touches the engine.

use axum::Json;
use axum::body::to_bytes;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use super::look::Question;
use super::{Shared, problem};
use crate::model::{Span, Timestamp};
use crate::wire::matcher::LabelMatcher;

/// The longest body that is read.
const BODY_BYTES: usize = 64 * 1024;
/// The longest author, comment or note.
const TEXT: usize = 1_000;
/// Matchers of one silence.
const MATCHERS: usize = 50;
/// The longest silence.
pub const LONGEST: Span = Span::days(366);

/// What somebody wants changed or wants to know, and where the answer goes.
#[derive(Debug)]
pub struct Asked {
    /// What is wanted.
    pub wish: Wish,
    /// The body of the answer, or why not.
    pub answer: oneshot::Sender<Result<Value, Refused>>,
}

/// What people may want of the daemon's loop.
#[derive(Debug)]
pub enum Wish {
    /// To know something that is in no picture.
    Know(Question),
    /// To have something changed.
    Change(Change),
}

/// Changes that people may want.
#[derive(Debug)]
pub enum Change {
    /// A silence.
    Silence {
        /// What it covers.
        matchers: Vec<LabelMatcher>,
        /// Who wants it.
        author: String,
        /// Why.
        comment: String,
        /// From when on; `None`: now.
        starts: Option<Timestamp>,
        /// Up to when.
        ends: Ends,
    },
    /// The end of a silence.
    Expire(String),
    /// An alert taken on.
    Acknowledge {
        /// Its id.
        alert: String,
        /// By whom.
        author: String,
        /// What they say.
        note: String,
    },
}

/// When a silence ends.
#[derive(Debug, Clone, Copy)]
pub enum Ends {
    /// At an instant.
    At(Timestamp),
    /// After so long.
    After(Span),
}

/// Why a change is not made.
#[derive(Debug)]
pub struct Refused(pub StatusCode, pub String);

impl Refused {
    fn bad(text: impl Into<String>) -> Refused {
        Refused(StatusCode::BAD_REQUEST, text.into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SilenceBody {
    matchers: Vec<String>,
    author: String,
    comment: String,
    starts_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    duration: Option<Span>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AckBody {
    author: String,
    #[serde(default)]
    note: String,
}

pub(super) async fn silence(State(shared): State<Shared>, request: Request) -> Response {
    match read::<SilenceBody>(request).await.and_then(SilenceBody::wish) {
        Ok(wish) => respond(&shared.asks, Wish::Change(wish), StatusCode::CREATED).await,
        Err(refused) => refuse(refused),
    }
}

pub(super) async fn expire(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    respond(&shared.asks, Wish::Change(Change::Expire(id)), StatusCode::OK).await
}

pub(super) async fn acknowledge(State(shared): State<Shared>, Path(alert): Path<String>, request: Request) -> Response {
    let wish = read::<AckBody>(request).await.and_then(|body| {
        Ok(Change::Acknowledge {
            alert,
            author: text("author", body.author, true)?,
            note: text("note", body.note, false)?,
        })
    });
    match wish {
        Ok(wish) => respond(&shared.asks, Wish::Change(wish), StatusCode::OK).await,
        Err(refused) => refuse(refused),
    }
}

impl SilenceBody {
    fn wish(self) -> Result<Change, Refused> {
        if self.matchers.is_empty() || self.matchers.len() > MATCHERS {
            return Err(Refused::bad(format!("`matchers` holds {}: write 1 to {MATCHERS}", self.matchers.len())));
        }
        let matchers = self.matchers.iter().map(|text| LabelMatcher::parse(text)).collect::<Result<Vec<_>, _>>();
        let ends = match (self.ends_at, self.duration) {
            (Some(at), None) => Ends::At(at),
            (None, Some(length)) => Ends::After(length),
            _ => return Err(Refused::bad("write either `ends_at` or `duration`")),
        };
        Ok(Change::Silence {
            matchers: matchers.map_err(|reason| Refused::bad(format!("`matchers`: {reason}")))?,
            author: text("author", self.author, true)?,
            comment: text("comment", self.comment, true)?,
            starts: self.starts_at,
            ends,
        })
    }
}

fn text(name: &str, text: String, required: bool) -> Result<String, Refused> {
    let text = text.trim().to_owned();
    if text.chars().count() > TEXT || text.chars().any(char::is_control) || (required && text.is_empty()) {
        let least = usize::from(required);
        return Err(Refused::bad(format!("`{name}`: write {least} to {TEXT} characters without control characters")));
    }
    Ok(text)
}

/// The body, which must say that it is JSON: no web page can send that elsewhere without asking first.
async fn read<T: for<'de> Deserialize<'de>>(request: Request) -> Result<T, Refused> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind.split(';').next().is_none_or(|kind| !kind.trim().eq_ignore_ascii_case("application/json")) {
        let text = "send `Content-Type: application/json`".to_owned();
        return Err(Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let large = |_| Refused(StatusCode::PAYLOAD_TOO_LARGE, format!("the body is longer than {BODY_BYTES} bytes"));
    let body = to_bytes(request.into_body(), BODY_BYTES).await.map_err(large)?;
    serde_json::from_slice(&body).map_err(|error| Refused::bad(format!("the body is not as expected: {error}")))
}

pub(super) async fn respond(asks: &mpsc::Sender<Asked>, wish: Wish, status: StatusCode) -> Response {
    let busy = || Refused(StatusCode::SERVICE_UNAVAILABLE, "the daemon is busy or ends; try again".to_owned());
    let (answer, answered) = oneshot::channel();
    let result = match asks.try_send(Asked { wish, answer }) {
        Ok(()) => answered.await.unwrap_or_else(|_| Err(busy())),
        Err(_) => Err(busy()),
    };
    match result {
        Ok(body) => (status, Json(body)).into_response(),
        Err(refused) => refuse(refused),
    }
}

pub(super) fn refuse(Refused(status, error): Refused) -> Response {
    problem(status, &error, None)
}
