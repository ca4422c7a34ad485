//! What tokens cost: a dated table that users edit, never figures in the program.
//!
//! A model that the table does not know, a time before its first price, or tokens of a kind without a
//! price make the cost unknown, never zero: a fleet that looks free is worse than one that looks
//! unmeasured.

use jiff::tz::TimeZone;

use super::names::Index;
use crate::diagnostic::{Diagnostic, SourceFile, has_errors};
use crate::model::{Nanodollars, Timestamp, Tokens};
use crate::wire::fields::{Faults, Fields};
use crate::wire::yaml::Node;

/// The table that ships.
const SHIPPED: (&str, &str) = ("profiles/prices.yaml", include_str!("../../profiles/prices.yaml"));

/// Dollars per million tokens to picodollars per token.
const PICODOLLARS_PER_TOKEN: f64 = 1e6;

/// Prices of every known model.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PriceTable {
    all: Vec<ModelPrices>,
    index: Index,
}

/// The prices of one model over time.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelPrices {
    /// By beginning; only the first may have none.
    periods: Vec<Period>,
}

/// Prices from one instant on, in picodollars per token: integers keep totals exact.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Period {
    from: Option<Timestamp>,
    input: u64,
    output: u64,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
}

impl PriceTable {
    /// The shipped table and the user's, whose models win over those of the same name before them.
    /// A file with faults is left out and the faults are said.
    pub fn load(files: &[SourceFile]) -> (PriceTable, Vec<Diagnostic>) {
        let shipped = SourceFile::new(SHIPPED.0, SHIPPED.1);
        let mut table = PriceTable::default();
        let diagnostics = std::iter::once(&shipped).chain(files).flat_map(|file| table.read(file)).collect();
        (table, diagnostics)
    }

    /// The table that ships with evenkeel.
    pub fn shipped() -> PriceTable {
        PriceTable::load(&[]).0
    }

    /// The prices of a model in any spelling of its name; `None` for an unpriced one. Callers
    /// with many records keep the answer: it costs a search.
    pub fn resolve(&self, model: &str) -> Option<&ModelPrices> {
        self.index.find(model).map(|entry| &self.all[entry.target])
    }

    /// What `tokens` of `model` cost at `at`, see [`ModelPrices::cost`].
    pub fn cost(&self, model: &str, at: Option<Timestamp>, tokens: Tokens) -> Option<Nanodollars> {
        self.resolve(model)?.cost(at, tokens)
    }

    fn read(&mut self, file: &SourceFile) -> Vec<Diagnostic> {
        let (root, faults) = match Faults::read(file) {
            Ok(read) => read,
            Err(fault) => return vec![*fault],
        };
        let fields = Fields::open(&root, "a price table", &faults);
        fields.require("prices", "", fields.node("prices"));
        let read: Vec<_> = fields.list("prices").iter().filter_map(|node| model_prices(node, &faults)).collect();
        fields.finish();
        let diagnostics = faults.into_diagnostics();
        if !has_errors(&diagnostics) {
            for (names, prices) in read {
                names.iter().for_each(|name| self.index.add(name, self.all.len()));
                self.all.push(prices);
            }
        }
        diagnostics
    }
}

impl ModelPrices {
    /// What `tokens` cost at `at` (`None`: at the latest prices), to the nearest nanodollar.
    ///
    /// `None` before the first price and when cached tokens have no price of their own.
    pub fn cost(&self, at: Option<Timestamp>, tokens: Tokens) -> Option<Nanodollars> {
        let holds = |period: &&Period| at.is_none_or(|at| period.from.is_none_or(|from| from <= at));
        let period = self.periods.iter().rev().find(holds)?;
        let part = |tokens: u64, price: Option<u64>| match (tokens, price) {
            (0, _) => Some(0),
            (tokens, price) => Some(u128::from(tokens) * u128::from(price?)),
        };
        let picodollars = part(tokens.input, Some(period.input))?
            .saturating_add(part(tokens.output, Some(period.output))?)
            .saturating_add(part(tokens.cache_read, period.cache_read)?)
            .saturating_add(part(tokens.cache_write, period.cache_write)?);
        Some(Nanodollars(i64::try_from(picodollars.saturating_add(500) / 1_000).unwrap_or(i64::MAX)))
    }
}

/// The names and prices of one entry; `None` when something is at fault, which is said.
fn model_prices(node: &Node, faults: &Faults<'_>) -> Option<(Vec<String>, ModelPrices)> {
    let fields = Fields::open(node, "a price", faults);
    let names = fields.require("models", "[claude-sonnet-4.5]", fields.texts("models"));
    fields.require("periods", "[{input: 3, output: 15}]", fields.node("periods"));
    let mut periods: Vec<Period> = Vec::new();
    for node in fields.list("periods") {
        let Some(period) = period(node, faults) else { continue };
        if periods.last().is_some_and(|earlier| earlier.from >= period.from) {
            let message = "a period must begin after the one before it";
            faults.error(node.bytes.clone(), message, "add `from: 2026-01-31` and put the periods in order");
        }
        periods.push(period);
    }
    fields.finish();
    let names: Vec<String> = names?.into_iter().map(|name| name.value).collect();
    (!periods.is_empty()).then_some((names, ModelPrices { periods }))
}

fn period(node: &Node, faults: &Faults<'_>) -> Option<Period> {
    let fields = Fields::open(node, "a period", faults);
    let price = |name| {
        let dollars = fields.number(name, 0.0, 1e6)?.value;
        Some((dollars * PICODOLLARS_PER_TOKEN).round() as u64)
    };
    let from = fields.text("from");
    let at = from.as_ref().and_then(|from| Timestamp::parse(&from.value, &TimeZone::UTC));
    if let (Some(from), None) = (&from, at) {
        let message = format!("`from` is `{}`, not a date", from.value);
        faults.error(from.bytes.clone(), message, "write `2026-01-31` or `2026-01-31T12:00:00Z`");
    }
    let input = fields.require("input", "3", price("input"));
    let output = fields.require("output", "15", price("output"));
    let (cache_read, cache_write) = (price("cache_read"), price("cache_write"));
    fields.finish();
    Some(Period { from: at, input: input?, output: output?, cache_read, cache_write })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLION: u64 = 1_000_000;

    fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
        Tokens { input, output, cache_read, cache_write }
    }

    #[test]
    fn list_prices_are_exact() {
        let table = PriceTable::shipped();
        assert_eq!(PriceTable::load(&[]).1, []);
        for (model, tokens, dollars) in [
            ("claude-3-haiku-20240307", tokens(MILLION, MILLION, 0, 0), Some(1.50)),
            ("claude-3-5-haiku-20241022", tokens(1_234, 567, 0, 0), Some(0.003_255_2)),
            ("claude-haiku-4-5-20251001", tokens(MILLION, MILLION, MILLION, MILLION), Some(7.35)),
            ("claude-3-5-sonnet-20241022", tokens(MILLION, MILLION, 0, 0), Some(18.0)),
            ("claude-sonnet-4-20250514", tokens(MILLION, MILLION, 0, 0), Some(18.0)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", tokens(1, 0, 0, 0), Some(0.000_003)),
            ("claude-opus-4-20250514", tokens(MILLION, MILLION, 0, 0), Some(90.0)),
            ("claude-opus-4-1-20250805", tokens(MILLION, MILLION, 0, 0), Some(90.0)),
            ("claude-opus-4-5-20251101", tokens(MILLION, MILLION, 0, 0), Some(30.0)),
            ("claude-sonnet-4-5", tokens(0, 0, 0, 0), Some(0.0)),
            ("llama-2-70b", tokens(1, 1, 0, 0), None),
            ("", tokens(1, 1, 0, 0), None),
        ] {
            let expected = dollars.and_then(Nanodollars::from_dollars);
            assert_eq!(table.cost(model, None, tokens), expected, "{model}");
        }
    }

    #[test]
    fn prices_change_on_their_day_and_unknown_ones_stay_unknown() {
        let text = "prices:\n- models: ['mine*']\n  periods:\n  - {from: 2026-01-01, input: 10, output: 0}\n  - {from: 2026-02-01T12:00:00Z, input: 1, output: 0, cache_read: 0.5}\n";
        let (table, diagnostics) = PriceTable::load(&[SourceFile::new("mine.yaml", text)]);
        assert_eq!(diagnostics, []);
        for (at, tokens, dollars) in [
            (Some("2025-12-31T23:59:59.999Z"), tokens(MILLION, 0, 0, 0), None),
            (Some("2026-01-01T00:00:00Z"), tokens(MILLION, 0, 0, 0), Some(10.0)),
            (Some("2026-02-01T11:59:59Z"), tokens(MILLION, 0, 0, 0), Some(10.0)),
            (Some("2026-02-01T12:00:00Z"), tokens(MILLION, 0, 0, 0), Some(1.0)),
            (None, tokens(MILLION, 0, MILLION, 0), Some(1.5)),
            (Some("2026-01-15T00:00:00Z"), tokens(MILLION, 0, 1, 0), None),
            (None, tokens(0, 0, 0, 1), None),
            (None, tokens(u64::MAX, u64::MAX, u64::MAX, 0), Some(9_223_372_036.854_776)),
        ] {
            let at = at.map(|at| Timestamp::parse(at, &TimeZone::UTC).expect(at));
            assert_eq!(table.cost("mine-2", at, tokens).map(Nanodollars::dollars), dollars, "{at:?}");
        }
    }

    #[test]
    fn every_fault_of_a_table_is_said() {
        let text = "prices:\n- models: [a]\n  periods:\n  - {from: soon, input: -1}\n  - {input: 1, output: 1}\n  - {input: 1, output: 1}\n- periods: []\n  model: b\n";
        let (table, diagnostics) = PriceTable::load(&[SourceFile::new("p.yaml", text)]);
        let found: Vec<String> = diagnostics.iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect();
        assert_eq!(
            found,
            [
                "4:6 a period has no `output`",
                "4:12 `from` is `soon`, not a date",
                "4:25 `input` is -1, out of its range",
                "6:5 a period must begin after the one before it",
                "7:3 a price has no `models`",
                "7:12 `periods` is empty",
                "8:3 a price has no field `model`",
            ]
        );
        assert_eq!(table, PriceTable::shipped());
    }
}
