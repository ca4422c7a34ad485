//! A location that a few wild values cannot move.

/// The median of finite values, which are reordered; `None` when there are none.
pub fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let odd = values.len() % 2 == 1;
    let (below, &mut upper, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    if odd {
        return Some(upper);
    }
    let lower = below.iter().copied().max_by(f64::total_cmp).unwrap_or(upper);
    Some(lower + (upper - lower) / 2.0)
}

/// The value that `percent` of finite values do not exceed, which are reordered: linear between the two nearest
/// (Hyndman and Fan's seventh definition, the default of R and NumPy); 50 is the median.
pub fn percentile(values: &mut [f64], percent: u8) -> Option<f64> {
    if percent == 50 {
        return median(values);
    }
    let place = values.len().checked_sub(1)? as f64 * f64::from(percent.min(100)) / 100.0;
    let (_, &mut lower, above) = values.select_nth_unstable_by(place as usize, f64::total_cmp);
    let upper = above.iter().copied().min_by(f64::total_cmp).unwrap_or(lower);
    Some(lower + (upper - lower) * place.fract())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_value_or_the_middle_of_two() {
        for (values, expected) in [
            (&mut [][..], None),
            (&mut [7.0], Some(7.0)),
            (&mut [4.0, 1.0, 3.0, 2.0], Some(2.5)),
            (&mut [9.0, 5.0, 1e9], Some(9.0)),
        ] {
            assert_eq!(median(values), expected);
        }
    }

    #[test]
    fn percentiles_lie_between_the_nearest_values() {
        let values: Vec<f64> = (0..=10).rev().map(f64::from).collect();
        for (percent, expected) in [(0, 0.0), (25, 2.5), (50, 5.0), (75, 7.5), (95, 9.5), (100, 10.0)] {
            assert_eq!(percentile(&mut values.clone(), percent), Some(expected), "{percent}");
        }
        assert_eq!((percentile(&mut [], 95), percentile(&mut [7.0], 95)), (None, Some(7.0)));
    }

    proptest! {
        #[test]
        fn half_of_the_sample_cannot_be_outvoted(
            mut values in proptest::collection::vec(90.0f64..110.0, 20..60), wild in proptest::collection::vec(1e6f64..1e9, 0..15)
        ) {
            values.extend(wild);
            prop_assert!((90.0..=110.0).contains(&median(&mut values).expect("values")));
        }
    }
}
