//! From text to a tree.

use super::scan::{NumberText, Scanner, StringSpan};
use super::{Json, Number, Object};
use crate::encode::MAX_DEPTH;
use crate::error::{ReadError, ReadErrorKind};

/// The longest line that is read, in bytes: 16 MiB, the upper bound of
/// `max_buffer_bytes`, so that no producer can have buffered a longer one. A
/// tree takes up to about 16 times the bytes of its text.
pub const MAX_LINE_BYTES: usize = 16 * 1024 * 1024;

pub(super) fn parse(bytes: &[u8]) -> Result<Json, ReadError> {
    let mut scanner = Scanner::new(bytes, MAX_LINE_BYTES)?;
    let value = value(&mut scanner, 0)?;
    scanner.end()?;
    Ok(value)
}

/// The error of a container that opens at `at`, one level too deep.
#[cold]
pub(crate) fn too_deep(at: usize) -> ReadError {
    ReadError::at(ReadErrorKind::TooDeep, at, format!("nested deeper than {MAX_DEPTH} levels"))
}

/// Recursion is bounded by [`MAX_DEPTH`].
fn value(scanner: &mut Scanner<'_>, depth: usize) -> Result<Json, ReadError> {
    match scanner.next_token() {
        Some(b'"') => {
            let span = scanner.string()?;
            Ok(Json::String(scanner.unescape(span).into_owned()))
        }
        Some(b'{' | b'[') if depth == MAX_DEPTH => Err(too_deep(scanner.at)),
        Some(b'{') => object(scanner, depth + 1),
        Some(b'[') => array(scanner, depth + 1),
        Some(b'-' | b'0'..=b'9') => number(scanner),
        Some(b't') => scanner.word("true").map(|()| Json::Bool(true)),
        Some(b'f') => scanner.word("false").map(|()| Json::Bool(false)),
        Some(b'n') => scanner.word("null").map(|()| Json::Null),
        _ => Err(scanner.syntax("a value")),
    }
}

fn array(scanner: &mut Scanner<'_>, depth: usize) -> Result<Json, ReadError> {
    scanner.at += 1;
    let mut items = Vec::new();
    if scanner.next_token() == Some(b']') {
        scanner.at += 1;
        return Ok(Json::Array(items));
    }
    loop {
        items.push(value(scanner, depth)?);
        match scanner.next_token() {
            Some(b',') => scanner.at += 1,
            Some(b']') => {
                scanner.at += 1;
                return Ok(Json::Array(items));
            }
            _ => return Err(scanner.syntax("',' or ']'")),
        }
    }
}

fn object(scanner: &mut Scanner<'_>, depth: usize) -> Result<Json, ReadError> {
    let start = scanner.at;
    scanner.at += 1;
    let mut entries = Vec::new();
    if scanner.next_token() == Some(b'}') {
        scanner.at += 1;
        return Ok(Json::Object(Object::new()));
    }
    loop {
        let key = key(scanner)?;
        let key = scanner.unescape(key).into_owned();
        let value = value(scanner, depth).map_err(|e| e.within_key(&key))?;
        entries.push((key, value));
        match scanner.next_token() {
            Some(b',') => scanner.at += 1,
            Some(b'}') => {
                scanner.at += 1;
                return Object::from_entries(entries).map(Json::Object).map_err(|key| duplicate(&key, start));
            }
            _ => return Err(scanner.syntax("',' or '}'")),
        }
    }
}

#[cold]
pub(crate) fn duplicate(key: &str, at: usize) -> ReadError {
    ReadError::at(ReadErrorKind::DuplicateKey, at, "the same key twice in one object").within_key(key)
}

/// Consumes `"key":`.
#[inline]
pub(crate) fn key(scanner: &mut Scanner<'_>) -> Result<StringSpan, ReadError> {
    if scanner.next_token() != Some(b'"') {
        return Err(scanner.syntax("a key in quotes"));
    }
    let span = scanner.string()?;
    scanner.expect(b':', "':'")?;
    Ok(span)
}

fn number(scanner: &mut Scanner<'_>) -> Result<Json, ReadError> {
    let start = scanner.at;
    let shape = scanner.number()?;
    let text = scanner.slice(start, scanner.at);
    if shape == NumberText::Integer && text != "-0" {
        if let Ok(value) = text.parse::<u64>() {
            return Ok(Json::Number(value.into()));
        }
        if let Ok(value) = text.parse::<i64>() {
            return Ok(Json::Number(value.into()));
        }
    }
    // The standard library's conversion is exact, unlike serde_json's default.
    let value = text.parse().unwrap_or(f64::INFINITY);
    let number = Number::try_from(value);
    number
        .map(Json::Number)
        .map_err(|_| ReadError::at(ReadErrorKind::NumberRange, start, "a number beyond the range of a 64-bit float"))
}
