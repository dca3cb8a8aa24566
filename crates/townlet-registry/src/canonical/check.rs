//! Whether a text is the canonical one of its value.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::{MAX_DEPTH, number};
use crate::error::{Error, ErrorKind};

/// Passes the canonical text of a value, and nothing else.
///
/// # Errors
/// [`ErrorKind::Malformed`], with the byte at which the text stops being canonical.
pub fn check(bytes: &[u8]) -> Result<(), Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| refuse(error.valid_up_to(), "no UTF-8 from here on"))?;
    let mut scan = Scan { text, at: 0 };
    scan.value(0)?;
    if scan.at < bytes.len() {
        return Err(refuse(scan.at, "something after the end of the value"));
    }
    Ok(())
}

/// The order of members: by UTF-16 code units (RFC 8785, section 3.2.3).
pub(super) fn order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn refuse(at: usize, what: &str) -> Error {
    Error::new(ErrorKind::Malformed, format!("not canonical JSON at byte {at}: {what}"))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn refuse(&self, what: &str) -> Error {
        refuse(self.at, what)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), Error> {
        if self.peek() == Some(wanted) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.refuse(&format!("`{}` expected", char::from(wanted))))
        }
    }

    fn value(&mut self, depth: usize) -> Result<(), Error> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= MAX_DEPTH => Err(self.refuse("nested too deep")),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            _ => {
                let rest = &self.text[self.at..];
                let word = ["true", "false", "null"].into_iter().find(|word| rest.starts_with(word));
                self.at += word.ok_or_else(|| self.refuse("a value expected, without white space"))?.len();
                Ok(())
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut last: Option<Cow<'a, str>> = None;
        loop {
            let start = self.at;
            let name = self.string()?;
            if let Some(last) = &last {
                match order(last, &name) {
                    Ordering::Less => {}
                    Ordering::Equal => return Err(refuse(start, &format!("member `{name}` stands twice"))),
                    Ordering::Greater => return Err(refuse(start, &format!("member `{name}` is out of order"))),
                }
            }
            last = Some(name);
            self.expect(b':')?;
            self.value(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth + 1)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b']'),
            }
        }
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        self.expect(b'"')?;
        let mut start = self.at;
        let mut decoded = String::new();
        loop {
            match self.peek() {
                None => return Err(self.refuse("the text ends in a string")),
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    if decoded.is_empty() {
                        return Ok(Cow::Borrowed(rest));
                    }
                    decoded.push_str(rest);
                    return Ok(Cow::Owned(decoded));
                }
                Some(b'\\') => {
                    decoded.push_str(&self.text[start..self.at]);
                    decoded.push(self.escape()?);
                    start = self.at;
                }
                Some(0..=0x1f) => return Err(self.refuse("a control character that is not escaped")),
                Some(_) => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Error> {
        let rest = &self.text.as_bytes()[self.at..];
        let (control, length) = match rest {
            [_, b'"', ..] => ('"', 2),
            [_, b'\\', ..] => ('\\', 2),
            [_, b'b', ..] => ('\u{8}', 2),
            [_, b't', ..] => ('\t', 2),
            [_, b'n', ..] => ('\n', 2),
            [_, b'f', ..] => ('\u{c}', 2),
            [_, b'r', ..] => ('\r', 2),
            [_, b'u', b'0', b'0', high @ (b'0' | b'1'), low @ (b'0'..=b'9' | b'a'..=b'f'), ..] => {
                let low = if low.is_ascii_digit() { low - b'0' } else { low - b'a' + 10 };
                let code = (high - b'0') * 16 + low;
                if matches!(code, 8..=10 | 12 | 13) {
                    return Err(self.refuse("a control character with a shorter escape"));
                }
                (char::from(code), 6)
            }
            _ => return Err(self.refuse("an escape that canonical text does not use")),
        };
        self.at += length;
        Ok(control)
    }

    fn number(&mut self) -> Result<(), Error> {
        let start = self.at;
        while matches!(self.peek(), Some(b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let number = &self.text[start..self.at];
        if number::is_canonical(number) {
            Ok(())
        } else {
            Err(refuse(start, &format!("`{number}` is not how its number is written")))
        }
    }
}
