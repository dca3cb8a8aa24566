//! Which frames a tap asks for. Runs on the reader's thread.

use std::collections::HashMap;

use bytes::Bytes;
use townlet_schema::{Kind, read_head};
use townlet_transport::{Frame, Label};

use super::TapOptions;

pub(super) struct Filter {
    kinds: Vec<Kind>,
    streams: Vec<String>,
    /// Streams that were met, and whether they are asked for.
    known: HashMap<Box<str>, (Label, bool)>,
}

impl Filter {
    pub(super) fn new(options: &TapOptions) -> Self {
        Self { kinds: options.kinds.clone(), streams: options.streams.clone(), known: HashMap::new() }
    }

    /// The first line of `chunk` from `at` on that is asked for. `at` is then the
    /// place behind it, or the end. Every line is one of this run's own.
    pub(super) fn line(&mut self, chunk: &Bytes, at: &mut usize) -> Option<Frame> {
        while let Some(rest) = chunk.get(*at..).filter(|rest| !rest.is_empty()) {
            let start = *at;
            *at += memchr::memchr(b'\n', rest).map_or(rest.len(), |newline| newline + 1);
            if let Some(frame) = self.choose(chunk, start, *at) {
                return Some(frame);
            }
        }
        None
    }

    fn choose(&mut self, chunk: &Bytes, start: usize, end: usize) -> Option<Frame> {
        let head = read_head(&chunk[start..end]).ok()?;
        let kind = head.payload_type.filter(|kind| self.wants_kind(kind.as_str()))?;
        let stream = head.stream?;
        if !self.known.contains_key(&*stream) {
            let label = Label::new(&head.run_id?, &stream);
            let wanted = self.wants_stream(&stream);
            self.known.insert(stream.as_ref().into(), (label, wanted));
        }
        let (label, _) = self.known.get(&*stream).filter(|(_, wanted)| *wanted)?;
        Some(Frame::new(label.clone(), kind.as_str(), head.seq?, head.tick?, chunk.slice(start..end)))
    }

    /// `frame`, if it is asked for and `at` is its beginning.
    pub(super) fn frame(&self, frame: &Frame, at: usize) -> Option<Frame> {
        let wanted = at == 0 && self.wants_kind(frame.kind()) && self.wants_stream(frame.label().stream());
        wanted.then(|| frame.clone())
    }

    fn wants_kind(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|wanted| wanted.as_str() == kind)
    }

    fn wants_stream(&self, stream: &str) -> bool {
        self.streams.is_empty() || self.streams.iter().any(|pattern| fits(pattern.as_bytes(), stream.as_bytes()))
    }
}

/// True where `name` is `pattern`, in which each `*` stands for any characters.
/// Takes at most the product of the two lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the latest star stands, and how far the name had come when it was met or last tried.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, tried)) = star else { return false };
                star = Some((at, tried + 1));
                p = at + 1;
                n = tried + 1;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::fits;

    /// By the definition: what follows a star fits some rest of the name.
    fn fits_by_definition(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|n| fits_by_definition(rest, &name[n..])),
            Some((byte, rest)) => name.first() == Some(byte) && fits_by_definition(rest, &name[1..]),
        }
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, name, expected) in [
            ("town.*", "town.events", true),
            ("town.*", "town.events.late", true),
            ("town.*", "town", false),
            ("town", "town", true),
            ("town", "town.events", false),
            ("*.health", "shard-7.health", true),
            ("*", "", true),
            ("", "town", false),
            ("t*n*s", "town.events", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_its_definition(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
            prop_assert_eq!(fits(pattern, name), fits_by_definition(pattern, name));
        }
    }
}
