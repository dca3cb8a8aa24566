//! What the environment asks for.

use std::collections::BTreeMap;

use townlet_release::telemetry::{from_environment, has_block};
use townlet_transport::{Auth, Compression, Format, SecretSource};

use crate::world::load;

fn ask(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
    let all: BTreeMap<&str, &str> = variables.iter().copied().collect();
    from_environment(&|name| all.get(name).map(|value| (*value).to_owned())).map_err(|error| error.to_string())
}

fn on<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("READINESS_ENABLE_OTEL", "1")], more].concat()
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://collector.example");
    for off in
        [vec![], vec![endpoint], vec![("READINESS_ENABLE_OTEL", "0"), endpoint], vec![("READINESS_ENABLE_OTEL", "")]]
    {
        assert_eq!(ask(&off), Ok(None), "{off:?}");
    }
    assert_eq!(ask(&on(&[("OTEL_SDK_DISABLED", "TRUE")])), Ok(None));
}

#[test]
fn the_variables_of_opentelemetry_become_a_configuration_that_loads() {
    let sink = |more: &[(&str, &str)]| load(&ask(&on(more)).unwrap().unwrap()).sinks.remove(0).settings;
    let usual = sink(&[]);
    assert_eq!(usual.endpoint.as_deref(), Some("http://localhost:4318"));
    assert!(usual.plaintext_acknowledged && usual.auth.is_none() && usual.format == Format::Protobuf);
    assert_eq!(usual.labels, [("service.name".to_owned(), "townlet-release".to_owned())]);
    let all = sink(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", " https://collector.example:4318/otel \n"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,team=release%2C%20north,,service.instance.id=x,team=b%22: c"),
        ("OTEL_SERVICE_NAME", "deploy's \"name\""),
    ]);
    assert_eq!(all.endpoint.as_deref(), Some("https://collector.example:4318/otel"));
    assert!(!all.plaintext_acknowledged);
    assert_eq!((all.format, all.compression), (Format::Json, Compression::Gzip));
    assert_eq!(all.send_timeout.as_millis(), 2500);
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(all.labels, [label("service.name", "deploy's \"name\""), label("team", "b\": c")]);
}

#[test]
fn headers_stay_in_their_variable() {
    let block = ask(&on(&[("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20hunter2")])).unwrap().unwrap();
    assert!(!block.contains("hunter2") && !block.contains("Bearer"), "{block}");
    assert!(block.contains("headers_env: OTEL_EXPORTER_OTLP_HEADERS"));
    // It is there, which a loader asks for; what stands in it no test may set.
    let other = block.replace("OTEL_EXPORTER_OTLP_HEADERS", "PATH");
    assert!(other.contains("headers_env: PATH"));
    let named = SecretSource::Env("OTEL_EXPORTER_OTLP_HEADERS".into());
    assert_eq!(Auth::Headers(named.clone()), Auth::Headers(named));
}

#[test]
fn what_is_not_supported_is_refused_by_the_name_of_its_variable() {
    for (name, value) in [
        ("READINESS_ENABLE_OTEL", "yes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
        ("OTEL_RESOURCE_ATTRIBUTES", "=x"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=%ff"),
    ] {
        assert!(ask(&on(&[(name, value)])).unwrap_err().contains(name), "{name}={value}");
    }
}

#[test]
fn a_block_in_a_configuration_is_seen() {
    assert!(has_block("suites: []\ntelemetry:\n  transport: { type: stdout }\n"));
    for text in ["", "suites: []", "telemetry:", "telemetry: yes", "a: { telemetry: {} }", ": :"] {
        assert!(!has_block(text), "{text}");
    }
}
