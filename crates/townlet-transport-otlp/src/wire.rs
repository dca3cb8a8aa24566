//! Messages to bytes, and answers from bytes.

use prost::Message;
use serde::{Deserialize, Deserializer, Serialize};
use townlet_http::Answer;

use crate::Encoding;

/// The most of an answer that is read. A partial success is some hundred bytes.
pub(crate) const MAX_ANSWER: u64 = 64 * 1024;

/// The longest text of a peer that goes into a message.
const LONGEST: usize = 256;

impl Encoding {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    pub(crate) fn encode<M: Message + Serialize>(self, message: &M) -> Result<Vec<u8>, serde_json::Error> {
        match self {
            Self::Protobuf => Ok(message.encode_to_vec()),
            Self::Json => serde_json::to_vec(message),
        }
    }
}

/// What an export response says beyond "taken": the same shape for all signals.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
pub(crate) struct Partial {
    /// How many of what was sent were rejected; 0 with a message is a warning.
    #[prost(int64, tag = "1")]
    #[serde(
        default,
        alias = "rejectedLogRecords",
        alias = "rejectedDataPoints",
        alias = "rejectedSpans",
        deserialize_with = "text_or_number"
    )]
    pub(crate) rejected: i64,
    #[prost(string, tag = "2")]
    #[serde(default, alias = "errorMessage")]
    pub(crate) message: String,
}

#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
struct Response {
    #[prost(message, optional, tag = "1")]
    #[serde(default, alias = "partialSuccess")]
    partial: Option<Partial>,
}

/// `google.rpc.Status`, as far as it is of use.
#[derive(Clone, PartialEq, Eq, Message, Deserialize)]
struct Status {
    #[prost(string, tag = "2")]
    #[serde(default)]
    message: String,
}

/// Protobuf's JSON writes 64-bit integers as text and reads both.
fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(i64),
        Text(String),
    }
    match Either::deserialize(deserializer)? {
        Either::Number(n) => Ok(n),
        Either::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

/// What a 2xx answer says; none where it is no export response. OTLP/HTTP wants 200
/// and a `Content-Type` of its own: what answers in another way has not read the
/// request as one, a proxy with its 204 for example.
pub(crate) fn response(answer: &Answer) -> Option<Partial> {
    if answer.status != 200 {
        return None;
    }
    Some(decode::<Response>(answer)?.partial.unwrap_or_default().tidy())
}

/// What a peer says about a failure, fit for a message.
pub(crate) fn failure(answer: &Answer) -> Option<String> {
    let message = decode::<Status>(answer)?.message;
    (!message.trim().is_empty()).then(|| tidy(&message))
}

fn decode<M: Message + Default + for<'de> Deserialize<'de>>(answer: &Answer) -> Option<M> {
    let body = answer.body.as_ref()?;
    let kind = answer.content_type.as_deref().unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "application/x-protobuf" | "application/protobuf" => M::decode(body.as_ref()).ok(),
        // An array is no message, although serde would take it for one.
        "application/json" if body.trim_ascii_start().starts_with(b"{") => serde_json::from_slice(body).ok(),
        // Some say nothing where they mean an empty message.
        "application/json" => body.is_empty().then(M::default),
        _ => None,
    }
}

impl Partial {
    fn tidy(mut self) -> Self {
        self.message = tidy(&self.message);
        self
    }
}

/// A text of somebody else, shortened and on one line.
fn tidy(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(LONGEST).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(content_type: Option<&str>, body: &[u8]) -> Answer {
        let mut answer = Answer::status(200);
        answer.content_type = content_type.map(Into::into);
        answer.body = Some(body.to_vec().into());
        answer
    }

    fn partial(rejected: i64, message: &str) -> Option<Partial> {
        Some(Partial { rejected, message: message.into() })
    }

    #[test]
    fn an_export_response_is_read_in_both_encodings() {
        let json = Some("application/json; charset=utf-8");
        assert_eq!(response(&answer(json, b"{}")), partial(0, ""));
        assert_eq!(response(&answer(json, br#"{"partialSuccess":{}}"#)), partial(0, ""));
        for count in ["\"3\"", "3"] {
            for name in ["rejectedLogRecords", "rejectedDataPoints", "rejectedSpans"] {
                let body =
                    format!("{{\"partialSuccess\":{{\"{name}\":{count},\"errorMessage\":\"a\\nb\",\"new\":1}}}}");
                assert_eq!(response(&answer(json, body.as_bytes())), partial(3, "a b"));
            }
        }
        let protobuf = Some("application/x-protobuf");
        assert_eq!(response(&answer(protobuf, b"")), partial(0, ""));
        let full = Response { partial: partial(7, "old") }.encode_to_vec();
        assert_eq!(response(&answer(protobuf, &full)), partial(7, "old"));
        // By the library's own message, so that the tags are those of the specification.
        let theirs = opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse::decode(&full[..]);
        assert_eq!(theirs.unwrap().partial_success.unwrap().rejected_log_records, 7);
    }

    #[test]
    fn what_is_no_export_response_is_told_apart_from_an_empty_one() {
        let empty = answer(Some("application/json"), b"");
        assert!(response(&empty).is_some());
        for status in [201, 202, 204, 206] {
            let mut other = empty.clone();
            other.status = status;
            assert!(response(&other).is_none(), "{status}");
        }
        for (kind, body) in [
            (None, &b""[..]),
            (Some("text/plain"), b""),
            (Some("text/html"), b"<html>"),
            (Some("application/json"), b"[]"),
            (Some("application/json"), br#"{"partialSuccess":{"rejectedSpans":"many"}}"#),
            (Some("application/x-protobuf"), b"{}"),
            (None, b"ok"),
        ] {
            assert!(response(&answer(kind, body)).is_none(), "{kind:?} {body:?}");
        }
        let mut cut = answer(Some("application/x-protobuf"), b"");
        cut.body = None;
        assert!(response(&cut).is_none());
    }

    #[test]
    fn a_status_is_quoted_shortened_and_on_one_line() {
        let long = format!("{{\"code\":3,\"message\":\"bad\\u001b\\n{}\",\"details\":[]}}", "x".repeat(999));
        let text = failure(&answer(Some("application/json"), long.as_bytes())).unwrap();
        assert!(text.starts_with("bad  xxx") && text.len() <= LONGEST && !text.contains('\u{1b}'));
        let bytes = Status { message: "no".into() }.encode_to_vec();
        assert_eq!(failure(&answer(Some("application/x-protobuf"), &bytes)).as_deref(), Some("no"));
        assert_eq!(failure(&answer(Some("text/html"), b"<html>")), None);
    }

    /// The same JSON as whoever leaves out what is default would write it: fields of
    /// no value, and ids in upper case.
    fn plain(value: &serde_json::Value) -> serde_json::Value {
        use serde_json::Value;
        match value {
            Value::Object(members) => {
                let kept = members.iter().filter(|(_, value)| {
                    !matches!(value, Value::Null | Value::Bool(false))
                        && !matches!(value.as_str(), Some("" | "0"))
                        && value.as_f64() != Some(0.0)
                        && !value.as_array().is_some_and(Vec::is_empty)
                });
                let named = kept.map(|(name, value)| match (name.as_str(), value.as_str()) {
                    ("traceId" | "spanId" | "parentSpanId", Some(id)) => (name.clone(), id.to_uppercase().into()),
                    _ => (name.clone(), plain(value)),
                });
                Value::Object(named.collect())
            }
            Value::Array(items) => items.iter().map(plain).collect(),
            // 10 and 10.0 are one number.
            Value::Number(number) => number.as_f64().into(),
            other => other.clone(),
        }
    }

    /// Reads an example of the specification, writes it in both encodings, and
    /// finds it unchanged.
    fn keeps<M: Message + Default + Serialize + for<'de> Deserialize<'de> + PartialEq>(example: &str) -> M {
        let message: M = serde_json::from_str(example).unwrap();
        assert!(message != M::default(), "there is something in it");
        let ours: serde_json::Value = serde_json::from_slice(&Encoding::Json.encode(&message).unwrap()).unwrap();
        let theirs: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(plain(&ours), plain(&theirs));
        let bytes = Encoding::Protobuf.encode(&message).unwrap();
        assert!(M::decode(&bytes[..]).unwrap() == message);
        message
    }

    #[test]
    fn the_examples_of_the_specification_are_written_as_they_stand_there() {
        use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest as Logs;
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest as Metrics;
        use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Traces;
        let logs: Logs = keeps(include_str!("../tests/data/logs.json"));
        let record = &logs.resource_logs[0].scope_logs[0].log_records[0];
        assert_eq!((record.trace_id[0], record.time_unix_nano), (0x5b, 1_544_712_660_300_000_000));
        let _: Logs = keeps(include_str!("../tests/data/events.json"));
        let metrics: Metrics = keeps(include_str!("../tests/data/metrics.json"));
        assert!(metrics.resource_metrics[0].scope_metrics[0].metrics.len() >= 4);
        let traces: Traces = keeps(include_str!("../tests/data/trace.json"));
        assert_eq!(traces.resource_spans[0].scope_spans[0].spans[0].kind, 2);
    }
}
