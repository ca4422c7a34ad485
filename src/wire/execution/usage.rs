//! What an execution used: its tokens, and the cost that is believed.

use std::borrow::Cow;
use std::collections::HashMap;

use super::Reader;
use crate::model::{Nanodollars, Tokens};
use crate::profile::price::ModelPrices;
use crate::settings::CostTrust;
use crate::wire::row::Row;

/// More tokens than this in one execution are a slip.
const MOST_TOKENS: f64 = 1e12;

/// Model names whose prices are kept at a time; a chunk with more begins anew.
const PRICED_LIMIT: usize = 1_024;

/// Prices of the models met so far: finding a model by its spelling costs more than reading a line.
pub(super) type Priced<'r, 'a> = HashMap<Cow<'a, str>, Option<&'r ModelPrices>, foldhash::fast::FixedState>;

impl Reader {
    /// The tokens, and whether both input and output were counted.
    #[inline]
    pub(super) fn tokens(&self, row: &Row<'_, '_>) -> Result<Option<(Tokens, bool)>, String> {
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

    /// The prices of a model.
    #[inline]
    pub(super) fn price<'a>(&'a self, model: &Cow<'a, str>, priced: &mut Priced<'a, 'a>) -> Option<&'a ModelPrices> {
        if let Some(known) = priced.get(model) {
            return *known;
        }
        if priced.len() >= PRICED_LIMIT {
            priced.clear();
        }
        *priced.entry(model.clone()).or_insert_with(|| self.prices.resolve(model))
    }
}

/// Whose cost counts, see [`CostTrust`]; recomputing is put off until it matters.
#[inline]
pub(super) fn settle_cost(
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
