//! The fields that bound memory and files.

use super::Kind::Integer;
use super::{Section, field};

pub(super) const LIMITS: Section = Section {
    name: "limits",
    what: "limits",
    about: "Bounds of memory and files. Reaching one is counted and never stops the daemon.",
    fields: &[
        field(
            "series",
            Integer(100, 10_000_000),
            "20_000",
            "Subjects per split; records of further ones count under `~overflow`.",
        ),
        field(
            "names",
            Integer(1_000, 10_000_000),
            "100_000",
            "Names that are kept; further ones count under `~overflow`.",
        ),
        field(
            "line_bytes",
            Integer(1_024, 67_108_864),
            "1_048_576",
            "Bytes of one input line; longer ones are quarantined.",
        ),
        field(
            "outbox",
            Integer(10, 1_000_000),
            "10_000",
            "Notifications waiting for one receiver; further ones are dropped.",
        ),
        field("seen_ids", Integer(0, 10_000_000), "65_536", "Records remembered for dropping doubles."),
        field(
            "quarantine_bytes",
            Integer(65_536, 1_099_511_627_776),
            "16_777_216",
            "Bytes of the quarantine file; the older half is dropped.",
        ),
    ],
};
