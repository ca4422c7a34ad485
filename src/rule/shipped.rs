//! The rule packs that ship inside the binary, so that it works alone.

use crate::diagnostic::SourceFile;

/// The pack that is used when the configuration names no rules.
pub const DEFAULT: &str = include_str!("../../rules/default.yaml");

/// The thresholds that claude-force recommends.
pub const CLAUDE_FORCE: &str = include_str!("../../rules/claude-force.yaml");

/// Every shipped pack under the name it has in `rules/`.
pub const PACKS: [(&str, &str); 2] = [("rules/default.yaml", DEFAULT), ("rules/claude-force.yaml", CLAUDE_FORCE)];

/// The default pack as a file.
pub fn default_pack() -> SourceFile {
    SourceFile::new("rules/default.yaml", DEFAULT)
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
            ["error_burst", "p95_shift", "success_drop", "cost_spike", "source_silent", "notifier_failing"]
        );
    }

    #[test]
    fn the_claude_force_pack_warns_of_its_two_unknown_metrics() {
        let (rules, diagnostics) = load(&[SourceFile::new("c.yaml", CLAUDE_FORCE)], Span::seconds(15));
        assert_eq!(rules.len(), 6);
        let found: Vec<_> = diagnostics.iter().map(|d| (d.level, &CLAUDE_FORCE[d.bytes.clone()])).collect();
        assert_eq!(found, [(Level::Warning, "semantic_selection_time"), (Level::Warning, "cache_miss_rate")]);
    }
}
