//! How far a follower has come, in a form that outlives it.

use std::fmt;
use std::str::FromStr;

use flate2::Crc;

use crate::calendar::Moment;
use crate::names::{Key, Mark};

/// Bytes at the beginning of a file, and before the place that was reached, by which
/// it is known again.
pub(super) const WINDOW: usize = 1024;

/// How far a [`Follower`](super::Follower) has come: behind the last line that it
/// gave out. As text it is one line, to be stored with whatever was made of the lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Every file up to this one was read to its end.
    pub(super) done: Option<Key>,
    /// The file after it: device and number, as long as it is not compressed.
    pub(super) identity: Option<(u64, u64)>,
    /// Bytes read of it, as they were before compression.
    pub(super) offset: u64,
    pub(super) head: Window,
    pub(super) tail: Window,
}

impl Position {
    /// Bytes read of the file that was being read.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

/// Some bytes, as far as needed to know them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) len: u64,
    pub(super) sum: u32,
}

impl Window {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(bytes);
        Self { len: bytes.len() as u64, sum: crc.sum() }
    }
}

/// The two windows of a file while it is read.
#[derive(Clone, Debug, Default)]
pub(super) struct Windows {
    pub(super) head: Vec<u8>,
    pub(super) tail: Vec<u8>,
}

impl Windows {
    /// Takes in the bytes that come next.
    pub(super) fn add(&mut self, bytes: &[u8]) {
        let room = WINDOW - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let new = &bytes[bytes.len().saturating_sub(WINDOW)..];
        let keep = (WINDOW - new.len()).min(self.tail.len());
        self.tail.drain(..self.tail.len() - keep);
        self.tail.extend_from_slice(new);
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "townlet-position/1 offset={}", self.offset)?;
        write!(f, " head={}:{:08x} tail={}:{:08x}", self.head.len, self.head.sum, self.tail.len, self.tail.sum)?;
        if let Some((device, number)) = self.identity {
            write!(f, " file={device}:{number}")?;
        }
        if let Some(key) = &self.done {
            write!(f, " done={}", moment(&key.period))?;
            if let Some(mark) = &key.mark {
                write!(f, "+{}-{}", mark.at.seconds(), mark.counter)?;
            }
        }
        Ok(())
    }
}

fn moment(period: &Moment) -> String {
    if *period == Moment::default() { "any".to_owned() } else { period.stamp() }
}

/// A text that is no position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPosition(String);

impl fmt::Display for NoPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a position of a follower: {}", self.0)
    }
}

impl std::error::Error for NoPosition {}

impl FromStr for Position {
    type Err = NoPosition;

    fn from_str(text: &str) -> Result<Self, NoPosition> {
        let mut words = text.split_whitespace();
        match words.next() {
            Some("townlet-position/1") => {}
            other => return Err(NoPosition(format!("it begins with '{}'", other.unwrap_or_default()))),
        }
        let mut position = Self::default();
        let mut offset = None;
        for word in words {
            let understood = word.split_once('=').and_then(|(name, value)| {
                match name {
                    "offset" => offset = Some(value.parse().ok()?),
                    "head" => position.head = window(value)?,
                    "tail" => position.tail = window(value)?,
                    "file" => position.identity = Some(pair(value, ':')?),
                    "done" => position.done = Some(key(value)?),
                    _ => return None,
                }
                Some(())
            });
            understood.ok_or_else(|| NoPosition(format!("'{word}' is not understood")))?;
        }
        position.offset = offset.ok_or_else(|| NoPosition("it has no offset".into()))?;
        let reach = position.head.len.max(position.tail.len);
        if reach > position.offset || reach > WINDOW as u64 || (position.offset > 0) != (reach > 0) {
            return Err(NoPosition("its numbers contradict each other".into()));
        }
        Ok(position)
    }
}

fn pair(text: &str, between: char) -> Option<(u64, u64)> {
    let (left, right) = text.split_once(between)?;
    Some((left.parse().ok()?, right.parse().ok()?))
}

fn window(text: &str) -> Option<Window> {
    let (len, sum) = text.split_once(':')?;
    Some(Window { len: len.parse().ok()?, sum: u32::from_str_radix(sum, 16).ok()? })
}

fn key(text: &str) -> Option<Key> {
    let (period, mark) = text.split_once('+').map_or((text, None), |(period, mark)| (period, Some(mark)));
    let period = if period == "any" { Moment::default() } else { Moment::of_stamp(period)? };
    let mark = match mark {
        None => None,
        Some(mark) => {
            let (seconds, counter) = pair(mark, '-')?;
            let at = std::time::SystemTime::UNIX_EPOCH.checked_add(std::time::Duration::from_secs(seconds))?;
            Some(Mark { at: Moment::of(at), counter: u32::try_from(counter).ok()? })
        }
    };
    Some(Key { period, mark })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let day = Moment::begin(2026, 11, 20, 0).unwrap();
        let mark = Mark { at: Moment::of_stamp("20261121T065501Z").unwrap(), counter: 7 };
        let window = Window::of(b"abc");
        for done in [
            None,
            Some(Key { period: Moment::default(), mark: None }),
            Some(Key { period: Moment::default(), mark: Some(mark) }),
            Some(Key { period: day, mark: None }),
            Some(Key { period: day, mark: Some(mark) }),
        ] {
            for identity in [None, Some((2049, 77))] {
                let position = Position { done, identity, offset: 99, head: window, tail: window };
                assert_eq!(position.to_string().parse(), Ok(position));
            }
        }
    }

    #[test]
    fn what_is_no_position_is_refused_with_the_reason() {
        for (text, says) in [
            ("", "begins with ''"),
            ("townlet-position/2 offset=0", "begins with 'townlet-position/2'"),
            ("townlet-position/1", "no offset"),
            ("townlet-position/1 offset=x", "'offset=x'"),
            ("townlet-position/1 offset=1 lines=2", "'lines=2'"),
            ("townlet-position/1 offset=1", "contradict"),
            ("townlet-position/1 offset=1 head=2:0 tail=1:0", "contradict"),
            ("townlet-position/1 offset=0 done=20260230T000000Z", "'done="),
            ("townlet-position/1 offset=0 done=any+99999999999999999999-0", "'done="),
        ] {
            let error = text.parse::<Position>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_windows_are_the_first_and_the_last_bytes_however_they_came() {
        let all: Vec<u8> = (0..3000_u32).map(|n| (n % 251) as u8).collect();
        for step in [1, 7, 100, 1023, 1024, 1025, 3000] {
            let mut windows = Windows::default();
            for piece in all.chunks(step) {
                windows.add(piece);
            }
            assert_eq!((&windows.head[..], &windows.tail[..]), (&all[..WINDOW], &all[3000 - WINDOW..]), "{step}");
        }
    }
}
