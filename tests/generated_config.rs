//! The reference of evenkeel.yaml is written from its table of fields; `UPDATE_GENERATED=1` rewrites it.

use std::path::Path;

use evenkeel::diagnostic::SourceFile;
use evenkeel::settings::{Settings, reference};

fn check(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::create_dir_all(file.parent().expect("a file in a folder")).expect("the folder can be made");
        std::fs::write(&file, expected).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let command = "UPDATE_GENERATED=1 cargo test --test generated_config";
    assert!(found == expected, "{path} is stale: run `{command}` and commit it");
}

#[test]
fn the_page_is_current() {
    check("docs/config.md", &reference::markdown());
}

#[test]
fn the_schema_is_current() {
    check("docs/evenkeel.schema.json", &reference::schema());
}

#[test]
fn the_examples_of_the_page_load() {
    let page = reference::markdown();
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let (settings, diagnostics) = Settings::load(&SourceFile::new("example.yaml", example), Path::new(""));
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        assert!(settings.is_some());
    }
}
