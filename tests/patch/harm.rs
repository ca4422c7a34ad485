//! Rivals, kills and places that want no change.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fleet::{Fleet, YAML, change, check_refused, left_out, yaml_fleet};
use evenkeel::engine::event::ChangeResult;
use evenkeel::settings::Mode;
use evenkeel::shell::ledger::{self, Status};
use evenkeel::shell::patch::{Patcher, Restored};
use rusqlite::Connection;

#[test]
fn a_persons_edit_wins() {
    let fleet = yaml_fleet(Mode::Apply);
    let patcher = fleet.patcher();
    check_refused(patcher.carry_out(&change("c1", "researcher", 500_000.0, 96_000.0)), "holds 600, not 500");
    check_refused(patcher.carry_out(&change("c2", "nobody", 500_000.0, 96_000.0)), "`nobody` has no such value");
    check_refused(patcher.carry_out(&change("c3", "researcher", 600_000.0, 600_100.0)), "already stands there");
    let mut late = change("c4", "researcher", 600_000.0, 96_000.0);
    late.recommendation.target = "gone".into();
    check_refused(patcher.carry_out(&late), "`gone` is no longer configured");
    fs::write(fleet.file(), "researcher: {timeout: 1, timeout: 600}\n").expect("written");
    check_refused(patcher.carry_out(&change("c5", "researcher", 600_000.0, 96_000.0)), "stands twice");
    fs::remove_file(fleet.file()).expect("removed");
    check_refused(patcher.carry_out(&change("c6", "researcher", 600_000.0, 96_000.0)), "does not exist");
    assert_eq!(fleet.status("c1"), Some(Status::Refused));
    assert!(!fleet.document("c1", "diff").exists());
}

#[test]
fn a_change_is_carried_out_once_whatever_was_killed_when() {
    let c = change("c1", "researcher", 600_000.0, 96_000.0);
    let applying = |fleet: &Fleet| {
        ledger::set_status(&fleet.ledger(), "c1", Status::Applying).expect("set");
    };
    // After the receipt was lost.
    let fleet = yaml_fleet(Mode::Apply);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    let applied = fleet.text();
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    // Between the rename and the ledger.
    applying(&fleet);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!((fleet.text(), fleet.status("c1")), (applied.clone(), Some(Status::Applied)));
    // The same, and a person edited something else since.
    applying(&fleet);
    fs::write(fleet.file(), applied.replace("300", "240")).expect("written");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert!(fleet.text().contains("240"));
    // Between the ledger and the rename: the leftover is cleared away, too.
    applying(&fleet);
    fs::write(fleet.file(), YAML).expect("written");
    fs::write(fleet.file().with_file_name(".agents.yaml.evenkeel.tmp"), "half").expect("written");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!(fleet.text(), applied);
    assert_eq!(fs::read_dir(fleet.file().parent().expect("a folder")).expect("listed").count(), 1);
    // The same, and a person edited the value since.
    applying(&fleet);
    fs::write(fleet.file(), YAML.replace("600", "120")).expect("written");
    check_refused(fleet.patcher().carry_out(&c), "holds 120, not 600");
    // A kill in the middle of taking it back.
    let fleet = yaml_fleet(Mode::Apply);
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    fs::write(fleet.file(), YAML).expect("written");
    assert_eq!(fleet.patcher().revert("c1").expect("found taken back").0, Restored::Bytes);
    assert_eq!((fleet.text().as_str(), fleet.status("c1")), (YAML, Some(Status::Reverted)));
}

/// The test runs itself as a process that applies and takes back changes as fast as it can, and kills it.
#[test]
fn a_kill_at_any_moment_leaves_one_of_two_files() {
    const ROLE: &str = "EVENKEEL_TEST_APPLY_IN";
    let (up, down) = ((600_000.0, 96_000.0), (96_000.0, 600_000.0));
    if let Some(folder) = std::env::var_os(ROLE) {
        let fleet = yaml_fleet(Mode::Apply);
        let mut settings = fleet.settings.clone();
        settings.state_dir = Path::new(&folder).join("state");
        settings.tune.patch_dir = Path::new(&folder).join("patches");
        settings.tune.targets[0].file = Path::new(&folder).join("agents").join("agents.yaml");
        let connection = Connection::open(settings.state_dir.join("evenkeel.db")).expect("opened");
        let patcher = Patcher::new(&settings, connection).expect("a patcher");
        for i in 0_u32.. {
            let value = patcher.current_values(&settings.tune.targets[0]).expect("read")[0].value;
            let (old, new) = if value == up.0 { up } else { down };
            patcher.carry_out(&change(&format!("{}-{i}", std::process::id()), "researcher", old, new));
        }
    }
    let fleet = yaml_fleet(Mode::Apply);
    // The ledger is there however early the first kill comes.
    drop(fleet.patcher());
    let root = fleet.dir.path().canonicalize().expect("resolved");
    let low = YAML.replace("600", "96");
    let mut killed_between = 0;
    for round in 0..25_u64 {
        let mut child = Command::new(std::env::current_exe().expect("known"))
            .args(["--exact", "a_kill_at_any_moment_leaves_one_of_two_files"])
            .env(ROLE, &root)
            // What it leaves behind goes with our own folder.
            .env("TMPDIR", &root)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("started");
        std::thread::sleep(std::time::Duration::from_millis(60 + round * 7 % 50));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let text = fleet.text();
        assert!(text == YAML || text == low, "round {round}: {text:?}");
        let ledger = ledger::newest(&fleet.ledger(), 1_000).expect("the database survives");
        // At most one change was under way, and carrying it out again finds out how it ended.
        let open: Vec<_> = ledger.iter().filter(|entry| entry.status == Status::Applying).collect();
        assert!(open.len() <= 1, "round {round}: {open:?}");
        for entry in open {
            killed_between += 1;
            let (old, new) = if entry.old.as_deref() == Some("600") { up } else { down };
            let again = fleet.patcher().carry_out(&change(&entry.change_id, "researcher", old, new));
            assert_eq!(again, ChangeResult::Applied, "round {round}");
            let wanted = if new == down.1 { YAML } else { &low };
            assert_eq!(fleet.text(), wanted, "round {round}");
        }
    }
    let _ = writeln!(std::io::stderr(), "killed between intent and outcome: {killed_between} of 25 times");
    let patcher = fleet.patcher();
    let value = patcher.current_values(fleet.target()).expect("read")[0].value;
    let (old, new) = if value == up.0 { up } else { down };
    assert_eq!(patcher.carry_out(&change("last", "researcher", old, new)), ChangeResult::Applied);
    let left: Vec<_> = fs::read_dir(root.join("agents")).expect("listed").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["agents.yaml"], "leftovers are cleared away");
}

#[test]
fn links_to_other_places_are_refused() {
    let c = change("c1", "researcher", 600_000.0, 96_000.0);
    let fleet = yaml_fleet(Mode::Apply);
    let secret = fleet.dir.path().join("secret.yaml");
    fs::rename(fleet.file(), &secret).expect("moved");
    symlink(&secret, fleet.file()).expect("linked");
    check_refused(fleet.patcher().carry_out(&c), "symbolic link");
    assert_eq!(fs::read_to_string(&secret).expect("read"), YAML);
    assert!(fleet.patcher().current_values(fleet.target()).is_err());

    let fleet = yaml_fleet(Mode::Apply);
    let (agents, moved) = (fleet.file().parent().expect("a folder").to_owned(), fleet.dir.path().join("moved"));
    fs::rename(&agents, &moved).expect("moved");
    symlink(&moved, &agents).expect("linked");
    check_refused(fleet.patcher().carry_out(&c), "symbolic link");
    assert_eq!(fs::read_to_string(moved.join("agents.yaml")).expect("read"), YAML);
    // A planted temporary file is removed, not written through.
    let fleet = yaml_fleet(Mode::Apply);
    let victim = fleet.dir.path().join("victim");
    fs::write(&victim, "precious").expect("written");
    symlink(&victim, fleet.file().with_file_name(".agents.yaml.evenkeel.tmp")).expect("linked");
    assert_eq!(fleet.patcher().carry_out(&c), ChangeResult::Applied);
    assert_eq!(fs::read_to_string(&victim).expect("read"), "precious");
}

#[test]
fn a_folder_that_forbids_writing_leaves_the_file_alone() {
    let mut fleet = yaml_fleet(Mode::Apply);
    let folder = fleet.file().parent().expect("a folder").to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o555)).expect("set");
    let mut reason = "Permission denied";
    let mut disk = None;
    if fs::write(folder.join("probe"), "").is_ok() {
        // Root may write everywhere but to a read-only file system.
        disk = Disk::mount(&fleet.dir.path().canonicalize().expect("resolved").join("small"));
        let Some(disk) = &disk else { return left_out("a read-only folder", "root, and nothing can be mounted here") };
        fleet.settings.tune.targets[0].file = disk.0.join("agents.yaml");
        fs::write(fleet.file(), YAML).expect("written");
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().expect("ran");
        assert!(remount.success());
        reason = "Read-only file system";
    }
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), reason);
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fleet.status("c1"), Some(Status::Refused));
    assert!(!fleet.document("c1", "diff").exists(), "what was not applied leaves no documents");
    drop(disk);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("set");
}

/// A small file system of its own, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    fn mount(at: &Path) -> Option<Disk> {
        fs::create_dir_all(at).expect("made");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "none"]).arg(at).output();
        mount.is_ok_and(|output| output.status.success()).then(|| Disk(at.to_owned()))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_leaves_the_file_alone() {
    let mut fleet = yaml_fleet(Mode::Apply);
    let root = fleet.dir.path().canonicalize().expect("resolved");
    let Some(disk) = Disk::mount(&root.join("small")) else {
        return left_out("a_full_disk_leaves_the_file_alone", "nothing can be mounted here");
    };
    fleet.settings.tune.targets[0].file = disk.0.join("agents.yaml");
    fs::write(fleet.file(), YAML).expect("written");
    let filled = fs::write(disk.0.join("filler"), vec![0_u8; 1 << 20]);
    assert!(filled.is_err(), "the disk is full");
    check_refused(fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)), "No space left");
    assert_eq!(fleet.text(), YAML);
    assert_eq!(fs::read_dir(&disk.0).expect("listed").count(), 2);
    fs::remove_file(disk.0.join("filler")).expect("removed");
    assert_eq!(
        fleet.patcher().carry_out(&change("c1", "researcher", 600_000.0, 96_000.0)),
        ChangeResult::Applied,
        "with room again the same change goes through"
    );
}
