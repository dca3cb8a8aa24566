#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use townlet_registry::{ErrorKind, KeyRing, PublicKey, Role, Signer, Time, TrustedKey};

use crate::support::{noon, note, ring, signer, trusted};

/// RFC 8032, section 7.1, tests 1 and 2.
#[test]
fn signatures_are_those_of_rfc_8032() {
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    };
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            concat!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b",
                "d25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            concat!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c",
                "387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
    ] {
        let signer = Signer::from_seed(&bytes(seed).try_into().unwrap());
        assert_eq!(signer.public().as_bytes().as_slice(), bytes(public));
        assert_eq!(signer.sign(&bytes(message)).as_slice(), bytes(signature));
        assert!(signer.public().verifies(&bytes(message), &bytes(signature).try_into().unwrap()));
        assert!(!signer.public().verifies(b"another", &bytes(signature).try_into().unwrap()));
    }
}

#[test]
fn keys_of_small_order_are_refused() {
    // The neutral element: under it, one signature fits every message.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(PublicKey::from_bytes(&neutral).unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_secret_key_never_shows_itself() {
    let seed = [0x5a; 32];
    let shown = format!("{:?}", Signer::from_seed(&seed));
    assert_eq!(shown, format!("Signer {}", Signer::from_seed(&seed).key_id()));
    assert!(!shown.contains("5a5a") && !shown.contains("90, 90"));
}

#[cfg(unix)]
#[test]
fn a_key_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ada.pem");
    signer("ada").write_new(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(Signer::read(&path).unwrap().key_id(), signer("ada").key_id());
    // A key is never written over.
    assert_eq!(signer("bob").write_new(&path).unwrap_err().kind(), ErrorKind::Io);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let error = Signer::read(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Exposed);
    assert!(error.to_string().contains("mode 640"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_damaged_key_file_is_an_error_that_does_not_show_the_key() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ada.pem");
    signer("ada").write_new(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let secret = String::from_utf8(whole.clone()).unwrap().lines().nth(1).unwrap().to_owned();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        if let Err(error) = Signer::read(&path) {
            assert!(!error.to_string().contains(&secret[24..40]), "{error}");
        }
    }
    fs::write(&path, &whole[..40]).unwrap();
    assert_eq!(Signer::read(&path).unwrap_err().kind(), ErrorKind::Malformed);
}

/// OpenSSL as a second opinion, in both directions.
#[test]
fn key_files_are_understood_by_openssl_and_its_by_us() {
    let folder = tempfile::tempdir().unwrap();
    let ours = folder.path().join("ours.pem");
    let signer = signer("ada");
    signer.write_new(&ours).unwrap();
    let openssl = |arguments: &[&str]| Command::new("openssl").args(arguments).output();
    let Ok(public) = openssl(&["pkey", "-in", &ours.to_string_lossy(), "-pubout"]) else {
        assert!(std::env::var_os("CI").is_none(), "openssl is needed where CI=true");
        println!("SKIPPED: no openssl on this machine");
        return;
    };
    assert!(public.status.success(), "{}", String::from_utf8_lossy(&public.stderr));
    let public = String::from_utf8(public.stdout).unwrap();
    assert_eq!(public, signer.public().to_pem().unwrap());
    assert_eq!(PublicKey::from_pem(&public).unwrap(), signer.public());

    let theirs = folder.path().join("theirs.pem");
    let made = openssl(&["genpkey", "-algorithm", "ed25519", "-out", &theirs.to_string_lossy()]).unwrap();
    assert!(made.status.success());
    chmod_600(&theirs);
    let signer = Signer::read(&theirs).unwrap();

    let (message, signature) = (folder.path().join("message"), folder.path().join("signature"));
    fs::write(&message, "what was said").unwrap();
    fs::write(&signature, signer.sign(b"what was said")).unwrap();
    let verified = openssl(&[
        "pkeyutl",
        "-verify",
        "-inkey",
        &theirs.to_string_lossy(),
        "-rawin",
        "-in",
        &message.to_string_lossy(),
        "-sigfile",
        &signature.to_string_lossy(),
    ]);
    assert!(verified.unwrap().status.success());
}

fn chmod_600(path: &Path) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = path;
}

#[test]
fn a_key_counts_from_its_first_moment_until_before_its_last() {
    let mut ring = KeyRing::new();
    let until = Time::from_ms(noon().as_ms() + 1_000);
    let id = ring.trust(TrustedKey { from: noon(), until: Some(until), ..trusted("ada", &["sre"]) }).unwrap();
    let at = |ms: i64| ring.at(&id, Time::from_ms(noon().as_ms() + ms)).map(|key| key.person.clone());
    assert_eq!(at(-1).unwrap_err().kind(), ErrorKind::KeyNotValid);
    assert_eq!(at(0).unwrap(), "ada");
    assert_eq!(at(999).unwrap(), "ada");
    let error = at(1_000).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotValid);
    assert!(error.to_string().contains("was valid until 2026-11-21T16:00:01.000Z"), "{error}");
}

#[test]
fn a_revoked_key_keeps_its_past_and_has_no_future() {
    let mut ring = ring(&["ada"]);
    let id = signer("ada").key_id();
    let envelope = note("ada", "r", "fine");
    let hour = |hours: i64| Time::from_ms(noon().as_ms() + hours * 3_600_000);
    ring.revoke(&id, hour(2), "left the team").unwrap();
    ring.verify(&envelope, hour(1)).unwrap();
    let error = ring.verify(&envelope, hour(2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotValid);
    assert!(error.to_string().contains("left the team"), "{error}");
    // It can be found to have been lost earlier, but never be believed again.
    assert_eq!(ring.revoke(&id, hour(3), "second thoughts").unwrap_err().kind(), ErrorKind::Conflict);
    ring.revoke(&id, hour(0), "laptop stolen").unwrap();
    assert_eq!(ring.verify(&envelope, hour(1)).unwrap_err().kind(), ErrorKind::KeyNotValid);
    assert_eq!(ring.revoke(&signer("bob").key_id(), hour(0), "?").unwrap_err().kind(), ErrorKind::UnknownKey);
}

#[test]
fn a_ring_refuses_keys_that_would_prove_nothing() {
    let refused = |key: TrustedKey| KeyRing::new().trust(key).unwrap_err().kind() == ErrorKind::Conflict;
    let ada = || trusted("ada", &["sre"]);
    assert!(refused(TrustedKey { person: String::new(), ..ada() }));
    assert!(refused(TrustedKey { person: "ada ".to_owned(), ..ada() }));
    assert!(refused(trusted("ada", &[])));
    assert!(refused(TrustedKey { until: Some(ada().from), ..ada() }));
    let mut ring = KeyRing::new();
    ring.trust(ada()).unwrap();
    // The same key for somebody else, or for more, is another statement than the first.
    assert_eq!(ring.trust(TrustedKey { person: "bob".to_owned(), ..ada() }).unwrap_err().kind(), ErrorKind::Conflict);
    for name in ["", "SRE", "s r e", "sre\n", "é", &"x".repeat(65)] {
        assert!(Role::new(name).is_err(), "{name}");
    }
}

#[test]
fn a_ring_reads_back_from_its_file_and_refuses_what_it_does_not_know() {
    let mut ring = ring(&["ada", "bob"]);
    ring.revoke(&signer("bob").key_id(), noon(), "left").unwrap();
    let text = String::from_utf8(ring.to_json().unwrap()).unwrap();
    let back = KeyRing::from_json(text.as_bytes()).unwrap();
    assert_eq!(back, ring);
    assert_eq!(back.digest().unwrap(), ring.digest().unwrap());
    assert!(!text.contains("PRIVATE"));

    let ada = signer("ada").key_id().to_string();
    for (wrong, why) in [
        (text.replace("\"from\"", "\"form\""), "unknown field"),
        (text.replace("\"version\": 1", "\"version\": 2"), "version 2"),
        (text.replace(&ada, &"0".repeat(64)), "names another key"),
        (text.replace("2026-11-20T16:00:00.000Z", "2026-11-20T16:00:00"), "no time"),
        (text.replace("BEGIN PUBLIC", "BEGIN PUBLIK"), "PEM"),
        (text.replace("sre", "SRE"), "no role"),
    ] {
        assert_ne!(wrong, text);
        let error = KeyRing::from_json(wrong.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{why}: {error}");
    }
}

#[test]
fn times_have_one_text_and_need_an_offset() {
    assert_eq!(noon().to_string(), "2026-11-21T16:00:00.000Z");
    for (text, ms) in [
        ("2026-11-21T16:00:00Z", noon().as_ms()),
        ("2026-11-21T17:00:00.0019+01:00", noon().as_ms() + 1),
        ("1969-12-31T23:59:59.9999Z", -1),
    ] {
        assert_eq!(text.parse::<Time>().unwrap().as_ms(), ms);
    }
    for wrong in ["", "2026-11-21", "2026-11-21T16:00:00", "noon", "2026-13-01T00:00:00Z"] {
        assert_eq!(wrong.parse::<Time>().unwrap_err().kind(), ErrorKind::Malformed, "{wrong}");
    }
    for end in [i64::MIN, i64::MAX] {
        let time = Time::from_ms(end);
        assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
    }
}
