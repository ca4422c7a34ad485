//! What becomes of a report in the tables.

use std::collections::BTreeMap;

use rusqlite::{Connection, Result, params};

use crate::engine::event::{
    AlertEvent, Decision, Failing, NotificationReport, NotificationStatus, Recommendation, Report,
};
use crate::model::{Severity, Subject, Timestamp};

/// Writes a report that was made when the engine's clock showed `now`.
pub fn put(connection: &Connection, now: Timestamp, report: &Report) -> Result<()> {
    match report {
        Report::Alert(alert) | Report::Regraded { alert, .. } => put_alert(connection, alert),
        Report::Notification(notification) => put_notification(connection, notification),
        Report::Failing(failing) => put_failing(connection, failing),
        Report::Answers(_) => Ok(()),
        Report::Recommendation(recommendation) => put_recommendation(connection, now, recommendation),
    }
}

fn put_alert(connection: &Connection, alert: &AlertEvent) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO alerts (alert_id, state, at, rule, subject, severity, condition, value, threshold, n, window,
                             active_since, fired_at, labels, annotations)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
         ON CONFLICT (alert_id, state) DO UPDATE SET at = ?3, severity = ?6, condition = ?7, value = ?8, threshold = ?9,
                                                     n = ?10, fired_at = ?13, labels = ?14, annotations = ?15",
    )?;
    statement.execute(params![
        alert.id,
        alert.state.as_str(),
        alert.at.to_rfc3339(),
        alert.rule,
        subject(&alert.subject),
        alert.severity.as_str(),
        alert.condition,
        alert.value.filter(|v| v.is_finite()),
        alert.threshold.filter(|v| v.is_finite()),
        alert.n as i64,
        alert.window.to_string(),
        alert.active_since.to_rfc3339(),
        alert.fired_at.map(Timestamp::to_rfc3339),
        json(&alert.labels),
        json(&alert.annotated()),
    ])?;
    Ok(())
}

fn put_notification(connection: &Connection, report: &NotificationReport) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO deliveries (id, receiver, alert_id, rule, subject, severity, state, status, attempts, reason, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT (id, alert_id) DO UPDATE SET severity = ?6, status = ?8, attempts = ?9, reason = ?10, at = ?11",
    )?;
    let mut put = |alert_id: &str, rule: &str, about: Option<&Subject>, severity: Option<Severity>, state: &str| {
        statement.execute(params![
            report.id.0,
            report.receiver,
            alert_id,
            rule,
            about.map(subject),
            severity.map(Severity::as_str),
            state,
            status(report.status),
            report.attempts,
            report.reason,
            report.at.to_rfc3339(),
        ])
    };
    let Some(state) = report.state else {
        put(&report.alert_id, &report.alert_id, None, None, "digest")?;
        return Ok(());
    };
    // A row per alert, so that who was told of one can be asked.
    put(&report.alert_id, &report.rule, Some(&report.subject), report.severity, state.as_str())?;
    for other in &report.others {
        put(&other.alert_id, &other.rule, Some(&other.subject), Some(other.severity), other.state.as_str())?;
    }
    Ok(())
}

/// What waits for an Alertmanager waits for one reason.
fn put_failing(connection: &Connection, failing: &Failing) -> Result<()> {
    let mut waiting = connection
        .prepare_cached("UPDATE deliveries SET reason = ?2, at = ?3 WHERE receiver = ?1 AND status = 'queued'")?;
    waiting.execute(params![failing.receiver, failing.reason, failing.at.to_rfc3339()])?;
    let mut tried = connection.prepare_cached("UPDATE deliveries SET attempts = ?2 WHERE id = ?1")?;
    for (id, attempts) in &failing.attempts {
        tried.execute(params![id.0, attempts])?;
    }
    Ok(())
}

fn put_recommendation(connection: &Connection, now: Timestamp, advice: &Recommendation) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO recommendations (target, parameter_index, agent, at, model, parameter, current, proposed, lower,
                                      upper, n, censored, prior_weight, bound_by, reason, decision)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
         ON CONFLICT (target, parameter_index, agent) DO UPDATE SET
             at = ?4, model = ?5, parameter = ?6, current = ?7, proposed = ?8, lower = ?9, upper = ?10, n = ?11,
             censored = ?12, prior_weight = ?13, bound_by = ?14, reason = ?15, decision = ?16",
    )?;
    statement.execute(params![
        advice.target,
        advice.parameter_index,
        advice.agent,
        now.to_rfc3339(),
        advice.model,
        advice.parameter.as_str(),
        advice.current,
        advice.proposed,
        advice.lower,
        advice.upper,
        advice.n as i64,
        advice.censored as i64,
        advice.prior_weight,
        advice.bound_by,
        advice.reason,
        decision(advice.decision),
    ])?;
    Ok(())
}

fn subject(subject: &Subject) -> String {
    json(&subject.0)
}

fn json(labels: &BTreeMap<String, String>) -> String {
    serde_json::to_string(labels).expect("a map of texts is JSON")
}

fn status(status: NotificationStatus) -> &'static str {
    match status {
        NotificationStatus::Queued => "queued",
        NotificationStatus::Delivered => "delivered",
        NotificationStatus::Refused => "refused",
        NotificationStatus::Expired => "expired",
        NotificationStatus::Dropped => "dropped",
        NotificationStatus::Superseded => "superseded",
    }
}

fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Change => "change",
        Decision::Keep => "keep",
    }
}
