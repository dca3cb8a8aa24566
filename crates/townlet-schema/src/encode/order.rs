//! Sorting the entries of an object that has just been written.
//!
//! Maps nearly always arrive sorted, so the encoder only compares neighbours;
//! where they did not, the written text is cut into entries and put in order.

use std::cmp::Ordering;

/// Compares two keys as written (without quotes) by the text they stand for.
#[inline]
pub(crate) fn compare_keys(a: &[u8], b: &[u8]) -> Ordering {
    if a.contains(&b'\\') || b.contains(&b'\\') { Unescaped(a).cmp(Unescaped(b)) } else { a.cmp(b) }
}

/// The bytes behind escapes as `write_string` writes them: `\u` only for
/// control characters, so that each escape stands for one byte.
struct Unescaped<'a>(&'a [u8]);

impl Iterator for Unescaped<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        if *first != b'\\' {
            self.0 = rest;
            return Some(*first);
        }
        let (letter, rest) = rest.split_first()?;
        self.0 = rest;
        Some(match letter {
            b'b' => 0x08,
            b't' => 0x09,
            b'n' => 0x0a,
            b'f' => 0x0c,
            b'r' => 0x0d,
            b'u' => {
                let (digits, rest) = self.0.split_at_checked(4)?;
                self.0 = rest;
                digits.iter().fold(0, |value, digit| (value << 4) | (*digit as char).to_digit(16).unwrap_or(0) as u8)
            }
            other => *other,
        })
    }
}

/// Sorts the entries of the object body `out[start..]` (no braces) by key.
///
/// # Errors
/// The key that stands there twice.
pub(crate) fn sort_entries(out: &mut Vec<u8>, start: usize) -> Result<(), String> {
    let body = out.split_off(start);
    let entries = sorted(&body)?;
    for (index, (_, entry)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(entry);
    }
    Ok(())
}

/// Looks for a key that stands twice in the object body `body` (no braces), whose order stays as it is.
///
/// # Errors
/// That key.
pub(crate) fn check_entries(body: &[u8]) -> Result<(), String> {
    sorted(body).map(drop)
}

/// A key without quotes, and the entry that it begins.
type Entry<'b> = (&'b [u8], &'b [u8]);

fn sorted(body: &[u8]) -> Result<Vec<Entry<'_>>, String> {
    let mut entries = Vec::new();
    let mut from = 0;
    while from < body.len() {
        let key_end = from + string_len(&body[from..]);
        let end = key_end + value_len(&body[key_end..]);
        entries.push((&body[from + 1..key_end - 1], &body[from..end]));
        from = end + 1;
    }
    entries.sort_by(|a, b| compare_keys(a.0, b.0));
    match entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => Err(String::from_utf8_lossy(pair[0].0).into_owned()),
        None => Ok(entries),
    }
}

/// Length of the string at the start of `text`, quotes included.
fn string_len(text: &[u8]) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Length of `:value` at the start of `text`, up to the comma after it.
fn value_len(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while at < text.len() {
        match text[at] {
            b'"' => {
                at += string_len(&text[at..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}
