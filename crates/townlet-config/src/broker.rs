//! `nats`: where a broker keeps what it is sent.

use std::time::Duration;

use townlet_transport::{BrokerSettings, BrokerStream, Settings};

use crate::block::Block;
use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::endpoint;
use crate::origin::{Given, Place};

/// The keys as given.
pub(crate) struct Raw {
    /// Where the block stands, if it does.
    pub(crate) place: Option<Place>,
    stream: Option<Given<String>>,
    subject: Option<Given<String>>,
    partitions: u64,
    create: bool,
    replicas: Option<Given<u64>>,
    max_bytes: Option<Given<u64>>,
    duplicate_window: Option<Given<Duration>>,
    path: String,
}

/// Seconds for which a broker knows a message that comes again.
const WINDOW: f64 = 120.0;

pub(crate) fn read(ctx: &mut Context<'_>, outer: &mut Block<'_>) -> Raw {
    let defaults = BrokerSettings::default();
    let written = outer.has("nats");
    let mut block = outer.block(ctx, "nats");
    let window = block.seconds(ctx, "duplicate_window_seconds", WINDOW, 0.1..=86_400.0);
    let raw = Raw {
        place: written.then(|| block.place().clone()),
        stream: block.opt_text(ctx, "stream", &format!("the name of a stream; {} without it", defaults.stream)),
        subject: block.opt_text(
            ctx,
            "subject",
            &format!("a subject with placeholders; {} without it", defaults.subject),
        ),
        partitions: block.int(ctx, "partitions", u64::from(defaults.partitions), 1..=1024),
        create: block.bool(ctx, "create", false),
        replicas: block.opt_int(ctx, "replicas", Some(1), 1..=5),
        max_bytes: block.opt_int(ctx, "max_bytes", None, 1024..=1 << 50),
        duplicate_window: block
            .entry("duplicate_window_seconds")
            .map(|entry| Given { value: window, place: entry.place.clone() }),
        path: block.path().to_owned(),
    };
    block.close(ctx);
    raw
}

/// Checks the keys and puts them among the settings for the factory.
pub(crate) fn apply(ctx: &mut Context<'_>, raw: &Raw, settings: &mut Settings) {
    let broker = &mut settings.broker;
    for (name, given, to) in
        [("stream", &raw.stream, &mut broker.stream), ("subject", &raw.subject, &mut broker.subject)]
    {
        let Some(given) = given else { continue };
        if given.value.trim().is_empty() {
            let key = format!("{}.{name}", raw.path);
            ctx.error(Code::Missing, &given.place, &key, format!("{key} must not be blank"));
        } else {
            to.clone_from(&given.value);
        }
    }
    broker.partitions = u32::try_from(raw.partitions).unwrap_or(u32::MAX);
    if raw.create {
        let mut stream = BrokerStream::default();
        if let Some(replicas) = &raw.replicas {
            stream.replicas = usize::try_from(replicas.value).unwrap_or(usize::MAX);
        }
        stream.max_bytes = raw.max_bytes.as_ref().map(|given| given.value);
        if let Some(window) = &raw.duplicate_window {
            stream.duplicate_window = window.value;
        }
        broker.create = Some(stream);
        return;
    }
    let places = [
        ("replicas", raw.replicas.as_ref().map(|given| &given.place)),
        ("max_bytes", raw.max_bytes.as_ref().map(|given| &given.place)),
        ("duplicate_window_seconds", raw.duplicate_window.as_ref().map(|given| &given.place)),
    ];
    for (name, place) in places {
        if let Some(place) = place {
            let key = format!("{}.{name}", raw.path);
            let message = format!("{key} has no effect: a stream that is there is left as it is");
            ctx.warn(Code::NoEffect, place, &key, message).help("set create: true to make one where there is none");
        }
    }
}

/// The servers of `endpoint`: URLs with commas between.
pub(crate) struct Servers {
    pub(crate) is_secure: bool,
    /// A host that is not this machine, where there is one.
    pub(crate) far: Option<String>,
}

pub(crate) fn servers(text: &str) -> Result<Servers, endpoint::Wrong> {
    let mut servers: Option<Servers> = None;
    for one in text.split(',').map(str::trim) {
        let url = endpoint::url(one, "nats", "tls")?;
        let far = (!url.is_loopback).then_some(url.host);
        match &mut servers {
            None => servers = Some(Servers { is_secure: url.is_secure, far }),
            Some(before) if before.is_secure != url.is_secure => {
                let message = format!("{} has another scheme than the servers before it", quote(one));
                return Err(endpoint::Wrong { message, help: "write tls:// for all of them, or nats://".into() });
            }
            Some(before) => before.far = before.far.take().or(far),
        }
    }
    // Splitting gives one part at least.
    Ok(servers.unwrap_or(Servers { is_secure: true, far: None }))
}
