use townlet_testkit::certs::{Leaf, Pki};
use townlet_transport::{ErrorKind, Factory, Format, Settings};
use townlet_transport_otlp::{Encoding, OtlpFactory, OtlpOptions, OtlpTransport, Target};

fn settings(endpoint: &str, change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    settings.endpoint = Some(endpoint.into());
    change(&mut settings);
    settings
}

#[test]
fn settings_become_options() {
    let settings = settings("https://collector.example:4318/otlp", |s| {
        s.format = Format::Json;
        s.labels = vec![("service.name".into(), "town".into())];
        s.export_fields = vec!["jobs.*.wallet".into()];
        s.export_max_series = 7;
        s.publish_traces = false;
        s.publish_interval = std::time::Duration::from_secs(3);
    });
    let options = OtlpFactory::options(&settings).unwrap();
    assert_eq!((options.encoding, options.max_series, options.fields.len()), (Encoding::Json, 7, 1));
    assert_eq!(options.resource, [("service.name".to_owned(), "town".to_owned())]);
    assert!(options.metrics && !options.traces);
    assert_eq!(options.interval, std::time::Duration::from_secs(3));
    assert_eq!(OtlpFactory.kind(), "otlp");
    assert!(OtlpFactory.build(&settings).is_ok());
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    let good = "https://collector.example:4318";
    for (settings, says) in [
        (settings(" ", |_| {}), "endpoint is required when type is 'otlp'"),
        (settings("http://collector.example:4318", |s| s.plaintext_acknowledged = true), "this machine only"),
        (settings("grpc://collector.example:4317", |_| {}), "endpoint must begin with https://"),
        (settings(good, |s| s.export_fields = vec!["a..b".into()]), "export_fields"),
        (settings(good, |s| s.labels = vec![("service.instance.id".into(), "x".into())]), "service.instance.id"),
        (settings(good, |s| s.send_timeout = std::time::Duration::ZERO), "send_timeout_seconds"),
    ] {
        let Err(error) = OtlpFactory.build(&settings) else { panic!("{settings:?} was accepted") };
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says), "{error}");
    }
    let options = OtlpOptions { max_request_bytes: 0, ..OtlpOptions::new(Target::parse(good).unwrap()) };
    assert!(OtlpTransport::new(options).unwrap_err().to_string().contains("max_request_bytes"));
}

#[test]
fn the_status_can_say_until_when_the_certificate_that_we_show_is_good() {
    let pki = Pki::new();
    let own = pki.issue("shard", &Leaf::client("shard-7"));
    let settings = settings("https://collector.example:4318", |s| {
        s.ca_file = Some(pki.ca_file().into());
        (s.cert_file, s.key_file) = (Some(own.cert_file.clone()), Some(own.key_file.clone()));
    });
    // Nothing is contacted before the first batch.
    let connected = OtlpFactory.build(&settings).unwrap().connect().unwrap();
    let left = connected.certificate_until.unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert_eq!(left.as_secs() / 86_400, 89);
}
