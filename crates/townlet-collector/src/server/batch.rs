//! Lines that come as a whole and are answered for as a whole: the body of a
//! request.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;
use townlet_schema::{HeadReader, LineHead};

use super::foreign;
use super::intake::{Intake, Refusal, Session, check_names, check_seq, refusal_of};
use super::slots::Slot;
use crate::report::{EndKind, Ending};

/// Lines of one request, at most; their envelopes are held while it is checked.
const MAX_LINES: usize = 20_000;

/// What became of the lines of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Lines, empty ones not counted.
    pub lines: u64,
    /// Of these, how many are new and stored.
    pub stored: u64,
    /// Of these, how many were here before.
    pub duplicates: u64,
}

impl Taken {
    fn count(&mut self, new: bool) {
        self.lines += 1;
        *(if new { &mut self.stored } else { &mut self.duplicates }) += 1;
    }
}

/// Why they were not all taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// A line is at fault, and none was taken.
    Line { number: usize, reason: String },
    /// More lines or streams than one request may bring.
    TooMany(String),
    /// The directory or the store cannot take them now. Of the store, some may be there.
    NotNow(Ending),
}

/// Takes the lines of one request on the connection of this slot; `taken` as in
/// [`Session::take_all`].
pub(super) fn take_request(intake: &Arc<Intake>, slot: &Slot, lines: &[u8], taken: &mut Taken) -> Result<(), NotTaken> {
    // One for each request: a connection may be a proxy's, with everybody's streams.
    let mut session = Session::new(Arc::clone(intake), slot.id, slot.peer);
    let outcome = session.take_all(lines, taken);
    // Where the store promises nothing for an answer, it writes all the same.
    let written = session.write_out();
    slot.update(|report| {
        let (sum, part) = (&mut report.counts, session.counts);
        sum.lines += part.lines;
        sum.bytes += part.bytes;
        sum.stored += part.stored;
        sum.duplicates += part.duplicates;
        sum.invalid += part.invalid;
    });
    match (outcome, written) {
        (Ok(()), Err(ending)) => Err(NotTaken::NotNow(ending)),
        (outcome, _) => outcome,
    }
}

impl Session {
    /// Takes the lines of `body`, all of them or none where one is not valid or one
    /// stream too many. A last line without its newline is whole, because the body is.
    ///
    /// `taken`: what an earlier try took of the same body, which is not taken again
    /// and only settled. It says how far this one came, also where it fails.
    pub(super) fn take_all(&mut self, body: &[u8], taken: &mut Taken) -> Result<(), NotTaken> {
        let begun = Instant::now();
        self.at(begun);
        let lines = self.check_all(body)?;
        for (head, _) in &lines {
            self.hold(head).map_err(|ending| {
                let split = ending.kind == EndKind::TooManyStreams && self.is_full() && lines.len() > 1;
                if split { NotTaken::TooMany(ending.detail) } else { NotTaken::NotNow(ending) }
            })?;
        }
        let before = usize::try_from(taken.lines).unwrap_or(usize::MAX);
        let rest = lines.get(before..).unwrap_or_default();
        for (head, line) in rest {
            let whole;
            let line = if line.ends_with(b"\n") {
                *line
            } else {
                whole = [line, &b"\n"[..]].concat();
                &whole
            };
            match self.take_read(head, line) {
                Ok(new) => taken.count(new),
                Err(ending) => {
                    if ending.kind == EndKind::SubscriberPanicked {
                        taken.count(true);
                    }
                    return Err(NotTaken::NotNow(ending));
                }
            }
        }
        self.figures().batch(rest.len() as u64, begun.elapsed());
        self.settle().map_err(NotTaken::NotNow)
    }

    fn check_all<'a>(&mut self, body: &'a [u8]) -> Result<Vec<(LineHead<'a>, &'a [u8])>, NotTaken> {
        let mut lines: Vec<(LineHead<'a>, &'a [u8])> = Vec::new();
        let mut heads = HeadReader::default();
        let numbered = body.split_inclusive(|byte| *byte == b'\n').enumerate();
        for (at, line) in numbered.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            if lines.len() == MAX_LINES {
                return Err(NotTaken::TooMany(format!("a request may have {MAX_LINES} lines")));
            }
            match check(&mut heads, line, lines.last().map(|(head, _)| head), self.line_limit()) {
                Ok(head) => lines.push((head, line)),
                Err((key, reason)) => {
                    let alone = body.trim_ascii().len() == line.trim_ascii().len();
                    self.refuse_request(key, &reason, line, alone);
                    return Err(NotTaken::Line { number: at + 1, reason });
                }
            }
        }
        Ok(lines)
    }
}

/// Reads the envelope of a line of at most `limit` bytes. `before`: that of the
/// line before, whose names are in order.
fn check<'a>(
    heads: &mut HeadReader,
    line: &'a [u8],
    before: Option<&LineHead<'_>>,
    limit: usize,
) -> Result<LineHead<'a>, (&'static str, String)> {
    let bytes = line.strip_suffix(b"\n").unwrap_or(line);
    if bytes.len() > limit {
        let reason = format!("{} bytes, at most {limit} are taken (max_line_bytes)", bytes.len());
        return Err(("too_large", reason));
    }
    let head = foreign::read(heads, bytes).map_err(|error| match refusal_of(bytes, &error) {
        Refusal::Line(key, reason) => (key, reason),
        Refusal::Cut(ending) => ("other", ending.detail),
    })?;
    let invalid = |reason| ("invalid_field", reason);
    check_seq(&head).map_err(invalid)?;
    if !before.is_some_and(|before| before.run_id == head.run_id && before.stream == head.stream) {
        check_names(head.run_id.as_deref(), head.stream.as_deref()).map_err(invalid)?;
    }
    Ok(head)
}
