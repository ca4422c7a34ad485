//! `evenkeel profiles`: what the formulas give for a model before its own executions speak.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Subcommand;
use serde::Serialize;

use super::{Exit, Failure, Output, recording};
use crate::model::{Span, Unit};
use crate::profile::{Profile, Profiles, QualityTargets, Resolution};
use crate::shell::policy_files;

/// Show what is assumed of a model before its executions speak: time, timeout, quality target
/// and concurrency.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The configuration whose `profiles:` are added to the shipped ones.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show one model: scaled time, timeout, quality targets, concurrency, how its name was found.
    #[command(after_help = "\
Examples:
  evenkeel profiles show claude-sonnet-4-5-20250929
  evenkeel profiles show glm-4.6 --base 60s --complexity 0.5
  evenkeel profiles show claude-opus-4.1 --task-type critical --json")]
    Show(Show),
    /// List every profile.
    List,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// The model's name, in any spelling.
    model: String,
    /// How long the work takes on a model with factor 1, e.g. 60s or 5m.
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = Span::parse)]
    base: Span,
    /// How hard the work is: 0 is trivial, 1 is hard.
    #[arg(long, value_name = "NUMBER", default_value = "0", value_parser = complexity)]
    complexity: f64,
    /// The task type whose quality target is asked for: simple, complex, critical or any other.
    #[arg(long, value_name = "TYPE")]
    task_type: Option<String>,
}

fn complexity(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|n| (0.0..=10.0).contains(n));
    number.ok_or_else(|| "write a number from 0 to 10".to_owned())
}

/// What `show` answers.
#[derive(Serialize)]
struct Answer<'a> {
    query: &'a str,
    model: &'a str,
    resolution: &'static str,
    /// The alias or glob that matched.
    matched: Option<&'a str>,
    base_ms: f64,
    complexity: f64,
    scaled_time_ms: f64,
    scaled_time_s: f64,
    timeout_ms: f64,
    timeout_s: f64,
    timeout_buffer: f64,
    time_multiplier: f64,
    complexity_factor: f64,
    quality_targets: QualityTargets,
    task_type: Option<&'a str>,
    quality_target: Option<f64>,
    concurrency: Range,
    parallel_processing: f64,
    derived: &'a [&'static str],
    warning: Option<String>,
}

#[derive(Serialize)]
struct Range {
    min: u32,
    max: u32,
}

/// Answers from the shipped profiles and the user's.
pub fn run(args: Args, out: &mut Output) -> Result<Exit, Failure> {
    let profiles = match args.config.or_else(recording::at_hand).as_deref() {
        Some(config) => policy_files::load(Some(config), &[]).map_err(Failure::Configuration)?.policy.profiles,
        None => Profiles::shipped(),
    };
    match args.verb {
        Verb::Show(show) => {
            let (profile, resolution) = profiles.resolve(&show.model);
            let answer = answer(&show, profile, &resolution);
            if out.json { out.json(&answer)? } else { print(&answer, out)? }
        }
        Verb::List if out.json => out.json(&profiles.iter().collect::<Vec<_>>())?,
        Verb::List => list(&profiles, out)?,
    }
    Ok(Exit::Ok)
}

fn answer<'a>(show: &'a Show, profile: &'a Profile, resolution: &'a Resolution) -> Answer<'a> {
    let base_ms = show.base.as_millis_f64();
    let scaled_time_ms = profile.scaled_time_ms(base_ms, show.complexity);
    let timeout_ms = profile.timeout_ms(base_ms, show.complexity);
    let (found, matched) = match resolution {
        Resolution::Exact => ("exact", None),
        Resolution::Alias(alias) => ("alias", Some(alias.as_str())),
        Resolution::Fallback => ("fallback", None),
    };
    Answer {
        query: &show.model,
        model: &profile.model,
        resolution: found,
        matched,
        base_ms,
        complexity: show.complexity,
        scaled_time_ms,
        scaled_time_s: scaled_time_ms / 1e3,
        timeout_ms,
        timeout_s: timeout_ms / 1e3,
        timeout_buffer: profile.timeout_buffer,
        time_multiplier: profile.time_multiplier,
        complexity_factor: profile.complexity_factor,
        quality_targets: profile.quality,
        task_type: show.task_type.as_deref(),
        quality_target: show.task_type.as_deref().map(|task_type| profile.quality_target(task_type)),
        concurrency: Range { min: profile.concurrency.0, max: profile.concurrency.1 },
        parallel_processing: profile.parallel_processing,
        derived: &profile.derived,
        warning: matches!(resolution, Resolution::Fallback)
            .then(|| format!("no profile names `{}`; the fallback is used", show.model)),
    }
}

fn print(answer: &Answer<'_>, out: &mut Output) -> Result<(), Failure> {
    if let Some(warning) = &answer.warning {
        let help = "a document with `model:` or `aliases:` in a folder under `profiles:` of evenkeel.yaml names it";
        writeln!(out, "{} {warning}\n  = help: {help}\n", out.yellow("warning:"))?;
    }
    let how = match answer.matched {
        Some(alias) => format!("by the alias {alias}"),
        None if answer.warning.is_some() => "for every model that no profile names".to_owned(),
        None => "by its name".to_owned(),
    };
    let quality = answer.quality_targets;
    let Range { min, max } = answer.concurrency;
    writeln!(out, "{} ({how})", out.bold(answer.model))?;
    writeln!(
        out,
        "  scaled time      {} = {} x {} x (1 + {} x {})",
        seconds(answer.scaled_time_s),
        seconds(answer.base_ms / 1e3),
        answer.time_multiplier,
        answer.complexity,
        answer.complexity_factor,
    )?;
    let buffer = Unit::Ratio.show(answer.timeout_buffer);
    writeln!(out, "  timeout          {}, {buffer} above it", seconds(answer.timeout_s))?;
    writeln!(
        out,
        "  quality targets  simple {}, complex {}, critical {}, any other {}",
        quality.simple, quality.complex, quality.critical, quality.other
    )?;
    if let (Some(task_type), Some(target)) = (answer.task_type, answer.quality_target) {
        writeln!(out, "  quality target   {target} for {task_type}")?;
    }
    writeln!(out, "  concurrency      {min} to {max} at once")?;
    if !answer.derived.is_empty() {
        writeln!(out, "  derived          {} (no file gives them)", answer.derived.join(", "))?;
    }
    Ok(())
}

/// Seconds to the millisecond without trailing zeros.
fn seconds(s: f64) -> String {
    let text = format!("{s:.3}");
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

fn list(profiles: &Profiles, out: &mut Output) -> Result<(), Failure> {
    let head = format!(
        "{:<24} {:>5} {:>10} {:>7}  {:<13} {:>11}",
        "model", "time", "complexity", "buffer", "quality", "concurrency"
    );
    writeln!(out, "{}", out.bold(head))?;
    for profile in profiles.iter() {
        let QualityTargets { simple, complex, critical, .. } = profile.quality;
        let (min, max) = profile.concurrency;
        writeln!(
            out,
            "{:<24} {:>5} {:>10} {:>7}  {:<13} {:>11}",
            profile.model,
            profile.time_multiplier,
            profile.complexity_factor,
            Unit::Ratio.show(profile.timeout_buffer),
            format!("{simple}/{complex}/{critical}"),
            format!("{min}-{max}"),
        )?;
    }
    Ok(())
}
