//! Model documents and the scaling table become profiles.
//!
//! A document says what a model is like (`scaling_factors`), a row of the table what the formulas
//! need beside it. Later files override earlier ones figure by figure; but a figure that changes
//! takes with it what rests on it, or a model declared half as fast would keep the tight buffer of
//! the old one unseen. What nobody gives is derived from the model's own factors along the figures of
//! the shipped rows, and said.

use std::collections::BTreeMap;

use super::names::{Index, normal};
use super::{FALLBACK, Profile, Profiles, QualityTargets};
use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::wire::fields::{Faults, Fields, Spanned};

/// The files that ship, the table among them.
const SHIPPED: [(&str, &str); 5] = [
    ("profiles/claude-haiku-4.5.json", include_str!("../../profiles/claude-haiku-4.5.json")),
    ("profiles/claude-opus-4.1.json", include_str!("../../profiles/claude-opus-4.1.json")),
    ("profiles/claude-sonnet-4.5.json", include_str!("../../profiles/claude-sonnet-4.5.json")),
    ("profiles/glm-4.6.json", include_str!("../../profiles/glm-4.6.json")),
    ("profiles/scaling.yaml", include_str!("../../profiles/scaling.yaml")),
];

/// Figures that a document or a row may give.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Figures {
    time_multiplier: Option<f64>,
    complexity_factor: Option<f64>,
    parallel_processing: Option<f64>,
    /// A document's one target for all task types.
    quality_target: Option<f64>,
    timeout_buffer: Option<f64>,
    quality: Option<[f64; 3]>,
    concurrency: Option<(u32, u32)>,
}

impl Figures {
    /// These figures over `earlier` ones: what they do not say stays, unless it rests on a figure
    /// that they change.
    fn over(self, mut earlier: Figures) -> Figures {
        let changes = |mine: Option<f64>, earlier: Option<f64>| mine.is_some() && mine != earlier;
        if changes(self.time_multiplier, earlier.time_multiplier) {
            earlier.timeout_buffer = None;
        }
        if changes(self.quality_target, earlier.quality_target) && earlier.quality_target.is_some() {
            earlier.quality = None;
        }
        if changes(self.parallel_processing, earlier.parallel_processing) {
            earlier.concurrency = None;
        }
        Figures {
            time_multiplier: self.time_multiplier.or(earlier.time_multiplier),
            complexity_factor: self.complexity_factor.or(earlier.complexity_factor),
            parallel_processing: self.parallel_processing.or(earlier.parallel_processing),
            quality_target: self.quality_target.or(earlier.quality_target),
            timeout_buffer: self.timeout_buffer.or(earlier.timeout_buffer),
            quality: self.quality.or(earlier.quality),
            concurrency: self.concurrency.or(earlier.concurrency),
        }
    }
}

/// A model document, or a row of the table.
#[derive(Debug)]
struct Entry {
    name: Spanned<String>,
    /// Whether it is a row.
    row: bool,
    /// The models that a row is for; a document is for its own.
    models: Vec<String>,
    aliases: Vec<String>,
    figures: Figures,
    /// Which of the files; the shipped ones come first.
    file: usize,
}

/// See [`Profiles::load`].
pub(super) fn load(files: &[SourceFile]) -> (Profiles, Vec<Diagnostic>) {
    let shipped = SHIPPED.map(|(path, text)| SourceFile::new(path, text));
    let files: Vec<&SourceFile> = shipped.iter().chain(files).collect();
    let mut entries = Vec::new();
    let mut diagnostics = Vec::new();
    for (i, file) in files.iter().enumerate() {
        diagnostics.extend(read_file(file, i, &mut entries));
    }
    let profiles = assemble(&entries, &files, shipped.len(), &mut diagnostics);
    diagnostics.sort_by_key(|d| (files.iter().position(|file| file.path == d.file), d.bytes.start));
    (profiles, diagnostics)
}

/// Reads one file; of a file with errors nothing is taken.
fn read_file(file: &SourceFile, number: usize, entries: &mut Vec<Entry>) -> Vec<Diagnostic> {
    let (root, faults) = match Faults::read(file) {
        Ok(read) => read,
        Err(fault) => return vec![*fault],
    };
    let fields = Fields::open(&root, "a profile", &faults);
    let mut found = Vec::new();
    let rows = fields.list("scaling");
    if fields.node("scaling").is_some() {
        for node in rows {
            let row = Fields::open(node, "a row", &faults);
            found.extend(entry(&row, "row", &faults, number));
            row.finish();
        }
    } else {
        found.extend(entry(&fields, "model", &faults, number));
    }
    fields.finish();
    let diagnostics = faults.into_diagnostics();
    if !has_errors(&diagnostics) {
        entries.append(&mut found);
    }
    diagnostics
}

/// Reads a document (`name_key` is `model`) or a row (`row`).
fn entry(fields: &Fields<'_>, name_key: &'static str, faults: &Faults<'_>, file: usize) -> Option<Entry> {
    let texts = |name| fields.texts(name).unwrap_or_default().into_iter().map(|text| text.value).collect::<Vec<_>>();
    let number = |fields: &Fields<'_>, name, low, high| fields.number(name, low, high).map(|n| n.value);
    let mut figures = Figures {
        timeout_buffer: fields.share("timeout_buffer", 0.0, 10.0).map(|n| n.value),
        quality: quality(fields, faults),
        concurrency: concurrency(fields, faults),
        ..Figures::default()
    };
    let name = fields.require(name_key, "claude-sonnet-4.5", fields.text(name_key));
    let models;
    if name_key == "model" {
        models = name.iter().map(|name| name.value.clone()).collect();
        // For people; no formula reads them.
        let _ = (fields.table("base_performance"), fields.texts("optimization_strategies"));
        if let Some(node) = fields.node("scaling_factors") {
            let factors = Fields::open(node, "scaling_factors", faults);
            figures.time_multiplier = number(&factors, "time_multiplier", 0.01, 100.0);
            figures.complexity_factor = number(&factors, "complexity_handling", 0.0, 100.0);
            figures.parallel_processing = number(&factors, "parallel_processing", 0.01, 100.0);
            figures.quality_target = number(&factors, "quality_target", 0.0, 100.0);
            factors.finish();
        }
    } else {
        let fallback = name.iter().filter(|name| name.value == FALLBACK).map(|name| name.value.clone());
        models = texts("models").into_iter().chain(fallback).collect();
        figures.time_multiplier = number(fields, "time_multiplier", 0.01, 100.0);
        figures.complexity_factor = number(fields, "complexity_factor", 0.0, 100.0);
        figures.parallel_processing = number(fields, "parallel_processing", 0.01, 100.0);
    }
    Some(Entry { row: name_key == "row", models, aliases: texts("aliases"), figures, file, name: name? })
}

fn quality(fields: &Fields<'_>, faults: &Faults<'_>) -> Option<[f64; 3]> {
    let targets = Fields::open(fields.node("quality")?, "quality", faults);
    let read = |name| targets.require(name, "85", targets.number(name, 0.0, 100.0)).map(|n| n.value);
    let read = ["simple", "complex", "critical"].map(read);
    targets.finish();
    Some([read[0]?, read[1]?, read[2]?])
}

fn concurrency(fields: &Fields<'_>, faults: &Faults<'_>) -> Option<(u32, u32)> {
    let range = Fields::open(fields.node("concurrency")?, "concurrency", faults);
    let read = |name| range.require(name, "2", range.integer(name, 1, 10_000));
    let (min, max) = (read("min"), read("max"));
    range.finish();
    let (min, max) = (min?, max?);
    if min.value > max.value {
        let message = format!("`min` is {}, above `max`, which is {}", min.value, max.value);
        faults.error(min.bytes, message, "swap them");
        return None;
    }
    Some((min.value as u32, max.value as u32))
}

/// What is known of one model while the files are put together.
struct Known<'a> {
    id: &'a str,
    figures: Figures,
    /// The newest document of a user, and whether it says anything new.
    users: Option<(&'a Entry, bool)>,
}

/// Puts documents and rows together. `shipped` is the number of files that ship.
fn assemble(entries: &[Entry], files: &[&SourceFile], shipped: usize, diagnostics: &mut Vec<Diagnostic>) -> Profiles {
    let mut models: BTreeMap<String, Known<'_>> = BTreeMap::new();
    for entry in entries {
        for id in &entry.models {
            let first = !models.contains_key(&normal(id));
            let known = models.entry(normal(id)).or_insert(Known { id, figures: Figures::default(), users: None });
            let figures = entry.figures.over(known.figures);
            let new = first || figures != known.figures;
            known.figures = figures;
            if entry.row || entry.file < shipped {
                continue;
            }
            if let Some((earlier, _)) = known.users.replace((entry, new)) {
                let message = format!("`{id}` is described again; where both speak this one wins");
                let help = format!("keep one of them; the other is in {}", files[earlier.file].path);
                diagnostics.push(Diagnostic::warning(files[entry.file], entry.name.bytes.clone(), message, help));
            }
        }
    }
    let fallback = models.get(FALLBACK).expect("the shipped table has the fallback").figures;
    let mut all = Vec::new();
    for known in models.values() {
        let profile = derive(known.id, known.figures, fallback);
        if let Some((entry, true)) = known.users
            && !profile.derived.is_empty()
        {
            let message = format!("`{}` leaves {} to be derived", profile.model, profile.derived.join(", "));
            let help =
                format!("`evenkeel profiles show {}` shows the values; give your own to settle them", profile.model);
            diagnostics.push(Diagnostic::warning(files[entry.file], entry.name.bytes.clone(), message, help));
        }
        all.push(profile);
    }
    let mut index = Index::default();
    let place = |model: &str| models.keys().position(|known| *known == normal(model));
    for entry in entries {
        if let Some(target) = entry.models.first().and_then(|model| place(model)) {
            entry.aliases.iter().for_each(|alias| index.add(alias, target));
        }
    }
    for (i, profile) in all.iter().enumerate() {
        index.add(&profile.model, i);
    }
    let fallback = place(FALLBACK).expect("the shipped table has the fallback");
    Profiles { all, index, fallback }
}

/// The profile of a model from its figures; what they lack is derived from the others or, where
/// these are silent too, taken from the fallback.
fn derive(model: &str, figures: Figures, fallback: Figures) -> Profile {
    let mut derived = Vec::new();
    let mut given = |name, value: Option<f64>, otherwise: f64| {
        value.unwrap_or_else(|| {
            derived.push(name);
            otherwise
        })
    };
    let or_fallback = |value: Option<f64>| value.expect("the shipped fallback row gives every figure");
    let time_multiplier = given("time_multiplier", figures.time_multiplier, or_fallback(fallback.time_multiplier));
    let complexity_factor =
        given("complexity_factor", figures.complexity_factor, or_fallback(fallback.complexity_factor));
    let parallel_processing =
        given("parallel_processing", figures.parallel_processing, or_fallback(fallback.parallel_processing));
    let timeout_buffer = given("timeout_buffer", figures.timeout_buffer, buffer_of(time_multiplier));
    let others = fallback.quality.expect("the shipped fallback row gives every figure");
    let [simple, complex, critical] = figures.quality.unwrap_or_else(|| {
        derived.push("quality");
        figures.quality_target.map_or(others, targets_of)
    });
    let concurrency = figures.concurrency.unwrap_or_else(|| {
        derived.push("concurrency");
        figures.parallel_processing.map_or((1, 2), concurrency_of)
    });
    Profile {
        model: model.to_owned(),
        time_multiplier,
        complexity_factor,
        timeout_buffer,
        quality: QualityTargets { simple, complex, critical, other: others[1] },
        concurrency,
        parallel_processing,
        derived,
    }
}

/// The straight line between the known points, level beyond the first and the last.
fn between(points: &[(f64, f64)], x: f64) -> f64 {
    let next = points.partition_point(|(known, _)| *known <= x);
    match (next.checked_sub(1).map(|i| points[i]), points.get(next)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (x - x0) / (x1 - x0) * (y1 - y0),
        (Some((_, y)), None) => y,
        (None, Some((_, y))) => *y,
        (None, None) => 0.0,
    }
}

/// The slower a model, the wider its buffer: the four rows' multipliers and buffers, to a
/// tenth of a percent.
fn buffer_of(time_multiplier: f64) -> f64 {
    (between(&[(0.9, 0.05), (1.0, 0.10), (1.25, 0.25), (1.5, 0.50)], time_multiplier) * 1e3).round() / 1e3
}

/// A document's one target is that of complex tasks; simple ones take five points less, critical
/// ones five more, as in the row of claude-sonnet.
fn targets_of(quality_target: f64) -> [f64; 3] {
    [(quality_target - 5.0).max(0.0), quality_target, (quality_target + 5.0).min(100.0)]
}

/// The more a model gains from parallel work, the more of it: the documents' parallel_processing
/// and the lower ends of their rows' ranges; a range is two wide.
fn concurrency_of(parallel_processing: f64) -> (u32, u32) {
    let low = between(&[(0.4, 1.0), (0.8, 2.0), (1.2, 3.0), (1.4, 4.0)], parallel_processing) as u32;
    (low, low + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::Resolution;

    fn loaded(files: &[(&str, &str)]) -> (Profiles, Vec<String>) {
        let files: Vec<SourceFile> = files.iter().map(|(path, text)| SourceFile::new(*path, *text)).collect();
        let (profiles, diagnostics) = load(&files);
        let texts = diagnostics.iter().map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message)).collect();
        (profiles, texts)
    }

    #[test]
    fn what_ships_is_whole() {
        let (profiles, diagnostics) = loaded(&[]);
        assert_eq!(diagnostics, [""; 0]);
        let ids: Vec<&str> = profiles.iter().map(|p| p.model.as_str()).collect();
        assert_eq!(ids, ["claude-haiku-4.5", "claude-opus-4.1", "claude-sonnet-4.5", "fallback", "glm-4.6"]);
        let (haiku, _) = profiles.resolve("claude-haiku-4-5-20251001");
        assert_eq!(haiku.derived, ["timeout_buffer", "quality", "concurrency"]);
        assert_eq!((haiku.time_multiplier, haiku.complexity_factor, haiku.parallel_processing), (0.8, 1.1, 1.0));
        assert_eq!((haiku.timeout_buffer, haiku.concurrency), (0.05, (2, 3)));
        assert_eq!((haiku.quality.simple, haiku.quality.complex, haiku.quality.critical), (83.0, 88.0, 93.0));
    }

    #[test]
    fn documents_and_rows_agree_where_both_speak() {
        let mut entries = Vec::new();
        for (i, (path, text)) in SHIPPED.iter().enumerate() {
            assert_eq!(read_file(&SourceFile::new(*path, *text), i, &mut entries), []);
        }
        let (rows, documents): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| entry.row);
        for row in rows.iter().filter(|row| row.figures.time_multiplier.is_some() && row.name.value != FALLBACK) {
            let document =
                documents.iter().find(|d| row.models.contains(&d.name.value)).expect("a row names a document");
            assert_eq!(document.figures.time_multiplier, row.figures.time_multiplier);
            assert_eq!(document.figures.complexity_factor, row.figures.complexity_factor);
        }
    }

    #[test]
    fn shipped_files_loaded_again_change_nothing() {
        assert_eq!(loaded(&SHIPPED), (Profiles::shipped(), vec![]));
    }

    #[test]
    fn a_users_document_adds_and_overrides() {
        let mine = "model: my-model\naliases: ['my-*']\nscaling_factors: {time_multiplier: 1.125, complexity_handling: 1,\n  quality_target: 97, parallel_processing: 1.3}\ntimeout_buffer: 12%\n";
        let sonnet = r#"{"model": "claude-sonnet-4-5", "scaling_factors": {"time_multiplier": 2}}"#;
        let (profiles, diagnostics) = loaded(&[("mine.yaml", mine), ("sonnet.json", sonnet)]);
        assert_eq!(
            diagnostics,
            [
                "mine.yaml:1:8 `my-model` leaves quality, concurrency to be derived",
                "sonnet.json:1:11 `claude-sonnet-4.5` leaves timeout_buffer to be derived",
            ]
        );
        let (profile, found) = profiles.resolve("my-latest-thing");
        assert_eq!((profile.model.as_str(), found), ("my-model", Resolution::Alias("my-*".to_owned())));
        assert_eq!((profile.timeout_buffer, profile.quality.critical, profile.concurrency), (0.12, 100.0, (3, 4)));
        let (profile, _) = profiles.resolve("claude-sonnet");
        assert_eq!((profile.time_multiplier, profile.timeout_buffer, profile.concurrency), (2.0, 0.5, (3, 4)));
        assert_eq!((profile.complexity_factor, profile.quality.complex), (0.9, 90.0));
    }

    #[test]
    fn every_fault_of_a_document_is_said() {
        let text = "modle: x\nscaling_factors: {time_multiplier: -1, quality_target: much}\nconcurrency: {min: 5, max: 2}\nquality: {simple: 101}\n";
        let (profiles, diagnostics) = loaded(&[("bad.yaml", text)]);
        assert_eq!(
            diagnostics,
            [
                "bad.yaml:1:1 a profile has no `model`",
                "bad.yaml:1:1 a profile has no field `modle`",
                "bad.yaml:2:36 `time_multiplier` is -1, out of its range",
                "bad.yaml:2:56 `quality_target` is `much`, not a number",
                "bad.yaml:3:20 `min` is 5, above `max`, which is 2",
                "bad.yaml:4:11 quality has no `complex`",
                "bad.yaml:4:11 quality has no `critical`",
                "bad.yaml:4:19 `simple` is 101, out of its range",
            ]
        );
        assert_eq!(profiles, Profiles::shipped());
    }
}
