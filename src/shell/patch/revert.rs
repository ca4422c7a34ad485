//! Taking an applied change back.
//!
//! As long as the file is as the change left it, its exact old bytes come back. When something else in
//! it was edited since, only the value comes back; when the value itself was edited since, nothing does.

use super::documents::sha256;
use super::folder::Snapshot;
use super::{Patcher, kind_word, open, real_path, scalar_of, understand};
use crate::settings::Target;
use crate::shell::ledger::{self, Entry, Status};
use crate::wire::target;

/// How much of a file was restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Restored {
    /// The exact bytes from before the change.
    Bytes,
    /// The one value; the rest was edited since, or the backup is gone.
    Value,
}

impl Patcher {
    /// Takes a change back and returns its new row in the ledger, named `<change>.revert`.
    ///
    /// An error says why nothing was touched; it is in the ledger too when the change is known.
    pub fn revert(&self, change_id: &str) -> Result<(Restored, Entry), String> {
        let entry = self.entry(change_id).map_err(|e| format!("cannot read the ledger: {e}"))?;
        let entry =
            entry.ok_or_else(|| format!("no change `{change_id}` is in the ledger; see `evenkeel tune ledger`"))?;
        let mut row = Entry {
            change_id: format!("{change_id}.revert"),
            at: jiff::Timestamp::now().to_string(),
            old: entry.new.clone(),
            new: entry.old.clone(),
            mode: "revert".into(),
            status: Status::Applied,
            backup: None,
            sha256_before: None,
            sha256_after: None,
            ..entry.clone()
        };
        let result = self.restore(&entry, &mut row);
        match result {
            Ok(restored) => {
                row.reason = match restored {
                    Restored::Bytes => format!("took back `{change_id}`: the file is as it was"),
                    Restored::Value => format!("took back `{change_id}`: the value only, the rest of the file stays"),
                };
                self.record(&row)?;
                ledger::set_status(&self.connection, change_id, Status::Reverted)
                    .map_err(|e| format!("the file is restored, but the ledger cannot be written: {e}"))?;
                Ok((restored, row))
            }
            Err(reason) => {
                // A change taken back before has its row already, and one never applied needs none.
                if matches!(entry.status, Status::Applied | Status::Applying) {
                    self.record(&Entry { status: Status::Refused, reason: reason.clone(), ..row })?;
                }
                Err(reason)
            }
        }
    }

    fn restore(&self, entry: &Entry, row: &mut Entry) -> Result<Restored, String> {
        match entry.status {
            Status::Applied | Status::Applying if entry.mode == "apply" => {}
            Status::Applied | Status::Applying => {
                return Err("it took another change back; apply that one again by hand".into());
            }
            status => return Err(format!("it is {status}, not applied; there is nothing to take back")),
        }
        let target = self.target(&entry.target)?;
        let now = real_path(target);
        if now != entry.file {
            return Err(format!("the target `{}` is now {now}, but the change was to {}", target.name, entry.file));
        }
        let (folder, name) = open(target).map_err(|e| e.to_string())?;
        folder.lock().map_err(|e| e.to_string())?;
        let file = folder.read(&name).map_err(|e| e.to_string())?;
        let hash = sha256(file.text.as_bytes());
        row.sha256_before = Some(hash.clone());
        if entry.sha256_before.as_deref() == Some(&*hash) {
            // A kill came between the file and the ledger, here or when it was to be applied.
            row.sha256_after = Some(hash);
            return Ok(Restored::Bytes);
        }
        let backup = match (&entry.backup, &entry.sha256_before) {
            (Some(path), Some(before)) if entry.sha256_after.as_deref() == Some(&*hash) => {
                self.backups.text(path, before)
            }
            _ => None,
        };
        let (text, restored) = match backup {
            Some(text) => (text, Restored::Bytes),
            None => (self.with_old_value(entry, target, &file)?, Restored::Value),
        };
        row.sha256_after = Some(sha256(text.as_bytes()));
        folder.replace(&name, &file, &text).map_err(|e| e.to_string())?;
        Ok(restored)
    }

    /// The text with the one value as it was before, if the value is still the one that was written.
    fn with_old_value(&self, entry: &Entry, target: &Target, file: &Snapshot) -> Result<String, String> {
        let (Some(old), Some(new)) = (scalar_of(entry.old.as_deref()), scalar_of(entry.new.as_deref())) else {
            return Err("the ledger does not hold the values of this change".into());
        };
        let reading = understand(target, file).map_err(|e| e.to_string())?;
        let same_kind =
            |index: u32| target.parameters.get(index as usize).is_some_and(|p| kind_word(p.kind) == entry.parameter);
        // Items of a list may have moved since, so the path is asked first and the agent second.
        let mut values: Vec<_> =
            reading.values.iter().filter(|v| v.agent == entry.agent && same_kind(v.parameter)).collect();
        if let Some(exact) = values.iter().position(|v| v.path.to_string() == entry.path) {
            values = vec![values[exact]];
        }
        match values.as_slice() {
            [value] => target::set(&file.text, target.format, &value.path, &new, &old)
                .map(|edit| edit.text)
                .map_err(|e| e.to_string()),
            [] => Err(format!("`{}` is no longer in the file, or switched off", entry.path)),
            _ => Err(format!("`{}` has moved, and more than one value could be it", entry.path)),
        }
    }
}
