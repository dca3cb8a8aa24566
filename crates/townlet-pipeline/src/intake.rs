//! The first queue: what was admitted and waits for the stage.

use std::any::Any;
use std::collections::VecDeque;

use bytes::Bytes;
use townlet_schema::Payload;
use townlet_worker::Route;

use crate::arena::{Arena, Issued, Place};
use crate::lane::{AnyLane, Item, Lane};

/// Sinks a pipeline can have: two bits of routing each in a [`Routes`].
pub(crate) const MAX_SINKS: usize = 32;

/// Events that the stage takes in hand at a time: what it holds cannot be
/// evicted, so this is how far `drop_oldest` may miss the oldest.
pub(crate) const CHUNK: usize = 256;

/// Bytes, by weight, after which a hand is full as well.
pub(crate) const CHUNK_BYTES: usize = 128 * 1024;

/// Evicted values kept for the stage to free, so that the host does not pay for
/// it. Beyond this the host frees them: memory stays bounded while the stage is
/// held up.
const GRAVES: usize = 256;

/// Bytes, by weight, of such values.
const GRAVE_BYTES: usize = 1 << 20;

/// For each sink: main lane, extra lane, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Routes(u64);

impl Routes {
    const NONE: u64 = 0b10;

    /// To no sink.
    pub(crate) const NOWHERE: Self = Self(0xAAAA_AAAA_AAAA_AAAA);

    pub(crate) fn set(&mut self, sink: usize, route: Option<Route>) {
        let bits = match route {
            Some(Route::Main) => 0,
            Some(Route::Lane) => 1,
            None => Self::NONE,
        };
        self.0 = self.0 & !(0b11 << (2 * sink)) | bits << (2 * sink);
    }

    pub(crate) fn get(self, sink: usize) -> Option<Route> {
        match self.0 >> (2 * sink) & 0b11 {
            0 => Some(Route::Main),
            1 => Some(Route::Lane),
            _ => None,
        }
    }
}

/// In what form an admitted event waits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// As an item of its stream's lane.
    Lane,
    /// As the body that the caller encoded from the stream's type.
    Body(Place),
    /// As a whole line: no transform is concerned with it.
    Line(Place),
}

/// The place of an admitted event in the order of all streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) stream: u32,
    pub(crate) form: Form,
    pub(crate) seq: u64,
    pub(crate) tick: u64,
    pub(crate) weight: usize,
    pub(crate) routes: Routes,
}

impl Token {
    /// Where its bytes lie, for one that the caller encoded.
    pub(crate) fn place(&self) -> Option<Place> {
        match self.form {
            Form::Lane => None,
            Form::Body(place) | Form::Line(place) => Some(place),
        }
    }
}

/// Values to be dropped without the lock: dropping one may take long, and runs
/// whatever the host's type does when dropped.
pub(crate) type Remains = Vec<Box<dyn Any + Send>>;

/// Admitted events in order, with the lanes that hold their values.
#[derive(Default)]
pub(crate) struct Intake {
    tokens: VecDeque<Token>,
    lanes: Vec<Box<dyn AnyLane>>,
    pub(crate) arena: Arena,
    /// The stage's sides of lanes that it has not been given yet.
    opened: Vec<Box<dyn AnyLane>>,
    /// Tokens whose values the stage holds; not evictable, still on the books.
    in_hand: VecDeque<Token>,
    /// For each sink: no token before this one can be evicted for it.
    skipped: [usize; MAX_SINKS],
    /// Streams of evicted values that wait for the stage, and their weight.
    graves: Vec<u32>,
    grave_bytes: usize,
    remains: Remains,
}

impl Intake {
    /// Adds the two sides of a new stream's lane.
    pub(crate) fn add_lane(&mut self, host: Box<dyn AnyLane>, stage: Box<dyn AnyLane>) {
        self.lanes.push(host);
        self.opened.push(stage);
    }

    /// The stage's sides of lanes opened since the last call.
    pub(crate) fn take_opened(&mut self) -> impl Iterator<Item = Box<dyn AnyLane>> {
        self.opened.drain(..)
    }

    /// Adds an event whose value is an item of its stream's lane.
    #[inline(always)]
    pub(crate) fn put<T: Payload>(&mut self, token: Token, item: Item<T>) {
        let lane: &mut dyn Any = self.lanes[token.stream as usize].as_mut();
        if let Some(lane) = lane.downcast_mut::<Lane<T>>() {
            lane.push(item);
        }
        self.push(token);
    }

    /// Adds an event whose bytes lie in the arena.
    #[inline]
    pub(crate) fn push(&mut self, token: Token) {
        self.tokens.push_back(token);
    }

    /// True where nothing waits for the stage and the stage holds nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.tokens.is_empty() && self.in_hand.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Takes the oldest event that waits for `sink`'s main lane away from that
    /// sink alone. None where all that is upstream of it is in hand.
    pub(crate) fn evict_for(&mut self, sink: usize) -> Option<Token> {
        while let Some(token) = self.tokens.get_mut(self.skipped[sink]) {
            self.skipped[sink] += 1;
            if token.routes.get(sink) == Some(Route::Main) {
                token.routes.set(sink, None);
                let evicted = *token;
                self.drop_unwanted_front();
                return Some(evicted);
            }
        }
        None
    }

    /// Values that no sink wants any more leave at once.
    fn drop_unwanted_front(&mut self) {
        while let Some(front) = self.tokens.front()
            && front.routes == Routes::NOWHERE
        {
            if let Some(place) = front.place() {
                self.arena.forget_before(place.chunk);
            } else {
                let keep = self.graves.len() < GRAVES && self.grave_bytes + front.weight <= GRAVE_BYTES;
                if keep {
                    self.graves.push(front.stream);
                    self.grave_bytes += front.weight;
                }
                self.remains.extend(self.lanes[front.stream as usize].discard_front(keep));
            }
            self.tokens.pop_front();
            for skipped in &mut self.skipped {
                *skipped = skipped.saturating_sub(1);
            }
        }
    }

    /// Adds what the caller must drop once it has released the lock.
    pub(crate) fn take_remains(&mut self, remains: &mut Remains) {
        if !self.remains.is_empty() {
            remains.append(&mut self.remains);
        }
    }

    /// Hands evicted values and, where its hand is empty, the oldest waiting
    /// events to the stage, with the chunks in which those lie that are encoded.
    pub(crate) fn hand_over(
        &mut self,
        stage: &mut [Box<dyn AnyLane>],
        issued: &mut Issued,
        chunks: &mut Vec<(u64, Bytes)>,
    ) {
        for stream in self.graves.drain(..) {
            let stream = stream as usize;
            self.lanes[stream].hand_graves(stage[stream].as_mut());
        }
        self.grave_bytes = 0;
        if !self.in_hand.is_empty() {
            return;
        }
        let (mut count, mut bytes) = (0, 0);
        for token in self.tokens.iter().take(CHUNK) {
            bytes += token.weight;
            if count > 0 && bytes > CHUNK_BYTES {
                break;
            }
            count += 1;
        }
        // Neighbours of one stream move together.
        let mut run = (0, 0);
        for token in self.tokens.range(..count) {
            if let Some(place) = token.place() {
                if chunks.last().is_none_or(|(number, _)| *number != place.chunk) {
                    chunks.push((place.chunk, issued.chunk(place.chunk, &mut self.arena)));
                }
                continue;
            }
            if token.stream != run.0 {
                hand_run(&mut self.lanes, stage, run);
                run = (token.stream, 0);
            }
            run.1 += 1;
        }
        hand_run(&mut self.lanes, stage, run);
        self.in_hand.extend(self.tokens.drain(..count));
        for skipped in &mut self.skipped {
            *skipped = skipped.saturating_sub(count);
        }
        self.drop_unwanted_front();
    }

    /// The tokens of what the stage holds, oldest first; they stay on the books.
    pub(crate) fn hand(&self) -> impl Iterator<Item = Token> {
        self.in_hand.iter().copied()
    }

    /// The oldest token in hand is settled or filled.
    pub(crate) fn pop_hand(&mut self) -> Option<Token> {
        self.in_hand.pop_front()
    }

    /// Removes all tokens, those in hand included, oldest first.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Token> {
        let hand = std::mem::take(&mut self.in_hand);
        hand.into_iter().chain(std::mem::take(&mut self.tokens))
    }
}

/// Moves the `n` oldest items of a stream to the stage's side.
fn hand_run(host: &mut [Box<dyn AnyLane>], stage: &mut [Box<dyn AnyLane>], (stream, n): (u32, usize)) {
    if n > 0 {
        host[stream as usize].hand_over(n, stage[stream as usize].as_mut());
    }
}

#[cfg(test)]
mod model;
