//! A receiver of OTLP that takes everything, and what it was sent.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::AnyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message;
use serde::Deserialize;
use townlet_testkit::http::{Reply, Request, Server};

/// Says "taken" in the encoding of the request.
pub(crate) fn taken(request: &Request) -> Reply {
    said(request, b"", "{}")
}

/// Answers 200 with the one or the other body.
pub(crate) fn said(request: &Request, protobuf: &[u8], json: &str) -> Reply {
    let kind = &request.headers["content-type"];
    let body = if kind == "application/json" { json.as_bytes() } else { protobuf };
    Reply::Body(200, format!("Content-Type: {kind}\r\n"), body.to_vec())
}

pub(crate) fn server() -> Server {
    Server::start(Reply::Decide(taken))
}

pub(crate) fn base(server: &Server) -> String {
    format!("http://{}", server.address)
}

/// A request in whichever encoding it came.
pub(crate) fn decode<M: Message + Default + for<'de> Deserialize<'de>>(request: &Request) -> M {
    match request.headers["content-type"].as_str() {
        "application/json" => serde_json::from_slice(&request.content()).unwrap(),
        "application/x-protobuf" => M::decode(&request.content()[..]).unwrap(),
        other => panic!("{other}"),
    }
}

pub(crate) fn to(requests: &[Request], path: &str) -> Vec<Request> {
    requests.iter().filter(|request| request.path == path).cloned().collect()
}

pub(crate) fn records(request: &Request) -> Vec<LogRecord> {
    let logs: ExportLogsServiceRequest = decode(request);
    logs.resource_logs.into_iter().flat_map(|of| of.scope_logs).flat_map(|of| of.log_records).collect()
}

/// The lines that came as records, as they were.
pub(crate) fn lines(server: &Server) -> Vec<Vec<u8>> {
    let logs = to(&server.requests(), "/v1/logs");
    logs.iter().flat_map(records).map(|record| text(&record.body.unwrap())).collect()
}

/// The JSON that a body stands for, or the text that it is.
fn text(body: &AnyValue) -> Vec<u8> {
    match body.value.as_ref().unwrap() {
        Value::StringValue(text) => text.clone().into_bytes(),
        Value::BytesValue(bytes) => bytes.clone(),
        _ => {
            let mut out = String::new();
            json(body, &mut out);
            out.into_bytes()
        }
    }
}

fn json(value: &AnyValue, out: &mut String) {
    match &value.value {
        None => out.push_str("null"),
        Some(Value::StringValue(text)) => out.push_str(&serde_json::to_string(text).unwrap()),
        Some(Value::BoolValue(truth)) => out.push_str(&truth.to_string()),
        Some(Value::IntValue(n)) => out.push_str(&n.to_string()),
        Some(Value::DoubleValue(n)) => out.push_str(&serde_json::to_string(n).unwrap()),
        Some(Value::ArrayValue(array)) => {
            out.push('[');
            for (n, item) in array.values.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                json(item, out);
            }
            out.push(']');
        }
        Some(Value::KvlistValue(list)) => {
            out.push('{');
            for (n, kv) in list.values.iter().enumerate() {
                out.push_str(if n == 0 { "" } else { "," });
                out.push_str(&serde_json::to_string(&kv.key).unwrap());
                out.push(':');
                json(kv.value.as_ref().unwrap(), out);
            }
            out.push('}');
        }
        other => panic!("{other:?}"),
    }
}
