//! The tables, and how those of an older version become today's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, Result};

/// Version of the tables, kept in `PRAGMA user_version`.
const VERSION: i32 = 3;
pub const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS alerts (
    alert_id TEXT NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL, rule TEXT NOT NULL, subject TEXT NOT NULL,
    severity TEXT NOT NULL, condition TEXT NOT NULL, value REAL, threshold REAL, n INTEGER NOT NULL,
    window TEXT NOT NULL, active_since TEXT NOT NULL, fired_at TEXT, labels TEXT NOT NULL, annotations TEXT NOT NULL,
    UNIQUE (alert_id, state)
) STRICT;
CREATE INDEX IF NOT EXISTS alerts_at ON alerts (at);
CREATE TABLE IF NOT EXISTS deliveries (
    id TEXT NOT NULL, receiver TEXT NOT NULL, alert_id TEXT NOT NULL, rule TEXT NOT NULL, subject TEXT, severity TEXT,
    state TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL, reason TEXT NOT NULL, at TEXT NOT NULL,
    UNIQUE (id, alert_id)
) STRICT;
CREATE INDEX IF NOT EXISTS deliveries_of ON deliveries (alert_id, receiver, state);
CREATE TABLE IF NOT EXISTS recommendations (
    target TEXT NOT NULL, parameter_index INTEGER NOT NULL, agent TEXT NOT NULL, at TEXT NOT NULL, model TEXT,
    parameter TEXT NOT NULL, current REAL, proposed REAL, lower REAL, upper REAL, n INTEGER NOT NULL,
    censored INTEGER NOT NULL, prior_weight REAL NOT NULL, bound_by TEXT, reason TEXT NOT NULL, decision TEXT NOT NULL,
    UNIQUE (target, parameter_index, agent)
) STRICT;
";

/// What receivers were to know of alerts and do not, and the digests that they do not have. A state that was told under
/// another id is told; who never heard the beginning is not to know the end; and the beginning that an Alertmanager
/// could not be told is made up for by any later one of the same alert.
const UNTOLD: &str = "
CREATE VIEW IF NOT EXISTS untold AS
SELECT at, receiver, rule, subject, severity, state, status, attempts, reason, alert_id, id FROM deliveries d
WHERE status <> 'delivered' AND CASE state
    WHEN 'digest' THEN status <> 'superseded'
    WHEN 'firing' THEN NOT EXISTS (
        SELECT 1 FROM deliveries t
        WHERE t.alert_id = d.alert_id AND t.receiver = d.receiver AND t.state = 'firing' AND t.status = 'delivered'
          AND (t.severity IS d.severity OR t.at > d.at OR t.at = d.at AND d.status = 'superseded'))
    ELSE status <> 'superseded' AND NOT EXISTS (
        SELECT 1 FROM deliveries t
        WHERE t.alert_id = d.alert_id AND t.receiver = d.receiver AND t.state = d.state AND t.status = 'delivered'
          AND t.severity IS d.severity)
      AND coalesce((SELECT max(b.status IN ('delivered', 'queued')) FROM deliveries b
        WHERE b.alert_id = d.alert_id AND b.receiver = d.receiver AND b.state = 'firing'), 1)
    END
  AND (state = 'digest' OR NOT EXISTS (
    SELECT 1 FROM deliveries n
    WHERE n.alert_id = d.alert_id AND n.receiver = d.receiver AND n.state = d.state AND n.severity IS d.severity
      AND n.rowid > d.rowid));
";

/// What makes tables before version 3, whose deliveries had no severity, and before version 2 one row each, those of today.
const BEFORE_3: (&str, &str) = (
    "ALTER TABLE deliveries RENAME TO deliveries_old;",
    "INSERT INTO deliveries
     SELECT id, receiver, alert_id, iif(state = 'digest', alert_id, rule), iif(state = 'digest', NULL, subject),
            (SELECT severity FROM alerts a WHERE a.alert_id = o.alert_id AND a.state = o.state),
            state, iif(state = 'digest' AND reason = 'the next one tells of it', 'superseded', status), attempts, reason, at
     FROM deliveries_old o ORDER BY rowid;
     DROP TABLE deliveries_old;",
);

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("cannot use {path}: {error}; move it away to start a new history")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        error: rusqlite::Error,
    },
    /// A newer evenkeel wrote it.
    #[error("{path} has tables of version {version}, this evenkeel writes version {VERSION}; install the newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: i32,
    },
}

/// Opens the database of a state directory for reading and writing, with its tables.
pub fn connect(state_dir: &Path) -> std::result::Result<Connection, StoreError> {
    let path = state_dir.join("evenkeel.db");
    let open = || -> Result<(Connection, i32)> {
        let connection = Connection::open(&path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, version))
    };
    let sqlite = |error| StoreError::Sqlite { path: path.clone(), error };
    let (mut connection, version) = open().map_err(sqlite)?;
    if version > VERSION {
        return Err(StoreError::Newer { path, version });
    }
    bring_up(&mut connection, version).map_err(sqlite)?;
    Ok(connection)
}

/// Makes the tables, or makes those of an older version today's, all or nothing.
fn bring_up(connection: &mut Connection, version: i32) -> Result<()> {
    if version == VERSION {
        return connection.execute_batch(&[SCHEMA, UNTOLD].concat());
    }
    let transaction = connection.transaction()?;
    let (before, after) = if version > 0 { BEFORE_3 } else { ("", "") };
    transaction.execute_batch(&[before, SCHEMA, after, UNTOLD].concat())?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
