//! The rule packs that ship inside the binary, so that it works alone.

use crate::diagnostic::SourceFile;
use crate::model::agent::NAME_LIMIT;

/// The pack that is used when the configuration names no rules.
pub const DEFAULT: &str = include_str!("../../rules/default.yaml");

/// The thresholds that claude-force recommends.
pub const CLAUDE_FORCE: &str = include_str!("../../rules/claude-force.yaml");

/// The rule of a budget `daily`.
pub const BUDGETS: &str = include_str!("../../rules/budgets.yaml");

/// Service level objectives to start from.
pub const SLOS: &str = include_str!("../../rules/slos.yaml");

/// Every shipped pack under the name it has in `rules/`.
pub const PACKS: [(&str, &str); 4] =
    [("default.yaml", DEFAULT), ("claude-force.yaml", CLAUDE_FORCE), ("budgets.yaml", BUDGETS), ("slos.yaml", SLOS)];

/// What stands before the name of a pack where messages and lists say where a rule is: no such file need be there.
pub const BUILT_IN: &str = "built-in: ";

/// The rule of [`BUDGETS`] for each of these budgets; `None` when there are none.
pub fn budget_pack<'a>(names: impl Iterator<Item = &'a str>) -> Option<SourceFile> {
    let (head, rule) = BUDGETS.split_once("  - name:")?;
    let of = |(index, name): (usize, &str)| {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        // Names of rules are no longer than those of budgets.
        let short = if name.len() + 7 <= NAME_LIMIT { quoted.clone() } else { (index + 1).to_string() };
        format!(
            "  - name:{}",
            rule.replace("\"budget_daily\"", &format!("\"budget_{short}\""))
                .replace("\"daily\"", &format!("\"{quoted}\""))
        )
    };
    let rules: Vec<String> = names.enumerate().map(of).collect();
    (!rules.is_empty())
        .then(|| SourceFile::new(format!("{BUILT_IN}budgets.yaml"), format!("{head}{}", rules.join("\n"))))
}

/// The default pack as a file.
pub fn default_pack() -> SourceFile {
    SourceFile::new(format!("{BUILT_IN}default.yaml"), DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Level;
    use crate::model::Span;
    use crate::rule::load::load;

    #[test]
    fn the_default_pack_loads_without_a_word() {
        let (rules, diagnostics) = load(&[default_pack()], Span::seconds(15));
        assert_eq!(diagnostics, []);
        let names: Vec<_> = rules.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "error_burst",
                "provider_incident",
                "p95_shift",
                "success_drop",
                "cost_jump",
                "chronic_burn",
                "field_loss",
                "loop",
                "stall",
                "source_silent",
                "notifier_failing",
                "policy_stale",
                "lines_quarantined",
                "limit_reached",
                "messages_dropped",
                "history_lost"
            ]
        );
    }

    #[test]
    fn every_budget_has_its_rule_whatever_its_name() {
        let long = "x".repeat(200);
        let names = ["daily", "a \"b\" \\ c: {{ d }}", long.as_str()];
        let list = names.map(|name| format!("- {{name: {}, amount: $1, period: day}}\n", serde_json::json!(name)));
        let text = format!("budgets:\n{}", list.concat());
        let settings = crate::settings::Settings::salvage(&SourceFile::new("e.yaml", text), std::path::Path::new("")).0;
        let pack = budget_pack(settings.budgets.iter().map(|b| b.name.as_str())).expect("three budgets");
        let read = crate::rule::load::load_with(&[pack], &settings, None);
        assert_eq!(read.diagnostics, []);
        let found: Vec<_> = read.rules.iter().map(|rule| (rule.name.as_str(), rule.budget.as_deref())).collect();
        let second = format!("budget_{}", names[1]);
        let expected = [("budget_daily", Some("daily")), (&second, Some(names[1])), ("budget_3", Some(&long))];
        assert_eq!(found, expected);
        assert_eq!(budget_pack(std::iter::empty()), None);
    }

    #[test]
    fn the_claude_force_pack_warns_of_its_two_unknown_metrics() {
        let (rules, diagnostics) = load(&[SourceFile::new("c.yaml", CLAUDE_FORCE)], Span::seconds(15));
        assert_eq!(rules.len(), 6);
        let found: Vec<_> = diagnostics.iter().map(|d| (d.level, &CLAUDE_FORCE[d.bytes.clone()])).collect();
        assert_eq!(found, [(Level::Warning, "semantic_selection_time"), (Level::Warning, "cache_miss_rate")]);
    }
}
