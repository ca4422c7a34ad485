//! One set of guards for every tuned value: readiness, cooldown, steps, bounds, dead band.
//!
//! Guards never estimate. They are applied in one order, and bounds have the last word: a value
//! that stands outside its bounds is brought inside even if that takes more than a step or less
//! than the dead band.

use crate::engine::event::Decision;
use crate::model::{Span, Timestamp};
use crate::settings::Guard;

/// What the guards made of a wanted value.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Whether something changes.
    pub decision: Decision,
    /// The value to propose; the current one when kept.
    pub value: Option<f64>,
    /// The guard that bound the value or kept it.
    pub bound_by: Option<&'static str>,
    /// Why it was bound or kept; empty when the wanted value passed as it was.
    pub reason: String,
}

/// A wanted value and what it is measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wish {
    /// The wanted value, in the parameter's inner unit.
    pub value: f64,
    /// Executions behind it.
    pub n: u64,
    /// The value that stands now.
    pub current: Option<f64>,
    /// When it was last changed by tuning.
    pub last_change: Option<Timestamp>,
    /// Values are whole multiples of this, if such a one lies within the bounds.
    pub unit: f64,
}

/// Applies the guards; see the module for their order.
pub fn apply(guard: &Guard, wish: Wish, now: Timestamp) -> Verdict {
    let keep =
        |bound_by, reason| Verdict { decision: Decision::Keep, value: wish.current, bound_by: Some(bound_by), reason };
    if wish.n < u64::from(guard.min_samples) {
        return keep("min_samples", format!("too few runs: {} of {}", wish.n, guard.min_samples));
    }
    if let Some(left) = cooldown_left(guard, wish.last_change, now) {
        return keep(
            "cooldown",
            format!("cooldown: the last change is too recent, the next one may come in {}", left.shown()),
        );
    }

    let (mut value, mut bound_by, mut reason) = (wish.value, None, String::new());
    if let Some(current) = wish.current.filter(|current| *current > 0.0) {
        let stepped = value.clamp(current * guard.step_down, current * guard.step_up);
        if stepped != value {
            let (name, factor) =
                if stepped < value { ("step_up", guard.step_up) } else { ("step_down", guard.step_down) };
            bound_by = Some(name);
            reason = format!("one step is at most {} of the current value", percent(factor));
            value = stepped;
        }
    }
    let bounded = value.clamp(guard.floor, guard.ceiling.max(guard.floor));
    if bounded != value {
        let name = if bounded < value { "ceiling" } else { "floor" };
        bound_by = Some(name);
        reason = format!("bound by the {name}");
        value = bounded;
    }
    value = whole(value, wish, guard);

    if let Some(current) = wish.current {
        let inside = guard.floor <= current && current <= guard.ceiling;
        let share = if current == 0.0 { f64::INFINITY } else { (value - current).abs() / current.abs() };
        if inside && value == current {
            let said = if reason.is_empty() { "the value already stands".to_owned() } else { reason };
            return Verdict { decision: Decision::Keep, value: wish.current, bound_by, reason: said };
        }
        if inside && share < guard.dead_band {
            let said = format!("dead band: {} is below {}", percent(share), percent(guard.dead_band));
            return keep("dead_band", said);
        }
    }
    Verdict { decision: Decision::Change, value: Some(value), bound_by, reason }
}

fn cooldown_left(guard: &Guard, last_change: Option<Timestamp>, now: Timestamp) -> Option<Span> {
    let left = guard.cooldown.0 - now.since(last_change?).0;
    // Whole seconds, upwards: nobody plans by the millisecond.
    (left > 0).then(|| Span::seconds((left + 999) / 1_000))
}

/// The nearest whole multiple of the unit that is no smaller step back than the value allows:
/// upwards, else downwards, else the value itself when the bounds leave no room.
fn whole(value: f64, wish: Wish, guard: &Guard) -> f64 {
    let fits = |v: &f64| guard.floor <= *v && *v <= guard.ceiling;
    let up = (value / wish.unit - 1e-9).ceil() * wish.unit;
    let down = (value / wish.unit + 1e-9).floor() * wish.unit;
    [up, down].into_iter().find(fits).unwrap_or(value)
}

/// A share in percent with two significant digits.
pub fn percent(share: f64) -> String {
    crate::model::Unit::Ratio.show(if share.is_finite() { (share * 1e4).round() / 1e4 } else { share })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GUARD: Guard = Guard {
        floor: 10_000.0,
        ceiling: 1_800_000.0,
        dead_band: 0.1,
        step_up: 4.0,
        step_down: 0.5,
        cooldown: Span::hours(1),
        min_samples: 20,
    };
    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn check(wish: Wish, value: Option<f64>, bound_by: Option<&str>, reason: &str) {
        let verdict = apply(&GUARD, wish, NOW);
        assert_eq!((verdict.value, verdict.bound_by), (value, bound_by), "{verdict:?}");
        assert_eq!(verdict.reason, reason);
        assert_eq!(verdict.decision == Decision::Keep, value == wish.current, "{verdict:?}");
    }

    #[test]
    fn each_guard_binds_and_says_so() {
        let wish = Wish { value: 90_400.0, n: 100, current: Some(60_000.0), last_change: None, unit: 1_000.0 };
        check(wish, Some(91_000.0), None, "");
        check(Wish { current: None, ..wish }, Some(91_000.0), None, "");
        check(Wish { n: 7, ..wish }, Some(60_000.0), Some("min_samples"), "too few runs: 7 of 20");
        let recent = Some(Timestamp(NOW.0 - 600_000));
        check(
            Wish { last_change: recent, ..wish },
            Some(60_000.0),
            Some("cooldown"),
            "cooldown: the last change is too recent, the next one may come in 50m",
        );
        check(Wish { last_change: Some(Timestamp(NOW.0 - 3_600_000)), ..wish }, Some(91_000.0), None, "");
        check(
            Wish { value: 1e6, ..wish },
            Some(240_000.0),
            Some("step_up"),
            "one step is at most 400% of the current value",
        );
        check(
            Wish { value: 11_000.0, ..wish },
            Some(30_000.0),
            Some("step_down"),
            "one step is at most 50% of the current value",
        );
        check(
            Wish { value: 61_860.0, unit: 1.0, ..wish },
            Some(60_000.0),
            Some("dead_band"),
            "dead band: 3.1% is below 10%",
        );
        check(Wish { value: 60_000.0, ..wish }, Some(60_000.0), None, "the value already stands");
        check(Wish { value: 5_000.0, current: None, ..wish }, Some(10_000.0), Some("floor"), "bound by the floor");
        check(Wish { value: 4e6, current: Some(1.5e6), ..wish }, Some(1.8e6), Some("ceiling"), "bound by the ceiling");
        // A value outside its bounds comes inside at once.
        check(Wish { value: 1e5, current: Some(1_000.0), ..wish }, Some(10_000.0), Some("floor"), "bound by the floor");
        check(Wish { value: 1.8e6, current: Some(1.81e6), ..wish }, Some(1.8e6), None, "");
    }

    proptest! {
        #[test]
        fn nothing_outside_the_bounds_is_proposed(
            value in 0.0f64..1e8, current in proptest::option::of(0.0f64..1e8), floor in 0.0f64..1e6,
            width in 0.0f64..1e6, unit in prop_oneof![Just(1.0), Just(1_000.0), Just(60_000.0)]
        ) {
            let guard = Guard { floor, ceiling: floor + width, ..GUARD };
            let wish = Wish { value, n: 20, current, last_change: None, unit };
            let verdict = apply(&guard, wish, NOW);
            if verdict.decision == Decision::Change {
                let proposed = verdict.value.expect("a change has a value");
                prop_assert!(guard.floor <= proposed && proposed <= guard.ceiling);
                if let Some(current) = current.filter(|c| (guard.floor..=guard.ceiling).contains(c)) {
                    prop_assert!(proposed <= current * guard.step_up + unit && proposed >= current * guard.step_down);
                    prop_assert!((proposed - current).abs() >= guard.dead_band * current);
                }
            } else {
                prop_assert_eq!(verdict.value, current);
                prop_assert!(!verdict.reason.is_empty());
            }
        }
    }
}
