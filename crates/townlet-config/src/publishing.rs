//! The keys of a sink that publishes figures: `type: prometheus` and `type: otlp`.

use std::collections::BTreeMap;
use std::time::Duration;

use townlet_transport::Settings;

use crate::block::Block;
use crate::context::Context;
use crate::diagnostic::{Code, quote};
use crate::endpoint;
use crate::origin::{Given, Place};
use crate::paths::{check_readable, resolve};
use crate::rules::Type;
use crate::yaml::Value;

/// The most fields that are published unless a sink says otherwise.
pub(crate) const MAX_SERIES: u64 = 256;

/// The keys as given.
pub(crate) struct Raw {
    pub(crate) scrape_listen: Option<Given<String>>,
    pub(crate) scrape_token_file: Option<Given<String>>,
    pub(crate) export_fields: Option<Given<Vec<String>>>,
    pub(crate) export_max_series: Option<Given<u64>>,
    pub(crate) labels: Option<Given<BTreeMap<String, String>>>,
    pub(crate) publish_metrics: Option<Given<bool>>,
    pub(crate) publish_traces: Option<Given<bool>>,
    pub(crate) publish_interval: Option<Given<Duration>>,
}

pub(crate) fn read(ctx: &mut Context<'_>, block: &mut Block<'_>) -> Raw {
    Raw {
        scrape_listen: block.opt_text(ctx, "scrape_listen", "host:port on this machine"),
        scrape_token_file: block.opt_text(ctx, "scrape_token_file", "a path"),
        export_fields: block.opt_names(ctx, "export_fields", "[]"),
        export_max_series: block.opt_int(ctx, "export_max_series", Some(MAX_SERIES), 1..=10_000),
        labels: block.map_of(ctx, "labels", "a mapping from names to texts", |ctx, key, entry| {
            if let Value::Scalar { text, .. } = &entry.node.value {
                return Some(text.clone());
            }
            let message = format!("{key} takes a text, not {}", entry.node.describe());
            ctx.error(Code::WrongType, &entry.node.place, key, message);
            None
        }),
        publish_metrics: block.opt_bool(ctx, "publish_metrics", "true"),
        publish_traces: block.opt_bool(ctx, "publish_traces", "true"),
        publish_interval: {
            let value = block.seconds(ctx, "publish_interval_seconds", 10.0, 0.1..=86_400.0);
            let entry = block.entry("publish_interval_seconds");
            entry.map(|entry| Given { value, place: entry.place.clone() })
        },
    }
}

impl Raw {
    /// The keys that were given, with their places.
    pub(crate) fn given(&self) -> [(&'static str, Option<&Place>); 8] {
        fn place<T>(given: &Option<Given<T>>) -> Option<&Place> {
            given.as_ref().map(|given| &given.place)
        }
        [
            ("scrape_listen", place(&self.scrape_listen)),
            ("scrape_token_file", place(&self.scrape_token_file)),
            ("export_fields", place(&self.export_fields)),
            ("export_max_series", place(&self.export_max_series)),
            ("labels", place(&self.labels)),
            ("publish_metrics", place(&self.publish_metrics)),
            ("publish_traces", place(&self.publish_traces)),
            ("publish_interval_seconds", place(&self.publish_interval)),
        ]
    }
}

/// The types that read a key of this module.
pub(crate) fn readers(key: &str) -> &'static [Type] {
    match key {
        "scrape_listen" | "scrape_token_file" => &[Type::Prometheus],
        "export_fields" | "export_max_series" | "labels" => &[Type::Prometheus, Type::Otlp],
        "publish_metrics" | "publish_traces" | "publish_interval_seconds" => &[Type::Otlp],
        _ => &[],
    }
}

/// Checks the keys and puts them among the settings for the factory.
pub(crate) fn apply(ctx: &mut Context<'_>, block: &Block<'_>, raw: &Raw, settings: &mut Settings) {
    if let Some(given) = &raw.scrape_listen {
        settings.scrape_listen = listen(ctx, block, given);
    }
    if let Some(given) = &raw.scrape_token_file {
        let key = block.key("scrape_token_file");
        if raw.scrape_listen.is_none() {
            no_effect(ctx, &given.place, &key, "nobody is answered", "set scrape_listen too");
        } else if let Some(path) = resolve(ctx, &key, &given.place, &given.value) {
            check_readable(ctx, &key, &given.place, &path);
            settings.scrape_token_file = Some(path);
        }
    }
    settings.export_fields = raw.export_fields.as_ref().map(|given| given.value.clone()).unwrap_or_default();
    if let Some(given) = &raw.export_max_series {
        if settings.export_fields.is_empty() {
            let key = block.key("export_max_series");
            no_effect(ctx, &given.place, &key, "no payload field is published", "set export_fields too");
        } else {
            settings.export_max_series = usize::try_from(given.value).unwrap_or(usize::MAX);
        }
    }
    let labels = raw.labels.iter().flat_map(|given| &given.value);
    settings.labels = labels.map(|(name, value)| (name.clone(), value.clone())).collect();
    settings.publish_metrics = raw.publish_metrics.as_ref().is_none_or(|given| given.value);
    settings.publish_traces = raw.publish_traces.as_ref().is_none_or(|given| given.value);
    if let Some(given) = &raw.publish_interval {
        settings.publish_interval = given.value;
        if !settings.publish_metrics && !settings.publish_traces {
            let key = block.key("publish_interval_seconds");
            no_effect(ctx, &given.place, &key, "nothing is published", "leave publish_metrics or publish_traces on");
        }
    }
    if !settings.publish_metrics
        && let Some(given) = &raw.export_fields
    {
        let key = block.key("export_fields");
        no_effect(ctx, &given.place, &key, "no metrics are published", "leave publish_metrics on");
    }
}

fn listen(ctx: &mut Context<'_>, block: &Block<'_>, given: &Given<String>) -> Option<String> {
    let key = block.key("scrape_listen");
    match endpoint::host_port(&given.value) {
        Ok(address) if address.is_loopback() => return Some(given.value.clone()),
        Ok(address) => {
            let message =
                format!("{key}: {} is not this machine alone, and scrapes are plaintext", quote(address.host));
            let help = "listen on 127.0.0.1 or [::1], and put node_exporter or a proxy with TLS in front";
            ctx.error(Code::Plaintext, &given.place, &key, message).help(help);
        }
        Err(wrong) => {
            let message = format!("{key}: {} {}", quote(&given.value), wrong.message);
            ctx.error(Code::Endpoint, &given.place, &key, message).help(wrong.help);
        }
    }
    None
}

fn no_effect(ctx: &mut Context<'_>, place: &Place, key: &str, why: &str, help: &str) {
    ctx.warn(Code::NoEffect, place, key, format!("{key} has no effect: {why}")).help(help);
}
