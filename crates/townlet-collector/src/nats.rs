//! Lines from NATS JetStream, shared with other collectors.
//!
//! **What it is.** A way in that the collector goes out for: set by
//! [`CollectorOptions::nats`](crate::CollectorOptions::nats), it pulls from a stream of a NATS
//! cluster what `townlet-transport-nats` (or anybody else) publishes there, one line a
//! message, and acknowledges to the broker what the store has.
//!
//! **What it is not.** It makes no stream and changes none. It needs no feature of
//! `nats-server` that 2.9 does not have, so no pinned consumers: who pulls what is agreed
//! among the members.
//!
//! # Sharing
//! Producers put a partition into the subject of each stream
//! ([`Subject`]), and a group has one durable consumer for each
//! partition, `group-pN`. Member `i` of `n` pulls the partitions `p` with `p mod n = i - 1`,
//! so that a stream always comes to the same collector, whose files then hold all of it.
//!
//! Members say every [`heartbeat`](NatsSource::heartbeat) that they are there, by a message
//! that nobody stores (`_townlet.GROUP.I`). Of one who was not heard for
//! [`patience`](NatsSource::patience) the others take the partitions over, shared out among
//! them by a rule that each can work out alone; when it is heard again they give them back.
//! A member who does not hear itself changes nothing: it is its own connection that is gone.
//!
//! Members and producers that share out otherwise leave messages that nobody reads. A member that
//! hears another say so, and who pulls the first partition and finds such messages in the stream
//! (it looks once a minute), says it in [`NatsReport::error`] and the log (`collector_nats_trouble`).
//!
//! # Guarantees
//! - A message is acknowledged when the store has its line as its
//!   [`Settle`](crate::store::Settle) says. What comes again is known by `(run_id, stream,
//!   seq)`, in memory or from the file, and stored once **in this store**.
//! - What is no line (no JSON, too long, somebody else's message on our subjects) is refused,
//!   counted and terminated: it does not come again, and holds up nothing that comes after it.
//!   The log names its subject and number (`collector_nats_message_terminated`).
//! - While the store fails, messages go back to the broker and come again.
//! - A member that stops gives back what it has not taken. One that is killed leaves what it
//!   pulled and did not acknowledge to come again after [`ack_wait`](NatsSource::ack_wait); to
//!   whoever took over, if somebody did. Of these, at most
//!   [`max_ack_pending`](NatsSource::max_ack_pending) a partition, some may then stand in both
//!   stores, because only the one that is gone knew what it had written.
//! - Memory is bounded: [`batch`](NatsSource::batch) messages a partition, and of them not
//!   more than 8 MiB or one message, twice: what is being taken, and what was asked for
//!   meanwhile. Streams in memory are bounded as for every other way in
//!   ([`max_streams`](crate::CollectorOptions::max_streams)).

use std::time::Duration;

use townlet_nats::{NatsOptions, Subject};
use townlet_transport::TransportError;

pub use crate::pulled::{NatsReport, PartitionReport};

/// Where to pull from, and with whom to share it.
#[derive(Clone, Debug)]
pub struct NatsSource {
    /// The connection.
    pub nats: NatsOptions,
    /// The JetStream stream, `TOWNLET`.
    pub stream: String,
    /// The subjects of its messages: as the producers have them, partitions included.
    pub subject: Subject,
    /// The group, `townlet`. Groups get everything, each by itself.
    pub group: String,
    /// Which member of the group this is.
    pub member: Member,
    /// After so long without an acknowledgement the broker delivers a message again, 30 s.
    /// Taken over by a consumer when it is made.
    pub ack_wait: Duration,
    /// Messages of a partition without an acknowledgement, at most, 2048. Taken over by a
    /// consumer when it is made.
    pub max_ack_pending: usize,
    /// Messages of a partition that are asked for, and settled, at a time, 256.
    pub batch: usize,
    /// How often a member says that it is there, 1 s.
    pub heartbeat: Duration,
    /// After so long a silence a member's partitions are taken over, 10 s.
    pub patience: Duration,
}

impl NatsSource {
    /// The defaults named at each field, as the only member of the group.
    ///
    /// # Errors
    /// None that the defaults would cause.
    pub fn new(nats: NatsOptions) -> Result<Self, TransportError> {
        let defaults = townlet_transport::BrokerSettings::default();
        Ok(Self {
            nats,
            subject: Subject::parse(&defaults.subject, defaults.partitions)?,
            stream: defaults.stream,
            group: "townlet".into(),
            member: Member::ALONE,
            ack_wait: Duration::from_secs(30),
            max_ack_pending: 2048,
            batch: 256,
            heartbeat: Duration::from_secs(1),
            patience: Duration::from_secs(10),
        })
    }
}

/// One of so many members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    index: u32,
    of: u32,
}

impl Member {
    /// The first of one.
    pub const ALONE: Self = Self { index: 0, of: 1 };

    /// Member `number`, from 1, of `of`; none where there is no such one.
    pub fn new(number: u32, of: u32) -> Option<Self> {
        (1..=of).contains(&number).then_some(Self { index: number.wrapping_sub(1), of })
    }

    /// Its number less one.
    pub(crate) fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub(crate) fn of(self) -> u32 {
        self.of
    }
}
