//! Strings and numbers as JSON text.

use serde_json::ser::{CompactFormatter, Formatter};

/// For each byte: 0 where it stands for itself, `u` for a `\u00XX` escape, else
/// the letter after the backslash (RFC 8259, section 7).
static ESCAPES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = b'u';
        byte += 1;
    }
    table[0x08] = b'b';
    table[0x09] = b't';
    table[0x0a] = b'n';
    table[0x0c] = b'f';
    table[0x0d] = b'r';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
};

/// Where the first byte that needs an escape lies; the length where none does.
#[inline]
fn first_escape(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some((chunk, _)) = bytes[at..].split_first_chunk::<8>() {
        let flags = special_bytes(u64::from_le_bytes(*chunk));
        if flags != 0 {
            return at + flags.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while at < bytes.len() && ESCAPES[bytes[at] as usize] == 0 {
        at += 1;
    }
    at
}

/// Marks the bytes of a little-endian word that cannot stand unescaped in a
/// string: quotes, backslashes, control characters. The lowest mark is exact,
/// which is the one to use.
#[inline]
pub(crate) fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (quote, slash) = (word ^ (ONES * b'"' as u64), word ^ (ONES * b'\\' as u64));
    ((quote.wrapping_sub(ONES) & !quote)
        | (slash.wrapping_sub(ONES) & !slash)
        | (word.wrapping_sub(ONES * 0x20) & !word))
        & HIGH
}

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let plain = first_escape(bytes);
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(&bytes[..plain]);
    if plain < bytes.len() {
        write_escaped(&bytes[plain..], out);
    }
    out.push(b'"');
}

#[cold]
fn write_escaped(bytes: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[byte as usize];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        if escape == b'u' {
            let digits = [HEX[(byte >> 4) as usize], HEX[(byte & 0xf) as usize]];
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&digits);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[done..]);
}

/// Appends the shortest decimal text that reads back as `value`, which the
/// caller knows to be finite. Always with a point or an exponent, so that a
/// float stays a float.
#[inline]
pub(crate) fn write_finite(value: f64, out: &mut Vec<u8>) {
    // A `Vec` takes every write; the formatter is serde_json's, and no feature of it changes this.
    let written = CompactFormatter.write_f64(out, value);
    debug_assert!(written.is_ok());
}

/// As [`write_finite`], with the digits that a 32-bit float needs.
#[inline]
pub(crate) fn write_finite_f32(value: f32, out: &mut Vec<u8>) {
    let written = CompactFormatter.write_f32(out, value);
    debug_assert!(written.is_ok());
}

/// Appends an integer.
#[inline]
pub(crate) fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
