//! Generated pages are those that the source makes; `UPDATE_GENERATED=1` rewrites them.

use std::path::Path;

use evenkeel::rule::reference;

fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file in a folder")).expect("the folder can be made");
        std::fs::write(&file, expected).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(found == expected, "{path} is stale: run `UPDATE_GENERATED=1 cargo test --test generated` and commit it");
}

#[test]
fn rules_page_is_current() {
    check("docs/rules.md", &reference::rules());
}

#[test]
fn slos_page_is_current() {
    check("docs/slos.md", &evenkeel::rule::slo::reference::page());
}

#[test]
fn metrics_page_is_current() {
    check("docs/metrics.md", &reference::metrics());
}
