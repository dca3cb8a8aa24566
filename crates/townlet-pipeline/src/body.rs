//! What a body must be before a line can be made of it.

use std::borrow::Cow;

use townlet_schema::{ENVELOPE_KEYS, Json, LineHead, read_head};
use townlet_transform::{DropReason, Dropped};

/// A body that the host passed by event name, without the envelope's fields:
/// the payloads of the seeds carry `tick`, some also `schema_version`, and ours
/// stand in the envelope.
///
/// # Errors
/// What is not one JSON object.
pub(crate) fn without_envelope(mut body: Vec<u8>) -> Result<Vec<u8>, Dropped> {
    if read_head(&body).is_ok_and(|head| has_no_envelope(&head)) {
        return Ok(body);
    }
    let mut tree = Json::parse(&body)?;
    let Some(fields) = tree.as_object_mut() else {
        return Err(Dropped::new(DropReason::InvalidPayload, "a body must be one JSON object"));
    };
    fields.retain(|key, _| !ENVELOPE_KEYS.contains(&key));
    body.clear();
    tree.write(&mut body);
    Ok(body)
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
    fn fields_of_the_envelope_are_left_out_at_the_top_and_nowhere_else() {
        let stripped = |body: &str| String::from_utf8(without_envelope(body.into()).unwrap()).unwrap();
        for key in ENVELOPE_KEYS {
            for value in ["7", "\"1.0.0\"", "null", "{}"] {
                assert_eq!(stripped(&format!("{{\"b\":1,\"{key}\":{value},\"a\":2}}")), "{\"a\":2,\"b\":1}", "{key}");
                let kept = format!("{{\"b\":{{\"{key}\":{value}}},\"a\":\"\\\"{key}\\\":1\"}}");
                assert_eq!(stripped(&kept), kept, "{key} deeper down");
            }
        }
        assert_eq!(stripped("{}"), "{}");
        assert_eq!(stripped("{\"tick\":1}"), "{}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", "7", "[1]", "{", "{\"a\":1}x"] {
            assert_eq!(without_envelope(body.into()).unwrap_err().reason, DropReason::InvalidPayload, "{body}");
        }
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
