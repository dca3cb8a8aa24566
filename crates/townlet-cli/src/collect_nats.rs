//! `townlet collect --nats`: lines from NATS JetStream, shared with other collectors.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use townlet_collector::nats::{Member, NatsSource};
use townlet_nats::{NatsOptions, Security, Servers, Subject};
use townlet_tls::{ClientOptions, PlaintextFlags};
use townlet_transport::{Auth, SecretSource};

use crate::args::duration;
use crate::exit::Failure;

/// Where to pull from, and with whom to share it.
#[derive(Debug, Args)]
pub(crate) struct NatsArgs {
    /// Pull lines from NATS JetStream as well: tls://host:4222, several servers with commas between. nats:// is
    /// plaintext, and stays on this machine.
    #[arg(long, value_name = "URL")]
    pub(crate) nats: Option<String>,
    /// The JetStream stream, which has to be there.
    #[arg(long, requires = "nats", default_value = "TOWNLET", value_name = "STREAM")]
    pub(crate) nats_stream: String,
    /// The subjects of its messages, as the producers have them.
    #[arg(long, requires = "nats", default_value = "townlet.{partition}.{stream}", value_name = "TEMPLATE")]
    pub(crate) nats_subject: String,
    /// Into how many partitions the producers share out their streams.
    #[arg(long, requires = "nats", default_value_t = 16, value_name = "N")]
    pub(crate) nats_partitions: u32,
    /// The group of collectors that share the messages; each group gets all of them.
    #[arg(long, requires = "nats", default_value = "townlet")]
    pub(crate) group: String,
    /// Which member of the group this is, as 1/3; each has a folder of its own.
    #[arg(long, requires = "nats", default_value = "1/1", value_name = "I/N", value_parser = member)]
    pub(crate) member: Member,
    /// After so long a silence another member's share is taken over.
    #[arg(long, requires = "nats", default_value = "10s", value_name = "TIME", value_parser = duration)]
    pub(crate) take_over_after: Duration,
    /// After so long without an acknowledgement the server delivers a message again. Of consumers that are there
    /// already it stays as it is.
    #[arg(long, requires = "nats", default_value = "30s", value_name = "TIME", value_parser = duration)]
    pub(crate) nats_ack_wait: Duration,
    /// Trust this authority instead of the platform's, PEM.
    #[arg(long, requires = "nats", value_name = "FILE")]
    pub(crate) nats_ca: Option<PathBuf>,
    /// Client certificate chain, PEM.
    #[arg(long, requires = "nats", requires = "nats_key", value_name = "FILE")]
    pub(crate) nats_cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, requires = "nats", requires = "nats_cert", value_name = "FILE")]
    pub(crate) nats_key: Option<PathBuf>,
    /// File with the token to show.
    #[arg(long, requires = "nats", conflicts_with = "nats_user", value_name = "FILE")]
    pub(crate) nats_token_file: Option<PathBuf>,
    /// The user to be.
    #[arg(long, requires = "nats", requires = "nats_password_file", value_name = "NAME")]
    pub(crate) nats_user: Option<String>,
    /// File with that user's password.
    #[arg(long, requires = "nats", requires = "nats_user", value_name = "FILE")]
    pub(crate) nats_password_file: Option<PathBuf>,
    /// File with the credentials of a user (.creds: a JWT with the seed of its key). Read again for each connection.
    #[arg(long, requires = "nats", conflicts_with_all = ["nats_token_file", "nats_user"], value_name = "FILE")]
    pub(crate) nats_credentials_file: Option<PathBuf>,
    /// File with the seed of an NKey that the server lists (.nk).
    #[arg(
        long,
        requires = "nats",
        conflicts_with_all = ["nats_token_file", "nats_user", "nats_credentials_file"],
        value_name = "FILE"
    )]
    pub(crate) nats_nkey_seed_file: Option<PathBuf>,
}

impl NatsArgs {
    /// What the server is shown; clap has seen to it that it is one thing.
    fn auth(&self) -> Option<Auth> {
        let file = |path: &Option<PathBuf>| path.clone().map(SecretSource::File);
        let password = self.nats_user.clone().zip(file(&self.nats_password_file));
        let credentials = file(&self.nats_credentials_file).map(Auth::Credentials);
        let seed = file(&self.nats_nkey_seed_file).map(Auth::NkeySeed);
        let token = file(&self.nats_token_file).map(Auth::Bearer);
        credentials.or(seed).or(token).or(password.map(|(user, password)| Auth::Basic(user, password)))
    }
}

fn member(text: &str) -> Result<Member, String> {
    let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    parts.and_then(|(number, of)| Member::new(number, of)).ok_or_else(|| "write 1/3 for the first of three".into())
}

/// What the arguments stand for; none where nothing is to be pulled.
pub(crate) fn source(args: &NatsArgs) -> anyhow::Result<Option<NatsSource>> {
    let Some(url) = &args.nats else { return Ok(None) };
    // As for the listeners: plaintext needs no leave of its own, and stays on this machine.
    let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
    let servers = Servers::parse(url).map_err(|error| Failure::usage(format!("--nats: {error}")))?;
    let mut nats = NatsOptions::new(servers, flags).map_err(|error| Failure::usage(format!("--nats: {error}")))?;
    match &mut nats.security {
        Security::Tls(client) => {
            *client = ClientOptions {
                ca_file: args.nats_ca.clone(),
                cert_file: args.nats_cert.clone(),
                key_file: args.nats_key.clone(),
                ..ClientOptions::default()
            }
        }
        Security::Plaintext(_) if args.nats_ca.is_some() || args.nats_cert.is_some() => {
            return Err(Failure::usage(
                "--nats is nats://, which has no TLS: write tls://, or leave the certificates out",
            ));
        }
        Security::Plaintext(_) => {}
    }
    nats.auth = args.auth();
    nats.name = format!("townlet collect {}", args.group);
    let bad = |c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if args.group.is_empty() || args.group.chars().any(bad) {
        return Err(Failure::usage(format!("--group: {:?} has more in it than letters, digits, - and _", args.group)));
    }
    let subject = Subject::parse(&args.nats_subject, args.nats_partitions);
    let subject = subject.map_err(|error| Failure::usage(format!("--nats-subject, --nats-partitions: {error}")))?;
    Ok(Some(NatsSource {
        stream: args.nats_stream.clone(),
        subject,
        group: args.group.clone(),
        member: args.member,
        ack_wait: args.nats_ack_wait,
        patience: args.take_over_after,
        heartbeat: (args.take_over_after / 10).clamp(Duration::from_millis(50), Duration::from_secs(1)),
        ..NatsSource::new(nats)?
    }))
}
