//! Users that are keys: a seed by itself, or with the JWT of a `.creds` file.
//!
//! A server sends a number that it uses once, and whoever signs it with the user's seed is
//! that user; the seed never leaves. Where the server has the public key in its
//! configuration that is all (an NKey). Where operators sign accounts and accounts sign
//! users, the user shows besides what its account has signed: a JWT.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::{AuthError, ConnectOptions};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use nkeys::{KeyPair, KeyPairType};
use serde_json::Value;

/// Who we are, with the proof of it.
pub(crate) struct User {
    pair: Arc<KeyPair>,
    jwt: Option<Jwt>,
    /// Where it was read, for messages.
    place: String,
}

struct Jwt {
    text: Arc<str>,
    /// From when and until when it holds, in seconds since the epoch; 0 is for ever.
    not_before: u64,
    expires: u64,
}

impl User {
    /// Of a file as `nk -gen user` and `nsc` write it: a line with a seed, decorated or not.
    pub(crate) fn of_seed(text: &str, place: String) -> Result<Self, String> {
        let decorated = block(text, "SEED");
        let plain = || text.lines().map(str::trim).find(|line| line.starts_with('S'));
        let seed = match decorated.or_else(plain) {
            Some(seed) => seed,
            None if text.trim_start().starts_with('U') => {
                return Err(format!("{place} holds a public key: give the seed, which begins with SU"));
            }
            None => return Err(format!("{place} holds no seed, which begins with SU")),
        };
        Ok(Self { pair: Arc::new(pair(seed, &place)?), jwt: None, place })
    }

    /// Of a `.creds` file, as `nsc generate creds` writes it.
    pub(crate) fn of_credentials(text: &str, place: String) -> Result<Self, String> {
        let missing = |what: &str| format!("{place} has no {what} in it: is it a .creds file, and whole?");
        let text_of_jwt = block(text, "JWT").ok_or_else(|| missing("-----BEGIN NATS USER JWT-----"))?;
        let seed = block(text, "SEED").ok_or_else(|| missing("-----BEGIN USER NKEY SEED-----"))?;
        let pair = pair(seed, &place)?;
        let claims = claims(text_of_jwt).ok_or_else(|| format!("the JWT in {place} is damaged"))?;
        if claims["nats"]["type"].as_str().is_some_and(|of| of != "user") {
            return Err(format!("the JWT in {place} is no user's: export the credentials of a user"));
        }
        let (named, own) = (claims["sub"].as_str().unwrap_or_default(), pair.public_key());
        if named != own {
            return Err(format!(
                "{place} has the JWT of {named:?} with the seed of {own}: they do not belong together"
            ));
        }
        let seconds = |key: &str| claims[key].as_u64().unwrap_or_default();
        let jwt = Jwt { text: text_of_jwt.into(), not_before: seconds("nbf"), expires: seconds("exp") };
        Ok(Self { pair: Arc::new(pair), jwt: Some(jwt), place })
    }

    /// The options of a client that signs as this user.
    pub(crate) fn options(&self) -> ConnectOptions {
        let (pair, jwt) = (Arc::clone(&self.pair), self.jwt.as_ref().map(|jwt| Arc::clone(&jwt.text)));
        ConnectOptions::with_auth_callback(move |nonce| {
            let mut shown = async_nats::Auth::new();
            match &jwt {
                Some(jwt) => shown.jwt = Some(jwt.to_string()),
                None => shown.nkey = Some(pair.public_key()),
            }
            let signed = pair.sign(&nonce).map_err(AuthError::new);
            std::future::ready(signed.map(|signature| {
                shown.signature = Some(signature);
                shown
            }))
        })
    }

    /// What to look at where the server did not let this user in.
    pub(crate) fn advice(&self, now: SystemTime) -> String {
        let (public, place) = (self.pair.public_key(), &self.place);
        let Some(jwt) = &self.jwt else {
            return format!(" as {public}: check auth, and that the server's users have this nkey");
        };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        if jwt.expires > 0 && jwt.expires <= now {
            let ago = now - jwt.expires;
            return format!(" as {public}: check auth, the JWT in {place} expired {ago} s ago: renew the file");
        }
        if jwt.not_before > now {
            let wait = jwt.not_before - now;
            return format!(" as {public}: check auth, the JWT in {place} holds in {wait} s only: is the clock right?");
        }
        format!(
            " as {public}: check auth, that the server knows the account that signed {place}, and that the user was \
             not revoked"
        )
    }
}

/// Without the seed.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("public", &self.pair.public_key()).field("place", &self.place).finish()
    }
}

/// The pair of a seed. The seed does not get into the message, whatever is wrong with it.
fn pair(seed: &str, place: &str) -> Result<KeyPair, String> {
    let damaged = |_| format!("the seed in {place} is damaged: it has 58 letters and digits, and a checksum in them");
    let pair = KeyPair::from_seed(seed).map_err(damaged)?;
    match pair.key_pair_type() {
        KeyPairType::User => Ok(pair),
        other => {
            Err(format!("{place} holds the seed of an identity of type {other:?}: give a user's, which begins with SU"))
        }
    }
}

/// The line between `-----BEGIN … LABEL-----` and the next that begins with dashes.
fn block<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    let begins =
        |line: &&str| line.starts_with("---") && line.contains("BEGIN") && line.trim_end_matches('-').ends_with(label);
    let mut lines = text.lines().map(str::trim).skip_while(|line| !begins(line)).skip(1);
    lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("---"))
}

/// What a JWT says. Whether it is signed is for the server to find out.
fn claims(jwt: &str) -> Option<Value> {
    let mut parts = jwt.split('.');
    let (_, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    if signature.is_empty() || parts.next().is_some() {
        return None;
    }
    serde_json::from_slice(&BASE64URL.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn jwt(sub: &str, rest: &str) -> String {
        let claims = format!("{{\"sub\":\"{sub}\",{rest}\"nats\":{{\"type\":\"user\"}}}}");
        format!("e30.{}.c2ln", BASE64URL.encode(claims))
    }

    fn credentials(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\r\n{jwt}\r\n------END NATS USER JWT------\r\n\r\n** IMPORTANT **\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }

    fn advice(rest: &str) -> String {
        let pair = KeyPair::new_user();
        let text = credentials(&jwt(&pair.public_key(), rest), &pair.seed().unwrap());
        let user = User::of_credentials(&text, "the file c".into()).unwrap();
        user.advice(UNIX_EPOCH + Duration::from_secs(NOW))
    }

    #[test]
    fn a_seed_is_read_as_its_tools_write_it() {
        let pair = KeyPair::new_user();
        let (seed, public) = (pair.seed().unwrap(), pair.public_key());
        let decorated = format!("-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n");
        for text in [format!("{seed}\n"), format!("  {seed}\r\n{public}\n"), decorated] {
            let user = User::of_seed(&text, "the file s".into()).unwrap();
            assert_eq!(user.pair.public_key(), public, "{text:?}");
            assert!(!format!("{user:?}").contains(&seed));
        }
    }

    #[test]
    fn what_is_no_seed_of_a_user_is_said_without_the_seed() {
        let (account, user) = (KeyPair::new_account().seed().unwrap(), KeyPair::new_user());
        let seed = user.seed().unwrap();
        let flipped = format!("{}{}", &seed[..57], if seed.ends_with('A') { 'B' } else { 'A' });
        for (text, says) in [
            (account, "of type Account"),
            (flipped, "damaged"),
            (seed[..40].to_owned(), "damaged"),
            (user.public_key(), "holds a public key"),
            ("hunter2".to_owned(), "holds no seed"),
            ("S\u{e9}\u{e9}\u{e9}".to_owned(), "damaged"),
        ] {
            let said = User::of_seed(&text, "the file s".into()).unwrap_err();
            assert!(said.contains(says) && said.contains("the file s"), "{says}: {said}");
            assert!(text.starts_with('U') || !said.contains(&text), "{said}");
        }
    }

    #[test]
    fn a_credentials_file_is_taken_whole_or_not_at_all() {
        let (pair, other) = (KeyPair::new_user(), KeyPair::new_user());
        let (seed, own) = (pair.seed().unwrap(), jwt(&pair.public_key(), ""));
        let account = own.replace(&own, &format!("e30.{}.c2ln", BASE64URL.encode(r#"{"nats":{"type":"account"}}"#)));
        let whole = credentials(&own, &seed);
        assert!(User::of_credentials(&whole, "the file c".into()).is_ok());
        for (text, says) in [
            (seed.clone(), "no -----BEGIN NATS USER JWT-----"),
            (whole.split("** IMP").next().unwrap().to_owned(), "no -----BEGIN USER NKEY SEED-----"),
            (credentials("e30.c2ln", &seed), "JWT in the file c is damaged"),
            (credentials("e30.%%.c2ln", &seed), "JWT in the file c is damaged"),
            (credentials(&own, &seed[1..]), "seed in the file c is damaged"),
            (credentials(&jwt(&other.public_key(), ""), &seed), "do not belong together"),
            (credentials(&account, &seed), "is no user's"),
        ] {
            let said = User::of_credentials(&text, "the file c".into()).unwrap_err();
            assert!(said.contains(says), "{says}: {said}");
            assert!(!said.contains(&seed[1..]), "{said}");
        }
    }

    #[test]
    fn the_advice_says_whether_it_is_the_time() {
        assert!(advice("").contains("knows the account"));
        assert!(advice(&format!("\"exp\":{},", NOW - 90)).contains("expired 90 s ago"));
        assert!(advice(&format!("\"exp\":{},", NOW + 90)).contains("knows the account"));
        assert!(advice(&format!("\"nbf\":{},", NOW + 90)).contains("holds in 90 s only"));
    }
}
