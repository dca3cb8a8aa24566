//! Incidents, each put together from what was signed about it.

use std::time::Duration;

use townlet_gate::statement::{IncidentClosed, IncidentOpened, IncidentOutcome, Severity};
use townlet_registry::Digest;

use crate::history::{History, NotCounted, Told};
use crate::statement::{IncidentEntry, Step};

/// An incident from its opening to its end.
#[derive(Clone, Debug, PartialEq)]
pub struct Incident<'h> {
    /// Its opening.
    pub opened: &'h Told<IncidentOpened>,
    /// Its timeline, in the order in which things happened.
    pub timeline: Vec<&'h Told<IncidentEntry>>,
    /// Its end; nothing while it is open.
    pub closed: Option<&'h Told<IncidentClosed>>,
}

impl Incident<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.opened.said.incident
    }

    /// Whether nobody has closed it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Whether something was wrong, as far as is known.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.closed.is_none_or(|closed| closed.said.outcome != IncidentOutcome::FalseAlarm)
    }

    /// From when it began until users had what they came for again; nothing while it is open.
    #[must_use]
    pub fn time_to_restore(&self) -> Option<Duration> {
        let closed = self.closed?;
        span(self.opened.said.began_at.as_ms(), closed.said.restored_at.as_ms())
    }

    /// How long the rollback took: from the first that began to the next end of one, whether it worked or not; nothing
    /// where there was none, or it is under way.
    #[must_use]
    pub fn rollback(&self) -> Option<(Duration, bool)> {
        let started = self.timeline.iter().position(|entry| entry.said.step == Step::RollbackStarted)?;
        let ends = [Step::RollbackFinished, Step::RollbackFailed];
        let end = self.timeline.iter().skip(started).find(|entry| ends.contains(&entry.said.step))?;
        let from = self.timeline.get(started)?.said.happened_at;
        let took = span(from.as_ms(), end.said.happened_at.as_ms())?;
        Some((took, end.said.step == Step::RollbackFinished))
    }

    /// How long after its end what was learnt could be read; nothing where it cannot be yet.
    #[must_use]
    pub fn postmortem(&self) -> Option<Duration> {
        let closed = self.closed?;
        let written = self.timeline.iter().find(|entry| entry.said.step == Step::Postmortem)?;
        // One that came before the end did not come late.
        Some(span(closed.said.restored_at.as_ms(), written.said.happened_at.as_ms()).unwrap_or_default())
    }

    /// Whether one of these records is that of the deployment that brought it.
    #[must_use]
    pub fn was_brought_by(&self, records: &[Digest]) -> bool {
        self.opened.said.deployment.is_some_and(|cause| records.contains(&cause))
    }
}

fn span(from_ms: i64, to_ms: i64) -> Option<Duration> {
    u64::try_from(to_ms.checked_sub(from_ms)?).ok().map(Duration::from_millis)
}

/// Incidents, and statements that belong to none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incidents<'h> {
    /// In the order in which they were opened.
    pub all: Vec<Incident<'h>>,
    /// Entries and ends of incidents that are not open, and openings of such that are.
    pub stray: Vec<NotCounted>,
}

/// What the log says of an incident, in its order.
enum Event<'h> {
    Opened(&'h Told<IncidentOpened>),
    Entry(&'h Told<IncidentEntry>),
    Closed(&'h Told<IncidentClosed>),
}

impl Event<'_> {
    fn place(&self) -> (u64, Digest) {
        match self {
            Self::Opened(told) => (told.index, told.digest),
            Self::Entry(told) => (told.index, told.digest),
            Self::Closed(told) => (told.index, told.digest),
        }
    }
}

impl History {
    /// The incidents, by what the log says in its order. A name that was closed may be opened again, as another incident.
    /// Entries may follow the end, as a postmortem does.
    #[must_use]
    pub fn incidents(&self) -> Incidents<'_> {
        let mut events: Vec<Event<'_>> = self.opened.iter().map(Event::Opened).collect();
        events.extend(self.entries.iter().map(Event::Entry));
        events.extend(self.closed.iter().map(Event::Closed));
        events.sort_by_key(|event| event.place().0);
        let mut incidents = Incidents::default();
        for event in events {
            let (index, digest) = event.place();
            if let Err(why) = incidents.take(event) {
                incidents.stray.push(NotCounted { index, digest, why });
            }
        }
        for incident in &mut incidents.all {
            incident.timeline.sort_by_key(|entry| (entry.said.happened_at, entry.index));
        }
        incidents
    }
}

impl<'h> Incidents<'h> {
    fn take(&mut self, event: Event<'h>) -> Result<(), String> {
        let last = |all: &mut Vec<Incident<'h>>, name: &str| all.iter().rposition(|incident| incident.name() == name);
        match event {
            Event::Opened(opened) => {
                let name = &opened.said.incident;
                if last(&mut self.all, name).is_some_and(|at| self.all[at].is_open()) {
                    return Err(format!("{name} is open already"));
                }
                self.all.push(Incident { opened, timeline: Vec::new(), closed: None });
            }
            Event::Entry(entry) => {
                let name = &entry.said.incident;
                let at = last(&mut self.all, name).ok_or_else(|| format!("nobody has opened {name}"))?;
                self.all[at].timeline.push(entry);
            }
            Event::Closed(closed) => {
                let name = &closed.said.incident;
                let at = last(&mut self.all, name).ok_or_else(|| format!("nobody has opened {name}"))?;
                let incident = &mut self.all[at];
                if !incident.is_open() {
                    return Err(format!("{name} is closed already"));
                }
                if closed.said.restored_at < incident.opened.said.began_at {
                    return Err(format!("{name} would be over before it began, at {}", incident.opened.said.began_at));
                }
                incident.closed = Some(closed);
            }
        }
        Ok(())
    }

    /// The last one of that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Incident<'h>> {
        self.all.iter().rev().find(|incident| incident.name() == name)
    }

    /// The critical ones in an environment that are open.
    #[must_use]
    pub fn open_critical(&self, environment: &str) -> Vec<&Incident<'h>> {
        let open = self.all.iter().filter(|incident| {
            let said = &incident.opened.said;
            incident.is_open() && said.severity == Severity::Critical && said.environment == environment
        });
        open.collect()
    }
}
