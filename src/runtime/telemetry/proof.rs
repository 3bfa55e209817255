//! The proof that telemetry comes from an instance with the deployment's token: an HMAC over each report.
//!
//! It keeps out who can connect and does not know the token. Who can read what goes over the network could send an old
//! report again: against those there is CURVE.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// Signs reports, and knows whether one was signed with the same token.
#[derive(Clone)]
pub struct Proof(Hmac<Sha256>);

impl Proof {
    /// A proof by the token; none when it is no key for an HMAC, which takes any.
    pub fn of(token: &Secret) -> Option<Self> {
        Hmac::new_from_slice(token.expose().as_bytes()).ok().map(Self)
    }

    /// What goes with a report.
    pub fn sign(&self, report: &[u8]) -> Vec<u8> {
        self.0.clone().chain_update(report).finalize().into_bytes().to_vec()
    }

    /// Whether a report came with what [`Self::sign`] gives for it. Takes as long for any wrong one.
    pub fn holds(&self, report: &[u8], signature: &[u8]) -> bool {
        self.0.clone().chain_update(report).verify_slice(signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(token: &str) -> Proof {
        Proof::of(&serde_json::from_value(token.into()).unwrap()).unwrap()
    }

    #[test]
    fn a_report_is_proved_by_the_same_token_alone() {
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
