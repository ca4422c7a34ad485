//! Names of agents, models and task types as they are written down.

/// The longest name that is taken as it is; longer ones are quarantined at intake.
pub const NAME_LIMIT: usize = 200;

/// Whether `name` can be the name of an agent, model, task type or workflow: not empty, at most
/// [`NAME_LIMIT`] bytes, no control characters.
pub fn is_name(name: &str) -> bool {
    // To the end in any case: that is several bytes in one instruction.
    let plain = |name: &str| name.bytes().fold(true, |plain, b| plain & matches!(b, b' '..=b'~'));
    !name.is_empty() && name.len() <= NAME_LIMIT && (plain(name) || !name.chars().any(char::is_control))
}
