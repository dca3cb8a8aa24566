//! The text of a bundle, in lines:
//!
//! ```text
//! townlet-bundle/1
//! about sha256:…                       or: about the whole log
//! holds 3 entries, 1 contents, 2 earlier sizes
//! (the checkpoint: a signed note, ended by its one signature line)
//! began 12 ROOT HASH,HASH,…            an earlier size, with its proof
//! entry 4 HASH,HASH,…                  or `-` where the proof is empty
//! {"at":"…","envelope":{…}}            the bytes of the entry
//! content sha256:… BASE64
//! end crc32:0123abcd                   of all lines before
//! ```
//!
//! Numbers are decimal, hashes base64, and each has one form. Nothing may stand before, between or after. The check sum
//! tells damage on the way from a text that somebody changed; against the latter it does nothing, and everything is
//! verified without it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Bundle, Entry, Past};
use crate::checkpoint::{SignedCheckpoint, decimal, hash};
use crate::digest::Digest;
use crate::error::Error;

const FIRST: &str = "townlet-bundle/1";
const WHOLE: &str = "the whole log";
const LAST: &str = "end crc32:";
/// Origin, size, root, time, an empty line, and one signature.
const CHECKPOINT_LINES: usize = 6;

impl Bundle {
    /// Its text.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let about = self.about.map_or(WHOLE.to_owned(), |digest| digest.to_string());
        let mut text = format!("{FIRST}\nabout {about}\n");
        let (entries, contents, past) = (self.entries.len(), self.contents.len(), self.past.len());
        // Writing into a String does not fail.
        let _ = writeln!(text, "holds {entries} entries, {contents} contents, {past} earlier sizes");
        let _ = write!(text, "{}", self.checkpoint);
        for Past { size, root, proof } in &self.past {
            let _ = writeln!(text, "began {size} {} {}", BASE64.encode(root.as_bytes()), hashes(proof));
        }
        let mut bytes = text.into_bytes();
        for Entry { index, proof, body } in &self.entries {
            bytes.extend(format!("entry {index} {}\n", hashes(proof)).into_bytes());
            bytes.extend(body);
            bytes.push(b'\n');
        }
        for (digest, content) in &self.contents {
            bytes.extend(format!("content {digest} {}\n", BASE64.encode(content)).into_bytes());
        }
        let last = last_line(&bytes);
        bytes.extend(last.into_bytes());
        bytes
    }

    /// Reads the text of a bundle. Nothing of it is verified.
    ///
    /// # Errors
    /// [`ErrorKind::Malformed`](crate::ErrorKind::Malformed), with the line.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let malformed = |what: String| Error::malformed(format!("bundle: {what}"));
        let body = bytes.len().checked_sub(last_line(b"").len()).map(|end| &bytes[..end]);
        let body = body.filter(|body| bytes[body.len()..].starts_with(LAST.as_bytes()));
        let body = body.ok_or_else(|| malformed("it does not end as one: it was cut off, or is none".to_owned()))?;
        if bytes[body.len()..] != *last_line(body).as_bytes() {
            return Err(malformed("its check sum does not fit: it was damaged on the way, or changed".to_owned()));
        }
        let text = std::str::from_utf8(body).map_err(|error| malformed(error.to_string()))?;
        let mut lines = Lines { rest: text, number: 0 };
        read(&mut lines).map_err(|what| Error::malformed(format!("bundle, line {}: {what}", lines.number)))
    }
}

/// What follows these lines.
fn last_line(lines: &[u8]) -> String {
    format!("{LAST}{:08x}\n", crc32fast::hash(lines))
}

/// The hashes of a proof as one word.
fn hashes(proof: &[Digest]) -> String {
    if proof.is_empty() {
        return "-".to_owned();
    }
    proof.iter().map(|hash| BASE64.encode(hash.as_bytes())).collect::<Vec<_>>().join(",")
}

fn proof(word: &str) -> Option<Vec<Digest>> {
    if word == "-" { Some(Vec::new()) } else { word.split(',').map(hash).collect() }
}

struct Lines<'a> {
    rest: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    fn text(&mut self) -> Result<&'a str, String> {
        self.number += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or("the text ends here: it was cut off")?;
        self.rest = rest;
        Ok(line)
    }

    /// What follows a word on the next line.
    fn after(&mut self, word: &str) -> Result<&'a str, String> {
        let line = self.text()?;
        let rest = line.strip_prefix(word).and_then(|rest| rest.strip_prefix(' '));
        rest.ok_or_else(|| format!("`{word} …` belongs here"))
    }
}

fn read(lines: &mut Lines<'_>) -> Result<Bundle, String> {
    if lines.text()? != FIRST {
        return Err(format!("not `{FIRST}`: no bundle, or one of another version"));
    }
    let about = match lines.after("about")? {
        WHOLE => None,
        digest => Some(digest.parse().map_err(|error: Error| error.to_string())?),
    };
    let holds = lines.after("holds")?;
    let counts = holds.strip_suffix(" earlier sizes").and_then(|holds| {
        let (entries, holds) = holds.split_once(" entries, ")?;
        let (contents, past) = holds.split_once(" contents, ")?;
        Some((decimal(entries)?, decimal(contents)?, decimal(past)?))
    });
    let (entries, contents, past) = counts.ok_or("`holds N entries, N contents, N earlier sizes` belongs here")?;

    let mut note = String::new();
    for _ in 0..CHECKPOINT_LINES {
        note.push_str(lines.text()?);
        note.push('\n');
    }
    let checkpoint = SignedCheckpoint::parse(&note).map_err(|error| error.to_string())?;
    if !checkpoint.has_one_signature() {
        return Err("the checkpoint in a bundle has one signature, that of the log".to_owned());
    }

    // Counts are not believed: nothing is reserved for them.
    let past = (0..past).map(|_| read_past(lines)).collect::<Result<_, _>>()?;
    let entries = (0..entries).map(|_| read_entry(lines)).collect::<Result<_, _>>()?;
    let contents = (0..contents).map(|_| read_content(lines)).collect::<Result<_, _>>()?;
    if !lines.rest.is_empty() {
        lines.number += 1;
        return Err("more than the bundle says that it holds".to_owned());
    }
    Ok(Bundle { about, checkpoint, past, entries, contents })
}

fn read_past(lines: &mut Lines<'_>) -> Result<Past, String> {
    let mut words = lines.after("began")?.split(' ');
    let mut read = || {
        let (size, root) = (decimal(words.next()?)?, hash(words.next()?)?);
        let proof = proof(words.next()?)?;
        words.next().is_none().then_some(Past { size, root, proof })
    };
    read().ok_or_else(|| "`began SIZE ROOT HASHES` belongs here".to_owned())
}

fn read_entry(lines: &mut Lines<'_>) -> Result<Entry, String> {
    let words = lines.after("entry")?.split_once(' ');
    let read = words.and_then(|(index, hashes)| Some((decimal(index)?, proof(hashes)?)));
    let (index, proof) = read.ok_or("`entry PLACE HASHES` belongs here")?;
    Ok(Entry { index, proof, body: lines.text()?.as_bytes().to_vec() })
}

fn read_content(lines: &mut Lines<'_>) -> Result<(Digest, Vec<u8>), String> {
    let (digest, base64) = lines.after("content")?.split_once(' ').ok_or("`content DIGEST BASE64` belongs here")?;
    let digest = digest.parse().map_err(|error: Error| error.to_string())?;
    let bytes = BASE64.decode(base64).map_err(|error| format!("content {digest}: {error}"))?;
    Ok((digest, bytes))
}
