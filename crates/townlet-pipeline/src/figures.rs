//! What transports that publish figures may read: the status of every sink, at
//! one instant, as numbers with names.

use std::sync::{Arc, Weak};

use townlet_transport::{Figure, Figures, Level, Reading};
use townlet_worker::{DropReason, Sink, Status};

use crate::shared::Shared;

/// Does not keep the pipeline alive: whoever reads may outlive it.
pub(crate) struct SinkFigures {
    shared: Weak<Shared>,
    epoch: String,
}

impl SinkFigures {
    pub(crate) fn of(shared: &Arc<Shared>) -> Arc<dyn Figures> {
        Arc::new(Self { shared: Arc::downgrade(shared), epoch: uuid::Uuid::now_v7().to_string() })
    }
}

/// A figure that each sink has once.
type Single = (&'static str, &'static str, fn(&Status) -> Reading<'_>);

const SINGLES: [Single; 17] = [
    ("accepted_total", "Events taken over from the host.", |s| Reading::Counter(s.statement.account.accepted())),
    ("coalesced_total", "States that a newer one of their stream took the place of.", |s| {
        Reading::Counter(s.statement.account.coalesced())
    }),
    ("buffered", "Events that wait in memory or are in flight.", |s| count(s.statement.buffered)),
    ("spilled", "Events that are on disk alone.", |s| count(s.statement.spilled)),
    ("residual", "Accepted events that the books cannot explain: 0, or there is a bug.", |s| {
        #[expect(clippy::cast_precision_loss, reason = "anything but 0 is wrong; its size is a hint")]
        Reading::Gauge(s.statement.residual() as f64)
    }),
    ("queue_length", "Events held in memory, waiting and in flight.", |s| count(s.queue_length as u64)),
    ("queue_length_peak", "The largest queue_length of this run.", |s| count(s.queue_length_peak as u64)),
    ("queue_bytes", "Bytes held in memory, waiting and in flight.", |s| count(s.queue_bytes as u64)),
    ("queue_bytes_peak", "The largest queue_bytes of this run.", |s| count(s.queue_bytes_peak as u64)),
    ("flushed_bytes_total", "Bytes delivered.", |s| Reading::Counter(s.bytes_flushed_total)),
    ("keyframes_total", "States sent whole to a peer that gets diffs.", |s| Reading::Counter(s.keyframes_sent)),
    ("connects_total", "Connections opened.", |s| Reading::Counter(s.connects_total)),
    ("send_failures_total", "Failures of connect, send or acknowledgement.", |s| {
        Reading::Counter(s.send_failures_total)
    }),
    ("worker_restarts_total", "Restarts of the worker after a panic.", |s| Reading::Counter(s.worker_restart_count)),
    ("connected", "1 while the last thing heard of the sink was good.", |s| flag(s.connected)),
    ("worker_alive", "0 while the worker is parked after too many panics, and after its end.", |s| {
        flag(s.worker_alive)
    }),
    ("flush_duration_seconds", "How long the sends took whose events were delivered.", |s| {
        Reading::Durations(&s.flush_durations)
    }),
];

fn count(n: u64) -> Reading<'static> {
    #[expect(clippy::cast_precision_loss, reason = "no queue holds 2^53 events or bytes")]
    Reading::Gauge(n as f64)
}

fn flag(set: bool) -> Reading<'static> {
    Reading::Gauge(f64::from(u8::from(set)))
}

impl Figures for SinkFigures {
    fn epoch(&self) -> &str {
        &self.epoch
    }

    fn read(&self, show: &mut dyn FnMut(Figure<'_>)) {
        let Some(shared) = self.shared.upgrade() else { return };
        let sinks: Vec<(String, Status)> = {
            let mut state = shared.lock();
            let read = |sink: &Sink| (sink.main().options().name.clone(), sink.status());
            state.sinks.all().iter().map(read).collect()
        };
        // Shown without the lock: what is done with it is not ours.
        for (name, status) in &sinks {
            for level in [Level::Sent, Level::PeerAcked, Level::Durable] {
                show(Figure {
                    name: "delivered_total",
                    help: "Events delivered, by how far that is known.",
                    labels: &[("level", level.as_str()), ("sink", name)],
                    reading: Reading::Counter(status.statement.account.delivered_at(level)),
                });
            }
        }
        for (name, status) in &sinks {
            for reason in DropReason::ALL {
                show(Figure {
                    name: "dropped_total",
                    help: "Accepted events that were not delivered, by reason.",
                    labels: &[("reason", reason.as_str()), ("sink", name)],
                    reading: Reading::Counter(status.statement.account.dropped_for(reason)),
                });
            }
        }
        for (figure, help, reading) in SINGLES {
            for (name, status) in &sinks {
                show(Figure { name: figure, help, labels: &[("sink", name)], reading: reading(status) });
            }
        }
        let letters =
            || sinks.iter().zip(&shared.dead_letters).filter_map(|((name, _), all)| Some((name, all.as_ref()?)));
        for (name, all) in letters() {
            for (reason, counts) in all.counts() {
                for (outcome, n) in
                    [("kept", counts.kept), ("beyond_limit", counts.beyond_limit), ("failed", counts.failed)]
                {
                    show(Figure {
                        name: "dead_letters_total",
                        help: "Events that the peer refuses for good, by what became of them in the file of dead letters.",
                        labels: &[("outcome", outcome), ("reason", reason.as_str()), ("sink", name)],
                        reading: Reading::Counter(n),
                    });
                }
            }
        }
        for (name, all) in letters() {
            for (reason, counts) in all.counts() {
                show(Figure {
                    name: "dead_letter_bytes_total",
                    help: "Bytes written to the file of dead letters.",
                    labels: &[("reason", reason.as_str()), ("sink", name)],
                    reading: Reading::Counter(counts.bytes),
                });
            }
        }
    }
}
