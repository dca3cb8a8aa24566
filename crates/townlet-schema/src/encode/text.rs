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

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let escape = ESCAPES[byte as usize];
        if escape == 0 {
            continue;
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        if escape == b'u' {
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', HEX[(byte >> 4) as usize], HEX[(byte & 0xf) as usize]]);
        } else {
            out.extend_from_slice(&[b'\\', escape]);
        }
    }
    out.extend_from_slice(&bytes[done..]);
    out.push(b'"');
}

/// Appends the shortest decimal text that reads back as `value`, which the
/// caller knows to be finite. Always with a point or an exponent, so that a
/// float stays a float.
pub(crate) fn write_finite(value: f64, out: &mut Vec<u8>) {
    // A `Vec` takes every write; the formatter is serde_json's, and no feature of it changes this.
    let written = CompactFormatter.write_f64(out, value);
    debug_assert!(written.is_ok());
}

/// As [`write_finite`], with the digits that a 32-bit float needs.
pub(crate) fn write_finite_f32(value: f32, out: &mut Vec<u8>) {
    let written = CompactFormatter.write_f32(out, value);
    debug_assert!(written.is_ok());
}

/// Appends an integer.
pub(crate) fn write_integer(value: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}
