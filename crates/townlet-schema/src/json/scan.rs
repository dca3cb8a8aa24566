//! The lexer: walks over JSON text, checks it, builds nothing.

use std::borrow::Cow;

use crate::encode::text::special_bytes;
use crate::error::{ReadError, ReadErrorKind};

/// What a number's text looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberText {
    Integer,
    Float,
}

/// A string as found: the span between its quotes and whether it has escapes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StringSpan {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) escaped: bool,
}

/// A place in a text that is known to be UTF-8.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    pub(crate) at: usize,
}

impl<'a> Scanner<'a> {
    /// Starts at the beginning of `bytes`.
    ///
    /// # Errors
    /// [`TooLarge`](ReadErrorKind::TooLarge) and [`Utf8`](ReadErrorKind::Utf8).
    pub(crate) fn new(bytes: &'a [u8], limit: usize) -> Result<Self, ReadError> {
        if bytes.len() > limit {
            let message = format!("{} bytes are more than the {limit} that one line may have", bytes.len());
            return Err(ReadError::whole(ReadErrorKind::TooLarge, message));
        }
        let text = std::str::from_utf8(bytes)
            .map_err(|e| ReadError::at(ReadErrorKind::Utf8, e.valid_up_to(), "not valid UTF-8"))?;
        Ok(Self { text, bytes, at: 0 })
    }

    #[cold]
    pub(crate) fn syntax(&self, expected: &str) -> ReadError {
        let message = match self.text[self.floor(self.at)..].chars().next() {
            Some(c) => format!("expected {expected}, found {c:?}"),
            None => format!("expected {expected}, found the end of the line"),
        };
        ReadError::at(ReadErrorKind::Syntax, self.at, message)
    }

    fn floor(&self, at: usize) -> usize {
        self.text.floor_char_boundary(at)
    }

    /// The text of a span that this scanner reported.
    #[inline]
    pub(crate) fn slice(&self, start: usize, end: usize) -> &'a str {
        // Spans end at ASCII bytes, so they are always on character boundaries.
        self.text.get(start..end).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Skips white space and returns the byte after it.
    #[inline]
    pub(crate) fn next_token(&mut self) -> Option<u8> {
        while let Some(byte) = self.peek() {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    /// Consumes `byte` after white space.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, expected: &str) -> Result<(), ReadError> {
        if self.next_token() != Some(byte) {
            return Err(self.syntax(expected));
        }
        self.at += 1;
        Ok(())
    }

    /// Checks that nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), ReadError> {
        match self.next_token() {
            None => Ok(()),
            Some(_) => Err(self.syntax("the end of the line")),
        }
    }

    /// Consumes one of the three words.
    #[inline]
    pub(crate) fn word(&mut self, word: &str) -> Result<(), ReadError> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.syntax(word));
        }
        self.at += word.len();
        Ok(())
    }

    /// Consumes a string whose opening quote is the current byte.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<StringSpan, ReadError> {
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.skip_plain();
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    return Ok(StringSpan { start, end, escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.syntax("a character that may stand unescaped in a string")),
                None => return Err(self.syntax("the closing quote of a string")),
            }
        }
    }

    /// Moves to the next quote, backslash or control character.
    #[inline]
    fn skip_plain(&mut self) {
        while let Some((chunk, _)) = self.bytes[self.at..].split_first_chunk::<8>() {
            let flags = special_bytes(u64::from_le_bytes(*chunk));
            if flags != 0 {
                self.at += flags.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.at += 1;
        }
    }

    #[cold]
    fn escape(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                self.at += 1;
                match self.hex4()? {
                    0xd800..=0xdbff => self.low_surrogate(start),
                    0xdc00..=0xdfff => Err(Self::lone(start)),
                    _ => Ok(()),
                }
            }
            _ => Err(self.syntax("an escape such as \\n or \\u0041")),
        }
    }

    fn low_surrogate(&mut self, start: usize) -> Result<(), ReadError> {
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(Self::lone(start));
        }
        self.at += 2;
        match self.hex4()? {
            0xdc00..=0xdfff => Ok(()),
            _ => Err(Self::lone(start)),
        }
    }

    fn lone(at: usize) -> ReadError {
        ReadError::at(ReadErrorKind::LoneSurrogate, at, "half of a surrogate pair, which is no character")
    }

    fn hex4(&mut self) -> Result<u32, ReadError> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| (b as char).to_digit(16));
            value = value * 16 + digit.ok_or_else(|| self.syntax("four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(value)
    }

    /// Consumes a number; the current byte is a digit or a minus sign.
    #[inline]
    pub(crate) fn number(&mut self) -> Result<NumberText, ReadError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(self.syntax("a digit")),
        }
        let mut text = NumberText::Integer;
        if self.peek() == Some(b'.') {
            text = NumberText::Float;
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            text = NumberText::Float;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(text)
    }

    #[inline]
    fn digits(&mut self) {
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
    }

    #[inline]
    fn some_digits(&mut self) -> Result<(), ReadError> {
        let start = self.at;
        self.digits();
        if self.at == start { Err(self.syntax("a digit")) } else { Ok(()) }
    }

    /// The text a span stands for.
    #[inline]
    pub(crate) fn unescape(&self, span: StringSpan) -> Cow<'a, str> {
        let raw = self.slice(span.start, span.end);
        if span.escaped { Cow::Owned(unescape(raw)) } else { Cow::Borrowed(raw) }
    }
}

/// Replaces the escapes of a string that the scanner has checked.
fn unescape(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let letter = rest.as_bytes().get(at + 1).copied().unwrap_or(b'\\');
        let mut used = 2;
        text.push(match letter {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let hex = |from: usize| rest.get(from..from + 4).and_then(|h| u32::from_str_radix(h, 16).ok());
                let first = hex(at + 2).unwrap_or(0xfffd);
                used = 6;
                let scalar = match (first, hex(at + 8)) {
                    (0xd800..=0xdbff, Some(low @ 0xdc00..=0xdfff)) => {
                        used = 12;
                        0x1_0000 + ((first - 0xd800) << 10) + (low - 0xdc00)
                    }
                    _ => first,
                };
                char::from_u32(scalar).unwrap_or('\u{fffd}')
            }
            other => other as char,
        });
        rest = rest.get(at + used..).unwrap_or_default();
    }
    text.push_str(rest);
    text
}
