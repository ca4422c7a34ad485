//! Budgets: how much may be used in a period, and by whom it is counted.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::tz::TimeZone;

use super::check::unique_name;
use super::raw::Section;
use crate::model::period::Period;
use crate::model::{Dimension, Label};
use crate::rule::matcher::shadows;
use crate::rule::{BY_LIMIT, Matcher};
use crate::wire::fields::{one_of, patterns};

/// How much may be used in a period.
#[derive(Debug, Clone, PartialEq)]
pub struct Budget {
    /// Unique among the budgets.
    pub name: String,
    /// What is counted.
    pub resource: Resource,
    /// How much of it there is per period: nano-dollars, tokens or executions.
    pub amount: u64,
    /// When counting begins anew.
    pub period: Period,
    /// The zone of calendar periods.
    pub zone: TimeZone,
    /// Labels that have a budget each; empty is one for all.
    pub by: Vec<Dimension>,
    /// Which executions count.
    pub filter: Vec<Matcher>,
    /// Other amounts for some subjects; the first that matches holds.
    pub overrides: Vec<Override>,
}

/// Another amount for some subjects.
#[derive(Debug, Clone, PartialEq)]
pub struct Override {
    /// On labels of `by`; all must match.
    pub filter: Vec<Matcher>,
    /// Instead of the budget's.
    pub amount: u64,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Known cost in nano-dollars.
    Money,
    /// Tokens, cached ones included.
    Tokens,
    /// Executions.
    Executions,
}

/// The budgets that have a name; those with faults are said, and stand there so that rules may name them.
pub(super) fn check(sections: Vec<Section<'_>>, own: &[Label]) -> Vec<Budget> {
    let mut names = BTreeMap::new();
    sections.into_iter().filter_map(|section| budget(section, own, &mut names)).collect()
}

fn budget(section: Section<'_>, own: &[Label], names: &mut BTreeMap<String, Range<usize>>) -> Option<Budget> {
    let name = unique_name(&section, names);
    let amount = amount_of(&section);
    let period = section.require("period", section.text("period")).and_then(|text| {
        let found = Period::parse(&text.value);
        if found.is_none() {
            let message = format!("`period` is `{}`, which is no period", text.value);
            let (least, most) = (Period::SHORTEST, Period::LONGEST);
            let help = format!("write hour, day, week, month or a length such as `5h`, from {least} to {most}");
            section.reader.error(text.bytes, message, help);
        }
        found
    });
    let zone = section.zone();
    let dimension = |word: &str, bytes: &Range<usize>| {
        let known = || own.iter().find(|label| label.as_str() == word).map(|label| Dimension::Custom(*label));
        let found = Dimension::from_word(word).filter(|d| *d != Dimension::Receiver).or_else(known);
        if found.is_none() {
            let words = Dimension::ALL.iter().filter(|d| **d != Dimension::Receiver).map(Dimension::as_str);
            let help = one_of(word, words.chain(own.iter().map(Label::as_str)).chain(["fleet"]));
            section.reader.error(bytes.clone(), format!("`{word}` is not a label of executions"), help);
        }
        found
    };
    let mut by = Vec::new();
    section.fields.is_empty("by", "it is for the whole fleet", "write `by: fleet`, or leave it out");
    for word in section.texts("by").unwrap_or_default().iter().filter(|word| word.value != "fleet") {
        by.extend(dimension(&word.value, &word.bytes).filter(|d| !by.contains(d)));
    }
    if by.len() > BY_LIMIT {
        let message = format!("`by` has {} labels, the limit is {BY_LIMIT}", by.len());
        section.reader.error(section.fields.place("by"), message, "name only labels that have a budget each");
    }
    let filter = filter(&section, dimension);
    let known = |word: &str, bytes: &Range<usize>| {
        let found = by.iter().find(|dimension| dimension.as_str() == word).copied();
        if found.is_none() {
            let help = one_of(word, by.iter().map(Dimension::as_str));
            let message = format!("`{word}` is not in `by`, so no subject of the budget has it");
            section.reader.error(bytes.clone(), message, help);
        }
        found
    };
    let mut overrides: Vec<Override> = Vec::new();
    for part in section.sections("overrides") {
        let (own_filter, own) = (self::filter(&part, known), amount_of(&part));
        part.require("where", part.node("where"));
        if let (Some((theirs, _)), Some((whole, _))) = (own, amount)
            && theirs != whole
        {
            let message = "an override counts something else than its budget";
            part.reader.error(part.fields.place("amount"), message, "write both as dollars, tokens or executions");
        }
        let all: Vec<Matcher> = own_filter.iter().chain(&filter).cloned().collect();
        if overrides.iter().any(|earlier| !earlier.filter.is_empty() && shadows(&earlier.filter, &all)) {
            let message = "no subject gets here: an override before this one matches all of its subjects";
            part.reader.error(part.fields.place("where"), message, "put the narrower one first");
        }
        part.finish();
        overrides.extend(own.map(|(_, amount)| Override { filter: own_filter, amount }));
    }
    section.finish();
    let (resource, amount) = amount.unwrap_or((Resource::Money, 1));
    let (period, zone) = (period.unwrap_or(Period::Day), zone.unwrap_or(TimeZone::UTC));
    Some(Budget { name: name?, resource, amount, period, zone, by, filter, overrides })
}

/// The patterns under `where`; `dimension` finds the label of a word, or says that there is none.
fn filter(section: &Section<'_>, dimension: impl Fn(&str, &Range<usize>) -> Option<Dimension>) -> Vec<Matcher> {
    let mut filter = Vec::new();
    for (key, node) in section.table("where") {
        let Some(dimension) = dimension(&key.text, &key.bytes) else { continue };
        let (with, without) = patterns(node, &key.text, &section.reader.faults);
        for (patterns, negated) in [(with, false), (without, true)] {
            if !patterns.is_empty() {
                filter.push(Matcher { dimension, patterns, negated });
            }
        }
    }
    filter
}

fn amount_of(section: &Section<'_>) -> Option<(Resource, u64)> {
    let text = section.require("amount", section.text("amount"))?;
    let found = amount(&text.value);
    if found.is_none() {
        let message = format!("`amount` is `{}`, which is no amount", text.value);
        section.reader.error(text.bytes, message, "write such as `$50`, `2M tokens` or `900 executions`");
    }
    found
}

/// Reads `$50`, `2M tokens`, `900 executions`.
fn amount(text: &str) -> Option<(Resource, u64)> {
    let (resource, unit, number) = if let Some(dollars) = text.strip_prefix('$') {
        (Resource::Money, 1e9, dollars)
    } else {
        let (number, word) = text.rsplit_once(' ')?;
        match word {
            "token" | "tokens" => (Resource::Tokens, 1.0, number),
            "execution" | "executions" => (Resource::Executions, 1.0, number),
            "USD" => (Resource::Money, 1e9, number),
            _ => return None,
        }
    };
    let number = number.trim().replace('_', "");
    let (digits, factor) = match number.chars().last()? {
        'k' => (&number[..number.len() - 1], 1e3),
        'M' => (&number[..number.len() - 1], 1e6),
        'B' => (&number[..number.len() - 1], 1e9),
        _ => (number.as_str(), 1.0),
    };
    let value = digits.parse::<f64>().ok()? * factor * unit;
    (1.0..=9e18).contains(&value).then_some((resource, value.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read() {
        for (text, expected) in [
            ("$50", Some((Resource::Money, 50_000_000_000))),
            ("0.5 USD", Some((Resource::Money, 500_000_000))),
            ("2M tokens", Some((Resource::Tokens, 2_000_000))),
            ("1_500 tokens", Some((Resource::Tokens, 1_500))),
            ("900 executions", Some((Resource::Executions, 900))),
            ("$0", None),
            ("50", None),
            ("-1 tokens", None),
            ("two tokens", None),
            ("$inf", None),
        ] {
            assert_eq!(amount(text), expected, "{text}");
        }
    }
}
