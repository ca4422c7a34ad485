//! Questions that no picture answers: they go to the daemon's loop, which asks the engine.
//!
//! A picture holds what many ask for all the time; why one rule says what it says of one subject is
//! asked seldom and would make every picture dear. An answer takes the loop as long as one evaluation of
//! what is asked about.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::change::{Refused, Wish, refuse, respond};
use crate::engine::Engine;
use crate::model::Timestamp;

/// Something that only the engine knows.
#[derive(Debug)]
pub enum Question {
    /// Why a rule says what it says of a subject.
    Why {
        /// The rule's name.
        rule: String,
        /// Whom, as people write it.
        subject: String,
    },
    /// How far every subject is from firing.
    Margins {
        /// Of one rule only.
        rule: Option<String>,
        /// As many, the nearest first.
        limit: usize,
    },
    /// The rules in force, with their subjects by state.
    Rules,
}

impl Question {
    /// The answer at `now`.
    pub fn answer(&self, engine: &Engine, now: Timestamp) -> Result<Value, Refused> {
        let missing = |text| Refused(StatusCode::NOT_FOUND, text);
        let json = match self {
            Question::Why { rule, subject } => serde_json::to_value(engine.why(now, rule, subject).map_err(missing)?),
            Question::Margins { rule, limit } => {
                serde_json::to_value(engine.margins(now, rule.as_deref(), *limit).map_err(missing)?)
            }
            Question::Rules => serde_json::to_value(engine.rules(now))
                .map(|rules| json!({"at": now, "rules": rules, "left_out": engine.policy().left_out})),
        };
        json.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhyQuery {
    rule: String,
    subject: String,
}

pub(super) async fn why(State(shared): State<Shared>, query: Result<Query<WhyQuery>, QueryRejection>) -> Response {
    ask(&shared, query, |WhyQuery { rule, subject }| Question::Why { rule, subject }).await
}

/// Distances that one answer holds, unless others are asked for.
const MARGINS: usize = 1_000;
/// At most.
const MOST_MARGINS: usize = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MarginsQuery {
    rule: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn margins(
    State(shared): State<Shared>,
    query: Result<Query<MarginsQuery>, QueryRejection>,
) -> Response {
    let question =
        |MarginsQuery { rule, limit }| Question::Margins { rule, limit: limit.unwrap_or(MARGINS).min(MOST_MARGINS) };
    ask(&shared, query, question).await
}

pub(super) async fn rules(State(shared): State<Shared>) -> Response {
    respond(&shared.asks, Wish::Know(Question::Rules), StatusCode::OK).await
}

async fn ask<Q>(
    shared: &Shared,
    query: Result<Query<Q>, QueryRejection>,
    question: impl FnOnce(Q) -> Question,
) -> Response {
    match query {
        Ok(Query(query)) => respond(&shared.asks, Wish::Know(question(query)), StatusCode::OK).await,
        Err(rejection) => refuse(Refused(StatusCode::BAD_REQUEST, rejection.body_text())),
    }
}
