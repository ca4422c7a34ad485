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
