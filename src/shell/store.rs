//! `state_dir/evenkeel.db`: what happened, in SQLite, for people with the sqlite3 shell and for the history
//! of the API.
//!
//! A projection of the effects, never a source of decisions: those rest on journal and snapshot alone. So it
//! may lag, and a restart writes again what it decides again; rows have the identity of what they tell of and
//! are replaced, not doubled. One thread writes, in transactions of whatever has come in meanwhile. When the
//! disk is full it tries again while the queue fills, then rows are dropped and counted; as long as it can write, a
//! full queue makes the loop wait. At the end it gives up at the first batch that cannot be written.

mod rows;
mod schema;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, Result, params};

use crate::engine::event::Report;
use crate::model::Timestamp;
pub use schema::{StoreError, connect};

/// Rows kept in each of `alerts` and `deliveries`; the oldest beyond them are dropped.
const ROWS_KEPT: u32 = 100_000;
/// Reports waiting for the writer.
const QUEUE: usize = 16_384;
/// Reports written in one transaction.
const BATCH: usize = 1_024;

/// The writer.
#[derive(Debug)]
pub struct Store {
    queue: Option<SyncSender<(Timestamp, Report)>>,
    thread: Option<JoinHandle<()>>,
    shared: Arc<Shared>,
}

/// What the writer and its owner both look at.
#[derive(Debug, Default)]
struct Shared {
    stopping: AtomicBool,
    /// The newest try to write did not succeed.
    failing: AtomicBool,
    dropped: AtomicU64,
}

impl Store {
    /// Starts the writer of a state directory's database.
    pub fn start(state_dir: &Path) -> std::result::Result<Store, StoreError> {
        let connection = connect(state_dir)?;
        let (queue, reports) = sync_channel(QUEUE);
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let thread = std::thread::spawn(move || write_all(connection, &reports, &theirs));
        Ok(Store { queue: Some(queue), thread: Some(thread), shared })
    }

    /// Queues a report that was made when the engine's clock showed `now`; waits only for a disk that works.
    pub fn put(&self, now: Timestamp, report: Report) {
        let Some(queue) = &self.queue else { return };
        let mut waiting = (now, report);
        loop {
            match queue.try_send(waiting) {
                Ok(()) => return,
                Err(TrySendError::Full(report)) if !self.shared.failing.load(Ordering::Relaxed) => waiting = report,
                Err(_) => break,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Rows that could not be written so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// What keeps the history from being written.
    pub fn trouble(&self) -> Option<&'static str> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished) {
            return Some("the writer of the history has ended, which is a fault in evenkeel: report it, and restart");
        }
        let failing = self.shared.failing.load(Ordering::Relaxed);
        failing.then_some("the history cannot be written, the log says why; decisions do not depend on it")
    }

    /// Writes what is queued, unless the disk refuses; how many reports are missing.
    pub fn close(&mut self) -> u64 {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.dropped()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_all(mut connection: Connection, reports: &Receiver<(Timestamp, Report)>, shared: &Shared) {
    let mut written = 0;
    while let Ok(first) = reports.recv() {
        let batch: Vec<_> = std::iter::once(first).chain(reports.try_iter().take(BATCH - 1)).collect();
        loop {
            match write(&mut connection, &batch) {
                Ok(()) => {
                    if shared.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("history is written again");
                    }
                    break;
                }
                Err(error) => {
                    if !shared.failing.swap(true, Ordering::Relaxed) {
                        tracing::error!(%error, "cannot write the history; decisions do not depend on it");
                    }
                    if shared.stopping.load(Ordering::Relaxed) {
                        // Each batch may wait for seconds, and a service manager waits not much longer.
                        let lost = batch.len() + reports.try_iter().count();
                        shared.dropped.fetch_add(lost as u64, Ordering::Relaxed);
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
        }
        written += batch.len();
        if written >= 8 * BATCH {
            written = 0;
            if let Err(error) = prune(&connection) {
                tracing::warn!(%error, "cannot drop old history");
            }
        }
    }
}

fn write(connection: &mut Connection, batch: &[(Timestamp, Report)]) -> Result<()> {
    let transaction = connection.transaction()?;
    for (now, report) in batch {
        rows::put(&transaction, *now, report)?;
    }
    transaction.commit()
}

fn prune(connection: &Connection) -> Result<()> {
    for table in ["alerts", "deliveries"] {
        let newest: Option<i64> = connection
            .query_row(&format!("SELECT max(rowid) FROM {table}"), [], |row| row.get(0))
            .optional()?
            .flatten();
        if let Some(newest) = newest {
            connection
                .execute(&format!("DELETE FROM {table} WHERE rowid <= ?1"), params![newest - i64::from(ROWS_KEPT)])?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::event::{AlertEvent, AlertState, DeliveryId, NotificationReport, NotificationStatus};
    use crate::model::{Severity, Span, Subject, Unit};

    fn alert(id: &str, state: AlertState) -> Report {
        Report::Alert(AlertEvent {
            at: Timestamp(1_000),
            id: id.to_owned(),
            rule: "errors".to_owned(),
            subject: [("agent", "a")].into_iter().collect(),
            state,
            severity: Severity::High,
            condition: "error_rate > 10%".to_owned(),
            value: Some(f64::NAN),
            threshold: Some(0.1),
            unit: Unit::Ratio,
            n: 7,
            window: Span::minutes(5),
            active_since: Timestamp(0),
            fired_at: None,
            labels: Default::default(),
            annotations: Default::default(),
            muted: None,
            reason: String::new(),
            trend: None,
        })
    }

    fn notification(status: NotificationStatus, attempts: u32) -> Report {
        Report::Notification(NotificationReport {
            at: Timestamp(2_000),
            id: DeliveryId("d1".to_owned()),
            receiver: "ops".to_owned(),
            alert_id: "x".to_owned(),
            rule: "errors".to_owned(),
            subject: Subject::default(),
            severity: Some(Severity::High),
            state: Some(AlertState::Firing),
            others: Vec::new(),
            truncated: 0,
            status,
            attempts,
            reason: String::new(),
        })
    }

    #[test]
    fn what_is_decided_again_is_replaced_not_doubled() {
        let dir = tempfile::tempdir().expect("dir");
        for _ in 0..2 {
            let store = Store::start(dir.path()).expect("starts");
            store.put(Timestamp(0), alert("x", AlertState::Pending));
            store.put(Timestamp(0), alert("x", AlertState::Firing));
            store.put(Timestamp(0), notification(NotificationStatus::Queued, 0));
            store.put(Timestamp(0), notification(NotificationStatus::Delivered, 1));
            drop(store);
        }
        let connection = connect(dir.path()).expect("opens");
        let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).expect("a number") };
        assert_eq!(count("SELECT count(*) FROM alerts"), 2);
        assert_eq!(count("SELECT count(*) FROM alerts WHERE value IS NULL AND subject = '{\"agent\":\"a\"}'"), 2);
        assert_eq!(count("SELECT count(*) FROM deliveries WHERE status = 'delivered' AND attempts = 1"), 1);
    }

    #[test]
    fn who_was_told_of_one_of_several_alerts_of_a_message_can_be_asked() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::start(dir.path()).expect("starts");
        for status in [NotificationStatus::Queued, NotificationStatus::Delivered] {
            let Report::Notification(mut report) = notification(status, 1) else { unreachable!("it is one") };
            report.others.push(crate::engine::event::OtherAlert {
                alert_id: "y".to_owned(),
                rule: "errors".to_owned(),
                subject: Subject([("agent".to_owned(), "a1".to_owned())].into()),
                severity: Severity::High,
                state: AlertState::Firing,
            });
            store.put(Timestamp(0), Report::Notification(report));
        }
        drop(store);
        let connection = connect(dir.path()).expect("opens");
        let page = include_str!("../../docs/operations.md");
        let query = page.split("-- Who was told of an agent's alerts").nth(1).and_then(|rest| rest.split(';').next());
        let query = query.expect("the documented query").trim_start_matches(|c| c != '\n');
        let mut told = connection.prepare(query).expect("it runs");
        let rows = told.query_map([], |row| Ok((row.get("receiver")?, row.get("status")?))).expect("rows");
        let rows: Vec<(String, String)> = rows.map(|row| row.expect("a row")).collect();
        assert_eq!(rows, [("ops".to_owned(), "delivered".to_owned())]);
    }

    #[test]
    fn an_older_history_is_kept_with_the_severities_that_it_knows() {
        for (version, one) in [(1, "UNIQUE (id)"), (2, "UNIQUE (id, alert_id)")] {
            let dir = tempfile::tempdir().expect("dir");
            let connection = Connection::open(dir.path().join("evenkeel.db")).expect("opens");
            let old = format!(
                "CREATE TABLE deliveries (
                     id TEXT NOT NULL, receiver TEXT NOT NULL, alert_id TEXT NOT NULL, rule TEXT NOT NULL,
                     subject TEXT NOT NULL, state TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL,
                     reason TEXT NOT NULL, at TEXT NOT NULL, {one}) STRICT;
                 INSERT INTO deliveries VALUES
                     ('d8', 'ops', 'daily', '', '{{}}', 'digest', 'dropped', 0, 'the next one tells of it', 't'),
                     ('d0', 'ops', 'x', 'errors', '{{}}', 'firing', 'delivered', 1, '', 't'),
                     ('d2', 'ops', 'z', 'errors', '{{}}', 'firing', 'refused', 1, '400', 't');"
            );
            connection.execute_batch(&old).expect("the deliveries of then");
            // The alerts are as they were.
            let alerts = schema::SCHEMA.split("CREATE TABLE").nth(1).expect("the first table");
            let row = "INSERT INTO alerts VALUES
                ('x', 'firing', 't', 'errors', '{}', 'high', '', NULL, NULL, 1, '5m', 't', 't', '{}', '{}')";
            let rest = format!(
                "CREATE TABLE{};{row};PRAGMA user_version = {version}",
                &alerts[..alerts.find(';').unwrap_or(0)]
            );
            connection.execute_batch(&rest).expect("an alert");
            drop(connection);
            for _ in 0..2 {
                let store = Store::start(dir.path()).expect("starts");
                store.put(Timestamp(0), notification(NotificationStatus::Delivered, 1));
            }
            let connection = connect(dir.path()).expect("opens");
            let text = |sql: &str| -> String { connection.query_row(sql, [], |row| row.get(0)).expect("a text") };
            let rows = "SELECT group_concat(id || ' ' || rule || ' ' || coalesce(severity, '-'), '; ') FROM deliveries";
            assert_eq!(text(rows), "d8 daily -; d0 errors high; d2 errors -; d1 errors high");
            assert_eq!(text("SELECT group_concat(id) FROM untold"), "d2");
        }
    }

    #[test]
    fn the_documented_queries_run_and_say_when_an_alert_began_to_fire_though_its_level_rose_later() {
        let dir = tempfile::tempdir().expect("dir");
        let store = Store::start(dir.path()).expect("starts");
        for (at, state, severity) in [
            (1_000, AlertState::Firing, Severity::Warning),
            (61_000, AlertState::Firing, Severity::Critical),
            (90_000, AlertState::Resolved, Severity::Critical),
        ] {
            let Report::Alert(mut event) = alert("x", state) else { unreachable!("it is an alert") };
            (event.at, event.severity, event.fired_at) = (Timestamp(at), severity, Some(Timestamp(1_000)));
            store.put(Timestamp(at), Report::Alert(event));
        }
        drop(store);
        let connection = connect(dir.path()).expect("opens");
        connection.execute_batch(crate::shell::ledger::SCHEMA).expect("the ledger's table");
        let page = include_str!("../../docs/operations.md").split("```sql\n").nth(1).expect("queries");
        let queries: Vec<&str> = page.split("```").next().unwrap_or_default().split(";\n").collect();
        for query in &queries {
            connection.execute_batch(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        }
        let columns = "fired_at, severity, resolved";
        let (fired, severity, ended): (String, String, String) = connection
            .query_row(&format!("SELECT {columns} FROM ({})", queries[0]), [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })
            .expect("one row");
        assert_eq!((fired.as_str(), severity.as_str()), ("1970-01-01T00:00:01.000Z", "critical"));
        assert_eq!(ended, "1970-01-01T00:01:30.000Z");
        let rose: String =
            connection.query_row("SELECT at FROM alerts WHERE state = 'firing'", [], |row| row.get(0)).expect("a row");
        assert_eq!(rose, "1970-01-01T00:01:01.000Z");
    }

    #[test]
    fn a_newer_database_and_another_file_are_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let connection = connect(dir.path()).expect("opens");
        connection.pragma_update(None, "user_version", 99).expect("set");
        drop(connection);
        let error = Store::start(dir.path()).expect_err("newer").to_string();
        assert!(error.contains("version 99"), "{error}");
        std::fs::write(dir.path().join("evenkeel.db"), "not a database, but long enough to be read as one")
            .expect("write");
        let error = Store::start(dir.path()).expect_err("damaged").to_string();
        assert!(error.contains("evenkeel.db") && error.contains("move it away"), "{error}");
    }
}
