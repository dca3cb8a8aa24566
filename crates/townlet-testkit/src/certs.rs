//! Certificates made on the spot, the wrong ones included.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

const DAY: Duration = Duration::from_secs(86_400);

/// A folder with a certificate authority and what it issued, as PEM files.
/// The folder goes when this is dropped.
#[derive(Debug)]
pub struct Pki {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
    ca_file: PathBuf,
}

/// The files of one issued certificate.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate chain, leaf first, PEM.
    pub cert_file: PathBuf,
    /// The private key, PKCS #8 PEM.
    pub key_file: PathBuf,
}

impl Issued {
    /// Puts this certificate where `place` has its own, and not the key: half of
    /// a renewal. By rename, so that no reader sees a part of it.
    pub fn put_certificate(&self, place: &Self) {
        put(&self.cert_file, &place.cert_file);
    }

    /// Puts this key where `place` has its own.
    pub fn put_key(&self, place: &Self) {
        put(&self.key_file, &place.key_file);
    }

    /// Renews `place`: first the key, then the certificate.
    pub fn put(&self, place: &Self) {
        self.put_key(place);
        self.put_certificate(place);
    }
}

/// Copies `from` to `to` by way of a rename.
pub fn put(from: &Path, to: &Path) {
    let beside = to.with_extension("new");
    std::fs::copy(from, &beside).expect("the temporary folder is writable");
    std::fs::rename(&beside, to).expect("a file can be renamed within its folder");
}

/// A secret as Kubernetes mounts it: the files are links through the link
/// `..data`, which an update swaps from one folder to another.
#[cfg(unix)]
#[derive(Debug)]
pub struct Mount {
    dir: PathBuf,
    /// The paths that a program is given; they never change.
    pub files: Issued,
    version: usize,
}

#[cfg(unix)]
impl Mount {
    /// Mounts `issued` in `dir`, which is made.
    pub fn new(dir: &Path, issued: &Issued) -> Self {
        let files = Issued { cert_file: dir.join("tls.crt"), key_file: dir.join("tls.key") };
        std::fs::create_dir(dir).expect("the folder is new");
        let mut mount = Self { dir: dir.to_owned(), files, version: 0 };
        mount.swap(issued);
        for name in ["tls.crt", "tls.key"] {
            std::os::unix::fs::symlink(Path::new("..data").join(name), dir.join(name)).expect("links can be made");
        }
        mount
    }

    /// Updates both files at once, as the kubelet does.
    pub fn swap(&mut self, issued: &Issued) {
        self.version += 1;
        let folder = format!("..version_{}", self.version);
        let at = self.dir.join(&folder);
        std::fs::create_dir(&at).expect("each version has a folder of its own");
        std::fs::copy(&issued.cert_file, at.join("tls.crt")).expect("the folder is writable");
        std::fs::copy(&issued.key_file, at.join("tls.key")).expect("the folder is writable");
        let beside = self.dir.join("..data_tmp");
        std::os::unix::fs::symlink(&folder, &beside).expect("links can be made");
        std::fs::rename(&beside, self.dir.join("..data")).expect("a link can be renamed");
    }
}

/// What a certificate says.
#[derive(Clone, Debug)]
pub struct Leaf {
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    client: bool,
}

impl Leaf {
    /// A server certificate for DNS names and IP addresses, valid from
    /// yesterday for 90 days.
    pub fn server(names: &[&str]) -> Self {
        let now = SystemTime::now();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { names, not_before: now - DAY, not_after: now + 90 * DAY, client: false }
    }

    /// A client certificate for `name`, valid from yesterday for 90 days.
    pub fn client(name: &str) -> Self {
        Self { client: true, ..Self::server(&[name]) }
    }

    /// The validity period, at whole seconds.
    pub fn valid(mut self, from: SystemTime, until: SystemTime) -> Self {
        (self.not_before, self.not_after) = (from, until);
        self
    }

    /// Expired a day ago.
    pub fn expired(self) -> Self {
        let now = SystemTime::now();
        self.valid(now - 30 * DAY, now - DAY)
    }

    /// Valid from tomorrow on.
    pub fn not_yet_valid(self) -> Self {
        let now = SystemTime::now();
        self.valid(now + DAY, now + 30 * DAY)
    }

    fn params(&self) -> CertificateParams {
        let mut params =
            CertificateParams::new(self.names.clone()).expect("the names are valid DNS names or addresses");
        let subject = self.names.first().map_or("townlet test", String::as_str);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject);
        let unix = |t: SystemTime| t.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix(self.not_before).as_secs());
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(unix(self.not_after).as_secs());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![if self.client { ExtendedKeyUsagePurpose::ClientAuth } else { ExtendedKeyUsagePurpose::ServerAuth }];
        params.use_authority_key_identifier_extension = true;
        params
    }
}

impl Pki {
    /// A new authority in a new folder; its certificate is `ca.pem`.
    #[expect(clippy::new_without_default, reason = "it creates files")]
    pub fn new() -> Self {
        // Each authority has its own name, as in life: with equal names only the
        // signature tells them apart.
        static AUTHORITIES: AtomicU64 = AtomicU64::new(1);
        Self::named(&format!("townlet test authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed)))
    }

    /// The same with a name of the caller's choice.
    pub fn named(name: &str) -> Self {
        let dir = TempDir::new().expect("the temporary folder is writable");
        let params = authority(name);
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = params.self_signed(&key).expect("the authority can sign itself");
        let ca_file = write(dir.path(), "ca.pem", certificate.pem());
        Self { issuer: Issuer::new(params, key), ca_file, dir }
    }

    /// An authority that this one vouches for: an intermediate. Its `ca_file` is
    /// the certificate that a server has to send along.
    pub fn subordinate(&self, name: &str) -> Self {
        let dir = TempDir::new().expect("the temporary folder is writable");
        let params = authority(name);
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority can sign");
        let ca_file = write(dir.path(), "ca.pem", certificate.pem());
        Self { issuer: Issuer::new(params, key), ca_file, dir }
    }

    /// The folder, for further files of a test.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The authority's certificate.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Issues a certificate; the files are `<stem>.pem` and `<stem>.key`.
    pub fn issue(&self, stem: &str, leaf: &Leaf) -> Issued {
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = leaf.params().signed_by(&key, &self.issuer).expect("the authority can sign");
        self.store(stem, certificate.pem(), &key)
    }

    /// A certificate that nobody vouches for but itself.
    pub fn self_signed(&self, stem: &str, leaf: &Leaf) -> Issued {
        let key = KeyPair::generate().expect("a P-256 key can be made");
        let certificate = leaf.params().self_signed(&key).expect("a key can sign its own certificate");
        self.store(stem, certificate.pem(), &key)
    }

    /// A certificate for `localhost`, `127.0.0.1` and `::1`: what most tests need.
    pub fn localhost(&self) -> Issued {
        self.issue("localhost", &Leaf::server(&["localhost", "127.0.0.1", "::1"]))
    }

    fn store(&self, stem: &str, certificate: String, key: &KeyPair) -> Issued {
        Issued {
            cert_file: write(self.dir(), &format!("{stem}.pem"), certificate),
            key_file: write(self.dir(), &format!("{stem}.key"), key.serialize_pem()),
        }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names to be wrong");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn write(dir: &Path, name: &str, content: String) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, content).expect("the temporary folder is writable");
    path
}
