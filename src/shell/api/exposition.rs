//! The two text formats of metrics, from one.
//!
//! Metrics are written once, as OpenMetrics 1.0. Scrapers that do not ask for it get the older
//! Prometheus text format, which differs in three lines: a counter's family is named with its
//! `_total`, there are no units, and no end mark.

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus text format 0.0.4.
    Prometheus,
}

impl Format {
    /// What the Accept header asks for; without a wish the format that everything reads.
    pub fn wanted(accept: Option<&str>) -> Format {
        let wish = accept.unwrap_or_default().split(',').any(|item| {
            let mut parts = item.split(';').map(str::trim);
            let openmetrics =
                parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            openmetrics && !parts.any(|part| part == "q=0" || part == "version=0.0.1")
        });
        if wish { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The Content-Type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// OpenMetrics text in this format.
    pub fn render(self, openmetrics: String) -> String {
        match self {
            Format::OpenMetrics => openmetrics,
            Format::Prometheus => prometheus(&openmetrics),
        }
    }
}

fn prometheus(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = text.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take() {
                out.push_str(&format!("# HELP {name}{suffix} {text}\n"));
            }
            out.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wish_is_found_among_others() {
        for (accept, expected) in [
            (None, Format::Prometheus),
            (Some("*/*"), Format::Prometheus),
            (Some("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Format::Prometheus),
            (Some("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5"), Format::OpenMetrics),
            (Some("application/openmetrics-text; version=0.0.1"), Format::Prometheus),
            (Some("application/openmetrics-text;q=0"), Format::Prometheus),
        ] {
            assert_eq!(Format::wanted(accept), expected, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_counters_in_full() {
        let text = "# HELP e_records Records.\n# TYPE e_records counter\ne_records_total{a=\"b\"} 1\n\
                    # HELP e_journal_bytes Journal.\n# TYPE e_journal_bytes gauge\n# UNIT e_journal_bytes bytes\n\
                    e_journal_bytes 5\n# EOF\n";
        assert_eq!(
            Format::Prometheus.render(text.to_owned()),
            "# HELP e_records_total Records.\n# TYPE e_records_total counter\ne_records_total{a=\"b\"} 1\n\
             # HELP e_journal_bytes Journal.\n# TYPE e_journal_bytes gauge\ne_journal_bytes 5\n"
        );
    }
}
