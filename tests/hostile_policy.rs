//! Broken configuration, profiles and prices are refused with a place, never with a panic.

use std::path::Path;

use evenkeel::diagnostic::SourceFile;
use evenkeel::policy::Kind;
use evenkeel::profile::Profiles;
use evenkeel::profile::price::PriceTable;
use evenkeel::settings::Settings;

const CONFIG: &str = include_str!("../src/cli/starter.yaml");
const PROFILE: &str = include_str!("../profiles/claude-opus-4.1.json");
const SCALING: &str = include_str!("../profiles/scaling.yaml");
const PRICES: &str = include_str!("../profiles/prices.yaml");

/// Loads a text as everything that it is not meant to be, too.
fn load(text: &str) {
    let file = SourceFile::new("hostile", text);
    let mut diagnostics = Settings::load(&file, Path::new("")).1;
    diagnostics.extend(Profiles::load(std::slice::from_ref(&file)).1);
    diagnostics.extend(PriceTable::load(std::slice::from_ref(&file)).1);
    for diagnostic in diagnostics {
        assert!(diagnostic.bytes.start <= diagnostic.bytes.end && diagnostic.bytes.end <= text.len(), "{diagnostic:?}");
        assert!(!diagnostic.to_string().is_empty());
    }
    Kind::of(&file);
}

#[test]
fn cut_off_texts_are_refused() {
    for text in [CONFIG, PROFILE, SCALING, PRICES] {
        for (end, _) in text.char_indices().step_by(41) {
            load(&text[..end]);
        }
    }
}

#[test]
fn texts_with_a_byte_changed_are_refused_or_read() {
    for text in [CONFIG, PROFILE, SCALING, PRICES] {
        for (i, c) in text.char_indices().step_by(113) {
            for other in ["", ":", "\n", "\u{0}", "ä", "[", "\"", "-", "99999999999999999999", "&a *a", "*"] {
                load(&format!("{}{other}{}", &text[..i], &text[i + c.len_utf8()..]));
            }
        }
    }
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    let config =
        "state_dir: @\nrules: @\nclock: @\nsources: @\nreceivers: @\nlisten: @\napi_token: @\ntune: @\nlimits: @\n";
    let nested = "sources: [{name: @, path: @, zone: @, fields: @}]\nreceivers: [{name: @, webhook: @}]\ntune: {targets: [{name: @, parameters: [{parameter: @, path: @, floor: @, step: @}]}]}\n";
    let profile = "model: @\naliases: @\nscaling_factors: @\nquality: @\nconcurrency: @\n";
    let prices = "prices: [{models: @, periods: [{from: @, input: @}]}, @]\n";
    for text in [config, nested, profile, prices] {
        for value in [
            "", "~", "1", "-1", ".nan", ".inf", "1e999", "text", "''", "[]", "[[]]", "[a, [b]]", "{}", "{a: b}",
            "[{}]", "!!int x",
        ] {
            load(&text.replace('@', value));
        }
    }
}
