//! What the keys of a transport mean together (facts of the predecessor's
//! validator, made strict: what it cleared silently is an error here).

use std::path::PathBuf;

use townlet_transport::{Format, Level, Settings};

use crate::abilities;
use crate::auth;
use crate::block::Block;
use crate::broker;
use crate::context::Context;
use crate::correct::Fix;
use crate::diagnostic::{Code, quote};
use crate::endpoint::{self, Url, Wrong};
use crate::filing;
use crate::origin::{Given, Place};
use crate::paths::{check_readable, resolve};
use crate::publishing;
use crate::sink::Raw;

/// The transport types that have rules; a type that only the program knows has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Stdout,
    File,
    Tcp,
    Http,
    Websocket,
    Prometheus,
    Otlp,
    Nats,
    Other,
}

impl Type {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "stdout" => Self::Stdout,
            "file" => Self::File,
            "tcp" => Self::Tcp,
            "http" => Self::Http,
            "websocket" => Self::Websocket,
            "prometheus" => Self::Prometheus,
            "otlp" => Self::Otlp,
            "nats" => Self::Nats,
            _ => Self::Other,
        }
    }

    /// True where this type reads the key.
    pub(crate) fn reads(self, key: &str) -> bool {
        let readers: &[Self] = match key {
            "endpoint" => &[Self::Tcp, Self::Http, Self::Otlp, Self::Nats],
            "websocket_url" => &[Self::Websocket],
            "file_path" => &[Self::File, Self::Prometheus],
            key if !publishing::readers(key).is_empty() => publishing::readers(key),
            key if !filing::readers(key).is_empty() => filing::readers(key),
            "enable_tls" => &[Self::Tcp],
            "format" => &[Self::Http, Self::Otlp],
            "compression" => &[Self::File, Self::Tcp, Self::Http, Self::Otlp],
            "auth" => &[Self::Http, Self::Websocket, Self::Otlp, Self::Nats],
            "nats" => &[Self::Nats],
            "acks" => &[Self::Tcp, Self::Websocket],
            _ => &[Self::Tcp, Self::Http, Self::Websocket, Self::Otlp, Self::Nats],
        };
        self == Self::Other || readers.contains(&self)
    }
}

/// The type to recommend for a key.
fn home_of(key: &str) -> &'static str {
    match key {
        "websocket_url" => "websocket",
        "nats" => "nats",
        "compression" | "format" | "auth" => "http",
        key if publishing::readers(key) == [Type::Otlp] => "otlp",
        key if !publishing::readers(key).is_empty() => "prometheus",
        "file_path" => "file",
        key if !filing::readers(key).is_empty() => "file",
        _ => "tcp",
    }
}

/// Checks the keys against the type and makes the settings for its factory.
pub(crate) fn apply(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw) -> Settings {
    refuse_foreign_keys(ctx, block, kind, type_name, raw);
    let mut rules = Rules { ctx, block, kind, type_name, raw };
    let mut settings = rules.file_settings();
    (settings.connect_timeout, settings.send_timeout) = (raw.connect_timeout, raw.send_timeout);
    settings.enable_tls = false;
    match kind {
        Type::Stdout => {}
        Type::File => settings.file_path = rules.file_path(true),
        Type::Prometheus => {
            settings.file_path = rules.file_path(raw.publishing.scrape_listen.is_none());
            rules.ends_in_prom(&settings);
        }
        Type::Tcp => rules.tcp(&mut settings),
        Type::Http | Type::Otlp => rules.web(&mut settings, "endpoint", &raw.endpoint, "http", "https"),
        Type::Nats => rules.nats(&mut settings),
        Type::Websocket => rules.web(&mut settings, "websocket_url", &raw.websocket_url, "ws", "wss"),
        Type::Other => {
            settings.file_path = rules.file_path(false);
            settings.endpoint = raw.endpoint.as_ref().or(raw.websocket_url.as_ref()).map(|given| given.value.clone());
            rules.tls(&mut settings);
        }
    }
    rules.verify_hostname(&mut settings);
    settings.compression = raw.compression.as_ref().map_or_else(Default::default, |given| given.value);
    let format = if kind == Type::Otlp { Format::Protobuf } else { Format::default() };
    settings.format = raw.format.as_ref().map_or(format, |given| given.value);
    if let Some(given) = &raw.auth
        && kind.reads("auth")
    {
        auth::check(rules.ctx, &block.key("auth"), kind, type_name, given);
    }
    settings.auth = raw.auth.as_ref().map(|given| given.value.clone());
    if kind.reads("labels") {
        publishing::apply(rules.ctx, block, &raw.publishing, &mut settings);
    }
    if kind.reads("nats") {
        broker::apply(rules.ctx, &raw.broker, &mut settings);
    }
    settings.acks = raw.acks.as_ref().is_none_or(|given| given.value);
    settings.settle_at = raw.settle_at.as_ref().map_or(Level::Sent, |given| given.value);
    abilities::check(ctx, block, kind, type_name, raw, &settings);
    settings
}

/// One finding for each key that another type would read.
fn refuse_foreign_keys(ctx: &mut Context<'_>, block: &Block<'_>, kind: Type, type_name: &str, raw: &Raw) {
    fn set(given: &Option<Given<bool>>) -> Option<&Place> {
        given.as_ref().filter(|given| given.value).map(|given| &given.place)
    }
    fn filled(given: &Option<Given<String>>) -> Option<&Place> {
        given.as_ref().filter(|given| !given.value.trim().is_empty()).map(|given| &given.place)
    }
    fn any<T>(given: &Option<Given<T>>) -> Option<&Place> {
        given.as_ref().map(|given| &given.place)
    }
    let keys = [
        ("endpoint", filled(&raw.endpoint)),
        ("file_path", any(&raw.file_path)),
        ("websocket_url", filled(&raw.websocket_url)),
        ("enable_tls", set(&raw.enable_tls)),
        ("ca_file", any(&raw.ca_file)),
        ("cert_file", any(&raw.cert_file)),
        ("key_file", any(&raw.key_file)),
        ("allow_plaintext", set(&raw.allow_plaintext)),
        ("dev_allow_plaintext", set(&raw.dev_allow_plaintext)),
        ("acks", any(&raw.acks)),
        ("compression", any(&raw.compression)),
        ("format", any(&raw.format)),
        ("auth", any(&raw.auth)),
        ("nats", raw.broker.place.as_ref()),
    ];
    for (name, place) in keys.into_iter().chain(raw.filing.given()).chain(raw.publishing.given()) {
        let Some(place) = place else { continue };
        if kind.reads(name) {
            continue;
        }
        let (key, home) = (block.key(name), home_of(name));
        let message = format!("{key} is not for type '{type_name}'; it belongs to type '{home}'");
        let help = match (kind, name) {
            (Type::Http | Type::Otlp, "enable_tls") => "remove it: an https:// endpoint selects TLS".to_owned(),
            (Type::Nats, "enable_tls") => "remove it: a tls:// endpoint selects TLS".to_owned(),
            (Type::Websocket, "enable_tls") => "remove it: a wss:// URL selects TLS".to_owned(),
            _ => format!("remove it, or set {} to '{home}'", block.key("type")),
        };
        ctx.error(Code::NotForType, place, &key, message).help(help).fix(Fix::Remove);
    }
}

struct Rules<'r, 'c> {
    ctx: &'r mut Context<'c>,
    block: &'r Block<'r>,
    kind: Type,
    type_name: &'r str,
    raw: &'r Raw,
}

impl Rules<'_, '_> {
    fn place(&self, name: &str) -> Place {
        let entry = self.block.entry(name).or_else(|| self.block.entry("type"));
        entry.map_or_else(|| self.block.place().clone(), |e| e.place.clone())
    }

    fn required(&mut self, name: &str, help: &str) {
        // A value of the wrong type has been reported already.
        if self.block.has(name) {
            return;
        }
        let key = self.block.key(name);
        let message = format!("{key} is required when type is '{}'", self.type_name);
        self.ctx.error(Code::Missing, &self.place(name), &key, message).help(help);
    }

    fn blank(&mut self, name: &str, given: &Given<String>) -> bool {
        let blank = given.value.trim().is_empty();
        if blank {
            let key = self.block.key(name);
            self.ctx.error(Code::Missing, &given.place, &key, format!("{key} must not be blank"));
        }
        blank
    }

    fn file_settings(&mut self) -> Settings {
        let raw = self.raw;
        let mut settings = Settings::default();
        if !self.kind.reads("fsync") {
            return settings;
        }
        let path = raw.file_path.as_ref().map_or("", |given| &given.value);
        filing::apply(self.ctx, self.block, &raw.filing, &raw.compression, path, &mut settings);
        settings
    }

    fn file_path(&mut self, required: bool) -> Option<PathBuf> {
        let Some(given) = &self.raw.file_path else {
            if required {
                let help = match self.kind {
                    Type::Prometheus => "add 'file_path: textfile/town.prom', or 'scrape_listen: 127.0.0.1:9464'",
                    _ => "add 'file_path: logs/telemetry.jsonl'",
                };
                self.required("file_path", help);
            }
            return None;
        };
        if self.blank("file_path", given) {
            return None;
        }
        let key = self.block.key("file_path");
        let path = resolve(self.ctx, &key, &given.place, &given.value)?;
        if self.ctx.check_files && path.is_dir() {
            let message = format!("{key}: {} is a directory", quote(&path.to_string_lossy()));
            self.ctx.error(Code::File, &given.place, &key, message).help("name a file in it");
        }
        Some(path)
    }

    fn ends_in_prom(&mut self, settings: &Settings) {
        let (Some(path), Some(given)) = (&settings.file_path, &self.raw.file_path) else { return };
        if path.extension().is_none_or(|ending| ending != "prom") {
            let key = self.block.key("file_path");
            let message = format!("{key}: node_exporter reads files whose names end in .prom, and no others");
            let help = format!("write {}", quote(&format!("{}.prom", given.value)));
            self.ctx.warn(Code::NoEffect, &given.place, &key, message).help(help);
        }
    }

    fn endpoint_error(&mut self, name: &str, given: &Given<String>, wrong: Wrong) {
        let key = self.block.key(name);
        let message = format!("{key}: {} {}", quote(&given.value), wrong.message);
        self.ctx.error(Code::Endpoint, &given.place, &key, message).help(wrong.help);
    }

    fn url(
        &mut self,
        settings: &mut Settings,
        name: &str,
        given: &Option<Given<String>>,
        plain: &str,
        secure: &str,
    ) -> Option<Url> {
        let Some(given) = given else {
            self.required(name, &format!("add '{name}: {secure}://host/path'"));
            return None;
        };
        if self.blank(name, given) {
            return None;
        }
        match endpoint::url(&given.value, plain, secure) {
            Ok(url) => {
                (settings.endpoint, settings.enable_tls) = (Some(url.text.clone()), url.is_secure);
                Some(url)
            }
            Err(wrong) => {
                self.endpoint_error(name, given, wrong);
                None
            }
        }
    }

    fn tcp(&mut self, settings: &mut Settings) {
        self.tls(settings);
        let Some(given) = &self.raw.endpoint else {
            return self.required("endpoint", "add 'endpoint: host:port'");
        };
        if self.blank("endpoint", given) {
            return;
        }
        match endpoint::host_port(&given.value) {
            Ok(peer) => {
                if !settings.enable_tls && !peer.is_loopback() {
                    self.too_far("endpoint", given, peer.host);
                }
                settings.endpoint = Some(given.value.clone());
            }
            Err(wrong) => self.endpoint_error("endpoint", given, wrong),
        }
    }

    fn too_far(&mut self, name: &str, given: &Given<String>, host: &str) {
        let key = self.block.key(name);
        let message = format!("{key}: plaintext goes to this machine only, not to {}", quote(host));
        let help = "use TLS, or an endpoint on localhost, 127.0.0.1 or [::1]";
        self.ctx.error(Code::Plaintext, &given.place, &key, message).help(help);
    }

    /// The scheme decides about TLS; `http://` and `ws://` need the acknowledgements of plaintext.
    fn web(&mut self, settings: &mut Settings, name: &str, given: &Option<Given<String>>, plain: &str, secure: &str) {
        // Of a URL that is missing or wrong only that is reported, and not what
        // would follow from plaintext.
        settings.enable_tls = true;
        if let Some(url) = self.url(settings, name, given, plain, secure)
            && let (Some(given), false, false) = (given, url.is_secure, url.is_loopback)
        {
            self.too_far(name, given, &url.host);
        }
        self.security(settings);
    }

    /// As [`web`](Self::web), for several servers of one scheme.
    fn nats(&mut self, settings: &mut Settings) {
        settings.enable_tls = true;
        match &self.raw.endpoint {
            None => self.required("endpoint", "add 'endpoint: tls://host:4222'"),
            Some(given) if self.blank("endpoint", given) => {}
            Some(given) => match broker::servers(&given.value) {
                Ok(servers) => {
                    (settings.endpoint, settings.enable_tls) = (Some(given.value.clone()), servers.is_secure);
                    if let (false, Some(host)) = (servers.is_secure, servers.far) {
                        self.too_far("endpoint", given, &host);
                    }
                }
                Err(wrong) => self.endpoint_error("endpoint", given, wrong),
            },
        }
        self.security(settings);
    }

    /// TLS is on unless it is switched off, and plaintext needs two acknowledgements.
    fn tls(&mut self, settings: &mut Settings) {
        let allow = self.raw.allow_plaintext.as_ref().is_some_and(|given| given.value);
        settings.enable_tls = match &self.raw.enable_tls {
            Some(given) => given.value,
            // A broken value has been reported; do not report what would follow from `false`.
            None => self.block.has("enable_tls") || !allow,
        };
        self.security(settings);
    }

    /// What goes with TLS or without, once that is decided.
    fn security(&mut self, settings: &mut Settings) {
        let raw = self.raw;
        let flag = |given: &Option<Given<bool>>| given.as_ref().is_some_and(|given| given.value);
        let (allow, dev) = (flag(&raw.allow_plaintext), flag(&raw.dev_allow_plaintext));
        settings.plaintext_acknowledged = !settings.enable_tls && allow && dev;
        if settings.enable_tls {
            for (name, given) in
                [("allow_plaintext", &raw.allow_plaintext), ("dev_allow_plaintext", &raw.dev_allow_plaintext)]
            {
                if let Some(given) = given
                    && given.value
                {
                    let key = self.block.key(name);
                    let message = format!("{key} has no effect: TLS is on");
                    self.ctx.warn(Code::NoEffect, &given.place, &key, message);
                }
            }
        } else if matches!(self.kind, Type::Tcp | Type::Http | Type::Websocket | Type::Otlp | Type::Nats) {
            self.acknowledge("allow_plaintext", allow);
            self.acknowledge("dev_allow_plaintext", dev);
        }
        settings.ca_file = self.certificate("ca_file", &raw.ca_file, settings.enable_tls);
        settings.cert_file = self.certificate("cert_file", &raw.cert_file, settings.enable_tls);
        settings.key_file = self.certificate("key_file", &raw.key_file, settings.enable_tls);
        self.paired("cert_file", &raw.cert_file, "key_file");
        self.paired("key_file", &raw.key_file, "cert_file");
    }

    fn acknowledge(&mut self, name: &str, given: bool) {
        if given {
            return;
        }
        let key = self.block.key(name);
        let decided = self.block.entry("enable_tls").or_else(|| self.block.entry("websocket_url"));
        let place = match self.block.entry(name).or(decided) {
            Some(entry) => entry.place.clone(),
            None => self.place(name),
        };
        let message = format!("{key} must be true for plaintext, which anybody on the way can read and change");
        let help = "leave TLS on; for development on this machine set both allow_plaintext and dev_allow_plaintext";
        self.ctx.error(Code::Plaintext, &place, &key, message).help(help);
    }

    fn paired(&mut self, name: &str, given: &Option<Given<String>>, other: &str) {
        let Some(given) = given else { return };
        if self.block.has(other) {
            return;
        }
        let (key, other_key) = (self.block.key(name), self.block.key(other));
        let message = format!("{key} needs {other_key}: a client certificate is a certificate and its key");
        self.ctx.error(Code::Missing, &given.place, &key, message).help(format!("add {other}, or remove {name}"));
    }

    /// A PEM file: present and readable now, not at the first connection.
    fn certificate(&mut self, name: &str, given: &Option<Given<String>>, tls: bool) -> Option<PathBuf> {
        let given = given.as_ref()?;
        if self.blank(name, given) {
            return None;
        }
        let key = self.block.key(name);
        if !tls {
            let message = format!("{key} has no effect: TLS is off");
            self.ctx.warn(Code::NoEffect, &given.place, &key, message);
            return None;
        }
        let path = resolve(self.ctx, &key, &given.place, &given.value)?;
        check_readable(self.ctx, &key, &given.place, &path);
        Some(path)
    }

    fn verify_hostname(&mut self, settings: &mut Settings) {
        let Some(given) = &self.raw.verify_hostname else { return };
        if settings.enable_tls && self.kind.reads("ca_file") {
            settings.verify_hostname = given.value;
        } else if !given.value {
            let key = self.block.key("verify_hostname");
            let message = format!("{key} has no effect: there is no certificate to check");
            self.ctx.warn(Code::NoEffect, &given.place, &key, message);
        }
    }
}
