//! The patcher: carries out changes to agents' configuration files, and takes them back.
//!
//! A change is compare-and-set. The value must still be the one the recommendation was made for, or
//! the file is left alone: a person's edit always wins. Suggestions only write patch documents; an
//! applied change also keeps a backup and goes through the ledger in three steps (`applying`, rename,
//! `applied`), so that carrying out the same change again after a kill finds out whether it went
//! through instead of doing it twice or refusing its own work.
//!
//! Everything here blocks; an async caller runs it on a thread for that.

mod backup;
mod documents;
mod folder;
mod revert;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use serde_json::{Value, json};

use self::backup::Backups;
use self::documents::{Documents, Proposal, sha256};
use self::folder::{FileError, Folder, Snapshot};
use super::ledger::{self, Entry, Status};
use crate::engine::event::{Change, ChangeResult, CurrentValue, Recommendation};
use crate::settings::{Guard, Mode, Parameter, ParameterKind, Settings, Target};
use crate::wire::target::{self, ReadError, Reading, Scalar};

pub use revert::Restored;

/// How long the database may be busy with another process.
const BUSY: Duration = Duration::from_secs(5);

/// Why the values of a target are not known.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// The file cannot be read.
    #[error("{0}")]
    File(#[from] FileError),
    /// Its text cannot be understood.
    #[error("{file}: {error}")]
    Text {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        error: ReadError,
    },
}

/// Carries out changes to the listed targets.
#[derive(Debug)]
pub struct Patcher {
    targets: Vec<Target>,
    documents: Documents,
    backups: Backups,
    connection: Connection,
}

impl Patcher {
    /// A patcher for the targets of `settings` that writes its ledger through `connection`, which
    /// becomes its own.
    pub fn new(settings: &Settings, connection: Connection) -> rusqlite::Result<Patcher> {
        connection.busy_timeout(BUSY)?;
        // An intent that a power cut takes back would let a change be carried out twice.
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(ledger::SCHEMA)?;
        Ok(Patcher {
            targets: settings.tune.targets.clone(),
            documents: Documents::new(settings.tune.patch_dir.clone()),
            backups: Backups::new(
                std::path::absolute(&settings.state_dir).unwrap_or_else(|_| settings.state_dir.clone()).join("backups"),
            ),
            connection,
        })
    }

    /// The values in a target that can be tuned, in inner units.
    pub fn current_values(&self, target: &Target) -> Result<Vec<CurrentValue>, TargetError> {
        read_target(target).map(|reading| current_values(&reading))
    }

    /// The unified diff of a change, as long as its documents are kept.
    pub fn diff(&self, change_id: &str) -> std::io::Result<String> {
        self.documents.diff(change_id)
    }

    /// The newest changes, newest first.
    pub fn ledger(&self, limit: u32) -> rusqlite::Result<Vec<Entry>> {
        ledger::newest(&self.connection, limit)
    }

    /// What became of one change.
    pub fn entry(&self, change_id: &str) -> rusqlite::Result<Option<Entry>> {
        ledger::get(&self.connection, change_id)
    }

    /// Carries out a change, or finds that it was carried out before.
    pub fn carry_out(&self, change: &Change) -> ChangeResult {
        let mut entry = self.opening(change);
        match self.attempt(change, &mut entry) {
            Ok(result) => result,
            Err(reason) => {
                self.refuse(Entry { status: Status::Refused, reason: reason.clone(), ..entry });
                ChangeResult::Refused { reason }
            }
        }
    }

    /// Writes down that a target was left alone, and removes what was prepared.
    fn refuse(&self, mut entry: Entry) {
        // A change that once went through keeps its row, whatever is asked of it later.
        let settled = [Status::Applied, Status::Reverted, Status::Superseded];
        if matches!(self.entry(&entry.change_id), Ok(Some(row)) if settled.contains(&row.status)) {
            return;
        }
        self.documents.remove(&entry.change_id);
        if let Some(path) = entry.backup.take() {
            self.backups.remove(&path);
        }
        if let Err(error) = ledger::put(&self.connection, &entry) {
            tracing::warn!(change = %entry.change_id, %error, "cannot write a refused change to the ledger");
        }
    }

    fn attempt(&self, change: &Change, entry: &mut Entry) -> Result<ChangeResult, String> {
        let (id, recommendation) = (&change.id.0, &change.recommendation);
        let target = self.target(&recommendation.target)?;
        let apply = change.apply && target.mode == Mode::Apply;
        entry.mode = if apply { "apply" } else { "suggest" }.into();
        if target.mode == Mode::Off {
            return Err(format!("the target `{}` has `mode: off`", target.name));
        }
        let previous = self.entry(id).map_err(|e| format!("cannot read the ledger: {e}"))?;
        match previous.as_ref().map(|entry| entry.status) {
            Some(Status::Applied) => return Ok(ChangeResult::Applied),
            Some(Status::Reverted) => return Err("it was applied and then taken back by hand".into()),
            Some(Status::Superseded) if !apply => return Err("a newer suggestion took its place".into()),
            Some(Status::Suggested) if !apply && self.documents.has(id) => return Ok(ChangeResult::Suggested),
            _ => {}
        }

        let (folder, name) = open(target).map_err(|e| e.to_string())?;
        if apply {
            folder.lock().map_err(|e| e.to_string())?;
        }
        let file = folder.read(&name).map_err(|e| e.to_string())?;
        let reading = understand(target, &file).map_err(|e| e.to_string())?;
        if let Some(intent) = previous.filter(|entry| entry.status == Status::Applying)
            && went_through(&intent, &file, &reading, recommendation)
        {
            self.settle(id);
            return Ok(ChangeResult::Applied);
        }

        let parameter = target.parameters.get(recommendation.parameter_index as usize);
        let parameter =
            parameter.ok_or_else(|| format!("the target `{}` no longer has this parameter", target.name))?;
        let value = reading.find(recommendation.parameter_index, &recommendation.agent)?;
        match recommendation.current {
            Some(expected) if close(expected, value.inner) => {}
            expected => {
                let expected = expected.map_or_else(|| "nothing".to_owned(), |x| (x / parameter.unit()).to_string());
                let found = &value.scalar;
                return Err(format!("`{}` holds {found}, not {expected}: someone changed it", value.path));
            }
        }
        let proposed = recommendation.proposed.ok_or("nothing is proposed")?;
        let new = as_written(&value.scalar, proposed, parameter)?;
        let edit =
            target::set(&file.text, target.format, &value.path, &value.scalar, &new).map_err(|e| e.to_string())?;
        entry.path = value.path.to_string();
        entry.old = Some(value.scalar.to_json().to_string());
        entry.new = Some(new.to_json().to_string());
        entry.sha256_before = Some(sha256(file.text.as_bytes()));
        entry.sha256_after = Some(sha256(edit.text.as_bytes()));
        let proposal = Proposal {
            file_name: &name,
            mode: file.mode(),
            old_text: &file.text,
            edit: &edit,
            path: &value.path,
            old: &value.scalar,
            new: &new,
            provenance: provenance(change, target, parameter, entry),
        };
        self.documents.write(id, &proposal)?;
        if apply {
            entry.backup = Some(self.backups.keep(target, id, &file.text)?);
            entry.status = Status::Applying;
            self.record(entry)?;
            folder.replace(&name, &file, &edit.text).map_err(|e| e.to_string())?;
            self.settle(id);
        } else {
            self.record(entry)?;
        }
        match ledger::supersede(&self.connection, entry) {
            Ok(older) => older.iter().for_each(|id| self.documents.remove(id)),
            Err(error) => tracing::warn!(change = %id, %error, "cannot supersede older suggestions"),
        }
        Ok(if apply { ChangeResult::Applied } else { ChangeResult::Suggested })
    }

    fn target(&self, name: &str) -> Result<&Target, String> {
        let found = self.targets.iter().find(|t| t.name == name);
        found.ok_or_else(|| format!("the target `{name}` is no longer configured"))
    }

    fn record(&self, entry: &Entry) -> Result<(), String> {
        ledger::put(&self.connection, entry).map_err(|e| format!("cannot write the ledger: {e}"))
    }

    /// Notes that the target holds the new bytes. Failing to is not failing to apply: the row stays
    /// `applying`, which the next look resolves.
    fn settle(&self, id: &str) {
        if let Err(error) = ledger::set_status(&self.connection, id, Status::Applied) {
            tracing::warn!(change = %id, %error, "cannot note in the ledger that a change was applied");
        }
    }

    /// The row of a change before the file was looked at.
    fn opening(&self, change: &Change) -> Entry {
        let r = &change.recommendation;
        let target = self.targets.iter().find(|t| t.name == r.target);
        let parameter = target.and_then(|t| t.parameters.get(r.parameter_index as usize));
        Entry {
            change_id: change.id.0.clone(),
            at: change.at.to_rfc3339(),
            target: r.target.clone(),
            file: target.map_or_else(String::new, real_path),
            agent: r.agent.clone(),
            parameter: kind_word(r.parameter).into(),
            path: parameter.map_or_else(String::new, |p| p.path.clone()),
            old: None,
            new: None,
            mode: if change.apply { "apply" } else { "suggest" }.into(),
            status: Status::Suggested,
            reason: r.reason.clone(),
            backup: None,
            sha256_before: None,
            sha256_after: None,
            n: r.n,
            lower: r.lower,
            upper: r.upper,
        }
    }
}

/// What a target holds, with what is left alone and why.
pub fn read_target(target: &Target) -> Result<Reading, TargetError> {
    let (folder, name) = open(target)?;
    understand(target, &folder.read(&name)?)
}

/// The values of a reading as the engine wants them.
pub fn current_values(reading: &Reading) -> Vec<CurrentValue> {
    let values = reading.values.iter();
    values.map(|v| CurrentValue { parameter: v.parameter, agent: v.agent.clone(), value: v.inner }).collect()
}

fn understand(target: &Target, file: &Snapshot) -> Result<Reading, TargetError> {
    target::read(&file.text, target).map_err(|error| TargetError::Text { file: target.file.clone(), error })
}

/// The open folder of a target and the name of its file.
fn open(target: &Target) -> Result<(Folder, String), FileError> {
    let missing = || FileError::Missing(target.file.clone());
    let name = target.file.file_name().and_then(|name| name.to_str()).ok_or_else(missing)?;
    let folder = target.file.parent().unwrap_or(Path::new(""));
    Ok((Folder::open(folder)?, name.to_owned()))
}

/// The target's file by the name that it has from every working folder.
fn real_path(target: &Target) -> String {
    let absolute = || std::path::absolute(&target.file).unwrap_or_else(|_| target.file.clone());
    target.file.canonicalize().unwrap_or_else(|_| absolute()).display().to_string()
}

/// Whether the intent in the ledger was carried out before the process ended.
fn went_through(intent: &Entry, file: &Snapshot, reading: &Reading, recommendation: &Recommendation) -> bool {
    let value = reading.find(recommendation.parameter_index, &recommendation.agent);
    intent.sha256_after.as_deref() == Some(&*sha256(file.text.as_bytes()))
        || value.is_ok_and(|v| scalar_of(intent.new.as_deref()).as_ref() == Some(&v.scalar))
}

/// The scalar that the ledger keeps as JSON.
fn scalar_of(json: Option<&str>) -> Option<Scalar> {
    Scalar::from_json(&serde_json::from_str(json?).ok()?)
}

/// Equal but for the rounding of a change of unit and back.
fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// A proposal in the inner unit as the file would write it in place of `old`. Whole numbers are rounded,
/// but not out of the guard's bounds; what would change nothing or switch the limit off is an error.
pub fn as_written(old: &Scalar, proposed: f64, parameter: &Parameter) -> Result<Scalar, String> {
    let Guard { floor, ceiling, .. } = parameter.guard;
    let (unit, within) = (parameter.unit(), |x: f64| floor <= x && x <= ceiling);
    let exact = proposed / unit;
    // A step may still be on its way into the bounds; then rounding has nothing to keep.
    let fits = |scalar: &Scalar| !within(proposed) || scalar.number().is_some_and(|x| within(x * unit));
    let new = [exact, exact.floor(), exact.ceil()].into_iter().filter_map(|x| old.with_number(x)).find(fits);
    let new = new.ok_or_else(|| format!("{exact} cannot be written like `{old}` within {floor} to {ceiling}"))?;
    if new.number().is_none_or(|x| x <= 0.0) {
        return Err(format!("{exact} would be written as {new}, which switches the limit off"));
    }
    if new == *old {
        return Err(format!("{exact} is written as {new}, which already stands there"));
    }
    Ok(new)
}

fn kind_word(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Timeout => "timeout",
        ParameterKind::QualityTarget => "quality_target",
        ParameterKind::Concurrency => "concurrency",
    }
}

/// Everything a change rests on, for people and for audits.
fn provenance(change: &Change, target: &Target, parameter: &Parameter, entry: &Entry) -> Value {
    let Guard { floor, ceiling, dead_band, step_up, step_down, cooldown, min_samples } = parameter.guard;
    let inner = match parameter.kind {
        ParameterKind::Timeout => "ms",
        ParameterKind::QualityTarget => "points",
        ParameterKind::Concurrency => "runs",
    };
    let scalar = |json: &Option<String>| scalar_of(json.as_deref()).map(|s| s.to_json());
    json!({
        "evenkeel": env!("CARGO_PKG_VERSION"),
        "change_id": entry.change_id,
        "decided_at": entry.at,
        "written_at": jiff::Timestamp::now().to_string(),
        "mode": entry.mode,
        "target": entry.target,
        "file": target.file,
        "path": entry.path,
        "old": scalar(&entry.old),
        "new": scalar(&entry.new),
        "inner_units_per_file_unit": parameter.unit(),
        "sha256_before": entry.sha256_before,
        "sha256_after": entry.sha256_after,
        "recommendation": change.recommendation,
        "recommendation_unit": inner,
        "guard": {
            "floor": floor,
            "ceiling": ceiling,
            "dead_band": dead_band,
            "step_up": step_up,
            "step_down": step_down,
            "cooldown_ms": cooldown.0,
            "min_samples": min_samples,
        },
    })
}
