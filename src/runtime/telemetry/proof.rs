//! The proof that telemetry comes from an instance with the deployment's token: an HMAC over each report.
//!
//! It excludes peers that do not know the token. It does not prevent replays: a peer that can read the network's traffic can send
//! a recorded report again. CURVE prevents that.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// Signs reports with the token, and checks signatures.
#[derive(Clone)]
pub struct Proof(Hmac<Sha256>);

impl Proof {
    /// Uses the token as the key of the HMAC.
    pub fn of(token: &Secret) -> Self {
        Self(Hmac::new_from_slice(token.expose().as_bytes()).expect("an HMAC takes a key of any length"))
    }

    /// A report's signature: 32 bytes, HMAC-SHA256.
    pub fn sign(&self, report: &[u8]) -> Vec<u8> {
        self.0.clone().chain_update(report).finalize().into_bytes().to_vec()
    }

    /// True if this is the report's signature. Compares in constant time.
    pub fn holds(&self, report: &[u8], signature: &[u8]) -> bool {
        self.0.clone().chain_update(report).verify_slice(signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(token: &str) -> Proof {
        Proof::of(&serde_json::from_value(token.into()).unwrap())
    }

    #[test]
    fn only_the_same_token_proves_a_report() {
        // RFC 4231, test case 2.
        let signature = proof("Jefe").sign(b"what do ya want for nothing?");
        let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let report = &b"what do ya want for nothing?"[..];
        assert!(proof("Jefe").holds(report, &signature));
        for (token, report, signature) in [
            ("jefe", report, &signature[..]),
            ("Jefe", b"what do ya want for nothing!", &signature),
            ("Jefe", report, &signature[..31]),
            ("Jefe", report, b""),
        ] {
            assert!(!proof(token).holds(report, signature));
        }
    }
}
