//! What an event says of a trace: where it stands in one, that it is a span, that it is a measurement.
//!
//! Read from the line as it leaves, so that what was redacted is not in the span either.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, KeyValueList};

/// The most attributes of a span or point, as the SDKs have it.
const MOST_ATTRIBUTES: usize = 128;

/// The longest name of a span or metric.
const LONGEST_NAME: usize = 255;

/// An event that says more than a record does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) name: String,
    /// Trace and span.
    pub(crate) place: Option<([u8; 16], [u8; 8])>,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) span: Option<Stretch>,
    pub(crate) metric: Option<Reading>,
}

/// A span, apart from its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Stretch {
    pub(crate) parent: Option<[u8; 8]>,
    /// In nanoseconds since the epoch.
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// Whether it went well, where that is said.
    pub(crate) ok: Option<bool>,
    pub(crate) message: String,
}

/// A measurement.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reading {
    pub(crate) unit: String,
    pub(crate) value: f64,
    pub(crate) kind: Instrument,
}

/// What becomes of several values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Instrument {
    /// The last counts.
    Gauge,
    /// Each counts.
    Histogram,
}

impl Told {
    /// What the body of an event says; none where that is no more than a record.
    pub(crate) fn read(body: &AnyValue) -> Option<Self> {
        let line = list(body)?;
        let payload = list(member(line, "payload")?)?;
        let name = text(member(line, "event")?)?;
        let place = id(payload, "trace_id").zip(id(payload, "span_id"));
        let attributes = member(payload, "attributes").and_then(list).map(|list| &list.values);
        let attributes = attributes.map(|all| all.iter().take(MOST_ATTRIBUTES).cloned().collect()).unwrap_or_default();
        let span = place.and(member(payload, "span")).and_then(list).and_then(stretch);
        let metric = member(payload, "metric").and_then(list).filter(|_| is_name(name)).and_then(reading);
        let said = place.is_some() || metric.is_some();
        said.then(|| Self { name: name.chars().take(LONGEST_NAME).collect(), place, attributes, span, metric })
    }

    /// True of a span that did not go well.
    pub(crate) fn failed(&self) -> bool {
        self.span.as_ref().is_some_and(|span| span.ok == Some(false))
    }
}

/// By the syntax of instruments in OpenTelemetry.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    name.len() <= LONGEST_NAME && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(fits)
}

fn stretch(list: &KeyValueList) -> Option<Stretch> {
    let nanos = |key| text(member(list, key)?)?.parse::<u64>().ok();
    let (start, end) = (nanos("start_unix_nano")?, nanos("end_unix_nano")?);
    let word = |key| member(list, key).and_then(text);
    let ok = match word("status") {
        Some("ok") => Some(true),
        Some("error") => Some(false),
        _ => None,
    };
    let message = word("message").unwrap_or_default().chars().take(LONGEST_NAME).collect();
    (end >= start).then(|| Stretch { parent: id(list, "parent_span_id"), start, end, ok, message })
}

fn reading(list: &KeyValueList) -> Option<Reading> {
    let word = |key| member(list, key).and_then(text);
    let value = match member(list, "value")?.value.as_ref()? {
        Value::DoubleValue(value) => *value,
        #[expect(clippy::cast_precision_loss, reason = "what is measured has fewer digits")]
        Value::IntValue(value) => *value as f64,
        _ => return None,
    };
    let kind = match word("instrument") {
        Some("histogram") => Instrument::Histogram,
        None | Some("gauge") => Instrument::Gauge,
        Some(_) => return None,
    };
    let unit = word("unit").filter(|unit| unit.len() <= 63).unwrap_or("1").to_owned();
    value.is_finite().then_some(Reading { unit, value, kind })
}

fn list(value: &AnyValue) -> Option<&KeyValueList> {
    match value.value.as_ref()? {
        Value::KvlistValue(list) => Some(list),
        _ => None,
    }
}

fn member<'l>(list: &'l KeyValueList, key: &str) -> Option<&'l AnyValue> {
    list.values.iter().find(|kv| kv.key == key)?.value.as_ref()
}

fn text(value: &AnyValue) -> Option<&str> {
    match value.value.as_ref()? {
        Value::StringValue(text) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// An id in hexadecimal digits; all zero is none (W3C Trace Context).
fn id<const N: usize>(list: &KeyValueList, key: &str) -> Option<[u8; N]> {
    let digits = text(member(list, key)?)?.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    (bytes != [0; N]).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::body;

    fn told(payload: &str) -> Option<Told> {
        Told::read(&body(format!(r#"{{"seq":1,"event":"deploy","payload":{payload}}}"#).as_bytes()))
    }

    const PLACE: &str = r#""trace_id":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331""#;

    #[test]
    fn an_event_with_a_place_a_span_or_a_measurement_says_more_than_a_record() {
        let found = told(&format!("{{{PLACE}}}")).unwrap();
        assert_eq!(found.place.map(|(trace, span)| (trace[0], span[7])), Some((0x0a, 0x31)));
        assert!(found.span.is_none() && found.metric.is_none());
        let span = r#""span":{"start_unix_nano":"5","end_unix_nano":"7","status":"error","message":"no","parent_span_id":"00f067aa0ba902b7"}"#;
        let found = told(&format!(r#"{{{PLACE},{span},"attributes":{{"a":1}}}}"#)).unwrap();
        assert!(found.failed());
        assert_eq!((found.attributes.len(), found.name.as_str()), (1, "deploy"));
        let stretch = found.span.unwrap();
        assert_eq!((stretch.start, stretch.end, stretch.message.as_str()), (5, 7, "no"));
        assert_eq!(stretch.parent.map(|id| id[0]), Some(0));
        let found = told(r#"{"metric":{"unit":"s","value":2,"instrument":"histogram"}}"#).unwrap();
        assert_eq!(found.metric, Some(Reading { unit: "s".into(), value: 2.0, kind: Instrument::Histogram }));
    }

    #[test]
    fn what_does_not_fit_is_a_record_and_nothing_else() {
        for payload in [
            "7",
            "{}",
            r#"{"metric":{"value":"2"}}"#,
            r#"{"metric":{"value":2,"instrument":"counter"}}"#,
            r#"{"trace_id":"0af7651916cd43dd8448eb211c80319c"}"#,
            r#"{"trace_id":"00000000000000000000000000000000","span_id":"b7ad6b7169203331"}"#,
            r#"{"trace_id":"0af7651916cd43dd8448eb211c80319é","span_id":"b7ad6b7169203331"}"#,
            r#"{"trace_id":"***","span_id":"***"}"#,
        ] {
            assert_eq!(told(payload), None, "{payload}");
        }
        assert_eq!(Told::read(&body(br#"{"payload":{"metric":{"value":2}}}"#)), None, "no name");
        assert_eq!(Told::read(&body(br#"{"event":"1st","payload":{"metric":{"value":2}}}"#)), None, "no such name");
        for span in [r#"{"start_unix_nano":"7","end_unix_nano":"5"}"#, r#"{"start_unix_nano":5,"end_unix_nano":7}"#] {
            assert!(told(&format!(r#"{{{PLACE},"span":{span}}}"#)).unwrap().span.is_none(), "{span}");
        }
    }
}
