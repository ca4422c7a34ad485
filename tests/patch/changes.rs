//! Changes that are made, taken back and left alone.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::fleet::{YAML, change, check_refused, yaml_fleet};
use evenkeel::engine::event::ChangeResult;
use evenkeel::settings::Mode;
use evenkeel::shell::ledger::{self, Status};
use evenkeel::shell::patch::Restored;

#[test]
fn an_applied_change_keeps_a_backup_and_comes_back_exactly() {
    let fleet = yaml_fleet(Mode::Apply);
    fs::set_permissions(fleet.file(), fs::Permissions::from_mode(0o640)).expect("set");
    let patcher = fleet.patcher();
    assert_eq!(patcher.carry_out(&change("c1", "researcher", 600_000.0, 95_700.0)), ChangeResult::Applied);
    assert_eq!(fleet.text(), YAML.replace("600", "96"));
    assert_eq!(fs::metadata(fleet.file()).expect("there").permissions().mode() & 0o7777, 0o640);
    let mode = fs::metadata(fleet.document("c1", "diff")).expect("there").permissions().mode() & 0o7777;
    assert_eq!(mode & !0o640, 0, "documents are no more readable than their target");
    let entry = ledger::get(&fleet.ledger(), "c1").expect("read").expect("there");
    assert_eq!(entry.status, Status::Applied);
    assert_eq!(fs::read_to_string(entry.backup.as_deref().expect("a backup")).expect("read"), YAML);

    let (restored, row) = patcher.revert("c1").expect("taken back");
    assert_eq!((restored, row.status, row.change_id.as_str()), (Restored::Bytes, Status::Applied, "c1.revert"));
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fleet.status("c1"), Some(Status::Reverted));
    let error = patcher.revert("c1").expect_err("once is enough");
    assert!(error.contains("reverted, not applied"), "{error}");
    let error = patcher.revert("nope").expect_err("unknown");
    assert!(error.contains("no change `nope`"), "{error}");
}

#[test]
fn a_revert_leaves_the_edits_of_others_alone() {
    let fleet = yaml_fleet(Mode::Apply);
    let patcher = fleet.patcher();
    assert_eq!(patcher.carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), ChangeResult::Applied);
    fs::write(fleet.file(), fleet.text().replace("300", "240")).expect("written");
    assert_eq!(patcher.revert("c1").expect("taken back").0, Restored::Value);
    assert_eq!(fleet.text(), YAML.replace("300", "240"));

    assert_eq!(patcher.carry_out(&change("c2", "researcher", 600_000.0, 96_000.0)), ChangeResult::Applied);
    fs::write(fleet.file(), fleet.text().replace("96", "120")).expect("written");
    let error = patcher.revert("c2").expect_err("a person's edit wins");
    assert!(error.contains("holds 120, not 96"), "{error}");
    assert!(fleet.text().contains("120"));
    assert_eq!((fleet.status("c2"), fleet.status("c2.revert")), (Some(Status::Applied), Some(Status::Refused)));
}

#[test]
fn the_mode_of_the_target_has_the_last_word() {
    let fleet = yaml_fleet(Mode::Suggest);
    assert_eq!(
        fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)),
        ChangeResult::Suggested,
        "the change says apply, the reloaded settings do not"
    );
    let fleet = yaml_fleet(Mode::Off);
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), "mode: off");
}
