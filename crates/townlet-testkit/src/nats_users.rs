//! Users of a NATS server that are keys: an operator with one account, and what `nsc` would
//! make for its users.
//!
//! A JWT here is `base64url(header).base64url(claims).base64url(signature)`, signed with the
//! issuer's NKey. Servers look at who signed, and at the limits; the ones here are none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64URL;
use nkeys::KeyPair;

/// Decentralised authentication: a server knows the operator, and which account it signed.
pub struct Operator {
    operator: KeyPair,
    account: KeyPair,
    system: KeyPair,
}

impl Operator {
    /// One with keys of its own and one account that may use JetStream.
    #[expect(clippy::new_without_default, reason = "makes keys: no two are alike")]
    pub fn new() -> Self {
        Self { operator: KeyPair::new_operator(), account: KeyPair::new_account(), system: KeyPair::new_account() }
    }

    /// Lines for the configuration of a server that trusts this operator, with a memory
    /// resolver.
    pub fn server_config(&self) -> String {
        let (operator, system) = (self.operator.public_key(), self.system.public_key());
        let trusted = signed(
            &self.operator,
            &format!("\"sub\":\"{operator}\",\"name\":\"town\",\"nats\":{{\"type\":\"operator\",\"version\":2}}"),
        );
        let account = |name: &str, key: &KeyPair, storage: i8| {
            let claims = format!(
                "\"sub\":\"{}\",\"name\":\"{name}\",\"nats\":{{\"limits\":{{\"subs\":-1,\"data\":-1,\"payload\":-1,\
                 \"imports\":-1,\"exports\":-1,\"wildcards\":true,\"conn\":-1,\"leaf\":-1,\"mem_storage\":{storage},\
                 \"disk_storage\":{storage},\"streams\":-1,\"consumer\":-1}},\"type\":\"account\",\"version\":2}}",
                key.public_key()
            );
            format!("{}: {}", key.public_key(), signed(&self.operator, &claims))
        };
        format!(
            "operator: {trusted}\nsystem_account: {system}\nresolver: MEMORY\nresolver_preload: {{\n{}\n{}\n}}",
            account("SYS", &self.system, 0),
            account("TOWN", &self.account, -1)
        )
    }

    /// A `.creds` file for a new user, that holds for `lifetime`, or for ever.
    pub fn credentials(&self, lifetime: Option<Duration>) -> String {
        let expires = lifetime.map(|lifetime| now().saturating_add(lifetime).as_secs());
        self.of_user(&self.account, expires)
    }

    /// One that held until a minute ago.
    pub fn expired_credentials(&self) -> String {
        self.of_user(&self.account, Some(now().as_secs().saturating_sub(60)))
    }

    /// One that an account signed which the server does not know.
    pub fn foreign_credentials(&self) -> String {
        self.of_user(&KeyPair::new_account(), None)
    }

    fn of_user(&self, account: &KeyPair, expires: Option<u64>) -> String {
        let user = KeyPair::new_user();
        let expires = expires.map(|at| format!("\"exp\":{at},")).unwrap_or_default();
        let claims = format!(
            "\"sub\":\"{}\",\"name\":\"shard\",{expires}\"nats\":{{\"pub\":{{}},\"sub\":{{}},\"subs\":-1,\
             \"data\":-1,\"payload\":-1,\"type\":\"user\",\"version\":2}}",
            user.public_key()
        );
        let (jwt, seed) = (signed(account, &claims), seed(&user));
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
        )
    }
}

impl fmt::Debug for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operator").field("public", &self.operator.public_key()).finish_non_exhaustive()
    }
}

/// The seed and the public key of a new user, for a server that lists its users' NKeys.
pub fn nkey_user() -> (String, String) {
    let user = KeyPair::new_user();
    (seed(&user), user.public_key())
}

/// Puts what may be read by the owner alone into a new file, or into one that is there.
///
/// # Panics
/// Where it cannot.
pub fn keep_secret(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("a secret is written");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("and kept");
    }
    path
}

fn seed(pair: &KeyPair) -> String {
    pair.seed().expect("a pair that was made has its seed")
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970")
}

fn signed(issuer: &KeyPair, claims: &str) -> String {
    let header = BASE64URL.encode(r#"{"typ":"JWT","alg":"ed25519-nkey"}"#);
    let claims = format!("{{\"jti\":\"T\",\"iat\":{},\"iss\":\"{}\",{claims}}}", now().as_secs(), issuer.public_key());
    let signed = format!("{header}.{}", BASE64URL.encode(claims));
    let signature = issuer.sign(signed.as_bytes()).expect("a pair that was made can sign");
    format!("{signed}.{}", BASE64URL.encode(signature))
}
