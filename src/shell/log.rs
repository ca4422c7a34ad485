//! What the daemon says while it works: to people on standard error, or to journald with fields when it is
//! the reader of standard error.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::prelude::*;

use crate::diagnostic::{Diagnostic, Level};
use crate::engine::event::{
    AlertEvent, AlertState, Answers, Failing, NotificationReport, NotificationStatus, OtherAlert, Report,
};
use crate::model::{Severity, Span, Timestamp};

/// Sets the process-wide reader of log lines. `EVENKEEL_LOG` filters them (`debug`, `evenkeel=trace`); a second
/// call changes nothing.
pub fn init(color: bool) {
    let filter = EnvFilter::try_from_env("EVENKEEL_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    if journald_reads()
        && let Ok(journald) = tracing_journald::layer()
    {
        let _ = registry.with(journald.with_syslog_identifier("evenkeel".to_owned())).try_init();
        return;
    }
    let people = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(color).with_target(false);
    let _ = registry.with(people).try_init();
}

/// Whether standard error is the stream that the service manager connected to journald, and not one that a parent
/// with such a stream gave us another in place of.
fn journald_reads() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(duplicate) = std::io::stderr().as_fd().try_clone_to_owned() else { return false };
    let about = std::fs::File::from(duplicate).metadata();
    about.is_ok_and(|about| stream == format!("{}:{}", about.dev(), about.ino()))
}

/// Says that a policy takes a receiver away that knows of alerts.
pub fn stays_open(receiver: &str, alerts: usize) {
    let what = "the receiver gets no messages any more: alerts that it was told of stay open there";
    tracing::warn!(receiver, alerts, "{what}");
}

/// Writes what is wrong in a policy, each at its own level; how many are errors, and how many warnings.
pub fn diagnostics(diagnostics: &[Diagnostic]) -> (usize, usize) {
    for diagnostic in diagnostics {
        match diagnostic.level {
            Level::Error => tracing::error!("{diagnostic:#}"),
            Level::Warning => tracing::warn!("{diagnostic:#}"),
        }
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    (errors, diagnostics.len() - errors)
}

/// An alert that changed longer ago than this has the time in its line: lines that were written meanwhile are read
/// after a pause, and recorded clocks show other times.
const FRESH: Span = Span::seconds(5);

/// Writes a report as a log line at `now`; pending alerts and what goes well are for those who ask for detail.
pub fn report(report: &Report, now: Timestamp) {
    match report {
        Report::Alert(alert) => alert_line(alert, None, now),
        Report::Regraded { alert, before } => alert_line(alert, Some(*before), now),
        Report::Notification(notification) => notification_line(notification),
        Report::Failing(Failing { receiver, reason, .. }) => tracing::warn!(receiver, reason, "fails, trying again"),
        Report::Answers(Answers { receiver, since, .. }) => {
            tracing::info!(receiver, failed_since = since.to_rfc3339(), "answers again");
        }
        Report::Recommendation(advice) => {
            tracing::debug!(advice.target, advice.agent, ?advice.decision, "{}", advice.reason);
        }
    }
}

/// `before`: its severity until it fell or a reload changed that, if it goes on.
fn alert_line(alert: &AlertEvent, before: Option<Severity>, now: Timestamp) {
    let at = (now.since(alert.at) > FRESH).then(|| alert.at.to_rfc3339());
    let at = at.as_deref();
    let reason = Some(alert.reason.as_str()).filter(|reason| !reason.is_empty());
    let show = |number: Option<f64>| number.filter(|_| alert.value.is_some()).map(|number| alert.unit.show(number));
    let (value, threshold) = (show(alert.value), show(alert.threshold));
    let (rule, subject, severity, n) = (&alert.rule, alert.subject.to_string(), alert.severity.as_str(), alert.n);
    let found = alert.without_value().unwrap_or_else(|| alert.condition.clone());
    match (alert.state, before) {
        (AlertState::Firing, None) => {
            tracing::warn!(at, rule, subject, severity, value, threshold, n, reason, "alert fires: {found}");
        }
        (AlertState::Firing, Some(before)) if before < alert.severity => {
            let said = format!("alert got graver, {} before: {found}", before.as_str());
            tracing::warn!(at, rule, subject, severity, value, threshold, n, reason, "{said}");
        }
        (AlertState::Firing, Some(before)) => {
            let said = format!("alert goes on as {severity}, {} before", before.as_str());
            tracing::info!(at, rule, subject, severity, value, threshold, n, reason, "{said}");
        }
        (AlertState::Resolved, _) => {
            tracing::info!(at, rule, subject, severity, value, threshold, n, reason, "alert is resolved")
        }
        (AlertState::Pending | AlertState::Inactive, _) => {
            tracing::debug!(at, rule, subject, value, threshold, n, reason, "alert is {}", alert.state.as_str());
        }
    }
}

/// Alerts of a message that its line names.
const NAMED: usize = 5;

/// Whom a message is about: `agent=a1; agent=a2 and 3 more`; other rules and states are named with their subjects.
fn subjects(report: &NotificationReport) -> String {
    let other = |other: &OtherAlert| {
        let rule = if other.rule == report.rule { String::new() } else { format!("{} on ", other.rule) };
        let state = if Some(other.state) == report.state { "" } else { other.state.as_str() };
        format!("{rule}{}{}{state}", other.subject, if state.is_empty() { "" } else { " " })
    };
    let shown = std::iter::once(report.subject.to_string()).chain(report.others.iter().map(other));
    let shown: Vec<String> = shown.take(NAMED).collect();
    let more = (1 + report.others.len()).saturating_sub(NAMED) as u64 + report.truncated;
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join("; "))
}

fn notification_line(report: &NotificationReport) {
    let NotificationReport { receiver, attempts, reason, .. } = report;
    let (id, state) = (&report.id.0, report.state.map(AlertState::as_str));
    // A digest is about no rule and nobody.
    let digest = state.is_none().then_some(report.alert_id.as_str());
    let (rule, subject) = (state.map(|_| report.rule.as_str()), state.map(|_| subjects(report)));
    // The gravest of those that stand in it in the same state: who watches the log may go by that.
    let same = report.others.iter().filter(|other| Some(other.state) == report.state).map(|other| other.severity);
    let severity = report.severity.into_iter().chain(same).max().map(Severity::as_str);
    match report.status {
        NotificationStatus::Delivered => {
            let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
            tracing::info!(receiver, digest, rule, subject, severity, state, id, attempts, reason, "delivered");
        }
        // That an Alertmanager fails is said once, and not of every state that waits for it.
        NotificationStatus::Queued if *attempts == 0 || reason.is_empty() => {
            let reason = Some(reason.as_str()).filter(|reason| !reason.is_empty());
            tracing::debug!(receiver, digest, rule, subject, severity, state, id, reason, "queued");
        }
        NotificationStatus::Queued => {
            tracing::warn!(
                receiver,
                digest,
                rule,
                subject,
                severity,
                state,
                id,
                attempts,
                reason,
                "not delivered, trying again"
            );
        }
        NotificationStatus::Refused | NotificationStatus::Expired | NotificationStatus::Dropped => {
            tracing::error!(receiver, digest, rule, subject, severity, state, id, attempts, reason, "given up");
        }
        NotificationStatus::Superseded => {
            tracing::info!(receiver, digest, rule, subject, severity, state, id, attempts, reason, "not told");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use crate::engine::event::DeliveryId;
    use crate::model::{Subject, Unit};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("one thread writes").write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The line of a report, without its time.
    fn line(said: &Report) -> String {
        let written = Written::default();
        let writer = written.clone();
        let people = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).without_time();
        tracing::subscriber::with_default(people.finish(), || report(said, Timestamp(0)));
        String::from_utf8(written.0.lock().expect("nobody writes").clone()).expect("text")
    }

    #[test]
    fn an_alert_whose_severity_a_reload_changes_does_not_begin() {
        let alert = AlertEvent {
            at: Timestamp(0),
            id: "a".to_owned(),
            rule: "err".to_owned(),
            subject: agent("a1"),
            state: AlertState::Firing,
            severity: Severity::Warning,
            condition: "error_rate > 20%".to_owned(),
            value: Some(0.5),
            threshold: Some(0.2),
            unit: Unit::Ratio,
            n: 10,
            window: Span::minutes(5),
            active_since: Timestamp(0),
            fired_at: Some(Timestamp(0)),
            labels: Default::default(),
            annotations: Default::default(),
            muted: None,
            reason: String::new(),
            trend: None,
        };
        let begins = line(&Report::Alert(alert.clone()));
        assert!(begins.contains("WARN") && begins.contains("alert fires: error_rate > 20%"), "{begins}");
        let falls = line(&Report::Regraded { alert: alert.clone(), before: Severity::Critical });
        assert!(falls.contains("INFO") && falls.contains("alert goes on as warning, critical before "), "{falls}");
        assert!(falls.contains("severity=\"warning\""), "{falls}");
        let rises = line(&Report::Regraded { alert, before: Severity::Info });
        let said = "alert got graver, info before: error_rate > 20%";
        assert!(rises.contains("WARN") && rises.contains(said), "{rises}");
    }

    fn agent(name: &str) -> Subject {
        Subject([("agent".to_owned(), name.to_owned())].into())
    }

    #[test]
    fn the_line_of_a_message_names_all_that_it_is_about() {
        let other = |rule: &str, name: &str, state| OtherAlert {
            alert_id: name.to_owned(),
            rule: rule.to_owned(),
            subject: agent(name),
            severity: Severity::High,
            state,
        };
        let (firing, over) = (AlertState::Firing, AlertState::Resolved);
        let mut report = NotificationReport {
            at: Timestamp(0),
            id: DeliveryId("d".to_owned()),
            receiver: "ops".to_owned(),
            alert_id: "x".to_owned(),
            rule: "err".to_owned(),
            subject: agent("a2"),
            severity: Some(Severity::High),
            state: Some(firing),
            others: vec![other("err", "a1", firing), other("err", "a3", over), other("slow", "a1", firing)],
            truncated: 0,
            status: NotificationStatus::Delivered,
            attempts: 1,
            reason: String::new(),
        };
        assert_eq!(subjects(&report), "agent=a2; agent=a1; agent=a3 resolved; slow on agent=a1");
        report.others.extend((0..3).map(|n| other("err", &format!("b{n}"), firing)));
        report.truncated = 110;
        assert!(subjects(&report).ends_with("; agent=b0 and 112 more"), "{}", subjects(&report));
        (report.others[1].severity, report.others[2].severity) = (Severity::Critical, Severity::Warning);
        report.severity = Some(Severity::Info);
        let said = line(&Report::Notification(report));
        assert!(said.contains("severity=\"high\""), "the gravest that fires: {said}");
    }
}
