//! Executions as agents log them: one JSON object per line becomes one [`Record`].
//!
//! Owns what the values mean: units, words for outcomes, which zeros are missing values, whose cost
//! is believed, what makes two lines the same execution. Never opens a file and never stops at a bad
//! line: it is handed back with its place and the reason, and the next one is read.
//!
//! A line is refused when a value cannot be what the mapping says it is; a value that is not there is
//! `None`. Guessing in between would teach baselines from misread numbers, and nobody would notice.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use twox_hash::XxHash3_64;

use super::mapping::{Keys, Uses, Value, compile};
use super::row::{Failure, Row, head, no_name};
use super::timestamp::Zone;
use super::usual::Order;
use crate::model::agent::{NAME_LIMIT, is_name};
use crate::model::{Extra, Nanodollars, Outcome, Quality, Record, RecordId, Span, Timestamp, Tokens};
use crate::profile::price::{ModelPrices, PriceTable};
use crate::settings::{CostTrust, Limits, Mapping, Source};

/// Longer durations are slips of units or clocks, not runs.
const LONGEST_DURATION: Span = Span::days(30);

/// More tokens than this in one execution are a slip.
const MOST_TOKENS: f64 = 1e12;

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

/// Prices of the models met so far: finding a model by its spelling costs more than reading a line.
type Priced<'r, 'a> = HashMap<Cow<'a, str>, Option<&'r ModelPrices>, foldhash::fast::FixedState>;

/// No agent logged before 2000; one record of 1970 would stretch a recording over half a century.
const EARLIEST: Timestamp = Timestamp(946_684_800_000);

/// Model names whose prices are kept at a time; a chunk with more begins anew.
const PRICED_LIMIT: usize = 1_024;

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

    /// How it ended, from the words that the mapping knows.
    fn ending<'a>(&self, row: &Row<'_, 'a>) -> Result<Ending<'a>, String> {
        let success = row.boolean(self.uses.success)?;
        let error = row.error(self.uses.error);
        let failed = match (success, &error) {
            (Some(success), _) => Some(!success),
            // Many writers leave the key out when all is well, but not those who also state success.
            (None, Failure::Unsaid) if self.uses.error.is_none() || self.uses.success.is_some() => None,
            (None, Failure::Unsaid | Failure::None | Failure::Word(Outcome::Ok)) => Some(false),
            (None, Failure::Word(Outcome::Unknown)) => None,
            (None, _) => Some(true),
        };
        let word = if let Failure::Word(word) = error { Some(word) } else { None };
        let class = if let Failure::Class(class) = error { Some(class) } else { None };
        let among = |words: &[String]| class.as_deref().is_some_and(|class| words.iter().any(|word| word == class));
        // A source that says whether it stopped the run knows better than the name of an exception.
        let stopped = row
            .boolean(self.uses.timed_out)?
            .unwrap_or_else(|| word == Some(Outcome::Timeout) || among(&self.mapping.timeout_errors));
        let outcome = match failed {
            Some(false) => Outcome::Ok,
            None if stopped => Outcome::Timeout,
            None => Outcome::Unknown,
            Some(true) if word == Some(Outcome::Limit) || among(&self.mapping.limit_errors) => Outcome::Limit,
            Some(true) if stopped => Outcome::Timeout,
            Some(true) if word == Some(Outcome::Refused) => Outcome::Refused,
            Some(true) => Outcome::Error,
        };
        Ok(Ending { outcome, stopped, class: class.filter(|_| outcome != Outcome::Ok) })
    }

    /// The tokens, and whether both input and output were counted.
    fn tokens(&self, row: &Row<'_, '_>) -> Result<Option<(Tokens, bool)>, String> {
        let count = |cell| Ok::<_, String>(row.ranged(cell, 0.0, MOST_TOKENS, "tokens")?.map(|n| n.round() as u64));
        let (input, output) = (count(self.uses.input_tokens)?, count(self.uses.output_tokens)?);
        let cache_read = count(self.uses.cache_read_tokens)?.unwrap_or(0);
        let cache_write = count(self.uses.cache_write_tokens)?.unwrap_or(0);
        if input.is_none() && output.is_none() {
            return Ok(None);
        }
        let cached = if self.mapping.input_includes_cached { cache_read + cache_write } else { 0 };
        let uncached = input.unwrap_or(0).saturating_sub(cached);
        let tokens = Tokens { input: uncached, cache_read, cache_write, output: output.unwrap_or(0) };
        Ok(Some((tokens, input.is_some() && output.is_some())))
    }

    fn price<'a>(&'a self, model: &Cow<'a, str>, priced: &mut Priced<'a, 'a>) -> Option<&'a ModelPrices> {
        if let Some(known) = priced.get(model) {
            return *known;
        }
        if priced.len() >= PRICED_LIMIT {
            priced.clear();
        }
        *priced.entry(model.clone()).or_insert_with(|| self.prices.resolve(model))
    }
}

/// How an execution ended.
struct Ending<'a> {
    outcome: Outcome,
    /// Whether it was stopped at its limit.
    stopped: bool,
    class: Option<Cow<'a, str>>,
}

impl Ending<'_> {
    fn ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// Whose cost counts, see [`CostTrust`]; recomputing is put off until it matters.
fn settle_cost(
    trust: CostTrust,
    reported: Option<Nanodollars>,
    recomputed: impl FnOnce() -> Option<Nanodollars>,
) -> Option<Nanodollars> {
    match (trust, reported) {
        (CostTrust::Always, Some(reported)) => Some(reported),
        (CostTrust::Always | CostTrust::Never, _) | (CostTrust::Auto, None) => recomputed(),
        (CostTrust::Auto, Some(reported)) => match recomputed() {
            Some(own) if (reported.0 as f64) < own.0 as f64 * CostTrust::SLIP_OF_UNITS => Some(own),
            Some(_) => Some(reported),
            None => Some(reported).filter(|cost| cost.0 > 0),
        },
    }
}

/// The first line of an error, as much of it as a name may have.
fn class_name(class: Cow<'_, str>) -> Cow<'_, str> {
    if is_name(&class) {
        return class;
    }
    let line: String = class.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    head(line.trim(), NAME_LIMIT).to_owned().into()
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reader_of(mapping: Mapping, fields: &[&str]) -> Reader {
        let source = Source { name: "fleet".into(), path: "x.jsonl".into(), mapping };
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        Reader::new(&source, &PriceTable::shipped(), &fields).expect("zone")
    }

    fn reader() -> Reader {
        reader_of(Mapping::default(), &[])
    }

    /// A record of `keys`, with a time and an agent before them.
    fn line(keys: &str) -> String {
        format!(r#"{{"timestamp": "2025-11-14T10:30:45.123456", "agent_name": "a"{keys}}}"#)
    }

    /// Reads one line and shows one thing of it, or the reason for its refusal.
    fn show(reader: &Reader, text: &str, what: impl Fn(&Record<'_>) -> String) -> String {
        let read = reader.read(text.as_bytes(), "stem");
        assert_eq!(read.lines(), 1, "{text}");
        read.records.first().map_or_else(|| format!("REFUSED {}", read.rejected[0].reason), what)
    }

    fn check(mapping: Mapping, what: impl Fn(&Record<'_>) -> String, table: &[(&str, &str)]) {
        let reader = reader_of(mapping, &[]);
        for (keys, expected) in table {
            assert_eq!(show(&reader, &line(keys), &what), *expected, "{keys}");
        }
    }

    fn outcome(record: &Record<'_>) -> String {
        let class = record.error_class.as_deref().unwrap_or("-");
        format!("{} {class}{}", record.outcome.as_str(), if record.censored { " censored" } else { "" })
    }

    #[test]
    fn the_same_tool_with_the_same_arguments_is_the_same_work() {
        let work = |mapping: &Mapping, keys: &str| {
            let (reader, text) = (reader_of(mapping.clone(), &[]), line(keys));
            reader.read(text.as_bytes(), "stem").records[0].work
        };
        let plain = Mapping::default();
        let first = work(&plain, r#", "tool_name": "Bash", "arguments_hash": "ab12""#);
        assert!(first.is_some());
        for (keys, same) in [
            (r#", "arguments_hash": "ab12", "tool_name": "Bash""#, true),
            (r#", "tool_name": "Read", "arguments_hash": "ab12""#, false),
            (r#", "tool_name": "Bash", "arguments_hash": "ab13""#, false),
            (r#", "arguments_hash": "ab12""#, false),
        ] {
            assert_eq!(work(&plain, keys) == first, same, "{keys}");
        }
        for keys in ["", r#", "tool_name": "Bash""#, r#", "arguments_hash": """#, r#", "arguments_hash": {"a": 1}"#] {
            assert_eq!(work(&plain, keys), None, "{keys}");
        }
        let tasks = Mapping { arguments: Some("task_hash".into()), tool: None, ..Mapping::default() };
        assert!(work(&tasks, r#", "task_hash": "a3b4c5d6""#).is_some());
    }

    #[test]
    fn the_documented_line_reads_whole() {
        let text = r#"{"timestamp": "2025-11-14T10:30:45.123456", "agent_name": "python-expert", "task_hash": "a3b4c5d6", "success": true, "execution_time_ms": 3456, "model": "claude-3-5-haiku-20241022", "input_tokens": 1234, "output_tokens": 567, "total_tokens": 1801, "estimated_cost": 0.0000032552, "error_type": null, "workflow_name": "release", "workflow_position": 2, "task_type": "review", "quality_score": 80, "timeout_ms": 30000}"#;
        let reader = reader();
        let read = reader.read(text.as_bytes(), "");
        let at = Timestamp::parse("2025-11-14T10:30:45.123Z", &jiff::tz::TimeZone::UTC);
        let expected = Record {
            // The identity of a line is part of the format: it must not change between releases.
            id: Some(RecordId(649_716_628_550_120_189)),
            model: Some("claude-3-5-haiku-20241022".into()),
            task_type: Some("review".into()),
            workflow: Some("release".into()),
            duration_ms: Some(3456.0),
            timeout_ms: Some(30_000.0),
            tokens: Some(Tokens { input: 1234, output: 567, ..Tokens::default() }),
            cost: Some(Nanodollars(3_255_200)),
            quality: Some(Quality(80.0)),
            ..Record::new("fleet", "python-expert", at, Outcome::Ok)
        };
        assert_eq!(read.records, [expected]);
        assert_eq!((read.rejected, read.blank), (vec![], 0));
    }

    #[test]
    fn the_shorter_spelling_reads_too() {
        let what = |r: &Record<'_>| format!("{:?} {}", r.workflow.as_deref(), r.outcome.as_str());
        check(
            Mapping::default(),
            what,
            &[
                (r#", "success": true, "workflow_id": "w1""#, r#"Some("w1") ok"#),
                (r#", "success": true, "workflow_name": "w2""#, r#"Some("w2") ok"#),
                (r#", "success": false, "workflow_id": "w1", "error_type": "KeyError""#, r#"Some("w1") error"#),
                (r#", "success": true"#, "None ok"),
            ],
        );
    }

    #[test]
    fn outcomes() {
        let long = r#", "success": false, "error_type": "first\nsecond""#;
        check(
            Mapping::default(),
            outcome,
            &[
                (r#", "success": true, "error_type": null"#, "ok -"),
                (r#", "success": "True""#, "ok -"),
                (r#", "success": 1"#, "ok -"),
                (r#", "success": false"#, "error -"),
                (r#", "success": false, "error_type": "KeyError""#, "error KeyError"),
                (long, "error first second"),
                (r#", "success": false, "error_type": "RateLimitError""#, "limit RateLimitError"),
                (r#", "success": false, "error_type": 429"#, "limit 429"),
                (r#", "success": false, "error_type": "refused""#, "refused -"),
                (r#", "success": false, "error_type": {"message": "boom"}"#, "error -"),
                (r#", "success": true, "error_type": "KeyError""#, "ok -"),
                (r#", "error_type": null"#, "ok -"),
                (r#", "error_type": "KeyError""#, "error KeyError"),
                ("", "unknown -"),
                (r#", "success": "maybe""#, "REFUSED success is `maybe`, expected true or false"),
                // A timeout cuts the duration off whatever came of the run.
                (r#", "success": true, "timed_out": true, "execution_time_ms": 60000"#, "ok - censored"),
                (
                    r#", "success": false, "timed_out": true, "execution_time_ms": 60000, "error_type": "KeyError""#,
                    "timeout KeyError censored",
                ),
                (
                    r#", "success": false, "error_type": "TimeoutError", "execution_time_ms": 30000"#,
                    "timeout TimeoutError censored",
                ),
                (r#", "success": false, "error_type": "TimeoutError""#, "timeout TimeoutError"),
                (
                    r#", "success": false, "error_type": "TimeoutError", "timed_out": false, "execution_time_ms": 5"#,
                    "error TimeoutError",
                ),
                (r#", "timed_out": true, "execution_time_ms": 60000"#, "timeout - censored"),
            ],
        );
        let errors_only = Mapping { success: None, error: Some("error".into()), ..Mapping::default() };
        check(
            errors_only,
            outcome,
            &[
                ("", "ok -"),
                (r#", "error": """#, "ok -"),
                (r#", "error": 0"#, "ok -"),
                (r#", "error": false"#, "ok -"),
                (r#", "error": "ok""#, "ok -"),
                (r#", "error": true"#, "error -"),
                (r#", "error": "unknown""#, "unknown -"),
                (r#", "error": "timeout", "execution_time_ms": 9"#, "timeout - censored"),
                (r#", "error": -100"#, "error -100"),
            ],
        );
    }

    #[test]
    fn durations_and_limits() {
        let seconds = Mapping {
            duration: Some("took".into()),
            duration_unit_ms: 1_000.0,
            timeout: Some("limit".into()),
            ..Mapping::default()
        };
        let what = |r: &Record<'_>| format!("{:?} {:?}", r.duration_ms, r.timeout_ms);
        check(
            seconds.clone(),
            what,
            &[
                ("", "None None"),
                (r#", "took": null"#, "None None"),
                (r#", "took": "2.5", "limit": 60"#, "Some(2500.0) Some(60000.0)"),
                (r#", "took": 0, "limit": 0"#, "Some(0.0) None"),
                (r#", "took": -1"#, "REFUSED took is -1000 ms, not within 0 and 30d"),
                (r#", "took": 2592001"#, "REFUSED took is 2592001000 ms, not within 0 and 30d"),
                (r#", "took": "NaN""#, "REFUSED took is `NaN`, expected a number"),
                (r#", "took": "inf""#, "REFUSED took is `inf`, expected a number"),
                (r#", "took": [1]"#, "REFUSED took is an array or object, expected a number"),
            ],
        );
        let unit_in_key = Mapping { timeout: Some("limit_ms".into()), ..seconds };
        check(unit_in_key, what, &[(r#", "took": 1, "limit_ms": 60"#, "Some(1000.0) Some(60.0)")]);
    }

    #[test]
    fn zeros_that_mean_missing() {
        let mapping = Mapping { void_errors: vec!["429".into()], ..Mapping::default() };
        let zeros = r#""input_tokens": 0, "output_tokens": 0, "execution_time_ms": 0, "estimated_cost": 0"#;
        for (keys, expected) in [
            (r#""success": true, "model": "m""#, "duration tokens -"),
            (r#""success": true, "model": """#, "duration - -"),
            (r#""success": false, "model": "m""#, "duration - -"),
            (r#""success": false, "error_type": "429""#, "- - -"),
            (r#""success": true, "error_type": "429", "model": "m""#, "duration tokens -"),
        ] {
            let reader = reader_of(mapping.clone(), &[]);
            let shown = show(&reader, &line(&format!(", {keys}, {zeros}")), |r| {
                let word = |there: bool, word: &str| if there { word.to_owned() } else { "-".to_owned() };
                [
                    word(r.duration_ms.is_some(), "duration"),
                    word(r.tokens.is_some(), "tokens"),
                    word(r.cost.is_some(), "cost"),
                ]
                .join(" ")
            });
            assert_eq!(shown, expected, "{keys}");
        }
    }

    #[test]
    fn tokens_keep_the_cache_apart() {
        let keys = r#", "success": true, "input_tokens": 100, "output_tokens": "7", "cache_read_tokens": 60, "cache_write_tokens": 10"#;
        let what = |r: &Record<'_>| {
            r.tokens.map_or("-".into(), |t| format!("{} {} {} {}", t.input, t.cache_read, t.cache_write, t.output))
        };
        check(
            Mapping::default(),
            what,
            &[
                (keys, "100 60 10 7"),
                (r#", "input_tokens": 5"#, "5 0 0 0"),
                ("", "-"),
                (r#", "input_tokens": -5"#, "REFUSED input_tokens is -5, expected 0 to 1000000000000 tokens"),
            ],
        );
        check(Mapping { input_includes_cached: true, ..Mapping::default() }, what, &[(keys, "30 60 10 7")]);
    }

    #[test]
    fn cost_is_the_believed_one() {
        // A million tokens of claude-3-haiku are 0.25 USD.
        let counted =
            r#", "success": true, "model": "claude-3-haiku-20240307", "input_tokens": 1000000, "output_tokens": 0"#;
        let unpriced = r#", "success": true, "model": "nobody-knows-1", "input_tokens": 9, "output_tokens": 9"#;
        let half = r#", "success": true, "model": "claude-3-haiku-20240307", "input_tokens": 1000000"#;
        for (keys, reported, auto, always, never) in [
            (counted, "", "0.25", "0.25", "0.25"),
            (counted, "0.2", "0.2", "0.2", "0.25"),
            (counted, "0.00025", "0.25", "0.00025", "0.25"),
            (counted, "0", "0.25", "0", "0.25"),
            (unpriced, "0.2", "0.2", "0.2", "-"),
            (unpriced, "0", "-", "0", "-"),
            (unpriced, "", "-", "-", "-"),
            (half, "", "-", "-", "-"),
            (half, "0.2", "0.2", "0.2", "-"),
        ] {
            for (trust, expected) in [(CostTrust::Auto, auto), (CostTrust::Always, always), (CostTrust::Never, never)] {
                let reader = reader_of(Mapping { trust_cost: trust, ..Mapping::default() }, &[]);
                let reported =
                    if reported.is_empty() { String::new() } else { format!(r#", "estimated_cost": {reported}"#) };
                let shown = show(&reader, &line(&format!("{keys}{reported}")), |r| {
                    r.cost.map_or("-".into(), |cost| cost.dollars().to_string())
                });
                assert_eq!(shown, expected, "{trust:?} {keys}{reported}");
            }
        }
        check(
            Mapping::default(),
            |_| String::new(),
            &[(r#", "estimated_cost": -1"#, "REFUSED estimated_cost is -1, expected 0 to 1000000 dollars")],
        );
    }

    #[test]
    fn quality_is_points_whatever_the_scale() {
        let what = |r: &Record<'_>| r.quality.map_or("-".into(), |quality| quality.0.to_string());
        for (scale, score, expected) in [
            ((0.0, 100.0), "82.5", "82.5"),
            ((0.0, 1.0), "0.5", "50"),
            ((1.0, 5.0), "2", "25"),
            ((0.0, 10.0), "null", "-"),
            ((0.0, 10.0), "11", "REFUSED quality_score is 11, expected 0 to 10 points"),
        ] {
            let mapping = Mapping { quality_scale: scale, ..Mapping::default() };
            check(mapping, what, &[(&format!(r#", "quality_score": {score}"#), expected)]);
        }
    }

    #[test]
    fn who_and_when() {
        let what = |r: &Record<'_>| format!("{} {}", r.agent, r.at.map_or("-".into(), Timestamp::to_rfc3339));
        let started = Mapping { timestamp: None, start: Some("start".into()), ..Mapping::default() };
        let by_file = |template: &str| Mapping { agent_default: Some(template.into()), ..Mapping::default() };
        let long = format!(r#"{{"agent_name": "{}", "timestamp": 1}}"#, "x".repeat(201));
        for (mapping, text, expected) in [
            (Mapping::default(), r#"{"agent_name": "a", "timestamp": 1763116245}"#, "a 2025-11-14T10:30:45.000Z"),
            (
                Mapping::default(),
                r#"{"agent_name": "a", "timestamp": 1.0}"#,
                "REFUSED timestamp is 1970-01-01T00:00:01.000Z, expected a time from 2000 on: is it in another unit?",
            ),
            (Mapping::default(), r#"{"agent_name": "a"}"#, "REFUSED `timestamp` is missing"),
            (Mapping::default(), r#"{"timestamp": 1763116245}"#, "REFUSED `agent_name` is missing"),
            (
                Mapping::default(),
                r#"{"agent_name": "a", "timestamp": "soon"}"#,
                "REFUSED timestamp is `soon`, expected a time such as 2026-01-31T12:00:00Z or seconds since 1970",
            ),
            (
                Mapping::default(),
                r#"{"agent_name": "a\tb", "timestamp": 1}"#,
                "REFUSED agent_name `a\\tb` is no name: expected 1 to 200 bytes without control characters",
            ),
            (Mapping { timestamp: None, ..Mapping::default() }, r#"{"agent_name": "a"}"#, "a -"),
            (
                started.clone(),
                r#"{"agent_name": "a", "start": "2026-01-31T12:00:00Z", "execution_time_ms": 1500}"#,
                "a 2026-01-31T12:00:01.500Z",
            ),
            (started.clone(), r#"{"agent_name": "a", "start": 1763116245}"#, "a 2025-11-14T10:30:45.000Z"),
            (started, r#"{"agent_name": "a"}"#, "REFUSED `start` is missing"),
            (by_file("{file_stem}"), r#"{"timestamp": 1763116245}"#, "stem 2025-11-14T10:30:45.000Z"),
            (by_file("at-{file_stem}"), r#"{"timestamp": 1763116245}"#, "at-stem 2025-11-14T10:30:45.000Z"),
            (by_file("x"), r#"{"timestamp": 1763116245, "agent_name": "b"}"#, "b 2025-11-14T10:30:45.000Z"),
        ] {
            assert_eq!(show(&reader_of(mapping, &[]), text, what), expected, "{text}");
        }
        assert!(show(&reader(), &long, what).starts_with("REFUSED agent_name `xxx"));
        let nowhere = Source {
            name: "fleet".into(),
            path: "x".into(),
            mapping: Mapping { zone: "Mars/Olympus".into(), ..Mapping::default() },
        };
        assert!(Reader::new(&nowhere, &PriceTable::default(), &[]).is_err());
    }

    #[test]
    fn identities() {
        let id = |mapping: Mapping, text: &str, stem: &str| {
            reader_of(mapping, &[]).read(text.as_bytes(), stem).records[0].id
        };
        let plain = |text: &str| id(Mapping::default(), text, "s");
        let (one, two) = (line(r#", "execution_time_ms": 1"#), line(r#", "execution_time_ms": 2"#));
        assert_eq!(plain(&one), plain(&format!(" {one}\r\n")));
        assert_ne!(plain(&one), plain(&two));
        assert_eq!(plain(&line(r#", "id": "x""#)), plain(&line(r#", "id": "x", "execution_time_ms": 2"#)));
        assert_eq!(plain(&line(r#", "id": 7"#)), plain(&line(r#", "id": "7""#)));
        let timeless = Mapping { timestamp: None, ..Mapping::default() };
        assert_eq!(id(timeless.clone(), &one, "s"), None);
        assert!(id(timeless, &line(r#", "id": "x""#), "s").is_some());
        let by_file = Mapping { agent: None, agent_default: Some(FILE_STEM.into()), ..Mapping::default() };
        assert_ne!(id(by_file.clone(), &one, "a"), id(by_file, &one, "b"));
    }

    #[test]
    fn fields_that_rules_name() {
        let reader = reader_of(Mapping::default(), &["retries", "cached", "execution_time_ms", "note"]);
        let text = line(r#", "retries": "3", "cached": true, "execution_time_ms": 5, "note": "text""#);
        let read = reader.read(text.as_bytes(), "");
        let expected = [("retries", 3.0), ("cached", 1.0), ("execution_time_ms", 5.0)];
        assert_eq!(read.records[0].extra, expected.into_iter().collect());
        assert_eq!(read.records[0].duration_ms, Some(5.0));
    }

    #[test]
    fn bad_lines_stop_nothing() {
        let good = line("");
        let deep = format!(r#"{{"x": {}"#, "[".repeat(100_000));
        let text = [
            good.as_bytes(),
            b"not json",
            b"",
            &good.as_bytes()[..20],
            b"\xff\xfe{}",
            b"[1]",
            b"\0\0\0",
            deep.as_bytes(),
            good.as_bytes(),
        ]
        .join(&b'\n');
        let reader = reader();
        let read = reader.read(&text, "");
        assert_eq!((read.records.len(), read.blank, read.lines()), (2, 1, 9));
        let lines: Vec<usize> = read.rejected.iter().map(|rejected| rejected.line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6, 7]);
        assert_eq!(&text[read.rejected[0].bytes.clone()], b"not json");
        assert_eq!(read.rejected[2].reason, "not UTF-8 from byte 1 of the line on");
        assert!(read.rejected[3].reason.contains("expected an object"), "{}", read.rejected[3].reason);
        assert!(read.rejected.iter().all(|rejected| rejected.reason.len() < 300));
        let tight = reader.clone().with_line_limit(10);
        assert_eq!(tight.read(good.as_bytes(), "").rejected[0].reason, too_long(good.len(), 10));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let read = reader().read(&bytes, "stem").lines();
            prop_assert_eq!(read, bytes.split(|b| *b == b'\n').count() - usize::from(bytes.last().is_none_or(|b| *b == b'\n')));
        }

        #[test]
        fn any_values_are_read(values in proptest::collection::vec("[0-9a-z\"\\\\{}\\[\\]:,.+-]{0,12}|null|true|-?[0-9]{1,20}", 12)) {
            let keys = ["execution_time_ms", "success", "error_type", "model", "input_tokens", "output_tokens",
                "estimated_cost", "timed_out", "timeout_ms", "quality_score", "id", "task_type"];
            let pairs: Vec<String> = keys.iter().zip(values).map(|(key, value)| format!(r#","{key}":{value}"#)).collect();
            prop_assert_eq!(reader().read(line(&pairs.concat()).as_bytes(), "").lines(), 1);
        }

        #[test]
        fn cuts_between_lines_change_nothing(kinds in proptest::collection::vec(0usize..4, 1..40), cut in 0usize..40) {
            let lines = [line(r#", "success": true"#), "no json".into(), String::new(), "\u{feff}{\"agent_name\": \"ä\"}".into()];
            let text: Vec<String> = kinds.iter().map(|kind| format!("{}\n", lines[*kind])).collect();
            let cut = cut.min(text.len());
            let (whole, head, tail) = (text.concat(), text[..cut].concat(), text[cut..].concat());
            let reader = reader();
            let (whole, head, tail) = (reader.read(whole.as_bytes(), ""), reader.read(head.as_bytes(), ""), reader.read(tail.as_bytes(), ""));
            prop_assert_eq!(&whole.records, &[head.records, tail.records].concat());
            prop_assert_eq!(whole.blank, head.blank + tail.blank);
            let reasons = |rejected: &[Rejected]| rejected.iter().map(|r| r.reason.clone()).collect::<Vec<_>>();
            prop_assert_eq!(reasons(&whole.rejected), [reasons(&head.rejected), reasons(&tail.rejected)].concat());
        }
    }
}
