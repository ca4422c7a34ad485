//! Checks what is tuned: files, paths in them, units and guards.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::check::unique_name;
use super::raw::Section;
use super::table::{UNITS, unit_of_name};
use super::{Guard, Mode, Parameter, ParameterKind, Target, TargetFormat, TuneSettings};
use crate::model::Span;
use crate::model::time::unit_millis;
use crate::wire::fields::Spanned;
use crate::wire::target::Template;

/// The `tune` section; where something is at fault, the default stands in. Patches go to the state directory unless it
/// says otherwise.
pub(super) fn check(section: Option<Section<'_>>, state_dir: &Path) -> TuneSettings {
    let default = TuneSettings::default();
    let patch_dir = state_dir.join("patches");
    let Some(section) = section else { return TuneSettings { patch_dir, ..default } };
    let (mut names, mut files) = (BTreeMap::new(), BTreeMap::new());
    let targets = section.sections("targets").into_iter();
    let tune = TuneSettings {
        interval: section.span("interval").unwrap_or(default.interval),
        patch_dir: section.path("patch_dir").unwrap_or(patch_dir),
        kill_cost: section.number("kill_cost").unwrap_or(default.kill_cost),
        changes_per_hour: section.count("changes_per_hour").unwrap_or(default.changes_per_hour),
        targets: targets.filter_map(|section| target(section, &mut names, &mut files)).collect(),
    };
    section.finish();
    tune
}

fn target(
    section: Section<'_>,
    names: &mut BTreeMap<String, Range<usize>>,
    files: &mut BTreeMap<std::path::PathBuf, usize>,
) -> Option<Target> {
    let name = unique_name(&section, names);
    let file = section.require("file", section.path_at("file"));
    if let Some(Spanned { value, bytes }) = &file {
        let (line, _) = section.reader.faults.file.line_column(bytes.start);
        if let Some(first) = files.insert(value.clone(), line) {
            let message = format!("`{}` is a target twice, first in line {first}", value.display());
            section.reader.error(bytes.clone(), message, "put all its parameters under one target");
        }
    }
    let format = match section.word("format").map(|word| word.value) {
        Some("json") => Some(TargetFormat::Json),
        Some("yaml") => Some(TargetFormat::Yaml),
        Some(_) => Some(TargetFormat::Toml),
        None => file.as_ref().and_then(|file| format_of(&section, file)),
    };
    let mode = match section.word("mode").map(|word| word.value) {
        Some("off") => Mode::Off,
        Some("apply") => Mode::Apply,
        _ => Mode::Suggest,
    };
    section.require("parameters", section.node("parameters"));
    let mut paths: Vec<String> = Vec::new();
    let mut parameters = Vec::new();
    for section in section.sections("parameters") {
        let place = section.fields.place("path");
        let Some(parameter) = parameter(&section) else {
            section.finish();
            continue;
        };
        if paths.contains(&parameter.path) {
            let message = format!("the path `{}` is tuned twice", parameter.path);
            section.reader.error(place, message, "delete one of the parameters");
        }
        section.finish();
        paths.push(parameter.path.clone());
        parameters.push(parameter);
    }
    section.finish();
    Some(Target { name: name?, file: file?.value, format: format?, mode, parameters })
}

/// The syntax that the file's extension tells.
fn format_of(section: &Section<'_>, file: &Spanned<std::path::PathBuf>) -> Option<TargetFormat> {
    let extension = file.value.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "json" | "jsonc" => Some(TargetFormat::Json),
        "yaml" | "yml" => Some(TargetFormat::Yaml),
        "toml" => Some(TargetFormat::Toml),
        _ => {
            let message = format!("the extension of `{}` tells no syntax", file.value.display());
            section.reader.error(file.bytes.clone(), message, "add `format: json`, `yaml` or `toml`");
            None
        }
    }
}

fn parameter(section: &Section<'_>) -> Option<Parameter> {
    let kind = section.require("parameter", section.word("parameter")).map(|word| match word.value {
        "timeout" => ParameterKind::Timeout,
        "quality_target" => ParameterKind::QualityTarget,
        _ => ParameterKind::Concurrency,
    });
    let path = section.require("path", section.text("path")).and_then(|path| template(section, path));
    let unit = section.word("unit");
    let as_string = section.word("type").is_some_and(|word| word.value == "string");
    let task_type = section.text("task_type").map_or_else(|| "complex".to_owned(), |text| text.value);
    let guard = guard(section, kind.unwrap_or(ParameterKind::Timeout));
    let (kind, path) = (kind?, path?);
    let unit_ms = match (kind, unit) {
        (ParameterKind::Timeout, unit) => {
            unit.and_then(|word| unit_millis(word.value)).or_else(|| unit_of_name(&path)).unwrap_or_else(|| {
                let message = format!("the unit of the timeout `{path}` is not known");
                section.reader.error(
                    section.fields.place("path"),
                    message,
                    format!("add `unit:` with one of {}", UNITS.join(", ")),
                );
                1.0
            })
        }
        (_, None) => 1.0,
        (_, Some(word)) => {
            section.reader.error(word.bytes, "only a timeout has a unit", "delete `unit`");
            1.0
        }
    };
    Some(Parameter { kind, path, unit_ms, as_string, guard, task_type })
}

/// A path template that can be followed.
fn template(section: &Section<'_>, path: Spanned<String>) -> Option<String> {
    match Template::parse(&path.value) {
        Ok(_) => Some(path.value),
        Err(error) => {
            section.reader.error(path.bytes, format!("`path` {}", error.fault), error.remedy);
            None
        }
    }
}

/// The guards that hold when nothing is said, in the parameter's inner unit.
fn default_guard(kind: ParameterKind) -> Guard {
    let guard = Guard {
        floor: 1_000.0,
        ceiling: 3_600_000.0,
        dead_band: 0.10,
        step_up: 2.0,
        step_down: 0.5,
        cooldown: Span::hours(1),
        min_samples: 20,
    };
    match kind {
        ParameterKind::Timeout => guard,
        // Points lie close together: 2 % of 90 is about two points.
        ParameterKind::QualityTarget => {
            Guard { floor: 50.0, ceiling: 100.0, dead_band: 0.02, step_up: 1.1, step_down: 0.9, ..guard }
        }
        ParameterKind::Concurrency => Guard { floor: 1.0, ceiling: 64.0, ..guard },
    }
}

fn guard(section: &Section<'_>, kind: ParameterKind) -> Guard {
    let default = default_guard(kind);
    let floor = limit(section, "floor", kind).unwrap_or(default.floor);
    let ceiling = limit(section, "ceiling", kind).unwrap_or(default.ceiling);
    if floor > ceiling {
        let place = section.fields.place(if section.node("floor").is_some() { "floor" } else { "ceiling" });
        section.reader.error(place, "`floor` is above `ceiling`", "swap them, or say both");
    }
    let (mut step_up, mut step_down) = (default.step_up, default.step_down);
    if let Some(step) = section.section("step") {
        step_up = step.number("up").unwrap_or(step_up);
        step_down = step.number("down").unwrap_or(step_down);
        step.finish();
    }
    Guard {
        floor,
        ceiling,
        dead_band: section.share("dead_band").unwrap_or(default.dead_band),
        step_up,
        step_down,
        cooldown: section.span("cooldown").unwrap_or(default.cooldown),
        min_samples: section.count("min_samples").unwrap_or(default.min_samples),
    }
}

/// A bound in the parameter's inner unit: milliseconds, points or a count.
fn limit(section: &Section<'_>, name: &'static str, kind: ParameterKind) -> Option<f64> {
    section.node(name)?;
    match kind {
        ParameterKind::Timeout => section.fields.span(name).map(|span| span.value.as_millis_f64()),
        ParameterKind::QualityTarget => section.fields.number(name, 0.0, 100.0).map(|number| number.value),
        ParameterKind::Concurrency => section.fields.integer(name, 1, 10_000).map(|number| number.value as f64),
    }
}
