//! Lines that come as a whole and are answered for as a whole: the body of a
//! request.

use std::time::Instant;

use serde::Serialize;
use townlet_schema::LineHead;

use super::foreign;
use super::intake::{Refusal, Session, check_names, check_seq, refusal_of};
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

/// Why they were not all taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// A line is at fault, and none was taken.
    Line { number: usize, reason: String },
    /// More lines or streams than one request may bring.
    TooMany(String),
    /// The store or the directory cannot take them now; some may be there.
    NotNow(Ending),
}

impl Session {
    /// Takes the lines of `body`, all of them or none where one is not valid. A
    /// last line without its newline is whole, because the body is.
    pub(super) fn take_all(&mut self, body: &[u8]) -> Result<Taken, NotTaken> {
        let begun = Instant::now();
        self.at(begun);
        let lines = self.check_all(body)?;
        let mut taken = Taken::default();
        for (head, line) in &lines {
            let whole;
            let line = if line.ends_with(b"\n") {
                *line
            } else {
                whole = [line, &b"\n"[..]].concat();
                &whole
            };
            match self.take_read(head, line) {
                Ok(true) => taken.stored += 1,
                Ok(false) => taken.duplicates += 1,
                Err(ending) if ending.kind == EndKind::TooManyStreams && self.is_full() && lines.len() > 1 => {
                    return Err(NotTaken::TooMany(ending.detail));
                }
                Err(ending) => return Err(NotTaken::NotNow(ending)),
            }
        }
        self.figures().batch(lines.len() as u64, begun.elapsed());
        self.settle().map_err(NotTaken::NotNow)?;
        taken.lines = taken.stored + taken.duplicates;
        Ok(taken)
    }

    fn check_all<'a>(&mut self, body: &'a [u8]) -> Result<Vec<(LineHead<'a>, &'a [u8])>, NotTaken> {
        let mut lines: Vec<(LineHead<'a>, &'a [u8])> = Vec::new();
        let numbered = body.split_inclusive(|byte| *byte == b'\n').enumerate();
        for (at, line) in numbered.filter(|(_, line)| !line.trim_ascii().is_empty()) {
            if lines.len() == MAX_LINES {
                return Err(NotTaken::TooMany(format!("a request may have {MAX_LINES} lines")));
            }
            match check(line, lines.last().map(|(head, _)| head)) {
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

/// Reads the envelope of a line. `before`: that of the line before, whose names
/// are in order.
fn check<'a>(line: &'a [u8], before: Option<&LineHead<'_>>) -> Result<LineHead<'a>, (&'static str, String)> {
    let bytes = line.strip_suffix(b"\n").unwrap_or(line);
    let head = foreign::read(bytes).map_err(|error| match refusal_of(bytes, &error) {
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
