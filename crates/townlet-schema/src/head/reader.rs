//! The envelopes of many lines, one after the other.

use std::borrow::Cow;
use std::ops::Range;

use super::{Field, LineHead, Opening, Start, read_from};
use crate::error::ReadError;
use crate::{Kind, SchemaVersion};

/// Streams whose opening is remembered: those of a host that takes turns.
const OPENINGS: usize = 4;

/// Longer ones are read each time.
const LONGEST: usize = 512;

/// Reads the heads of a connection's or a file's lines as [`read_head`](crate::read_head) does, in less time: lines of
/// one stream begin with the same bytes, up to `seq`, and what they say is known from the line before.
///
/// Every line gets the result that `read_head` has for it, whatever came before it. Keeps at most 2 KiB.
///
/// ```
/// # fn main() -> Result<(), townlet_schema::ReadError> {
/// let mut heads = townlet_schema::HeadReader::default();
/// for seq in 1..=3 {
///     let line = format!(r#"{{"schema_version":"1.1.0","stream":"town.events","seq":{seq},"tick":7}}"#);
///     assert_eq!(heads.read(line.as_bytes())?.seq, Some(seq));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct HeadReader {
    known: Vec<Known>,
    /// The one that lines began with last, and the one that was learned last.
    last: usize,
    newest: usize,
}

/// How the lines of a stream begin, and what that says.
#[derive(Clone, Debug)]
struct Known {
    bytes: Vec<u8>,
    seen: u16,
    schema_version: Option<SchemaVersion>,
    payload_type: Option<Kind>,
    run_id: Option<Range<usize>>,
    stream: Option<Range<usize>>,
}

impl HeadReader {
    /// The head of the next line.
    ///
    /// # Errors
    /// As [`read_head`](crate::read_head).
    pub fn read<'a>(&mut self, line: &'a [u8]) -> Result<LineHead<'a>, ReadError> {
        let starts = |known: &&Known| line.starts_with(&known.bytes);
        if let Some(known) = self.known.get(self.last).filter(starts) {
            return read_from(line, known.start(line)).map(|(head, _)| head);
        }
        if let Some(at) = self.known.iter().position(|known| line.starts_with(&known.bytes)) {
            self.last = at;
            return read_from(line, self.known[at].start(line)).map(|(head, _)| head);
        }
        let (head, opening) = read_from(line, Start::default())?;
        if let Some(known) = opening.and_then(|opening| Known::of(line, &head, &opening)) {
            self.learn(known);
        }
        Ok(head)
    }

    fn learn(&mut self, known: Known) {
        if self.known.len() < OPENINGS {
            self.newest = self.known.len();
            self.known.push(known);
        } else {
            self.newest = (self.newest + 1) % OPENINGS;
            self.known[self.newest] = known;
        }
        self.last = self.newest;
    }
}

impl Known {
    /// None where the opening says nothing, is long, or has escapes, of which a head has copies.
    fn of(line: &[u8], head: &LineHead<'_>, opening: &Opening) -> Option<Self> {
        let bytes = line.get(..opening.end).filter(|_| opening.seen != 0 && opening.end <= LONGEST)?.to_vec();
        let place = |text: &Option<Cow<'_, str>>| match text {
            None => Some(None),
            Some(Cow::Borrowed(text)) => {
                let start = (text.as_ptr() as usize).checked_sub(line.as_ptr() as usize)?;
                let range = start..start + text.len();
                // One that stands behind the opening is not of it.
                (range.end <= opening.end).then_some(Some(range))
            }
            Some(Cow::Owned(_)) => None,
        };
        let of_opening = |field: Field| opening.seen >> field as u16 & 1 == 1;
        Some(Self {
            bytes,
            seen: opening.seen,
            schema_version: head.schema_version.filter(|_| of_opening(Field::SchemaVersion)),
            payload_type: head.payload_type.filter(|_| of_opening(Field::PayloadType)),
            run_id: place(&head.run_id)?,
            stream: place(&head.stream)?,
        })
    }

    /// Where reading goes on in a line that begins with these bytes.
    fn start<'a>(&self, line: &'a [u8]) -> Start<'a> {
        let text = |range: &Option<Range<usize>>| {
            let bytes = line.get(range.clone()?)?;
            // What was text in one line is text in another that has the same bytes there.
            std::str::from_utf8(bytes).ok().map(Cow::Borrowed)
        };
        let head = LineHead {
            schema_version: self.schema_version,
            payload_type: self.payload_type,
            run_id: text(&self.run_id),
            stream: text(&self.stream),
            ..LineHead::default()
        };
        Start { at: self.bytes.len(), head, seen: self.seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_streams_that_take_turns_each_opening_is_known_once_and_of_many_the_newest_four() {
        let mut heads = HeadReader::default();
        for (streams, known) in [(1, 1), (3, 3), (9, OPENINGS)] {
            for seq in 1..=90 {
                let line = format!(r#"{{"schema_version":"1.1.0","stream":"s{}","seq":{seq}}}"#, seq % streams);
                assert_eq!(heads.read(line.as_bytes()).unwrap().seq, Some(seq));
            }
            assert_eq!(heads.known.len(), known);
        }
        let long = format!(r#"{{"stream":"{}","seq":1}}"#, "x".repeat(LONGEST));
        for line in [long.as_str(), r#"{"stream":"\u0061","seq":1}"#, r#"{"seq":1,"stream":"s"}"#, r#"{"stream":"s"}"#]
        {
            let mut heads = HeadReader::default();
            assert!(heads.read(line.as_bytes()).is_ok() && heads.known.is_empty(), "{line}");
        }
    }
}
