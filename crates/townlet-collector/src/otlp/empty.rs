//! Lists without values, as protobuf's own JSON writes them.

use std::borrow::Cow;

use memchr::memmem;

/// The body with `"values":[]` in each list of values that has none. Protobuf's JSON
/// leaves out what is empty (what Go, Java and PHP make of it does), and the library
/// takes that for a message of another kind.
pub(super) fn with_values(body: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::new();
    let mut from = 0;
    for at in memmem::find_iter(body, b"Value\"") {
        // A text that looks like it has its quotes escaped.
        let named = [&b"\"array"[..], b"\"kvlist"].iter().any(|name| body[..at].ends_with(name));
        let Some(end) = named.then(|| empty_object(&body[at + b"Value\"".len()..])).flatten() else { continue };
        let end = at + b"Value\"".len() + end;
        out.extend_from_slice(&body[from..end]);
        out.extend_from_slice(b"\"values\":[]");
        from = end;
    }
    if from == 0 {
        return Cow::Borrowed(body);
    }
    out.extend_from_slice(&body[from..]);
    Cow::Owned(out)
}

/// Where the object behind a name ends, if it is empty.
fn empty_object(rest: &[u8]) -> Option<usize> {
    let inner = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
    inner.starts_with(b"}").then(|| rest.len() - inner.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_lists_get_their_values_and_nothing_else_changes() {
        for same in [
            r#"{"arrayValue":{"values":[]}}"#,
            r#"{"stringValue":"\"arrayValue\":{}"}"#,
            r#"{"myarrayValue":{}}"#,
            r#"{"arrayValue":[]}"#,
            r#"{"stringValue":{}}"#,
            r#"{"arrayValue":{"#,
            r#"{"arrayValue""#,
        ] {
            assert_eq!(with_values(same.as_bytes()), Cow::Borrowed(same.as_bytes()), "{same}");
        }
        let twice = br#"[{"arrayValue":{}},{"kvlistValue" : {
            }},7]"#;
        let mended = with_values(twice);
        let read: serde_json::Value = serde_json::from_slice(&mended).expect("it is JSON still");
        assert_eq!(read, serde_json::json!([{"arrayValue": {"values": []}}, {"kvlistValue": {"values": []}}, 7]));
    }
}
