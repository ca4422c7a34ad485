//! Signatures of webhooks after the Standard Webhooks specification, scheme `v1`.
//!
//! Owns the arithmetic and the spelling of keys; never reads a key from anywhere. The receiver
//! checks that the message is ours, whole and recent, and drops repeats by its id.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

/// Header with the identity of the message, the same on every attempt.
pub const ID: &str = "webhook-id";
/// Header with the second of the attempt, Unix time.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// Header with the signature.
pub const SIGNATURE: &str = "webhook-signature";

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A secret that is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// What follows `whsec_` cannot be decoded.
    #[error("the text after `whsec_` is not base64; write the secret as the receiver shows it")]
    Base64,
    /// No key at all.
    #[error("the signing secret is empty; write at least 24 random bytes as `whsec_<base64>`")]
    Empty,
}

/// The value of [`SIGNATURE`]: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
///
/// `secret` is `whsec_` and base64, or else taken as the bytes of the key. `timestamp` is in
/// seconds. Source: Standard Webhooks specification, "Signature scheme".
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Result<String, KeyError> {
    let key = match secret.strip_prefix("whsec_") {
        Some(encoded) => LENIENT.decode(encoded).map_err(|_| KeyError::Base64)?,
        None => secret.as_bytes().to_vec(),
    };
    if key.is_empty() {
        return Err(KeyError::Empty);
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    Ok(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
}

/// `id` as it can stand in an HTTP header and left of the `@` of a Message-Id: itself when it is
/// short and made of letters, digits, `-` and `_`, else 32 hexadecimal digits of its SHA-256.
///
/// The full stop is left out because it separates the parts of the signed text.
pub fn token(id: &str) -> String {
    let plain = !id.is_empty() && id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if plain {
        return id.to_owned();
    }
    Sha256::digest(id.as_bytes())[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vector_is_met() {
        let (id, at, body) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        let expected = Ok("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned());
        assert_eq!(sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id, at, body), expected);
        assert_ne!(sign("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id, at, body), expected);
    }

    #[test]
    fn keys_come_in_two_spellings() {
        let raw = sign("key", "m", 1, b"x");
        for (secret, expected) in [
            ("whsec_a2V5", raw.clone()),
            ("whsec_!!", Err(KeyError::Base64)),
            ("whsec_", Err(KeyError::Empty)),
            ("", Err(KeyError::Empty)),
        ] {
            assert_eq!(sign(secret, "m", 1, b"x"), expected, "{secret}");
        }
    }

    #[test]
    fn ids_become_tokens() {
        assert_eq!(token("d_17-3"), "d_17-3");
        for hostile in ["", "a.b", "a b", "a\r\nX-Evil: 1", "prüfer", &"x".repeat(65)] {
            let made = token(hostile);
            assert!(made.len() == 32 && made.bytes().all(|b| b.is_ascii_hexdigit()), "{hostile} gave {made}");
            assert_eq!(made, token(hostile));
        }
    }
}
