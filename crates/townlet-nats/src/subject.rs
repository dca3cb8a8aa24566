//! Which subject a stream of telemetry has, and which partition it falls into.

use std::fmt::Write;

use townlet_transport::{ErrorKind, Label, TransportError};

/// Partitions, at most: each has a consumer at the server.
pub const MOST_PARTITIONS: u32 = 1024;

/// A subject as it is configured, with `{stream}`, `{run_id}` and `{partition}` in it.
///
/// Subjects carry a partition because a consumer selects messages by subject and by
/// nothing else: what is in the subject is shared out by the server, and a stream that is
/// always in the same partition always reaches the same member of a group.
///
/// ```
/// use townlet_nats::Subject;
/// use townlet_transport::Label;
///
/// let subject = Subject::parse("townlet.{partition}.{stream}", 16)?;
/// assert_eq!(subject.of(&Label::new("r1", "shard-7.events")), "townlet.10.shard-7.events");
/// assert_eq!(subject.filter(Some(10)), "townlet.10.>");
/// # Ok::<(), townlet_transport::TransportError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    tokens: Vec<Vec<Part>>,
    partitions: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Stream,
    Run,
    Partition,
}

impl Subject {
    /// Reads a template. `partitions` counts from 1.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured): a placeholder that is none, a subject
    /// that NATS does not have, no `{stream}`, or a number of partitions out of bounds.
    pub fn parse(text: &str, partitions: u32) -> Result<Self, TransportError> {
        let wrong =
            |what: String| Err(TransportError::new(ErrorKind::Misconfigured, format!("nats.subject: {text:?} {what}")));
        if !(1..=MOST_PARTITIONS).contains(&partitions) {
            let message = format!("nats.partitions: {partitions} is not from 1 to {MOST_PARTITIONS}");
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        if text.starts_with('$') || text.starts_with("_INBOX") {
            return wrong("is a name that the server keeps for itself".into());
        }
        let mut tokens = Vec::new();
        for token in text.split('.') {
            match parts(token) {
                Ok(parts) if parts.is_empty() => return wrong("has an empty part between its dots".into()),
                Ok(parts) => tokens.push(parts),
                Err(what) => return wrong(what),
            }
        }
        let has = |part: &Part| tokens.iter().flatten().any(|one| one == part);
        if !has(&Part::Stream) {
            return wrong("has no {stream}: each stream needs a subject of its own".into());
        }
        if partitions > 1 && !has(&Part::Partition) {
            return wrong(format!("has no {{partition}}, and nats.partitions is {partitions}: add it"));
        }
        let subject = Self { tokens, partitions };
        if partitions > 1 && subject.selecting().is_none() {
            return wrong(
                "has {partition} behind {stream} or beside {run_id}: no consumer can select by it there".into(),
            );
        }
        Ok(subject)
    }

    /// Where the token stands that a consumer selects a partition by, and what it is made of.
    fn selecting(&self) -> Option<(usize, &[Part])> {
        let fixed = self.fixed().enumerate();
        let mut found = fixed.filter(|(_, token)| token.contains(&Part::Partition) && !token.contains(&Part::Run));
        found.next().map(|(at, token)| (at, token.as_slice()))
    }

    /// The tokens that do not depend on a name with dots.
    fn fixed(&self) -> impl Iterator<Item = &Vec<Part>> {
        self.tokens.iter().take_while(|token| !token.contains(&Part::Stream))
    }

    /// The partition that stands in `subject`, also where there are not so many here; none where it is no subject of
    /// this form.
    pub fn partition_in(&self, subject: &str) -> Option<u32> {
        let (at, token) = self.selecting()?;
        let mut rest = subject.split('.').nth(at)?;
        let mut partition = None;
        for part in token {
            rest = match part {
                Part::Text(text) => rest.strip_prefix(text.as_str())?,
                _ => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    partition = Some(rest[..digits].parse().ok()?);
                    &rest[digits..]
                }
            };
        }
        partition.filter(|_| rest.is_empty())
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// The subject of a stream. Dots in a stream's name go on as dots; what cannot stand
    /// in a subject becomes `_`.
    pub fn of(&self, label: &Label) -> String {
        let partition = self.partition(label.stream());
        self.render(|part, out| match part {
            Part::Text(text) => out.push_str(text),
            Part::Stream => push_clean(out, label.stream(), true),
            Part::Run => push_clean(out, label.run_id(), false),
            // Writing to a string cannot fail.
            Part::Partition => drop(write!(out, "{partition}")),
        })
    }

    /// The partition of the stream of that name: FNV-1a of 32 bits over its subject's
    /// tokens without the dots, modulo the partitions. It is what `partition(n, …)` does in
    /// a server's own subject mapping.
    pub fn partition(&self, stream: &str) -> u32 {
        let mut clean = String::new();
        push_clean(&mut clean, stream, true);
        let bytes = clean.bytes().filter(|byte| *byte != b'.');
        let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        hash % self.partitions
    }

    /// What a consumer selects to get all streams of a partition, or of all of them.
    pub fn filter(&self, partition: Option<u32>) -> String {
        // From the first token on that only a name decides, everything is taken: names have dots.
        let mut out = String::new();
        for token in self.fixed() {
            let wild = token.iter().any(|part| *part == Part::Run || (*part == Part::Partition && partition.is_none()));
            if wild {
                out.push_str("*.");
                continue;
            }
            for part in token {
                match (part, partition) {
                    (Part::Text(text), _) => out.push_str(text),
                    (Part::Partition, Some(partition)) => drop(write!(out, "{partition}")),
                    _ => {}
                }
            }
            out.push('.');
        }
        out.push('>');
        out
    }

    fn render(&self, mut part: impl FnMut(&Part, &mut String)) -> String {
        let mut out = String::new();
        for (at, token) in self.tokens.iter().enumerate() {
            if at > 0 {
                out.push('.');
            }
            token.iter().for_each(|one| part(one, &mut out));
        }
        out
    }
}

fn parts(token: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut rest = token;
    while !rest.is_empty() {
        let (text, after) = rest.split_once('{').map_or((rest, None), |(text, after)| (text, Some(after)));
        if let Some(bad) = text.chars().find(|c| !is_clean(*c) || *c == '}') {
            return Err(format!("has {bad:?}, which no subject can have"));
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let Some(after) = after else { break };
        let Some((name, after)) = after.split_once('}') else {
            return Err("opens a brace and does not close it".into());
        };
        parts.push(match name {
            "stream" => Part::Stream,
            "run_id" => Part::Run,
            "partition" => Part::Partition,
            _ => return Err(format!("has {{{name}}}: there are {{stream}}, {{run_id}} and {{partition}}")),
        });
        rest = after;
    }
    Ok(parts)
}

fn is_clean(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '*' | '>' | '.' | '\u{feff}')
}

/// Appends `name` as one or more tokens, none of them empty.
fn push_clean(out: &mut String, name: &str, dots: bool) {
    let start = out.len();
    for c in name.chars() {
        match c {
            '.' if dots && out.len() > start && !out.ends_with('.') => out.push('.'),
            '.' => out.push('_'),
            c if is_clean(c) => out.push(c),
            _ => out.push('_'),
        }
    }
    if out.len() == start || out.ends_with('.') {
        out.push('_');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subject(text: &str, partitions: u32) -> Subject {
        Subject::parse(text, partitions).unwrap()
    }

    #[test]
    fn placeholders_are_filled_and_what_no_subject_has_is_replaced() {
        let subject = subject("t.{partition}.{run_id}.s-{stream}", 4);
        let of = |run: &str, stream: &str| subject.of(&Label::new(run, stream));
        assert_eq!(of("r.1", "town"), format!("t.{}.r_1.s-town", subject.partition("town")));
        assert!(of("r", "a b*c>d").ends_with(".r.s-a_b_c_d"));
        assert!(of("r", "..x..y.").ends_with(".r.s-_.x._y._"), "{}", of("r", "..x..y."));
        assert!(of("", "").ends_with("._.s-_"));
    }

    #[test]
    fn the_filter_takes_whatever_the_names_are() {
        let one = subject("t.{partition}.{run_id}.{stream}", 4);
        assert_eq!(one.filter(Some(3)), "t.3.*.>");
        assert_eq!(one.filter(None), "t.*.*.>");
        assert_eq!(subject("p{partition}.{stream}", 2).filter(Some(1)), "p1.>");
        assert_eq!(subject("{stream}", 1).filter(Some(0)), ">");
        assert_eq!(subject("t.{stream}", 1).filter(Some(0)), "t.>");
    }

    #[test]
    fn what_cannot_be_a_subject_is_refused() {
        for (text, partitions, says) in [
            ("t.{stream}", 0, "from 1 to 1024"),
            ("t.{stream}", 2, "no {partition}"),
            ("t.{partition}", 2, "no {stream}"),
            ("t.{stream}.{partition}", 2, "behind {stream}"),
            ("t.{stream}-{partition}", 2, "behind {stream}"),
            ("t.{run_id}-{partition}.{stream}", 2, "beside {run_id}"),
            ("t..{stream}", 1, "empty part"),
            ("", 1, "empty part"),
            ("t.>.{stream}", 1, "no subject can have"),
            ("t }.{stream}", 1, "no subject can have"),
            ("t.{stream", 1, "does not close"),
            ("t.{tick}", 1, "there are {stream}"),
            ("$JS.{stream}", 1, "keeps for itself"),
        ] {
            let error = Subject::parse(text, partitions).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Misconfigured);
            assert!(error.to_string().contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn the_partition_of_somebody_with_more_of_them_is_read() {
        let one = subject("t.{run_id}.p{partition}.{stream}", 4);
        assert_eq!(one.partition_in("t.r.p3.town.events"), Some(3));
        assert_eq!(one.partition_in("t.r.p12.town"), Some(12));
        for other in ["t.r.3.town", "t.r.p.town", "t.r.px.town", "t.r.p3x.town", "t.r", "t.r.p99999999999.town"] {
            assert_eq!(one.partition_in(other), None, "{other}");
        }
        assert_eq!(subject("t.{stream}", 1).partition_in("t.3"), None);
    }

    proptest! {
        #[test]
        fn every_name_makes_a_valid_subject_within_its_partitions_filter(
            run in ".{0,20}", stream in ".{0,40}", partitions in 1_u32..40
        ) {
            let subject = subject("t.{partition}.{run_id}.{stream}", partitions);
            let text = subject.of(&Label::new(&run, &stream));
            prop_assert!(text.split('.').all(|token| !token.is_empty()), "{text}");
            prop_assert!(!text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '*' || c == '>'), "{text}");
            let partition = subject.partition(&stream);
            prop_assert!(partition < partitions);
            let expected = format!("t.{partition}.");
            prop_assert!(text.starts_with(&expected), "{text}");
        }
    }
}
