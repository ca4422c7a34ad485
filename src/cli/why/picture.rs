//! A line of characters that shows how a value went, and where its threshold lies.

use super::super::Output;
use crate::engine::inspect::Point;
use crate::model::Unit;

/// Points in a picture, at most.
pub const COLUMNS: usize = 60;
/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The picture, and below it what its ends are; `None` when there is too little to show.
///
/// A bar's height is linear from the least to the greatest of all values and thresholds, a gap is no data,
/// and red are the points at which the condition held.
pub fn draw(out: &Output, points: &[Point], unit: Unit) -> Option<[String; 2]> {
    let values = || points.iter().flat_map(|point| [point.value, point.threshold]).flatten();
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    if points.iter().filter(|point| point.value.is_some()).count() < 2 || low >= high {
        return None;
    }
    let level = |value: f64| ((value - low) / (high - low) * (BARS.len() - 1) as f64).round() as usize;
    let mut line = String::new();
    for point in points {
        match point.value {
            None => line.push(' '),
            Some(value) => {
                let bar = BARS[level(value).min(BARS.len() - 1)];
                line += &if point.holds == Some(true) { out.red(bar) } else { bar.to_string() };
            }
        }
    }
    let threshold = points.iter().rev().find_map(|point| point.threshold);
    let threshold = threshold.map_or_else(String::new, |value| {
        format!("; threshold {} at {}", unit.show(value), BARS[level(value).min(BARS.len() - 1)])
    });
    let (first, last) = (points.first()?.at, points.last()?.at);
    let ends =
        format!("{} to {} in the last {}{threshold}", unit.show(low), unit.show(high), last.since(first).shown());
    Some([line, out.dim(ends)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn bars_stand_for_values_and_gaps_for_no_data() {
        let point = |at: i64, value: Option<f64>| Point {
            at: Timestamp(at * 60_000),
            value,
            threshold: value.map(|_| 0.1),
            holds: value.map(|value| value > 0.1),
        };
        let points = [point(0, Some(0.0)), point(1, None), point(2, Some(0.1)), point(3, Some(0.2))];
        let draw = |color| draw(&Output::stderr(color), &points, Unit::Ratio);
        let [line, ends] = draw(false).expect("a picture");
        assert_eq!((line.as_str(), ends.as_str()), ("▁ ▅█", "0% to 20% in the last 3m; threshold 10% at ▅"));
        assert!(draw(true).expect("a picture")[0].ends_with("▅\u{1b}[31m█\u{1b}[0m"));
        assert_eq!(super::draw(&Output::stderr(false), &points[..1], Unit::Ratio), None);
    }
}
