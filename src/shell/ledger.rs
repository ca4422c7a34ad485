//! The ledger: one row per change that was proposed, applied, refused or taken back.
//!
//! It is both the history that people read and the intent log of the patcher: a row in status
//! `applying` is written before a target is touched, so that a restart can tell a change that went
//! through from one that did not.

use std::fmt;
use std::str::FromStr;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, named_params};
use serde::Serialize;

/// The table. `old` and `new` are JSON scalars as they stand in the file, in the file's unit; `n`,
/// `lower` and `upper` are the recommendation's, in the parameter's inner unit.
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS ledger (
    change_id     TEXT PRIMARY KEY,
    at            TEXT NOT NULL,
    target        TEXT NOT NULL,
    file          TEXT NOT NULL,
    agent         TEXT NOT NULL,
    parameter     TEXT NOT NULL,
    path          TEXT NOT NULL,
    old           TEXT,
    new           TEXT,
    mode          TEXT NOT NULL,
    status        TEXT NOT NULL,
    reason        TEXT NOT NULL,
    backup        TEXT,
    sha256_before TEXT,
    sha256_after  TEXT,
    n             INTEGER NOT NULL,
    lower         REAL,
    upper         REAL
) STRICT;
CREATE INDEX IF NOT EXISTS ledger_value ON ledger (target, agent, path);
";

/// Rows that are kept; the oldest beyond them are dropped.
pub const ROWS_KEPT: u32 = 10_000;

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Patch files lie ready for people.
    Suggested,
    /// A newer suggestion for the same value took its place.
    Superseded,
    /// About to be written, or the process ended in the middle of it.
    Applying,
    /// The target was edited.
    Applied,
    /// The target was left alone.
    Refused,
    /// It was applied and taken back.
    Reverted,
}

impl Status {
    const ALL: [(Status, &'static str); 6] = [
        (Status::Suggested, "suggested"),
        (Status::Superseded, "superseded"),
        (Status::Applying, "applying"),
        (Status::Applied, "applied"),
        (Status::Refused, "refused"),
        (Status::Reverted, "reverted"),
    ];

    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        Status::ALL.iter().find(|(status, _)| *status == self).map_or("", |(_, word)| word)
    }
}

impl FromStr for Status {
    type Err = String;

    fn from_str(word: &str) -> std::result::Result<Status, String> {
        let known = Status::ALL.iter().find(|(_, w)| *w == word).map(|(status, _)| *status);
        known.ok_or_else(|| format!("`{word}` is no status of the ledger"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// Identity of the change; a change that takes another back is named after it.
    pub change_id: String,
    /// When it was decided, RFC 3339.
    pub at: String,
    /// The target's name.
    pub target: String,
    /// Its file.
    pub file: String,
    /// The agent.
    pub agent: String,
    /// `timeout`, `quality_target` or `concurrency`.
    pub parameter: String,
    /// Where the value stands in the file; the template when it was not found.
    pub path: String,
    /// The value before, as JSON.
    #[serde(serialize_with = "embed")]
    pub old: Option<String>,
    /// The value after, as JSON.
    #[serde(serialize_with = "embed")]
    pub new: Option<String>,
    /// `suggest`, `apply` or `revert`.
    pub mode: String,
    /// What became of it.
    pub status: Status,
    /// The recommendation's reason, or why the target was left alone.
    pub reason: String,
    /// File with the exact bytes from before.
    pub backup: Option<String>,
    /// SHA-256 of the file before, hexadecimal.
    pub sha256_before: Option<String>,
    /// SHA-256 of the file after.
    pub sha256_after: Option<String>,
    /// Executions behind the recommendation.
    pub n: u64,
    /// Lower end of its interval.
    pub lower: Option<f64>,
    /// Upper end.
    pub upper: Option<f64>,
}

/// JSON text as the value it is.
fn embed<S: serde::Serializer>(json: &Option<String>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    let value: Option<serde_json::Value> = json.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value.serialize(serializer)
}

const COLUMNS: &str = "change_id, at, target, file, agent, parameter, path, old, new, mode, status, reason, backup, \
                       sha256_before, sha256_after, n, lower, upper";

impl Entry {
    fn read(row: &Row<'_>) -> Result<Entry> {
        let status: String = row.get("status")?;
        let status = status.parse().map_err(|e: String| {
            rusqlite::Error::FromSqlConversionFailure(10, rusqlite::types::Type::Text, e.into())
        })?;
        Ok(Entry {
            change_id: row.get("change_id")?,
            at: row.get("at")?,
            target: row.get("target")?,
            file: row.get("file")?,
            agent: row.get("agent")?,
            parameter: row.get("parameter")?,
            path: row.get("path")?,
            old: row.get("old")?,
            new: row.get("new")?,
            mode: row.get("mode")?,
            status,
            reason: row.get("reason")?,
            backup: row.get("backup")?,
            sha256_before: row.get("sha256_before")?,
            sha256_after: row.get("sha256_after")?,
            n: row.get::<_, i64>("n")?.max(0) as u64,
            lower: row.get("lower")?,
            upper: row.get("upper")?,
        })
    }
}

/// Writes a row, in place of an earlier one of the same change, and drops rows beyond [`ROWS_KEPT`].
pub fn put(connection: &Connection, entry: &Entry) -> Result<()> {
    connection.execute(
        &format!(
            "INSERT OR REPLACE INTO ledger ({COLUMNS}) VALUES (:change_id, :at, :target, :file, :agent, :parameter, \
             :path, :old, :new, :mode, :status, :reason, :backup, :sha256_before, :sha256_after, :n, :lower, :upper)"
        ),
        named_params! {
            ":change_id": entry.change_id,
            ":at": entry.at,
            ":target": entry.target,
            ":file": entry.file,
            ":agent": entry.agent,
            ":parameter": entry.parameter,
            ":path": entry.path,
            ":old": entry.old,
            ":new": entry.new,
            ":mode": entry.mode,
            ":status": entry.status.as_str(),
            ":reason": entry.reason,
            ":backup": entry.backup,
            ":sha256_before": entry.sha256_before,
            ":sha256_after": entry.sha256_after,
            ":n": i64::try_from(entry.n).unwrap_or(i64::MAX),
            // SQLite has no NaN, and an interval end that is none is not known.
            ":lower": entry.lower.filter(|x| x.is_finite()),
            ":upper": entry.upper.filter(|x| x.is_finite()),
        },
    )?;
    connection.execute("DELETE FROM ledger WHERE rowid <= (SELECT max(rowid) FROM ledger) - ?1", [ROWS_KEPT])?;
    Ok(())
}

/// The row of a change.
pub fn get(connection: &Connection, change_id: &str) -> Result<Option<Entry>> {
    let query = format!("SELECT {COLUMNS} FROM ledger WHERE change_id = ?1");
    connection.query_row(&query, [change_id], Entry::read).optional()
}

/// Changes the status of a row.
pub fn set_status(connection: &Connection, change_id: &str, status: Status) -> Result<()> {
    connection.execute("UPDATE ledger SET status = ?2 WHERE change_id = ?1", (change_id, status.as_str()))?;
    Ok(())
}

/// Marks the suggestions for a value as superseded, but for the given one, and returns their changes.
pub fn supersede(connection: &Connection, newest: &Entry) -> Result<Vec<String>> {
    let mut statement = connection.prepare(
        "UPDATE ledger SET status = 'superseded' WHERE target = ?1 AND agent = ?2 AND path = ?3 \
         AND status = 'suggested' AND change_id <> ?4 RETURNING change_id",
    )?;
    let ids =
        statement.query_map((&newest.target, &newest.agent, &newest.path, &newest.change_id), |row| row.get(0))?;
    ids.collect()
}

/// The newest rows, newest first.
pub fn newest(connection: &Connection, limit: u32) -> Result<Vec<Entry>> {
    let mut statement =
        connection.prepare(&format!("SELECT {COLUMNS} FROM ledger ORDER BY at DESC, rowid DESC LIMIT ?1"))?;
    let entries = statement.query_map([limit], Entry::read)?;
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: &str, agent: &str, status: Status) -> Entry {
        Entry {
            change_id: id.into(),
            at: "2026-11-20T09:15:00.000Z".into(),
            target: "agents".into(),
            file: "agents.yaml".into(),
            agent: agent.into(),
            parameter: "timeout".into(),
            path: format!("{agent}.timeout"),
            old: Some("600".into()),
            new: Some("96".into()),
            mode: "suggest".into(),
            status,
            reason: "p95".into(),
            backup: None,
            sha256_before: Some("00".into()),
            sha256_after: Some("11".into()),
            n: 120,
            lower: Some(90_000.0),
            upper: Some(f64::NAN),
        }
    }

    fn ledger() -> Connection {
        let connection = Connection::open_in_memory().expect("a database in memory");
        connection.execute_batch(SCHEMA).expect("the schema is valid");
        connection.execute_batch(SCHEMA).expect("and may be repeated");
        connection
    }

    #[test]
    fn rows_come_back_as_they_were_put() {
        let ledger = ledger();
        for (_, word) in Status::ALL {
            let status = word.parse().expect("a known word");
            put(&ledger, &entry(word, "a", status)).expect("written");
            let found = get(&ledger, word).expect("read").expect("there");
            assert_eq!(found, Entry { upper: None, ..entry(word, "a", status) });
        }
        assert_eq!(get(&ledger, "other").expect("read"), None);
        assert_eq!(newest(&ledger, 2).expect("read").len(), 2);
    }

    #[test]
    fn a_suggestion_supersedes_those_for_the_same_value_only() {
        let ledger = ledger();
        for (id, agent, status) in [
            ("1", "a", Status::Suggested),
            ("2", "b", Status::Suggested),
            ("3", "a", Status::Applied),
            ("4", "a", Status::Suggested),
        ] {
            put(&ledger, &entry(id, agent, status)).expect("written");
        }
        let gone = supersede(&ledger, &entry("4", "a", Status::Suggested)).expect("updated");
        assert_eq!(gone, ["1"]);
        let status = |id| get(&ledger, id).expect("read").expect("there").status;
        assert_eq!(
            [status("1"), status("2"), status("3"), status("4")],
            [Status::Superseded, Status::Suggested, Status::Applied, Status::Suggested]
        );
    }

    #[test]
    fn the_oldest_rows_are_dropped() {
        let ledger = ledger();
        ledger.execute_batch("BEGIN").expect("begun");
        for i in 0..ROWS_KEPT + 5 {
            put(&ledger, &entry(&format!("{i}"), "a", Status::Refused)).expect("written");
        }
        ledger.execute_batch("COMMIT").expect("committed");
        let rows: u32 = ledger.query_row("SELECT count(*) FROM ledger", [], |row| row.get(0)).expect("counted");
        assert_eq!(rows, ROWS_KEPT);
        assert_eq!(get(&ledger, "4").expect("read"), None);
    }
}
