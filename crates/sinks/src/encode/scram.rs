//! SASL with the mechanisms `SCRAM-SHA-256` and `SCRAM-SHA-512` (RFC 5802, RFC 7677), as brokers of Kafka ask for them: the
//! secret never travels, and the server proves that it knows it, too.
//!
//! Names and secrets are taken as they are written, without `SASLprep`: so do Kafka's brokers.

use std::num::NonZeroU32;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{digest, hmac, pbkdf2};

/// No channel binding, no other identity.
const HEADER: &str = "n,,";
/// RFC 7677, 4.
const LEAST_ITERATIONS: u32 = 4096;
/// A server that asks for more costs too much of our time.
const MOST_ITERATIONS: u32 = 1_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

/// What the client has said so far.
#[derive(Debug)]
pub(crate) struct Begun {
    hash: Hash,
    nonce: String,
    first_bare: String,
}

/// What the server has to prove at the end.
#[derive(Debug)]
pub(crate) struct Expected {
    key: hmac::Key,
    message: String,
}

/// The first message. `nonce` is printable and never used twice.
pub(crate) fn begin(hash: Hash, username: &str, nonce: String) -> (Begun, String) {
    let name = username.replace('=', "=3D").replace(',', "=2C");
    let first_bare = format!("n={name},r={nonce}");
    let message = format!("{HEADER}{first_bare}");
    (Begun { hash, nonce, first_bare }, message)
}

impl Begun {
    /// The answer to the server's first message.
    pub(crate) fn answer(
        self,
        server_first: &str,
        secret: &str,
    ) -> Result<(Expected, String), String> {
        let (nonce, salt, iterations) = self.read(server_first)?;
        let mut salted = vec![0; self.hash.digest().output_len()];
        pbkdf2::derive(self.hash.pbkdf2(), iterations, &salt, secret.as_bytes(), &mut salted);
        let salted = hmac::Key::new(self.hash.hmac(), &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = digest::digest(self.hash.digest(), client_key.as_ref());
        let bare = format!("c={},r={nonce}", STANDARD.encode(HEADER));
        let message = format!("{},{server_first},{bare}", self.first_bare);
        let stored_key = hmac::Key::new(self.hash.hmac(), stored_key.as_ref());
        let signature = hmac::sign(&stored_key, message.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(key, sign)| key ^ sign)
            .collect();
        let server_key = hmac::sign(&salted, b"Server Key");
        let key = hmac::Key::new(self.hash.hmac(), server_key.as_ref());
        let answer = format!("{bare},p={}", STANDARD.encode(proof));
        Ok((Expected { key, message }, answer))
    }

    /// The whole nonce, the salt and the number of iterations.
    fn read(&self, server_first: &str) -> Result<(String, Vec<u8>, NonZeroU32), String> {
        let wrong = || "the server's first message is none of SCRAM".to_owned();
        let mut parts = server_first.split(',');
        let mut part =
            |name: &str| parts.next().and_then(|part| part.strip_prefix(name)).ok_or_else(wrong);
        let (nonce, salt, iterations) = (part("r=")?, part("s=")?, part("i=")?);
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not go on from ours".into());
        }
        let salt = STANDARD.decode(salt).map_err(|_| wrong())?;
        let iterations: u32 = iterations.parse().map_err(|_| wrong())?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(format!(
                "the server asks for {iterations} iterations, and not for {LEAST_ITERATIONS} to {MOST_ITERATIONS}"
            ));
        }
        let iterations = NonZeroU32::new(iterations).ok_or_else(wrong)?;
        Ok((nonce.to_owned(), salt, iterations))
    }
}

impl Expected {
    /// Whether the server knows the secret.
    pub(crate) fn check(&self, server_final: &str) -> Result<(), String> {
        if let Some(error) = server_final.strip_prefix("e=") {
            return Err(format!("the server says {error}"));
        }
        let signature = server_final
            .strip_prefix("v=")
            .and_then(|text| text.split(',').next())
            .and_then(|text| STANDARD.decode(text).ok())
            .unwrap_or_default();
        hmac::verify(&self.key, self.message.as_bytes(), &signature)
            .map_err(|_| "the server has not proved that it knows the secret".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The exchange of RFC 7677, 3.
    #[test]
    fn the_example_of_the_specification() {
        let (begun, first) = begin(Hash::Sha256, "user", "rOprNGfwEbeRWgbNEkqO".into());
        assert_eq!(first, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server_first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
            s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (expected, last) = begun.answer(server_first, "pencil").unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let server_final = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(expected.check(server_final), Ok(()));
        assert!(expected.check("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=").is_err());
        assert!(expected.check("e=unknown-user").unwrap_err().contains("unknown-user"));
        assert!(expected.check("").is_err());
    }

    #[test]
    fn a_server_that_does_not_keep_to_it_gets_no_proof() {
        let answer = |server_first: &str| {
            let (begun, _) = begin(Hash::Sha512, "user", "abc".into());
            begun.answer(server_first, "pencil").map(drop)
        };
        assert_eq!(answer("r=abcd,s=c2FsdA==,i=4096"), Ok(()));
        for wrong in [
            "",
            "r=abcd,s=c2FsdA==",
            "r=abc,s=c2FsdA==,i=4096",
            "r=xabcd,s=c2FsdA==,i=4096",
            "r=abcd,s=?,i=4096",
            "r=abcd,s=c2FsdA==,i=1",
            "r=abcd,s=c2FsdA==,i=99999999",
            "m=ext,r=abcd,s=c2FsdA==,i=4096",
        ] {
            assert!(answer(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_cannot_forge_what_stands_behind_them() {
        let (_, first) = begin(Hash::Sha256, "a,r=x", "n".into());
        assert_eq!(first, "n,,n=a=2Cr=3Dx,r=n");
    }
}
