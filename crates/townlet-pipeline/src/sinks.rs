//! The sinks behind the lock, and what hosts were let in for without asking each of them.

use townlet_schema::Kind;
use townlet_worker::{Credit, OnCredit, Route, Sink};

use crate::intake::Routes;

/// All sinks of a pipeline. Whoever looks at them finds their books complete: what was let in on credit is put down
/// first, and the credit is at an end, since anything may be done to them now.
pub(crate) struct Sinks {
    sinks: Vec<Sink>,
    /// Those that get states and nothing else, one bit each.
    states_only: u32,
    /// What all of them allow.
    credit: Credit,
    /// By stream.
    tabs: Vec<Tab>,
    /// The streams with something on their tab, each once.
    open: Vec<u32>,
    /// Of the first event of it.
    first_tick: u64,
}

/// What a stream was let in for on credit.
#[derive(Clone, Copy)]
struct Tab {
    /// Where its events go then.
    routes: Routes,
    /// On no books yet.
    admitted: OnCredit,
}

impl Tab {
    const UNKNOWN: Self = Self { routes: Routes::NOWHERE, admitted: OnCredit::NONE };
}

impl Sinks {
    pub(crate) fn new(sinks: Vec<Sink>, states_only: u32) -> Self {
        Self { sinks, states_only, credit: Credit::NONE, tabs: Vec::new(), open: Vec::new(), first_tick: 0 }
    }

    /// All of them, in the order of configuration.
    pub(crate) fn all(&mut self) -> &mut [Sink] {
        self.credit = Credit::NONE;
        if !self.open.is_empty() {
            self.put_down();
        }
        &mut self.sinks
    }

    /// Those that get events of `kind`, with their places: all, but for sinks that get states alone.
    pub(crate) fn concerned(&mut self, kind: Kind) -> impl Iterator<Item = (usize, &mut Sink)> {
        let passed_over = if kind == Kind::Snapshot { 0 } else { self.states_only };
        self.all().iter_mut().enumerate().filter(move |(index, _)| passed_over >> index & 1 == 0)
    }

    /// Lets an event in where there is credit for it, and says where it goes.
    #[inline]
    pub(crate) fn admit_on_credit(&mut self, stream: u32, tick: u64, weight: usize) -> Option<Routes> {
        let Tab { routes, admitted } =
            self.tabs.get_mut(stream as usize).filter(|tab| tab.routes != Routes::NOWHERE)?;
        if !self.credit.spend(tick, weight) {
            return None;
        }
        if admitted.events() == 0 {
            if self.open.is_empty() {
                self.first_tick = tick;
            }
            self.open.push(stream);
        }
        admitted.add(tick, weight);
        Some(*routes)
    }

    /// Asks all sinks how much they take from now on; `stream`, of `kind`, is known from now on.
    pub(crate) fn renew_credit(&mut self, stream: u32, kind: Kind) {
        let place = stream as usize;
        if self.tabs.len() <= place {
            self.tabs.resize(place + 1, Tab::UNKNOWN);
        }
        if self.tabs[place].routes == Routes::NOWHERE {
            let mut routes = Routes::NOWHERE;
            self.concerned(kind).for_each(|(index, _)| routes.set(index, Some(Route::Main)));
            self.tabs[place].routes = routes;
        }
        let credit = self.all().iter().map(|sink| sink.main().credit()).reduce(Credit::and);
        self.credit = credit.unwrap_or(Credit::NONE);
    }

    /// Puts what was let in on credit on the books.
    fn put_down(&mut self) {
        for stream in self.open.drain(..) {
            let Tab { routes, admitted } = &mut self.tabs[stream as usize];
            for (index, sink) in self.sinks.iter_mut().enumerate() {
                if routes.get(index).is_some() {
                    sink.machine(Route::Main).admit_on_credit(stream, self.first_tick, admitted);
                }
            }
            *admitted = OnCredit::NONE;
        }
    }
}
