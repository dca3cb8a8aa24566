//! `townlet certs`: a self-made authority, for demos and tests.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};

use crate::args::Certs;
use crate::exit::Exit;
use crate::out::say;

pub(crate) fn run(args: &Certs) -> anyhow::Result<Exit> {
    write_all(&args.out)?;
    say!("wrote ca.pem, server.pem, server.key, client.pem and client.key to {}", args.out.display())?;
    Ok(Exit::Yes)
}

/// Writes `ca.pem`, a server certificate for localhost and a client certificate,
/// each with its key. The authority's own key is not kept: nobody can issue more.
pub(crate) fn write_all(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name = rcgen::DistinguishedName::new();
    authority.distinguished_name.push(DnType::CommonName, "townlet self-made authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut authority);
    let key = KeyPair::generate()?;
    write(&dir.join("ca.pem"), &authority.self_signed(&key)?.pem(), 0o644)?;
    let issuer = Issuer::new(authority, key);
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    issue(dir, "server", names, ExtendedKeyUsagePurpose::ServerAuth, &issuer)?;
    issue(dir, "client", vec!["townlet-client".to_owned()], ExtendedKeyUsagePurpose::ClientAuth, &issuer)
}

/// From yesterday, so that a clock that is a little behind does no harm, for a year.
fn set_validity(params: &mut CertificateParams) {
    let day = Duration::from_secs(24 * 60 * 60);
    let now = rcgen::date_time_ymd(1970, 1, 1) + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = now - day;
    params.not_after = now + day * 365;
}

fn issue(
    dir: &Path,
    stem: &str,
    names: Vec<String>,
    usage: ExtendedKeyUsagePurpose,
    issuer: &Issuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("townlet {stem}"));
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params);
    let key = KeyPair::generate()?;
    write(&dir.join(format!("{stem}.pem")), &params.signed_by(&key, issuer)?.pem(), 0o644)?;
    write(&dir.join(format!("{stem}.key")), &key.serialize_pem(), 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let mut file = options.open(path).with_context(|| format!("writing {}", path.display()))?;
    // A file that was there before has the mode of that time.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    file.set_permissions(mode).with_context(|| format!("writing {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("writing {}", path.display()))
}
