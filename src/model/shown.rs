//! Numbers as people read them: the one place that says how durations, shares and other values are printed.
//!
//! JSON and exact texts, such as the windows of rules, are not for this: they lose nothing.

use super::Span;

/// Milliseconds as `850ms`, `15.2s`, `9m20s`, `3h12m`, `2d5h`: three digits below a minute, then two units, rounded.
pub fn duration(ms: f64) -> String {
    const SECOND: f64 = 1_000.0;
    const MINUTE: f64 = 60.0 * SECOND;
    const HOUR: f64 = 60.0 * MINUTE;
    const DAY: f64 = 24.0 * HOUR;
    if !ms.is_finite() {
        return ms.to_string();
    }
    let length = ms.abs();
    let sign = if ms < 0.0 { "-" } else { "" };
    // A length that its rounding takes to the next unit is one of that.
    let text = match length {
        0.0 => "0s".to_owned(),
        a if a < 999.5 => format!("{}ms", significant(a)),
        a if a < 59.95 * SECOND => format!("{}s", significant(a / SECOND)),
        a if a < HOUR - 0.5 * SECOND => pair(a, (MINUTE, "m"), (SECOND, "s")),
        a if a < DAY - 0.5 * MINUTE => pair(a, (HOUR, "h"), (MINUTE, "m")),
        a => pair(a, (DAY, "d"), (HOUR, "h")),
    };
    format!("{sign}{text}")
}

fn pair(length: f64, (large, large_name): (f64, &str), (small, small_name): (f64, &str)) -> String {
    let smalls = (length / small).round();
    let per = large / small;
    let (whole, rest) = ((smalls / per).floor(), smalls % per);
    if rest == 0.0 { format!("{whole}{large_name}") } else { format!("{whole}{large_name}{rest}{small_name}") }
}

/// A share as `83.3%`; of one just below all what it lacks has two digits: `99.95%`.
pub fn share(share: f64) -> String {
    let lacks = (1.0 - share) * 100.0;
    if lacks > 1e-6 && lacks < 0.1 {
        let decimals = (1.0 - lacks.log10().floor()) as usize;
        return format!("{}%", format!("{:.decimals$}", share * 100.0).trim_end_matches('0').trim_end_matches('.'));
    }
    format!("{}%", significant(share * 100.0))
}

/// Three significant digits without exponent; whole numbers above 999 whole.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return value.to_string();
    }
    let magnitude = if value == 0.0 { 0 } else { value.abs().log10().floor() as i32 };
    let decimals = (2 - magnitude).clamp(0, 9) as usize;
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

impl Span {
    /// As people read it, see [`duration`]; what it prints as is exact.
    pub fn shown(self) -> String {
        duration(self.as_millis_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units_at_most() {
        for (ms, text) in [
            (0.0, "0s"),
            (0.25, "0.25ms"),
            (850.0, "850ms"),
            (999.7, "1s"),
            (7_960.0, "7.96s"),
            (59_940.0, "59.9s"),
            (59_960.0, "1m"),
            (71_700.0, "1m12s"),
            (560_072.0, "9m20s"),
            (3_599_700.0, "1h"),
            (3_744_000.0, "1h2m"),
            (86_390_000.0, "1d"),
            (108_360_000.0, "1d6h"),
            (7_776_000_000.0, "90d"),
            (-90_000.0, "-1m30s"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(duration(ms), text, "{ms}");
            let again = Span::parse(text.trim_start_matches('-')).map(Span::shown);
            assert!(ms < 1.0 || !ms.is_finite() || again.as_deref() == Ok(text), "{text} is read as {again:?}");
        }
        assert_eq!(Span(560_072).shown(), "9m20s");
    }

    #[test]
    fn a_share_just_below_all_is_not_all() {
        for (value, text) in
            [(0.9995, "99.95%"), (0.99999, "99.999%"), (0.998765, "99.9%"), (0.999, "99.9%"), (1.0, "100%")]
        {
            assert_eq!(share(value), text);
        }
        assert_eq!(share(0.99987), "99.987%");
    }

    #[test]
    fn shares_have_three_digits() {
        for (value, text) in [(0.125, "12.5%"), (1.0, "100%"), (0.8333, "83.3%"), (-0.0312, "-3.12%"), (12.5, "1250%")]
        {
            assert_eq!(share(value), text);
        }
    }
}
