//! The thread that keeps the connection, and decides with the others who pulls what.

mod partition;
mod roster;
mod trouble;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use townlet_nats::{Connector, Gossip, Link, Standing, Strays};
use townlet_transport::{ErrorKind, TransportError};

use self::partition::Share;
use self::roster::Roster;
use self::trouble::Told;
use super::slots::Door;
use super::{LOOK_AROUND, STACK, Shared, Slot};
use crate::nats::{NatsReport, NatsSource, PartitionReport};
use crate::report::{EndKind, Ending};

/// Between two tries to connect, or to open a consumer.
const PAUSE: Duration = Duration::from_secs(1);

/// What the rest of the collector sees of it.
#[derive(Default)]
pub(super) struct Nats {
    connected: AtomicBool,
    connections: AtomicU64,
    redelivered: AtomicU64,
    terminated: AtomicU64,
    returned: AtomicU64,
    /// Those that are pulled, and how far behind each is.
    shares: Mutex<BTreeMap<u32, Standing>>,
    error: Mutex<Option<String>>,
    told: Mutex<Told>,
}

impl Nats {
    pub(super) fn report(&self) -> NatsReport {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let shares = self.shares();
        NatsReport {
            connected: self.connected.load(Ordering::Relaxed),
            connections: read(&self.connections),
            partitions: shares.keys().copied().collect(),
            pending: shares.values().map(|standing| standing.pending).sum(),
            unacknowledged: shares.values().map(|standing| standing.unacknowledged).sum(),
            by_partition: shares.iter().map(|(partition, standing)| reported(*partition, *standing)).collect(),
            redelivered: read(&self.redelivered),
            terminated: read(&self.terminated),
            returned: read(&self.returned),
            error: self.error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<u32, Standing>> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self, error: Option<&TransportError>) {
        let text = error.map(ToString::to_string);
        if let Some(error) = &text
            && self.told.lock().unwrap_or_else(PoisonError::into_inner).is_news(Instant::now(), error)
        {
            tracing::warn!(error, "collector_nats_trouble");
        }
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

fn reported(partition: u32, Standing { pending, unacknowledged }: Standing) -> PartitionReport {
    PartitionReport { partition, pending, unacknowledged }
}

/// What is going to be pulled. Its files have been read, and nobody was asked yet.
pub(super) struct Pulling {
    source: NatsSource,
    connector: Connector,
    seen: Arc<Nats>,
}

impl Pulling {
    pub(super) fn new(source: NatsSource) -> Result<Self, TransportError> {
        Ok(Self { connector: Connector::new(source.nats.clone())?, source, seen: Arc::default() })
    }

    pub(super) fn seen(&self) -> Arc<Nats> {
        Arc::clone(&self.seen)
    }

    pub(super) fn start(self, shared: Arc<Shared>) -> io::Result<()> {
        let Self { source, connector, seen } = self;
        let thread = thread::Builder::new().name("townlet-nats".into());
        thread.spawn(move || run(&shared, &seen, &source, connector)).map(drop)
    }
}

/// Connects, pulls, and connects again, until the collector stops.
fn run(shared: &Arc<Shared>, nats: &Arc<Nats>, source: &NatsSource, mut connector: Connector) {
    while !shared.stop.is_asked() {
        match connector.open() {
            Ok(link) => serve(shared, nats, source, link),
            Err(error) => nats.trouble(Some(&error)),
        }
        let until = Instant::now() + PAUSE;
        while !shared.stop.is_asked() && Instant::now() < until {
            thread::park_timeout(LOOK_AROUND);
        }
    }
}

/// One connection, from its beginning to its end.
fn serve(shared: &Arc<Shared>, nats: &Arc<Nats>, source: &NatsSource, link: Link) {
    let peer = link.address().unwrap_or_else(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let Some(slot) = shared.slots.enter(peer, Door::Nats, usize::MAX) else { return };
    slot.update(|report| (report.tls, report.acks) = (link.is_tls(), true));
    let mut leaving = shared.slots.leave_at_end(&slot);
    nats.connections.fetch_add(1, Ordering::Relaxed);
    nats.connected.store(true, Ordering::Relaxed);
    nats.trouble(None);
    tracing::info!(peer = link.peer(), stream = source.stream, group = source.group, "collector_nats_connected");
    let outcome = Membership::begin(shared, nats, source, &link, &slot).and_then(|mut membership| {
        let outcome = membership.keep();
        membership.end();
        outcome
    });
    nats.connected.store(false, Ordering::Relaxed);
    leaving.ending = match outcome {
        Ok(()) => super::connection::stopped(),
        Err(error) => {
            nats.trouble(Some(&error));
            Ending { kind: EndKind::Broken, detail: error.to_string() }
        }
    };
}

/// A partition that is pulled, on a thread of its own.
struct Worker {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), TransportError>>,
}

struct Membership<'a> {
    shared: &'a Arc<Shared>,
    nats: &'a Arc<Nats>,
    source: &'a NatsSource,
    link: &'a Link,
    slot: &'a Arc<Slot>,
    gossip: Gossip,
    roster: Roster,
    workers: BTreeMap<u32, Worker>,
    /// Partitions that failed, and when to try them again.
    again: BTreeMap<u32, Instant>,
    said: Option<Instant>,
    /// Present where we pull the first partition: one member of the group looks.
    strays: Option<Strays>,
}

impl<'a> Membership<'a> {
    fn begin(
        shared: &'a Arc<Shared>,
        nats: &'a Arc<Nats>,
        source: &'a NatsSource,
        link: &'a Link,
        slot: &'a Arc<Slot>,
    ) -> Result<Self, TransportError> {
        Ok(Self {
            gossip: link.gossip(&format!("_townlet.{}.*", source.group))?,
            roster: Roster::new(source.member, source.heartbeat, source.patience, Instant::now()),
            workers: BTreeMap::new(),
            again: BTreeMap::new(),
            said: None,
            strays: None,
            shared,
            nats,
            source,
            link,
            slot,
        })
    }

    /// Goes on until the collector stops, or the connection ends.
    fn keep(&mut self) -> Result<(), TransportError> {
        while !self.shared.stop.is_asked() {
            let now = Instant::now();
            if self.said.is_none_or(|said| now.duration_since(said) >= self.source.heartbeat) {
                let me = self.source.member.index();
                let what = format!("{}{}", me + 1, self.sharing());
                self.gossip.say(&format!("_townlet.{}.{me}", self.source.group), Bytes::from(what))?;
                self.said = Some(now);
            }
            for (subject, said) in self.gossip.hear(LOOK_AROUND.min(self.source.heartbeat))? {
                self.compare(&subject, &said);
                let index = subject.rsplit('.').next().and_then(|index| index.parse().ok());
                if let Some(index) = index {
                    self.roster.heard(index, Instant::now());
                }
            }
            self.assign(Instant::now());
            self.look_for_strays();
        }
        Ok(())
    }

    /// What all members have to agree on.
    fn sharing(&self) -> String {
        format!("/{} of {}", self.source.member.of(), self.source.subject.partitions())
    }

    /// Tells the operator of a member that shares out otherwise: some partitions are nobody's then, others two members'.
    fn compare(&self, subject: &str, said: &[u8]) {
        let (said, sharing) = (String::from_utf8_lossy(said), self.sharing());
        if !said.ends_with(&sharing) {
            self.misconfigured(format!(
                "a member of the group says that it is {said:.40?} ({subject}), and we are {}{sharing} partitions: give \
                 all members the same number of members and of partitions",
                self.source.member.index() + 1
            ));
        }
    }

    /// Tells the operator of messages that nobody of the group reads.
    fn look_for_strays(&mut self) {
        let source = self.source;
        if !self.workers.contains_key(&0) {
            self.strays = None;
            return;
        }
        let look = || self.link.strays(&source.stream, &source.subject, &source.group);
        if let Some(stray) = self.strays.get_or_insert_with(look).take() {
            self.misconfigured(format!(
                "the stream {} has messages on {}, which is partition {}, and the group {} has {} (from 0): nobody reads \
                 them; use the same number of partitions as the producers",
                source.stream,
                stray.subject,
                stray.partition,
                source.group,
                source.subject.partitions()
            ));
        }
    }

    fn misconfigured(&self, message: String) {
        self.nats.trouble(Some(&TransportError::new(ErrorKind::Misconfigured, message)));
    }

    /// Begins with what is ours and is not pulled, and ends what is not ours any more.
    fn assign(&mut self, now: Instant) {
        let ended: Vec<u32> =
            self.workers.iter().filter(|(_, worker)| worker.thread.is_finished()).map(|(at, _)| *at).collect();
        for partition in ended {
            self.join(partition);
            self.again.insert(partition, now + PAUSE);
        }
        let Some(mine) = self.roster.mine(self.source.subject.partitions(), now) else { return };
        let others: Vec<u32> = self.workers.keys().copied().filter(|at| !mine.contains(at)).collect();
        self.give_up(&others);
        for partition in mine {
            let waits = self.again.get(&partition).is_some_and(|again| now < *again);
            if !waits && !self.workers.contains_key(&partition) {
                self.again.remove(&partition);
                self.start(partition);
            }
        }
    }

    fn start(&mut self, partition: u32) {
        let stop = Arc::new(AtomicBool::new(false));
        let share = Share {
            shared: Arc::clone(self.shared),
            nats: Arc::clone(self.nats),
            link: self.link.clone(),
            slot: Arc::clone(self.slot),
            stop: Arc::clone(&stop),
            partition,
        };
        let source = self.source.clone();
        let name = format!("townlet-nats-{partition}");
        match thread::Builder::new().name(name).stack_size(STACK).spawn(move || share.pull(&source)) {
            Ok(thread) => {
                self.nats.shares().insert(partition, Standing::default());
                self.workers.insert(partition, Worker { stop, thread });
            }
            Err(error) => {
                tracing::error!(partition, %error, "collector_thread_failed");
                self.again.insert(partition, Instant::now() + PAUSE);
            }
        }
    }

    /// Ends them all at once and waits until they have.
    fn give_up(&mut self, partitions: &[u32]) {
        for partition in partitions {
            if let Some(worker) = self.workers.get(partition) {
                worker.stop.store(true, Ordering::Release);
            }
        }
        partitions.iter().for_each(|partition| self.join(*partition));
    }

    fn join(&mut self, partition: u32) {
        let Some(worker) = self.workers.remove(&partition) else { return };
        match worker.thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.nats.trouble(Some(&error)),
            Err(_) => tracing::error!(partition, "collector_nats_partition_panicked"),
        }
        self.nats.shares().remove(&partition);
    }

    fn end(&mut self) {
        let all: Vec<u32> = self.workers.keys().copied().collect();
        self.give_up(&all);
    }
}
