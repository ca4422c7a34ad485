//! A line of characters that shows how a value went, and where its threshold lies.

use super::super::Output;
use crate::engine::inspect::Point;
use crate::model::Unit;

/// Points in a picture, at most.
pub const COLUMNS: usize = 60;
/// From low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The picture, and below it the least and the greatest value; `None` when there is too little to show.
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
    let seen = || points.iter().filter_map(|point| point.value);
    let (least, most) = (seen().fold(f64::INFINITY, f64::min), seen().fold(f64::NEG_INFINITY, f64::max));
    let values = match (unit.show(least), unit.show(most)) {
        (least, most) if least == most => format!("always {least}"),
        (least, most) => format!("{least} to {most}"),
    };
    Some([line, out.dim(format!("{values} in the last {}{threshold}", last.since(first).shown()))])
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

    #[test]
    fn the_caption_says_what_the_values_were_however_far_the_threshold_is() {
        let picture = |values: [f64; 3], threshold: f64, unit| {
            let point = |(at, value)| Point {
                at: Timestamp(at * 10_000),
                value: Some(value),
                threshold: Some(threshold),
                holds: Some(value > threshold),
            };
            let points = [0_i64, 1, 2].into_iter().zip(values).map(point).collect::<Vec<_>>();
            super::draw(&Output::stderr(false), &points, unit).expect("a picture")
        };
        for (values, threshold, unit, expected) in [
            (
                [20_100.0, 45_000.0, 70_000.0],
                600_000.0,
                Unit::Duration,
                ["▁▁▂", "20.1s to 1m10s in the last 20s; threshold 10m at █"],
            ),
            ([0.6, 0.6, 0.6], 0.2, Unit::Ratio, ["███", "always 60% in the last 20s; threshold 20% at ▁"]),
        ] {
            assert_eq!(picture(values, threshold, unit), expected);
        }
    }
}
