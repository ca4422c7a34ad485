//! Executions as agents log them: one JSON object per line becomes one [`Record`].
//!
//! Owns what the values mean: units, words for outcomes, which zeros are missing values, whose cost
//! is believed, what makes two lines the same execution. Never opens a file and never stops at a bad
//! line: it is handed back with its place and the reason, and the next one is read.
//!
//! A line is refused when a value cannot be what the mapping says it is; a value that is not there is
//! `None`. Guessing in between would teach baselines from misread numbers, and nobody would notice.

mod ending;
mod usage;

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use twox_hash::XxHash3_64;

use super::mapping::{Keys, Uses, Value, compile};
use super::row::{Row, head, no_name};
use super::timestamp::Zone;
use super::usual::Order;
use crate::model::agent::is_name;
use crate::model::{Extra, Nanodollars, Quality, Record, RecordId, Span, Timestamp};
use crate::profile::price::PriceTable;
use crate::settings::{Limits, Mapping, Source};
use ending::class_name;
use usage::{Priced, settle_cost};

/// No agent logged before 2000; one record of 1970 would stretch a recording over half a century.
const EARLIEST: Timestamp = Timestamp(946_684_800_000);

/// Longer durations are slips of units or clocks, not runs.
const LONGEST_DURATION: Span = Span::days(30);

/// More dollars than this for one execution are a slip.
const HIGHEST_COST: f64 = 1e6;

/// Bytes of a reason; a parser's message can quote the whole line.
const REASON_LIMIT: usize = 240;

/// Stands for the file's name without extension in `agent_default`.
const FILE_STEM: &str = "{file_stem}";

/// Reads the lines of one source.
#[derive(Debug, Clone)]
pub struct Reader {
    source: String,
    mapping: Mapping,
    zone: Zone,
    keys: Keys,
    uses: Uses,
    /// Names of [`Uses::fields`].
    fields: Vec<String>,
    prices: PriceTable,
    line_limit: usize,
    /// Milliseconds in one unit of the limit in force.
    timeout_unit_ms: f64,
}

/// The zone of a source is not in the zone database.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "source `{source_name}` has the time zone `{zone}`, which this machine does not know: use UTC or install tzdata"
)]
pub struct UnknownZone {
    /// The source's name.
    pub source_name: String,
    /// The name that was not found.
    pub zone: String,
}

/// What a chunk of whole lines held; every line is a record, rejected or blank.
#[derive(Debug, Default)]
pub struct Chunk<'a> {
    /// The executions, in the order of their lines.
    pub records: Vec<Record<'a>>,
    /// The lines that are none, in their order.
    pub rejected: Vec<Rejected>,
    /// Lines of nothing but white space.
    pub blank: usize,
}

/// A line that could not become a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Index of the line in its chunk, from 0.
    pub line: usize,
    /// Its bytes in the chunk, without the line end.
    pub bytes: Range<usize>,
    /// What is wrong with it, naming the key, the value and the limit.
    pub reason: String,
}

impl Chunk<'_> {
    /// How many lines the chunk had.
    pub fn lines(&self) -> usize {
        self.records.len() + self.rejected.len() + self.blank
    }
}

/// What is used again from line to line.
pub(super) struct Scratch<'r, 'a> {
    cells: Vec<Value<'a>>,
    order: Order<'a>,
    priced: Priced<'r, 'a>,
}

impl Reader {
    /// A reader of `source`, with the numeric record fields that rules name.
    pub fn new(source: &Source, prices: &PriceTable, fields: &[String]) -> Result<Reader, UnknownZone> {
        let mapping = source.mapping.clone();
        let zone = Zone::named(&mapping.zone)
            .ok_or_else(|| UnknownZone { source_name: source.name.clone(), zone: mapping.zone.clone() })?;
        let (keys, uses) = compile(&mapping, fields);
        let timeout_unit_ms = match mapping.timeout.as_deref() {
            Some(key) if key.ends_with("_ms") => 1.0,
            Some(key) if key.ends_with("_s") => 1_000.0,
            _ => mapping.duration_unit_ms,
        };
        let line_limit = Limits::default().line_bytes as usize;
        let (source, prices) = (source.name.clone(), prices.clone());
        let fields = fields.to_vec();
        Ok(Reader { source, mapping, zone, keys, uses, fields, prices, line_limit, timeout_unit_ms })
    }

    /// The same reader, refusing lines of more than `bytes` bytes.
    pub fn with_line_limit(mut self, bytes: u32) -> Reader {
        self.line_limit = bytes as usize;
        self
    }

    /// The most bytes that a line may have.
    pub fn line_limit(&self) -> usize {
        self.line_limit
    }

    /// Reads whole lines; the last one may lack its line end when nothing will follow it.
    ///
    /// `stem` is the file's name without extension. How lines are put together into chunks does not
    /// change what is read.
    pub fn read<'a>(&'a self, chunk: &'a [u8], stem: &'a str) -> Chunk<'a> {
        // One pass over the chunk is cheaper than one per line; a bad byte spoils its own line only.
        let whole = std::str::from_utf8(chunk).ok();
        let mut read = Chunk { records: Vec::with_capacity(chunk.len() / 256 + 1), ..Chunk::default() };
        let mut scratch = self.scratch();
        let mut start = 0;
        for line in 0.. {
            if start >= chunk.len() {
                break;
            }
            let end = memchr::memchr(b'\n', &chunk[start..]).map_or(chunk.len(), |length| start + length);
            let text = match whole {
                Some(text) => Ok(&text[start..end]),
                None => std::str::from_utf8(&chunk[start..end])
                    .map_err(|fault| format!("not UTF-8 from byte {} of the line on", fault.valid_up_to() + 1)),
            };
            match text.map(trim) {
                Ok("") => read.blank += 1,
                text => match text.and_then(|text| self.record(text, stem, &mut scratch)) {
                    Ok(record) => read.records.push(record),
                    Err(reason) => read.rejected.push(Rejected { line, bytes: start..end, reason: clip(reason) }),
                },
            }
            start = end + 1;
        }
        read
    }

    pub(super) fn scratch<'a>(&'a self) -> Scratch<'a, 'a> {
        Scratch { cells: vec![Value::Absent; self.keys.len()], order: Order::new(), priced: HashMap::default() }
    }

    /// One JSON object, trimmed, as a record.
    pub(super) fn record<'a>(
        &'a self,
        text: &'a str,
        stem: &'a str,
        scratch: &mut Scratch<'a, 'a>,
    ) -> Result<Record<'a>, String> {
        if text.len() > self.line_limit {
            return Err(too_long(text.len(), self.line_limit));
        }
        let read = self.keys.read(text, &mut scratch.order, &mut scratch.cells);
        read.map_err(|fault| format!("not a JSON object: {fault}"))?;
        let row = Row { keys: &self.keys, cells: &scratch.cells };
        let (uses, mapping) = (&self.uses, &self.mapping);

        let (agent, agent_is_default) = match row.name(uses.agent)? {
            Some(agent) => (agent, false),
            None => (self.default_agent(stem)?, true),
        };
        let model = row.name(uses.model)?;
        let ending = self.ending(&row)?;
        let class = ending.class.as_deref();
        let void = !ending.ok() && class.is_some_and(|class| mapping.void_errors.iter().any(|word| word == class));

        let duration_ms = match row.number(uses.duration)?.map(|number| number * mapping.duration_unit_ms) {
            _ if void => None,
            Some(ms) if !(0.0..=LONGEST_DURATION.as_millis_f64()).contains(&ms) => {
                return Err(format!("{} is {ms} ms, not within 0 and {LONGEST_DURATION}", row.key(uses.duration)));
            }
            duration => duration,
        };
        let (tokens, tokens_whole) = match self.tokens(&row)? {
            Some(tokens) if void || tokens.0.total() == 0 && (!ending.ok() || model.is_none()) => (None, false),
            Some((tokens, whole)) => (Some(tokens), whole),
            None => (None, false),
        };
        let at = self.at(&row, duration_ms)?;
        let reported = row.ranged(uses.cost, 0.0, HIGHEST_COST, "dollars")?.and_then(Nanodollars::from_dollars);
        let cost = if void {
            None
        } else {
            let recomputed = || match (&model, tokens) {
                (Some(model), Some(tokens)) if tokens_whole => self.price(model, &mut scratch.priced)?.cost(at, tokens),
                _ => None,
            };
            settle_cost(mapping.trust_cost, reported, recomputed)
        };
        let (low, high) = mapping.quality_scale;
        let quality = row.ranged(uses.quality, low, high, "points")?;
        let id = match row.text(uses.id)? {
            Some(id) => Some(hash(id.as_bytes(), hash(self.source.as_bytes(), 0))),
            // The same line in two files is two executions when the file says who the agent is.
            None if agent_is_default => at.map(|_| hash(text.as_bytes(), hash(agent.as_bytes(), 0))),
            None => at.map(|_| hash(text.as_bytes(), 0)),
        };
        Ok(Record {
            id: id.map(RecordId),
            at,
            source: &self.source,
            agent,
            model,
            task_type: row.name(uses.task_type)?,
            workflow: row.name(uses.workflow)?,
            provider: row.name(uses.provider)?,
            tenant: row.name(uses.tenant)?,
            censored: ending.stopped && duration_ms.is_some(),
            duration_ms,
            timeout_ms: row.number(uses.timeout)?.map(|limit| limit * self.timeout_unit_ms).filter(|ms| *ms > 0.0),
            tokens,
            cost,
            quality: quality.map(|points| Quality(((points - low) / (high - low) * 100.0) as f32)),
            work: self.work(&row),
            labels: self.labels(&row)?,
            extra: Extra::shared(&self.fields, row.extra(&uses.fields)),
            outcome: ending.outcome,
            error_class: ending.class.map(class_name),
        })
    }

    /// What was done; nothing when the line has no arguments that can be read.
    fn work(&self, row: &Row<'_, '_>) -> Option<u64> {
        let arguments = row.text(self.uses.arguments).ok()??;
        let tool = row.text(self.uses.tool).ok().flatten().unwrap_or_default();
        Some(hash(arguments.as_bytes(), hash(tool.as_bytes(), 1)))
    }

    /// The labels of the settings that the line has.
    fn labels<'a>(&'a self, row: &Row<'_, 'a>) -> Result<Vec<(&'a str, Cow<'a, str>)>, String> {
        let mut labels = Vec::new();
        for ((label, _), cell) in self.mapping.labels.iter().zip(&self.uses.labels) {
            labels.extend(row.name(Some(*cell))?.map(|value| (label.as_str(), value)));
        }
        Ok(labels)
    }

    fn default_agent<'a>(&'a self, stem: &'a str) -> Result<Cow<'a, str>, String> {
        let agent = match self.mapping.agent_default.as_deref() {
            Some(FILE_STEM) => Cow::Borrowed(stem),
            Some(template) if template.contains(FILE_STEM) => Cow::Owned(template.replace(FILE_STEM, stem)),
            Some(name) => Cow::Borrowed(name),
            None => return Err(missing(self.mapping.agent.as_deref().unwrap_or("agent"))),
        };
        if is_name(&agent) { Ok(agent) } else { Err(no_name("agent_default", &agent)) }
    }

    /// When the execution ended: its end, else its start and duration, else its start.
    fn at(&self, row: &Row<'_, '_>, duration_ms: Option<f64>) -> Result<Option<Timestamp>, String> {
        let (cell, at) = if let Some(end) = row.instant(self.uses.timestamp, &self.zone)? {
            (self.uses.timestamp, end)
        } else if let Some(start) = row.instant(self.uses.start, &self.zone)? {
            (self.uses.start, start + Span(duration_ms.unwrap_or(0.0).round() as i64))
        } else {
            return match self.uses.timestamp.or(self.uses.start) {
                Some(cell) => Err(missing(self.keys.word(cell))),
                None => Ok(None),
            };
        };
        if at < EARLIEST {
            let key = cell.map_or("timestamp", |cell| self.keys.word(cell));
            return Err(format!("{key} is {at}, expected a time from 2000 on: is it in another unit?"));
        }
        Ok(Some(at))
    }
}

/// The same on every machine and in every release: identities outlive the program.
fn hash(bytes: &[u8], seed: u64) -> u64 {
    XxHash3_64::oneshot_with_seed(seed, bytes)
}

/// White space and byte order marks around a line, which concatenated files have in their middle.
pub(super) fn trim(line: &str) -> &str {
    line.trim_start_matches('\u{feff}').trim_ascii()
}

pub(super) fn clip(mut reason: String) -> String {
    if reason.len() > REASON_LIMIT {
        reason.truncate(head(&reason, REASON_LIMIT).len());
        reason.push_str(" ...");
    }
    reason
}

pub(super) fn too_long(bytes: usize, limit: usize) -> String {
    format!("the line has {bytes} bytes, more than the limit of {limit}")
}

fn missing(key: &str) -> String {
    format!("`{key}` is missing")
}

#[cfg(test)]
#[path = "execution_tests.rs"]
mod tests;
