//! What people ask of the running daemon: questions are answered, changes made into commands that the journal keeps.
//!
//! Owns what only the loop can know: the engine's time, which alerts fire, which silences exist.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::api::{Change, Ends, LONGEST, Refused, Wish};
use super::journal::Logged;
use super::machine::Machine;
use crate::engine::Engine;
use crate::engine::dispatch::{ACKS, SILENCES};
use crate::engine::event::{Acknowledgement, AlertState, Command, Effect, Silence};
use crate::model::Timestamp;
use crate::policy::labels;

/// What was answered, and what follows from a change that was made; `None` when none was.
pub type Answered = (Result<Value, Refused>, Option<Vec<Effect>>);

/// Does what is wished for and writes it down.
pub fn answer(machine: &mut Machine, wish: Wish) -> Answered {
    if machine.is_without_time() {
        let reason = "there is no time yet: the clock is that of the records, and none has come".to_owned();
        return (Err(Refused(StatusCode::SERVICE_UNAVAILABLE, reason)), None);
    }
    let now = machine.now();
    let change = match wish {
        Wish::Know(question) => return (question.answer(&machine.fold.engine, now), None),
        Wish::Change(change) => change,
    };
    let (command, body) = match command(&machine.fold.engine, now, change) {
        Ok(decided) => decided,
        Err(refused) => return (Err(refused), None),
    };
    let effects = machine.event(Logged::Command(command));
    let result = match machine.journal_fault() {
        None => Ok(body),
        Some(fault) => Err(Refused(StatusCode::SERVICE_UNAVAILABLE, format!("it is not written down yet: {fault}"))),
    };
    (result, Some(effects))
}

fn command(engine: &Engine, now: Timestamp, change: Change) -> Result<(Command, Value), Refused> {
    let bad = |text: String| Refused(StatusCode::BAD_REQUEST, text);
    let missing = |text: String| Refused(StatusCode::NOT_FOUND, text);
    match change {
        Change::Silence { matchers, author, comment, starts, ends } => {
            let starts = starts.unwrap_or(now).max(now);
            let ends = match ends {
                Ends::At(at) => at,
                Ends::After(span) => starts + span,
            };
            if ends <= starts || ends.since(starts) > LONGEST {
                return Err(bad(format!(
                    "it would last from {starts} to {ends}: write an end after its start, {LONGEST} at most"
                )));
            }
            if engine.silences().iter().filter(|s| s.ends > now).count() >= SILENCES {
                return Err(bad(format!("there are {SILENCES} silences, which is the limit: end one first")));
            }
            let mut hash = Sha256::new();
            let texts: Vec<String> =
                matchers.iter().map(|m| m.to_string()).chain([author.clone(), comment.clone()]).collect();
            texts.iter().for_each(|text| hash.update(format!("{}:{text}", text.len())));
            hash.update(starts.0.to_le_bytes());
            hash.update(ends.0.to_le_bytes());
            let id: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
            let warnings: Vec<String> = matchers
                .iter()
                .filter_map(|matcher| labels::in_vain(&engine.policy().rules, matcher))
                .map(|(message, help)| format!("{message}: {help}"))
                .collect();
            let silence = Silence { id, matchers, author, comment, starts, ends };
            let alerts = silence.count(&engine.alerts());
            let body = json!({
                "id": silence.id, "starts_at": starts, "ends_at": ends, "alerts": alerts, "warnings": warnings,
            });
            Ok((Command::Silence(silence), body))
        }
        Change::Expire(id) => match engine.silences().iter().find(|silence| silence.id == id) {
            Some(silence) if silence.ends > now => Ok((Command::ExpireSilence { id: id.clone() }, json!({"id": id}))),
            Some(silence) => Err(bad(format!("the silence {id} ended at {}", silence.ends))),
            None => Err(missing(format!("there is no silence {id}; GET /api/v1/silences lists them"))),
        },
        Change::Acknowledge { alert, author, note } => {
            let fires = engine.alerts().iter().any(|a| a.id == alert && a.state == AlertState::Firing);
            if !fires {
                return Err(missing(format!("no alert {alert} fires; GET /api/v1/alerts lists them")));
            }
            if !engine.takes_acknowledgement(&alert) {
                return Err(bad(format!("{ACKS} alerts are taken on, which is the limit: silence by labels instead")));
            }
            let body = json!({"id": alert});
            Ok((Command::Acknowledge(Acknowledgement { alert, author, note, at: now }), body))
        }
    }
}
