//! Text that is compared with what is checked in.

use std::path::Path;

/// Compares `text` with docs/snapshots/`name`.txt; with `UPDATE_SNAPSHOTS=1` in the environment, writes it there.
#[track_caller]
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/snapshots");
    let file = folder.join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some_and(|value| value == "1") {
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(&file, text).unwrap();
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(known == text, "{name} has changed (UPDATE_SNAPSHOTS=1 takes it over); now it is\n{text}");
}
