//! What a body must be before a line can be made of it.

use std::borrow::Cow;

use townlet_schema::{ENVELOPE_KEYS, Json, LineHead, read_head};
use townlet_transform::{DropReason, Dropped};

/// True where a body that our encoder wrote has a field of the envelope: the
/// line would name it twice, and every reader refuses that.
///
/// A struct with a field `tick` is an easy mistake to make, so every body of a
/// host's own type is looked at; it costs a few nanoseconds a field.
pub(crate) fn names_envelope(body: &[u8]) -> bool {
    // It may stand deeper down, where it is nobody else's.
    mentions_envelope(body) && !read_head(body).is_ok_and(|head| has_no_envelope(&head))
}

/// True where a field of the envelope stands somewhere in `body`. Our encoder
/// writes no space around a colon and escapes no letter.
fn mentions_envelope(body: &[u8]) -> bool {
    memchr::memchr_iter(b':', body).any(|colon| {
        let Some(before) = body[..colon].strip_suffix(b"\"") else { return false };
        let quoted = |key: &str| before.strip_suffix(key.as_bytes()).is_some_and(|b| b.last() == Some(&b'"'));
        match before.last() {
            Some(b'n') => quoted("schema_version"),
            Some(b'e') => quoted("payload_type"),
            Some(b'd') => quoted("run_id"),
            Some(b'm') => quoted("stream"),
            Some(b'q') => quoted("seq") || quoted("base_seq"),
            Some(b'k') => quoted("tick"),
            Some(b'g') => quoted("rendering"),
            _ => false,
        }
    })
}

fn has_no_envelope(head: &LineHead<'_>) -> bool {
    matches!(
        head,
        LineHead {
            schema_version: None,
            payload_type: None,
            run_id: None,
            stream: None,
            seq: None,
            tick: None,
            base_seq: None,
            rendering: None,
            ..
        }
    )
}

/// A body that the host passed by event name, without the envelope's fields:
/// the payloads of the seeds carry `tick`, some also `schema_version`, and ours
/// stand in the envelope.
///
/// # Errors
/// What is not one JSON object.
pub(crate) fn without_envelope(body: Vec<u8>) -> Result<Vec<u8>, Dropped> {
    if !names_envelope(&body) {
        return Ok(body);
    }
    let mut tree = Json::parse(&body)?;
    let Some(fields) = tree.as_object_mut() else {
        return Err(Dropped::new(DropReason::InvalidPayload, "a body must be one JSON object"));
    };
    fields.retain(|key, _| !ENVELOPE_KEYS.contains(&key));
    let mut body = body;
    body.clear();
    tree.write(&mut body);
    Ok(body)
}

/// The name of the event that a body of kind `event` tells of, for transforms that go by it.
pub(crate) fn event_name(body: &[u8]) -> Option<Cow<'static, str>> {
    // Our own types name it first.
    let own = body.strip_prefix(br#"{"event":""#).and_then(|rest| {
        let end = memchr::memchr2(b'"', b'\\', rest)?;
        let name = std::str::from_utf8(&rest[..end]).ok()?;
        (rest[end] == b'"').then(|| Cow::Owned(name.to_owned()))
    });
    own.or_else(|| Some(Cow::Owned(read_head(body).ok()?.event?.into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_envelope_are_found_at_the_top_and_nowhere_else() {
        for key in ENVELOPE_KEYS {
            let version = if key == "schema_version" { "\"1.0.0\"" } else { "7" };
            assert!(names_envelope(format!("{{\"a\":1,\"{key}\":{version}}}").as_bytes()), "{key}");
            assert!(!names_envelope(format!("{{\"a\":{{\"{key}\":{version}}}}}").as_bytes()), "{key} deeper down");
            assert!(!names_envelope(format!("{{\"a\":\"\\\"{key}\\\":1\"}}").as_bytes()), "{key} in a string");
            assert!(!names_envelope(format!("{{\"x{key}\":1}}").as_bytes()), "x{key}");
            // Wherever it lies in a word.
            for pad in 0..20 {
                let pad = "p".repeat(pad);
                let with = format!("{{\"{pad}\":1,\"{key}\":{version},\"{pad}z\":\"a:b\"}}");
                assert!(names_envelope(with.as_bytes()), "{with}");
                let without = format!("{{\"{pad}\":1,\"y{key}\":{version},\"z{pad}\":\"{key}:\"}}");
                assert!(!names_envelope(without.as_bytes()), "{without}");
            }
        }
        assert!(!names_envelope(b"{}"));
        assert!(!names_envelope(b"7"));
    }

    #[test]
    fn stripping_leaves_the_rest_as_it_was() {
        let body = br#"{"tick":5,"status":"ok","inner":{"tick":6},"seq":"x"}"#.to_vec();
        assert_eq!(without_envelope(body).unwrap(), br#"{"inner":{"tick":6},"status":"ok"}"#);
        assert_eq!(without_envelope(b"[1]".to_vec()).unwrap(), b"[1]", "left to the chain to refuse");
    }

    #[test]
    fn the_event_is_found_wherever_it_stands() {
        assert_eq!(event_name(br#"{"event":"a.b","payload":{}}"#).unwrap(), "a.b");
        assert_eq!(event_name(br#"{"event":"a\"b"}"#).unwrap(), "a\"b");
        assert_eq!(event_name(br#"{ "payload" : {"event":"no"}, "event" : "yes" }"#).unwrap(), "yes");
        assert_eq!(event_name(br#"{"payload":1}"#), None);
        assert_eq!(event_name(b"{\"event\":\"cut"), None);
    }
}
