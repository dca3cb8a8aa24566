//! Characters that act on a terminal or reorder text, made visible.

use std::borrow::Cow;

/// What replaces `c`, where it needs replacing.
///
/// - C0 controls except tab and newline, and DEL: their control picture (`ESC` becomes `␛`), so that no string can
///   move a terminal's cursor or colour it;
/// - C1 controls, which some terminals obey too: `<U+009B>` and the like;
/// - marks, embeddings, overrides and isolates of direction, line and paragraph separators, zero-width no-break
///   space: `<U+202E>` and the like, so that no name can look like another or turn a line around.
fn replacement(c: char) -> Option<Picture> {
    match c {
        '\t' | '\n' => None,
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).map(Picture::Symbol),
        '\u{7f}' => Some(Picture::Symbol('\u{2421}')),
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => Some(Picture::Code(u32::from(c))),
        _ => None,
    }
}

enum Picture {
    Symbol(char),
    Code(u32),
}

/// `text` with such characters made visible; borrowed where it has none.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    let Some(first) = text.char_indices().find(|(_, c)| replacement(*c).is_some()).map(|(at, _)| at) else {
        return Cow::Borrowed(text);
    };
    let mut out = String::with_capacity(text.len() + 16);
    out.push_str(&text[..first]);
    for c in text[first..].chars() {
        match replacement(c) {
            None => out.push(c),
            Some(Picture::Symbol(symbol)) => out.push(symbol),
            Some(Picture::Code(code)) => out.push_str(&format!("<U+{code:04X}>")),
        }
    }
    Cow::Owned(out)
}

/// False only where the JSON text `text` holds no such character, escaped or not, within a string.
pub(crate) fn may_need_it(text: &[u8]) -> bool {
    // Plain ASCII without a backslash, which most records are, is settled by this pass alone.
    let suspect = |byte: u8| byte == b'\\' || byte >= 0x7f;
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| suspect(*byte)) {
        let len = match &rest[at..] {
            [b'\\', b'"' | b'\\' | b'/' | b'n' | b't', ..] => 2,
            // Any other escape: `\b`, `\f`, `\r`, or `\uXXXX`, which is rare enough to be looked at as a tree.
            [b'\\', ..] | [0x7f, ..] => return true,
            // C1; the marks of direction above.
            [0xc2, 0x80..=0x9f, ..] | [0xd8, 0x9c, ..] | [0xe2, 0x80 | 0x81, ..] | [0xef, 0xbb, ..] => return true,
            _ => 1,
        };
        rest = rest.get(at + len..).unwrap_or_default();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_sequences_become_pictures() {
        assert_eq!(visible("a\u{1b}[31mred\u{7}"), "a␛[31mred␇");
        assert_eq!(visible("bob\u{202e}gpj"), "bob<U+202E>gpj");
        assert_eq!(visible("two\nlines\tand Zoë"), "two\nlines\tand Zoë");
    }

    #[test]
    fn every_character_that_is_replaced_is_suspected_in_both_spellings() {
        for c in '\0'..=char::MAX {
            let shown = visible(c.encode_utf8(&mut [0; 4])).into_owned();
            if shown != c.to_string() {
                let raw = serde_json::to_string(&c).unwrap();
                assert!(may_need_it(raw.as_bytes()), "{c:?} written as {raw}");
                assert!(may_need_it(format!("\"\\u{:04x}\"", u32::from(c)).as_bytes()), "{c:?}");
                assert_eq!(visible(&shown), shown, "{c:?} is not settled at once");
            }
        }
    }
}
