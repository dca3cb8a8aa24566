use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Factory, Settings};
use townlet_transport_prometheus::PrometheusFactory;

use crate::{read, sample};

#[test]
fn settings_become_a_working_transport() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("textfile/town.prom");
    let token = folder.path().join("token");
    std::fs::write(&token, "a-long-enough-token\n").unwrap();
    let mut settings = Settings::default();
    settings.file_path = Some(path.clone());
    settings.scrape_listen = Some("localhost:0".into());
    settings.scrape_token_file = Some(token);
    settings.export_fields = vec!["tick".into()];
    settings.labels = vec![("shard".into(), "7".into())];
    assert_eq!(PrometheusFactory.kind(), "prometheus");
    let mut sink = PrometheusFactory.build(&settings).unwrap();
    assert!(!path.parent().unwrap().exists(), "building touches no disk");
    let connected = sink.connect().unwrap();
    assert_eq!((connected.peer.as_str(), connected.tls), (path.to_str().unwrap(), false));
    sink.send(&frames(1..=2)).unwrap();
    assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total{shard=\"7\"}"), Some(2.0));
}

#[test]
fn the_key_at_fault_is_named() {
    let refused = |change: fn(&mut Settings), says: &str| {
        let mut settings = Settings::default();
        settings.file_path = Some("town.prom".into());
        change(&mut settings);
        let Err(error) = PrometheusFactory.build(&settings) else { panic!("accepted, not: {says}") };
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(|s| s.file_path = None, "file_path, scrape_listen, or both");
    refused(|s| s.file_path = Some(" ".into()), "file_path is empty");
    refused(
        |s| s.scrape_listen = Some("0.0.0.0:9464".into()),
        "scrape_listen 0.0.0.0:9464 is reached from other machines",
    );
    refused(|s| s.scrape_listen = Some("[2001:db8::1]:1".into()), "from other machines");
    refused(|s| s.scrape_listen = Some("metrics.example:9464".into()), "scrape_listen \"metrics.example:9464\"");
    refused(|s| s.export_fields = vec!["a..b".into()], "export_fields: \"a..b\"");
    for name in ["", "1a", "a-b", "__x", "sink", "le", "instance"] {
        let mut settings = Settings::default();
        settings.file_path = Some("town.prom".into());
        settings.labels = vec![(name.into(), "x".into())];
        let error = PrometheusFactory.build(&settings).err().unwrap_or_else(|| panic!("{name:?} is accepted"));
        assert!(error.to_string().contains("labels"), "{error}");
    }
    refused(|s| s.labels = vec![("a".into(), "1".into()), ("a".into(), "2".into())], "\"a\" is taken");
    refused(|s| s.labels = vec![("a".into(), "x\n".into())], "labels.a");
}

#[test]
fn a_token_that_cannot_be_used_is_refused_and_never_shown() {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    for (text, says) in [("short", "8 to 512"), ("with a blank", "blanks"), ("", "8 to 512")] {
        std::fs::write(&token, text).unwrap();
        let mut settings = Settings::default();
        settings.scrape_listen = Some("127.0.0.1:0".into());
        settings.scrape_token_file = Some(token.clone());
        let error = PrometheusFactory.build(&settings).err().unwrap().to_string();
        assert!(error.contains("scrape_token_file") && error.contains(says), "{error}");
        assert!(text.is_empty() || !error.contains(text), "{error}");
    }
    std::fs::remove_file(&token).unwrap();
    let mut settings = Settings::default();
    settings.scrape_listen = Some("127.0.0.1:0".into());
    settings.scrape_token_file = Some(token.clone());
    let error = PrometheusFactory.build(&settings).err().unwrap().to_string();
    assert!(error.contains(token.to_str().unwrap()), "{error}");
}
