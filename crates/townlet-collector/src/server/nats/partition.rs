//! One partition: messages come, go through the intake, and are answered for.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use townlet_nats::{Delivery, Link, PullOptions, Verdict};
use townlet_transport::TransportError;

use super::super::intake::Session;
use super::super::{LOOK_AROUND, Shared, Slot};
use super::Nats;
use crate::nats::NatsSource;
use crate::report::{EndKind, LineCounts};

/// For how long a message stays at the broker that the store could not take.
const LATER: Duration = Duration::from_secs(5);

/// Subjects whose messages are taken before the first of them is written.
const SUBJECTS: usize = 64;

/// What one session took.
struct Taken {
    session: Session,
    verdicts: Vec<(Delivery, Verdict)>,
}

pub(super) struct Share {
    pub(super) shared: Arc<Shared>,
    pub(super) nats: Arc<Nats>,
    pub(super) link: Link,
    pub(super) slot: Arc<Slot>,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) partition: u32,
}

impl Share {
    /// Pulls until it is told to stop, or the consumer can no longer be pulled from.
    pub(super) fn pull(&self, source: &NatsSource) -> Result<(), TransportError> {
        let puller = self.link.puller(&PullOptions {
            stream: source.stream.clone(),
            durable: format!("{}-p{}", source.group, self.partition),
            filter: source.subject.filter(Some(self.partition)),
            ack_wait: source.ack_wait,
            max_ack_pending: source.max_ack_pending,
            batch: source.batch,
        })?;
        while !self.is_over() {
            let messages = puller.next(source.batch, LOOK_AROUND)?;
            self.nats.shares().insert(self.partition, puller.standing());
            if !messages.is_empty() {
                let verdicts = self.take(messages);
                puller.answer(verdicts)?;
            }
        }
        // What is here already goes to whoever comes next, at once.
        let rest = puller.next(usize::MAX, Duration::ZERO)?;
        self.nats.returned.fetch_add(rest.len() as u64, Ordering::Relaxed);
        puller.answer(rest.into_iter().map(|message| (message, Verdict::Again(Duration::ZERO))).collect())
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Acquire) || self.shared.stop.is_asked()
    }

    /// Takes messages as far as the store does, and says what becomes of each.
    fn take(&self, messages: Vec<Delivery>) -> Vec<(Delivery, Verdict)> {
        let again = messages.iter().filter(|message| message.delivered > 1).count();
        self.nats.redelivered.fetch_add(again as u64, Ordering::Relaxed);
        let mut verdicts = Vec::with_capacity(messages.len());
        let mut subjects = by_subject(messages).into_iter().peekable();
        while subjects.peek().is_some() {
            let begun = Instant::now();
            let mut round = Vec::new();
            subjects.by_ref().take(SUBJECTS).for_each(|messages| self.read(begun, messages, &mut round));
            // As of every other way in: what the disk takes for it is another figure.
            let lines = round.iter().map(|taken| taken.session.counts.lines).sum();
            self.shared.intake.figures.batch(lines, begun.elapsed());
            round.into_iter().for_each(|taken| verdicts.extend(self.settle(taken)));
        }
        self.tell(&verdicts);
        verdicts
    }

    /// Takes the messages of one subject, which mostly is one stream. Each has sessions of its
    /// own, so that a stream whose file fails gives back nothing of another.
    fn read(&self, now: Instant, messages: Vec<Delivery>, to: &mut Vec<Taken>) {
        let mut rest = messages.into_iter().peekable();
        let mut line = Vec::new();
        while rest.peek().is_some() {
            let mut session = Session::new(Arc::clone(&self.shared.intake), self.slot.id, self.slot.peer);
            session.at(now);
            let mut verdicts = Vec::new();
            let mut failed = false;
            // A session may use so many streams.
            while let Some(message) = rest.next_if(|_| verdicts.is_empty() || !session.is_full()) {
                let verdict = match failed {
                    true => Verdict::Again(LATER),
                    false => take_one(&mut session, &message.payload, &mut line),
                };
                failed = matches!(verdict, Verdict::Again(_));
                verdicts.push((message, verdict));
            }
            to.push(Taken { session, verdicts });
        }
    }

    fn settle(&self, taken: Taken) -> Vec<(Delivery, Verdict)> {
        let Taken { mut session, mut verdicts } = taken;
        // Where the store promises nothing for an answer, it writes all the same.
        let settled = session.settle().and_then(|()| session.write_out());
        if settled.is_err() {
            let taken = verdicts.iter_mut().filter(|(_, verdict)| *verdict == Verdict::Taken);
            taken.for_each(|(_, verdict)| *verdict = Verdict::Again(LATER));
        }
        self.publish(session.counts, &session, &verdicts);
        verdicts
    }

    /// Names the first of the messages that are none of ours, and says how many there were.
    fn tell(&self, verdicts: &[(Delivery, Verdict)]) {
        let mut never = verdicts.iter().filter(|(_, verdict)| *verdict == Verdict::Never).map(|(message, _)| message);
        let Some(first) = never.next() else { return };
        let (partition, subject, sequence) = (self.partition, &first.subject, first.sequence);
        let more = never.count();
        tracing::warn!(partition, subject, sequence, more, "collector_nats_message_terminated");
    }

    fn publish(&self, counts: LineCounts, session: &Session, verdicts: &[(Delivery, Verdict)]) {
        let count =
            |wanted: fn(&Verdict) -> bool| verdicts.iter().filter(|(_, verdict)| wanted(verdict)).count() as u64;
        self.nats.terminated.fetch_add(count(|verdict| *verdict == Verdict::Never), Ordering::Relaxed);
        self.nats.returned.fetch_add(count(|verdict| matches!(verdict, Verdict::Again(_))), Ordering::Relaxed);
        let acknowledged = count(|verdict| *verdict == Verdict::Taken);
        self.slot.update(|report| {
            let sum = &mut report.counts;
            sum.lines += counts.lines;
            sum.bytes += counts.bytes;
            sum.stored += counts.stored;
            sum.duplicates += counts.duplicates;
            sum.invalid += counts.invalid;
            report.acknowledged += acknowledged;
            if report.invalid_lines.is_empty() {
                report.invalid_lines.clone_from(&session.invalid_lines);
            }
        });
    }
}

/// The messages of each subject, in their order.
fn by_subject(messages: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut groups: Vec<Vec<Delivery>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for message in messages {
        match known.get(&message.subject).and_then(|at| groups.get_mut(*at)) {
            Some(group) => group.push(message),
            None => {
                known.insert(message.subject.clone(), groups.len());
                groups.push(vec![message]);
            }
        }
    }
    groups
}

/// Takes a message as one line. `line` is used for it, and may hold anything before.
fn take_one(session: &mut Session, payload: &[u8], line: &mut Vec<u8>) -> Verdict {
    let content = payload.strip_suffix(b"\n").unwrap_or(payload);
    line.clear();
    line.extend_from_slice(content);
    line.push(b'\n');
    let limit = session.line_limit();
    let refused = if content.len() > limit {
        Some(("too_large", format!("{} bytes, at most {limit} are taken (max_line_bytes)", content.len())))
    } else if memchr::memchr(b'\n', content).is_some() {
        Some(("syntax", "a message with a line end in it: one line a message is taken".to_owned()))
    } else {
        None
    };
    if let Some((key, reason)) = refused {
        session.refuse_request(key, &reason, line, true);
        return Verdict::Never;
    }
    let invalid = session.counts.invalid;
    match session.take(line) {
        Ok(()) if session.counts.invalid > invalid => Verdict::Never,
        Ok(()) => Verdict::Taken,
        // It was taken, and the other subscribers' lines go on.
        Err(ending) if ending.kind == EndKind::SubscriberPanicked => Verdict::Taken,
        Err(_) => Verdict::Again(LATER),
    }
}
