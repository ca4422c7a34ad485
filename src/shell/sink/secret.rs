//! Secrets, read when they are needed and forgotten after.
//!
//! Reading at use means that a rotated password works without a reload, and that no core dump,
//! snapshot or debug print of the settings can hold one.

use std::fmt;
use std::path::PathBuf;

use crate::settings::Secret;

/// The longest secret, in bytes: a file that is larger was named by mistake.
const LIMIT: u64 = 16 << 10;

/// The text of a secret. Prints as `<secret>`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Text that is to be kept out of what is said.
    pub(super) fn new(text: String) -> SecretText {
        SecretText(text)
    }

    /// The text itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// Why a secret cannot be had. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The environment variable is not set or not Unicode.
    #[error("environment variable `{0}` is not set to readable text; set it for the service")]
    Variable(String),
    /// A credential is wanted outside a service that has any.
    #[error("credential `{0}` needs $CREDENTIALS_DIRECTORY; add LoadCredential={0}:/path to the unit")]
    NoDirectory(String),
    /// The file cannot be read.
    #[error("secret file {path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
    /// The file is too long to be a secret.
    #[error("secret file {0} is longer than the limit of {LIMIT} bytes; name a file that holds the secret alone")]
    TooLong(PathBuf),
    /// Nothing in it, or more than one line.
    #[error("the secret in {0} must be one line that is not empty")]
    NotOneLine(String),
}

/// Reads a secret. One line break at the end is dropped.
pub async fn read(secret: &Secret) -> Result<SecretText, SecretError> {
    let (place, text) = match secret {
        Secret::Env(name) => {
            let text = std::env::var(name).map_err(|_| SecretError::Variable(name.clone()))?;
            (format!("environment variable `{name}`"), text)
        }
        Secret::File(path) => (path.display().to_string(), read_file(path.clone()).await?),
        Secret::Credential(name) => {
            let directory = std::env::var_os("CREDENTIALS_DIRECTORY");
            let directory = directory.ok_or_else(|| SecretError::NoDirectory(name.clone()))?;
            (format!("credential `{name}`"), read_file(PathBuf::from(directory).join(name)).await?)
        }
    };
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(SecretError::NotOneLine(place));
    }
    Ok(SecretText(line.to_owned()))
}

async fn read_file(path: PathBuf) -> Result<String, SecretError> {
    use tokio::io::AsyncReadExt as _;
    let mut text = String::new();
    let read = async {
        let file = tokio::fs::File::open(&path).await?;
        file.take(LIMIT + 1).read_to_string(&mut text).await
    };
    match read.await {
        Ok(length) if length as u64 > LIMIT => Err(SecretError::TooLong(path)),
        Ok(_) => Ok(text),
        Err(error) => Err(SecretError::File { path, error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_now(secret: &Secret) -> Result<SecretText, SecretError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(read(secret))
    }

    #[test]
    fn files_give_one_line() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("secret");
        for (content, expected) in [
            ("s3cret", Some("s3cret")),
            ("s3cret\n", Some("s3cret")),
            ("s3cret\r\n", Some("s3cret")),
            (" kept ", Some(" kept ")),
            ("", None),
            ("\n", None),
            ("two\nlines\n", None),
            (&"x".repeat(LIMIT as usize + 1), None),
        ] {
            std::fs::write(&path, content).expect("writes");
            let secret = read_now(&Secret::File(path.clone()));
            assert_eq!(secret.ok().as_ref().map(SecretText::expose), expected, "{content:.20}");
        }
    }

    #[test]
    fn errors_name_the_place_and_nothing_prints_the_text() {
        let missing = Secret::File(PathBuf::from("/nonexistent/secret"));
        assert!(read_now(&missing).expect_err("not there").to_string().contains("/nonexistent/secret"));
        let unset = read_now(&Secret::Env("EVENKEEL_TEST_UNSET".to_owned())).expect_err("not set");
        assert!(unset.to_string().contains("EVENKEEL_TEST_UNSET"));
        assert_eq!(format!("{:?}", SecretText("hush".to_owned())), "<secret>");
    }
}
