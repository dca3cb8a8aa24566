//! Strings and numbers as JSON text.

use std::io;

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
    if is_plain(bytes) { bytes.len() } else { bytes.iter().take_while(|byte| ESCAPES[**byte as usize] == 0).count() }
}

/// True where all bytes stand for themselves. Looks at whole words, the last of
/// which may overlap the one before: keys are short, and a look at each byte of
/// them would cost more than writing them.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        let flags = words.iter().fold(special_bytes(u64::from_le_bytes(*last)), |flags, word| {
            flags | special_bytes(u64::from_le_bytes(*word))
        });
        flags == 0
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let word = u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last));
        special_bytes(word) == 0
    } else {
        bytes.iter().all(|byte| ESCAPES[*byte as usize] == 0)
    }
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

/// A text that is written with what is around it in one go, not piece by piece.
const SHORT: usize = 32;

/// Appends `text` as a JSON string, quotes included.
#[inline]
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if bytes.len() <= SHORT - 2 && is_plain(bytes) {
        // The quotes are there before the text.
        let start = out.len();
        out.extend_from_slice(&[b'"'; SHORT]);
        copy_short(&mut out[start + 1..], bytes);
        out.truncate(start + bytes.len() + 2);
        return;
    }
    write_long(bytes, out);
}

/// Appends the key of a member with its colon; behind another member with a comma.
#[inline]
pub(crate) fn write_key(key: &str, first: bool, out: &mut Vec<u8>) {
    let bytes = key.as_bytes();
    if bytes.len() <= SHORT - 4 && is_plain(bytes) {
        let start = out.len();
        out.extend_from_slice(&[b'"'; SHORT]);
        let place = &mut out[start..];
        place[0] = if first { b'"' } else { b',' };
        let text = 2 - usize::from(first);
        copy_short(&mut place[text..], bytes);
        place[text + bytes.len() + 1] = b':';
        out.truncate(start + text + bytes.len() + 2);
        return;
    }
    if !first {
        out.push(b',');
    }
    write_long(bytes, out);
    out.push(b':');
}

#[inline(never)]
fn write_long(bytes: &[u8], out: &mut Vec<u8>) {
    let plain = first_escape(bytes);
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    out.extend_from_slice(&bytes[..plain]);
    if plain < bytes.len() {
        write_escaped(&bytes[plain..], out);
    }
    out.push(b'"');
}

/// Copies `text` to the beginning of `to`, which is longer: by words that may
/// overlap, which for so few bytes takes less than the call that copies any number.
#[inline]
fn copy_short(to: &mut [u8], text: &[u8]) {
    fn by<const N: usize>(to: &mut [u8], text: &[u8]) -> bool {
        let (Some(first), Some(last)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return false };
        to[..N].copy_from_slice(first);
        to[text.len() - N..text.len()].copy_from_slice(last);
        true
    }
    if text.len() > 32 {
        to[..text.len()].copy_from_slice(text);
    } else if !(by::<16>(to, text) || by::<8>(to, text) || by::<4>(to, text) || by::<2>(to, text)) {
        to[..text.len()].iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
    }
}

/// Appends a number's text.
#[inline]
fn write_digits(digits: &[u8], out: &mut Vec<u8>) {
    if digits.len() > SHORT {
        return out.extend_from_slice(digits);
    }
    let start = out.len();
    out.extend_from_slice(&[b'0'; SHORT]);
    copy_short(&mut out[start..], digits);
    out.truncate(start + digits.len());
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

/// Where a number's text goes.
struct Digits<'a>(&'a mut Vec<u8>);

impl io::Write for Digits<'_> {
    #[inline]
    fn write(&mut self, digits: &[u8]) -> io::Result<usize> {
        write_digits(digits, self.0);
        Ok(digits.len())
    }

    #[inline]
    fn write_all(&mut self, digits: &[u8]) -> io::Result<()> {
        write_digits(digits, self.0);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends the shortest decimal text that reads back as `value`, which the
/// caller knows to be finite. Always with a point or an exponent, so that a
/// float stays a float.
#[inline]
pub(crate) fn write_finite(value: f64, out: &mut Vec<u8>) {
    // It takes every write; the formatter is serde_json's, and no feature of it changes this.
    let written = CompactFormatter.write_f64(&mut Digits(out), value);
    debug_assert!(written.is_ok());
}

/// As [`write_finite`], with the digits that a 32-bit float needs.
#[inline]
pub(crate) fn write_finite_f32(value: f32, out: &mut Vec<u8>) {
    let written = CompactFormatter.write_f32(&mut Digits(out), value);
    debug_assert!(written.is_ok());
}

/// Appends an integer.
#[inline]
pub(crate) fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    write_digits(itoa::Buffer::new().format(value).as_bytes(), out);
}
