//! The strict check: RFC 8259 and I-JSON (RFC 7493), nothing more lenient, in one pass.

use std::borrow::Cow;

use super::index::{Doc, Index, Node, Token};
use crate::dropped::{DropReason, Dropped};
use crate::limits::{MAX_BODY_BYTES, MAX_DEPTH};

/// Checks that `bytes` are exactly one JSON object and indexes it.
///
/// Refused, with the byte at which it was found: text that is not UTF-8 or not JSON, `NaN` and infinities (also
/// a number too large for a double), lone surrogates, an object that names a member twice, nesting deeper than
/// [`MAX_DEPTH`], more than [`MAX_BODY_BYTES`].
pub(crate) fn scan(bytes: &[u8]) -> Result<Index, Dropped> {
    if bytes.len() > MAX_BODY_BYTES {
        return Err(Dropped::oversize(bytes.len()));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| invalid(e.valid_up_to(), "the text is not UTF-8"))?;
    let mut scan = Scan { text, bytes, at: 0, index: Index { nodes: Vec::with_capacity(16 + bytes.len() / 24) } };
    scan.space();
    if scan.peek() != Some(b'{') {
        return Err(invalid(scan.at, "a body must be one JSON object"));
    }
    scan.value(0)?;
    scan.space();
    if scan.at < bytes.len() {
        return Err(invalid(scan.at, "text after the end of the object"));
    }
    Ok(scan.index)
}

fn invalid(at: usize, what: &str) -> Dropped {
    Dropped::new(DropReason::InvalidPayload, format!("byte {at}: {what}"))
}

struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    index: Index,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn push(&mut self, token: Token, start: usize, end: usize) {
        // Offsets fit: a body is at most 16 MiB.
        let next = self.index.nodes.len() as u32 + 1;
        self.index.nodes.push(Node { token, start: start as u32, end: end as u32, next, len: 0 });
    }

    /// Depth is bounded, so the recursion is.
    fn value(&mut self, depth: usize) -> Result<(), Dropped> {
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b't') => self.literal("true", Token::True),
            Some(b'f') => self.literal("false", Token::False),
            Some(b'n') => self.literal("null", Token::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b'N' | b'I') => Err(not_finite(start)),
            Some(_) => Err(invalid(start, "expected a value")),
            None => Err(invalid(start, "the text ends early")),
        }
    }

    fn literal(&mut self, word: &str, token: Token) -> Result<(), Dropped> {
        let end = self.at + word.len();
        if self.bytes.get(self.at..end) != Some(word.as_bytes()) {
            return Err(invalid(self.at, "expected a value"));
        }
        self.push(token, self.at, end);
        self.at = end;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Dropped> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            Some(b'I' | b'N') => return Err(not_finite(start)),
            _ => return Err(invalid(self.at, "expected a digit")),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut huge = self.at - start > 300;
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            huge = true;
        }
        if huge && !self.text[start..self.at].parse::<f64>().is_ok_and(f64::is_finite) {
            return Err(not_finite(start));
        }
        self.push(Token::Number, start, self.at);
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Dropped> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(invalid(start, "expected a digit")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<(), Dropped> {
        self.at += 1;
        let start = self.at;
        let mut token = Token::Plain;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    token = Token::Escaped;
                    self.escape()?;
                }
                Some(0..0x20) => return Err(invalid(self.at, "a control character that is not escaped")),
                Some(_) => self.at += 1,
                None => return Err(invalid(start, "a string without its end")),
            }
        }
        self.push(token, start, self.at);
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Dropped> {
        let start = self.at;
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => match self.unit(start)? {
                0xD800..=0xDBFF => {
                    let low = self.bytes.get(self.at..self.at + 2) == Some(b"\\u");
                    if !low || !matches!(self.unit(start)?, 0xDC00..=0xDFFF) {
                        return Err(invalid(start, "a lone surrogate"));
                    }
                }
                0xDC00..=0xDFFF => return Err(invalid(start, "a lone surrogate")),
                _ => {}
            },
            _ => return Err(invalid(start, "an escape that JSON does not have")),
        }
        Ok(())
    }

    /// Reads `\uXXXX`.
    fn unit(&mut self, start: usize) -> Result<u32, Dropped> {
        let digits = self.bytes.get(self.at + 2..self.at + 6).unwrap_or_default();
        let unit = digits.iter().try_fold(0, |unit, digit| Some(unit * 16 + (*digit as char).to_digit(16)?));
        match unit {
            Some(unit) if digits.len() == 4 => {
                self.at += 6;
                Ok(unit)
            }
            _ => Err(invalid(start, "an escape that JSON does not have")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Dropped> {
        let open = self.open(Token::Array, depth)?;
        let mut len = 0;
        self.space();
        if self.peek() != Some(b']') {
            loop {
                self.space();
                self.value(depth + 1)?;
                len += 1;
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break,
                    _ => return Err(invalid(self.at, "expected `,` or `]`")),
                }
            }
        }
        self.close(open, len);
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), Dropped> {
        let open = self.open(Token::Object, depth)?;
        let mut len = 0;
        self.space();
        if self.peek() != Some(b'}') {
            loop {
                self.space();
                if self.peek() != Some(b'"') {
                    return Err(invalid(self.at, "expected a member name"));
                }
                self.string()?;
                self.space();
                if self.peek() != Some(b':') {
                    return Err(invalid(self.at, "expected `:`"));
                }
                self.at += 1;
                self.space();
                self.value(depth + 1)?;
                len += 1;
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(b'}') => break,
                    _ => return Err(invalid(self.at, "expected `,` or `}`")),
                }
            }
        }
        self.close(open, len);
        self.distinct(open)
    }

    fn open(&mut self, token: Token, depth: usize) -> Result<usize, Dropped> {
        if depth >= MAX_DEPTH {
            return Err(invalid(self.at, &format!("nested deeper than {MAX_DEPTH} levels")));
        }
        let open = self.index.nodes.len();
        self.push(token, self.at, self.at);
        self.at += 1;
        Ok(open)
    }

    fn close(&mut self, open: usize, len: u32) {
        self.at += 1;
        let next = self.index.nodes.len() as u32;
        let node = &mut self.index.nodes[open];
        (node.end, node.next, node.len) = (self.at as u32, next, len);
    }

    /// No member name may come twice: readers disagree on which one counts (RFC 7493 section 2.3).
    fn distinct(&self, open: usize) -> Result<(), Dropped> {
        let doc = Doc::new(self.text, &self.index);
        let at = open as u32;
        let mut keys = doc.members(at).map(|(key, _)| key);
        let Some(mut last) = keys.next() else { return Ok(()) };
        // Our own encoder sorts free-form keys: then one pass of comparisons is the proof.
        let plain = last.token == Token::Plain;
        let ascending = plain
            && keys.all(|key| {
                let up = key.token == Token::Plain && doc.raw(last) < doc.raw(key);
                last = key;
                up
            });
        if ascending {
            return Ok(());
        }
        let mut names: Vec<(Cow<'_, str>, Node)> = doc.members(at).map(|(key, _)| (doc.string(key), key)).collect();
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        match names.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(invalid(pair[1].1.start.max(pair[0].1.start) as usize, "a member named twice")),
            None => Ok(()),
        }
    }
}

fn not_finite(at: usize) -> Dropped {
    Dropped::new(DropReason::NonFinite, format!("byte {at}: a number that is not finite"))
}
