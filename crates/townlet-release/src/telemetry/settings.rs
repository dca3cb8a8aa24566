//! Whether telemetry of release control is on, and where it goes.

use std::fmt::Write as _;

use percent_encoding::percent_decode_str;
use townlet_policy::Findings;
use townlet_policy::yaml::{self, Value};

/// Where OTLP over HTTP listens by its specification.
const ENDPOINT: &str = "http://localhost:4318";

/// An environment that asks for something that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoSettings(String);

fn refuse<T>(text: impl Into<String>) -> Result<T, NoSettings> {
    Err(NoSettings(text.into()))
}

/// Whether a configuration has a `telemetry:` block, which `townlet-config` then reads.
#[must_use]
pub fn has_block(text: &str) -> bool {
    let tree = yaml::parse(text, &mut Findings::new("", text));
    tree.is_some_and(|root| root.get("telemetry").is_some_and(|block| matches!(block.value, Value::Map(_))))
}

/// What the variables of OpenTelemetry ask for, as a `telemetry:` block; `None` where `READINESS_ENABLE_OTEL` is not `1`.
///
/// | variable | is |
/// |---|---|
/// | `READINESS_ENABLE_OTEL` | `1` turns it on |
/// | `OTEL_SDK_DISABLED` | `true` turns it off all the same |
/// | `OTEL_EXPORTER_OTLP_ENDPOINT` | the base of the endpoint; `http://localhost:4318` without it. `http://` goes to this machine only |
/// | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…`, values in percent encoding; they are read from the variable and are never in the block |
/// | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` (without it, too) or `http/json` |
/// | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip` or `none` |
/// | `OTEL_EXPORTER_OTLP_TIMEOUT` | of a request, in milliseconds; 3,000 without it |
/// | `OTEL_EXPORTER_OTLP_CERTIFICATE` | the authorities, PEM |
/// | `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` | attributes of the resource; the name is `townlet-release` without them |
///
/// # Errors
/// For what is not supported or cannot be read, by the name of the variable.
pub fn from_environment(get: &dyn Fn(&str) -> Option<String>) -> Result<Option<String>, NoSettings> {
    let text = |name: &str| get(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    match text("READINESS_ENABLE_OTEL").as_deref() {
        None | Some("0" | "false") => return Ok(None),
        Some("1" | "true") => {}
        Some(_) => return refuse("READINESS_ENABLE_OTEL is 1 or 0"),
    }
    if text("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let endpoint = text("OTEL_EXPORTER_OTLP_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_owned());
    let format = match text("OTEL_EXPORTER_OTLP_PROTOCOL").as_deref() {
        None | Some("http/protobuf") => "protobuf",
        Some("http/json") => "json",
        Some(_) => return refuse("OTEL_EXPORTER_OTLP_PROTOCOL is http/protobuf or http/json; there is no gRPC here"),
    };
    let compression = match text("OTEL_EXPORTER_OTLP_COMPRESSION").as_deref() {
        None | Some("none") => "none",
        Some("gzip") => "gzip",
        Some(_) => return refuse("OTEL_EXPORTER_OTLP_COMPRESSION is gzip or none"),
    };
    let timeout = match text("OTEL_EXPORTER_OTLP_TIMEOUT").map(|ms| ms.parse::<u32>()) {
        None => 3_000,
        Some(Ok(ms)) if ms > 0 => ms,
        Some(_) => return refuse("OTEL_EXPORTER_OTLP_TIMEOUT is a whole number of milliseconds above 0"),
    };
    let mut block = String::from("telemetry:\n  transport:\n    type: otlp\n    settle_at: peer_acked\n");
    let _ = writeln!(block, "    endpoint: {}", quoted(&endpoint));
    // Whoever writes http:// there knows; that it leads to this machine is checked all the same.
    if endpoint.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http://")) {
        block.push_str("    allow_plaintext: true\n    dev_allow_plaintext: true\n");
    }
    let _ = writeln!(block, "    format: {format}\n    compression: {compression}");
    let _ = writeln!(block, "    send_timeout_seconds: {:.3}", f64::from(timeout) / 1000.0);
    if let Some(path) = text("OTEL_EXPORTER_OTLP_CERTIFICATE") {
        let _ = writeln!(block, "    ca_file: {}", quoted(&path));
    }
    if text("OTEL_EXPORTER_OTLP_HEADERS").is_some() {
        block.push_str("    auth: { headers_env: OTEL_EXPORTER_OTLP_HEADERS }\n");
    }
    block.push_str("    labels:\n");
    for (name, value) in resource(text("OTEL_RESOURCE_ATTRIBUTES").as_deref(), text("OTEL_SERVICE_NAME"))? {
        let _ = writeln!(block, "      {}: {}", quoted(&name), quoted(&value));
    }
    // Most of it is delivered at the end of a short command.
    block.push_str("  worker: { shutdown_timeout_seconds: 5 }\n");
    Ok(Some(block))
}

/// Attributes of the resource. The name of the service has a variable of its own, which wins.
fn resource(attributes: Option<&str>, service: Option<String>) -> Result<Vec<(String, String)>, NoSettings> {
    let mut all: Vec<(String, String)> = Vec::new();
    for member in attributes.unwrap_or_default().split(',').filter(|member| !member.trim().is_empty()) {
        let read = member.split_once('=').and_then(|(name, value)| {
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?.into_owned();
            Some((percent_decode_str(name.trim()).decode_utf8().ok()?.into_owned(), value))
        });
        let Some((name, value)) = read.filter(|(name, _)| !name.is_empty()) else {
            return refuse("OTEL_RESOURCE_ATTRIBUTES is name=value,name=value with values in percent encoding");
        };
        all.retain(|(earlier, _)| *earlier != name);
        // It is the run, so that runs stay apart.
        if name != "service.instance.id" {
            all.push((name, value));
        }
    }
    let given = all.iter().position(|(name, _)| name == "service.name").map(|at| all.remove(at).1);
    let service = service.or(given).unwrap_or_else(|| "townlet-release".to_owned());
    all.insert(0, ("service.name".to_owned(), service));
    Ok(all)
}

/// A text that no value can break out of: a JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
