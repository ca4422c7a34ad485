//! What was used of every budget in its current period.
//!
//! Use is counted in integers per subject of the budget's split, whose bound and overflow subject
//! hold here too. Within a period it only grows, so a rule over a share of the budget fires once and
//! holds until the period ends. Records of an earlier period are counted as late and change nothing.

use serde::{Deserialize, Serialize};

use super::names::Names;
use super::pane::Sample;
use super::split::Split;
use super::view::BudgetView;
use crate::model::{Subject, Timestamp, Unit};
use crate::policy::Policy;
use crate::settings::budget::{Budget, Override, Resource};

/// A projection needs this many executions and this share of the period behind it.
const LEAST_USES: u64 = 5;
const LEAST_SHARE: f64 = 0.05;

/// The use of one subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Use {
    n: u64,
    used: u64,
    /// Executions of which it is not known how much they used.
    unknown: u64,
    /// When the execution ended that used up what was left.
    spent: Option<Timestamp>,
}

/// The use of one budget.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct BudgetState {
    /// What the state belongs to.
    pub identity: String,
    period: Option<(Timestamp, Timestamp)>,
    /// By series of the budget's split.
    uses: Vec<Use>,
    /// Records that came after the end of their period.
    late: u64,
    /// A period ended since rules last looked.
    ended: bool,
    /// When the newest period ended that did.
    turned: Option<Timestamp>,
    /// By series, when the budget has overrides: how much there is. Follows from the policy.
    #[serde(skip)]
    amounts: Vec<u64>,
}

/// A budget keeps its use over a reload when this text is the same; the amount may change.
pub fn identity(budget: &Budget) -> String {
    let Budget { name, resource, period, zone, by, filter, amount: _, overrides: _ } = budget;
    format!("{name}\n{resource:?}\n{period:?}\n{:?}\n{by:?}\n{filter:?}", zone.iana_name())
}

/// The budget that a rule reads, and what was used of it.
pub type Read<'a> = Option<(&'a Budget, &'a BudgetState)>;

/// Per rule: the budget that it reads and its use; empty when there are no budgets.
pub fn read_by_rules<'a>(policy: &'a Policy, states: &'a [BudgetState]) -> Vec<Read<'a>> {
    let budgets = &policy.settings.budgets;
    if budgets.is_empty() {
        return Vec::new();
    }
    let used = |name: &String| budgets.iter().zip(states).find(|(budget, _)| budget.name == *name);
    policy.rules.iter().map(|rule| rule.budget.as_ref().and_then(used)).collect()
}

impl BudgetState {
    /// Nothing used yet.
    pub fn new(budget: &Budget) -> BudgetState {
        BudgetState { identity: identity(budget), ..BudgetState::default() }
    }

    /// Counts an execution of a series.
    pub fn insert(&mut self, budget: &Budget, series: usize, now: Timestamp, sample: &Sample) {
        self.turn(now);
        let (start, end) = self.period.unwrap_or_else(|| budget.period.bounds(sample.at, &budget.zone));
        if sample.at < start || now >= end {
            self.late += 1;
            return;
        }
        self.period = Some((start, end));
        if self.uses.len() <= series {
            self.uses.resize(series + 1, Use::default());
        }
        let used = match budget.resource {
            Resource::Money => sample.cost.map(|nano| nano.max(0) as u64),
            Resource::Tokens => sample.tokens.map(|tokens| tokens.total()),
            Resource::Executions => Some(1),
        };
        let amount = self.amount(budget, series);
        let own = &mut self.uses[series];
        let before = own.used;
        own.n += 1;
        own.unknown += u64::from(used.is_none());
        own.used = own.used.saturating_add(used.unwrap_or(0));
        if before < amount && own.used >= amount {
            own.spent = Some(sample.at);
        }
    }

    /// Learns how much there is for the series of the split up to `last`.
    pub fn allot(&mut self, budget: &Budget, split: &Split, names: &Names, last: usize) {
        if budget.overrides.is_empty() {
            return;
        }
        let series = self.amounts.len()..=last.min(split.series.len().saturating_sub(1));
        for index in series {
            let value = |dimension| split.label(index, dimension).map_or("", |name| names.text(name));
            let holds = |o: &&Override| o.filter.iter().all(|m| m.matches(value(m.dimension)));
            self.amounts.push(budget.overrides.iter().find(holds).map_or(budget.amount, |o| o.amount));
        }
    }

    /// Learns how much there is for every series, under another policy.
    pub fn allot_anew(&mut self, budget: &Budget, split: &Split, names: &Names) {
        self.amounts.clear();
        if !split.series.is_empty() {
            self.allot(budget, split, names, split.series.len() - 1);
        }
    }

    /// How much there is for a series.
    fn amount(&self, budget: &Budget, series: usize) -> u64 {
        self.amounts.get(series).copied().unwrap_or(budget.amount)
    }

    fn turn(&mut self, now: Timestamp) {
        if let Some((_, end)) = self.period.filter(|(_, end)| now >= *end) {
            (self.period, self.turned) = (None, Some(end));
            self.uses.clear();
            self.ended = true;
        }
    }

    /// Ends a period that is over; whether one ended since the last call.
    pub fn catch_up(&mut self, now: Timestamp) -> bool {
        self.turn(now);
        std::mem::take(&mut self.ended)
    }

    /// Whether a period ended after `since` and by `until`, and when.
    pub fn turned_within(&self, since: Timestamp, until: Timestamp) -> Option<Timestamp> {
        self.turned.filter(|turned| since < *turned && *turned <= until)
    }

    /// When the current period ends.
    pub fn end(&self) -> Option<Timestamp> {
        self.period.map(|(_, end)| end)
    }

    /// The share that a series has used, and on how many executions that rests.
    pub fn share(&self, budget: &Budget, series: usize) -> (f64, u64) {
        let own = self.uses.get(series).copied().unwrap_or_default();
        (own.used as f64 / self.amount(budget, series) as f64, own.n)
    }

    /// When nothing was left for a series, or will be at its pace if that is known and within the period.
    pub fn exhausted_at(&self, budget: &Budget, series: usize, now: Timestamp) -> Option<Timestamp> {
        self.view(budget, series, now, Subject::default())?.exhausted_at
    }

    /// The picture of one series; `None` when it has used nothing in this period.
    pub fn view(&self, budget: &Budget, series: usize, now: Timestamp, subject: Subject) -> Option<BudgetView> {
        let own = self.uses.get(series).filter(|own| own.n > 0)?;
        let (start, end) = self.period?;
        let unit = if budget.resource == Resource::Money { 1e9 } else { 1.0 };
        let (passed, whole) = (now.since(start).0 as f64, end.since(start).0 as f64);
        let known = own.n >= LEAST_USES && own.used > 0 && passed >= whole * LEAST_SHARE;
        let amount = self.amount(budget, series);
        let left = amount.saturating_sub(own.used) as f64;
        let pace = known.then(|| Timestamp(now.0.saturating_add((left / own.used as f64 * passed) as i64)));
        let spent = own.spent.filter(|_| own.used >= amount);
        Some(BudgetView {
            budget: budget.name.clone(),
            subject,
            used: own.used as f64 / unit,
            amount: amount as f64 / unit,
            unit: match budget.resource {
                Resource::Money => Unit::Money,
                Resource::Tokens => Unit::Tokens,
                Resource::Executions => Unit::Count,
            },
            share: own.used as f64 / amount as f64,
            at_least: own.unknown > 0,
            executions: own.n,
            start,
            end,
            projected: known.then(|| own.used as f64 / unit / passed * whole),
            exhausted_at: spent.or(pace).filter(|at| *at < end),
            late: self.late,
        })
    }
}
