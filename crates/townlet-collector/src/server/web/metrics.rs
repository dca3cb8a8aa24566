//! What Prometheus reads at `/metrics`, format 0.0.4.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{TEXT_FORMAT, TextEncoder};

use super::super::Shared;
use super::super::directory::OTHER;
use super::Web;
use super::response::Response;
use crate::report::ShardReport;

/// Why lines are refused, so that each counter is there before the first one is.
const FAILURES: &[&str] = &[
    "duplicate_key",
    "empty",
    "invalid_field",
    "line_too_long",
    "lone_surrogate",
    "missing_field",
    "not_an_object",
    "number_range",
    "syntax",
    "too_deep",
    "too_large",
    "unknown_kind",
    "unsupported_version",
    "utf8",
];

pub(super) fn answer(shared: &Shared, web: &Web) -> Response {
    let mut families = Families::default();
    totals(shared, &mut families);
    certificates(shared, web, &mut families);
    streams(shared, &mut families);
    requests(web, &mut families);
    #[cfg(feature = "grpc")]
    calls(shared, &mut families);
    watching(shared, &mut families);
    #[cfg(feature = "nats")]
    brokers(shared, &mut families);
    parsing(shared, &mut families);
    families.0.extend(shared.intake.figures.families());
    let mut text = String::new();
    match TextEncoder::new().encode_utf8(&families.0, &mut text) {
        Ok(()) => Response::new(200, TEXT_FORMAT, text),
        Err(error) => Response::error(500, &format!("the figures cannot be written: {error}")),
    }
}

fn totals(shared: &Shared, families: &mut Families) {
    let report = shared.report();
    let t = &report.totals;
    families.counters(
        "townlet_collector_lines_total",
        "Lines taken, by what became of them.",
        ["outcome"],
        [(["stored"], t.stored), (["duplicate"], t.duplicates), (["invalid"], t.invalid)],
    );
    families.gauge("townlet_collector_unwritten_lines", "Lines accepted and not written yet.", t.unwritten);
    families.counter("townlet_collector_bytes_total", "Bytes of the lines taken.", t.bytes);
    families.gauges(
        "townlet_collector_connections",
        "Open connections, by how they came in.",
        ["via"],
        shared.slots.open_by_via().into_iter().map(|(via, count)| ([via.as_str()], count)),
    );
    families.counter("townlet_collector_connections_total", "Connections accepted.", report.connections_accepted);
    families.counter(
        "townlet_collector_connections_refused_total",
        "Connections closed at once because a limit was reached.",
        report.connections_refused,
    );
    families.counters(
        "townlet_collector_endings_total",
        "Connections that ended, by why.",
        ["reason"],
        report.endings.iter().map(|(reason, count)| ([*reason], *count)),
    );
    families.gauge("townlet_collector_missing_lines", "Numbers that are missing over all streams.", report.missing);
    families.gauge("townlet_collector_streams", "Streams in memory.", report.streams.len() as u64);
    families.gauge(
        "townlet_collector_store_failed",
        "1 where the store has failed since the start.",
        u64::from(report.store_error.is_some()),
    );
}

/// How long certificates hold, in steps of a day, negative once they do not.
fn certificates(shared: &Shared, web: &Web, families: &mut Families) {
    let now = SystemTime::now();
    let all = [
        ("lines", shared.certificates.as_ref()),
        ("web", web.certificates.as_ref()),
        #[cfg(feature = "grpc")]
        ("grpc", shared.grpc.as_ref().and_then(|grpc| grpc.certificates.as_ref())),
    ];
    let days = all.into_iter().filter_map(|(listener, certificates)| {
        let days = certificates?.report(now).days_to_expiry?;
        #[expect(clippy::cast_precision_loss, reason = "days are few")]
        Some(([listener], days as f64 * 86_400.0))
    });
    families.push(
        "townlet_collector_certificate_remaining_seconds",
        "Until the certificate of a listener expires, rounded down to days.",
        MetricType::GAUGE,
        ["listener"],
        days,
    );
}

/// What a stream adds to the one for the many.
#[derive(Default)]
struct Other {
    received: u64,
    missing: u64,
}

fn streams(shared: &Shared, families: &mut Families) {
    let (all, retired) = shared.intake.directory.all();
    let now = Instant::now();
    let mut other = Other { received: retired.unlabelled, missing: retired.missing };
    let mut named: Vec<ShardReport> = Vec::new();
    for stream in &all {
        let shard = stream.shard(now);
        if stream.labelled {
            named.push(shard);
        } else {
            other.received += shard.received;
            other.missing = other.missing.saturating_add(shard.missing);
        }
    }
    let labels =
        |shard: &ShardReport| [shard.run_id.clone().unwrap_or_default(), shard.stream.clone().unwrap_or_default()];
    let names = ["run_id", "stream"];
    let rest = |value: u64| std::iter::once(([OTHER.to_owned(), OTHER.to_owned()], value));
    let each =
        |value: fn(&ShardReport) -> u64| named.iter().map(|shard| (labels(shard), value(shard))).collect::<Vec<_>>();
    families.counters(
        "townlet_stream_lines_total",
        "Lines of a stream, duplicates included.",
        names,
        each(|shard| shard.received).into_iter().chain(rest(other.received)),
    );
    families.gauges(
        "townlet_stream_missing_lines",
        "Numbers of a stream that did not arrive.",
        names,
        each(|shard| shard.missing).into_iter().chain(rest(other.missing)),
    );
    families.counters(
        "townlet_stream_duplicates_total",
        "Lines that came twice.",
        names,
        each(|shard| shard.duplicates),
    );
    families.gauges("townlet_stream_last_seq", "The highest number that arrived.", names, each(|shard| shard.last_seq));
    let ticks = named.iter().filter_map(|shard| Some((labels(shard), shard.last_tick?)));
    families.gauges("townlet_stream_last_tick", "The producer's tick on that line.", names, ticks.collect::<Vec<_>>());
    let ratios = named.iter().map(|shard| (labels(shard), shard.loss_ratio)).collect::<Vec<_>>();
    families.push("townlet_stream_loss_ratio", "Missing numbers as a share of all.", MetricType::GAUGE, names, ratios);
    let silent = named.iter().filter_map(|shard| {
        #[expect(clippy::cast_precision_loss, reason = "seconds need no more digits")]
        shard.silent_ms.map(|ms| (labels(shard), ms as f64 / 1e3))
    });
    families.push(
        "townlet_stream_silent_seconds",
        "Seconds since the last line of a stream came.",
        MetricType::GAUGE,
        names,
        silent.collect::<Vec<_>>(),
    );
}

fn requests(web: &Web, families: &mut Families) {
    let answers = web.answers();
    let answers = answers.iter().map(|((path, status), count)| ([(*path).to_owned(), status.to_string()], *count));
    families.counters("townlet_web_requests_total", "Requests answered.", ["path", "status"], answers);
    families.counter(
        "townlet_web_repeated_requests_total",
        "Requests that were answered from memory, because their key was known.",
        web.keys.repeated(),
    );
    families.gauge("townlet_web_body_bytes", "Bytes of the bodies that are held.", web.budget.used() as u64);
}

#[cfg(feature = "grpc")]
fn calls(shared: &Shared, families: &mut Families) {
    let Some(grpc) = &shared.grpc else { return };
    let answers = grpc.answers();
    families.counters(
        "townlet_grpc_calls_total",
        "Calls answered.",
        ["method", "code"],
        answers.iter().map(|((method, code), count)| ([*method, *code], *count)),
    );
    families.gauge("townlet_grpc_message_bytes", "Bytes of the messages that are held.", grpc.bytes_held() as u64);
}

fn watching(shared: &Shared, families: &mut Families) {
    let Some(live) = &shared.intake.live else { return };
    let counts = &live.counts;
    let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
    families.gauge("townlet_web_ws_connections", "Subscribers that are watching.", live.subscribers() as u64);
    families.counters(
        "townlet_web_ws_messages_total",
        "States sent to subscribers, whole or as what changed.",
        ["type"],
        [(["snapshot"], read(&counts.keyframes)), (["diff"], read(&counts.diffs))],
    );
    families.counter(
        "townlet_web_ws_coalesced_total",
        "States that a slow subscriber got as one with a later one.",
        read(&counts.coalesced),
    );
    families.counter(
        "townlet_web_ws_dropped_items_total",
        "Items of per-tick sections that did not fit into such a state.",
        read(&counts.overflow),
    );
    let (followed, stale) = live.followed_and_stale();
    families.gauge("townlet_live_streams", "Streams whose states are followed.", followed as u64);
    families.counter(
        "townlet_live_stale_lines_total",
        "States that could not be followed for want of their base.",
        stale,
    );
}

/// What comes from NATS, where something does.
#[cfg(feature = "nats")]
fn brokers(shared: &Shared, families: &mut Families) {
    let Some(nats) = shared.nats.as_ref().map(|nats| nats.report()) else { return };
    families.gauge("townlet_nats_connected", "1 while there is a connection to a server.", u64::from(nats.connected));
    families.counter("townlet_nats_connections_total", "Connections made to servers.", nats.connections);
    families.gauge("townlet_nats_partitions", "Partitions that this member pulls.", nats.partitions.len() as u64);
    families.gauge(
        "townlet_nats_pending_messages",
        "Messages that the server had still to deliver for these partitions when it was last heard.",
        nats.pending,
    );
    families.gauge(
        "townlet_nats_unacknowledged_messages",
        "Messages that were delivered, and of which the server has no word yet: under way, or given back.",
        nats.unacknowledged,
    );
    let label = |partition: u32| [partition.to_string()];
    families.gauges(
        "townlet_nats_partition_pending_messages",
        "Messages that the server had still to deliver, of each partition that this member pulls.",
        ["partition"],
        nats.by_partition.iter().map(|one| (label(one.partition), one.pending)),
    );
    families.gauges(
        "townlet_nats_partition_unacknowledged_messages",
        "Messages that were delivered and not acknowledged, of each partition that this member pulls.",
        ["partition"],
        nats.by_partition.iter().map(|one| (label(one.partition), one.unacknowledged)),
    );
    families.counters(
        "townlet_nats_messages_total",
        "Messages that came again, must not come again, or were given back.",
        ["outcome"],
        [(["redelivered"], nats.redelivered), (["terminated"], nats.terminated), (["returned"], nats.returned)],
    );
}

fn parsing(shared: &Shared, families: &mut Families) {
    let mut failures: BTreeMap<&str, u64> = FAILURES.iter().map(|reason| (*reason, 0)).collect();
    let seen = shared.intake.failures().clone();
    for (reason, count) in seen.invalid.iter().chain(&seen.refused) {
        *failures.entry(reason).or_default() += count;
    }
    let too_long = shared.slots.report().endings.get("line_too_long").copied().unwrap_or_default();
    *failures.entry("line_too_long").or_default() += too_long;
    families.counters(
        "parser_failure_total",
        "Lines, and requests with such a line, that could not be taken, by what is wrong.",
        ["error_code"],
        failures.into_iter().map(|(reason, count)| ([reason], count)),
    );
}

#[derive(Default)]
struct Families(Vec<MetricFamily>);

impl Families {
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.counters::<&str, 0>(name, help, [], [([], value)]);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.gauges::<&str, 0>(name, help, [], [([], value)]);
    }

    fn counters<L: Into<String>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        samples: impl IntoIterator<Item = ([L; N], u64)>,
    ) {
        self.push(name, help, MetricType::COUNTER, labels, samples.into_iter().map(|(l, value)| (l, float(value))));
    }

    fn gauges<L: Into<String>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        samples: impl IntoIterator<Item = ([L; N], u64)>,
    ) {
        self.push(name, help, MetricType::GAUGE, labels, samples.into_iter().map(|(l, value)| (l, float(value))));
    }

    /// Adds a family; one without a sample is left out.
    fn push<L: Into<String>, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        labels: [&str; N],
        samples: impl IntoIterator<Item = ([L; N], f64)>,
    ) {
        let metrics: Vec<Metric> = samples
            .into_iter()
            .map(|(values, value)| {
                let pairs = labels.iter().zip(values).map(|(name, value)| {
                    let mut pair = LabelPair::default();
                    pair.set_name((*name).to_owned());
                    pair.set_value(value.into());
                    pair
                });
                let mut metric = Metric::from_label(pairs.collect());
                if kind == MetricType::COUNTER {
                    let mut counter = Counter::default();
                    counter.set_value(value);
                    metric.set_counter(counter);
                } else {
                    let mut gauge = Gauge::default();
                    gauge.set_value(value);
                    metric.set_gauge(gauge);
                }
                metric
            })
            .collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.0.push(family);
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus counts in floats; beyond 2^53 the last digit is not seen")]
fn float(value: u64) -> f64 {
    value as f64
}
