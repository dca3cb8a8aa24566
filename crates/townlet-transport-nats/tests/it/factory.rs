//! From settings to a transport.

use std::time::Duration;

use townlet_nats::Security;
use townlet_testkit::certs::Pki;
use townlet_testkit::frames;
use townlet_testkit::nats::NatsServer;
use townlet_transport::{Auth, BrokerStream, ErrorKind, Factory, SecretSource, Settings};
use townlet_transport_nats::NatsFactory;

use crate::{STREAM, stored, there};

fn settings(endpoint: &str) -> Settings {
    let mut settings = Settings::default();
    settings.endpoint = Some(endpoint.to_owned());
    settings
}

fn fault(settings: &Settings) -> String {
    let error = NatsFactory.build(settings).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    error.to_string()
}

#[test]
fn it_builds_what_the_settings_say() {
    if !there() {
        return;
    }
    let server = NatsServer::start("");
    let mut settings = settings(&server.url());
    settings.plaintext_acknowledged = true;
    settings.broker.subject = "shards.{run_id}.{stream}".into();
    settings.broker.partitions = 1;
    settings.broker.create = Some(BrokerStream::default());
    assert_eq!(NatsFactory.kind(), "nats");
    let mut sink = NatsFactory.build(&settings).unwrap();
    sink.connect().unwrap();
    sink.send(&frames(1..=2)).unwrap();
    let mut settled = 0;
    while settled < 2 {
        let more = sink.receipts(Duration::from_secs(5)).unwrap();
        assert!(more > 0, "no receipt in time");
        settled += more;
    }
    let all = stored::all(&server.url(), STREAM);
    assert!(all[0].subject.starts_with("shards."), "{}", all[0].subject);
}

#[test]
fn each_setting_reaches_its_option() {
    let mut settings = settings("tls://a.example,tls://b.example:4443");
    (settings.connect_timeout, settings.send_timeout) = (Duration::from_secs(7), Duration::from_secs(8));
    settings.verify_hostname = false;
    settings.ca_file = Some("ca.pem".into());
    (settings.cert_file, settings.key_file) = (Some("own.pem".into()), Some("own.key".into()));
    settings.auth = Some(Auth::Bearer(SecretSource::Env("TOKEN_OF_TOWN".into())));
    settings.broker.stream = "FLEET".into();
    let mut create = BrokerStream::default();
    (create.replicas, create.max_bytes) = (3, Some(1 << 30));
    settings.broker.create = Some(create);
    let options = NatsFactory::options(&settings).unwrap();
    assert_eq!((options.nats.connect_timeout, options.send_timeout), (Duration::from_secs(7), Duration::from_secs(8)));
    assert_eq!(options.nats.auth, settings.auth);
    assert_eq!(options.nats.servers.to_string(), "tls://a.example:4222,tls://b.example:4443");
    assert_eq!((options.stream.as_str(), options.subject.partitions()), ("FLEET", 16));
    let create = options.create.unwrap();
    assert_eq!((create.replicas, create.max_bytes), (3, Some(1 << 30)));
    assert_eq!(create.subjects, ["townlet.*.>"]);
    let Security::Tls(client) = options.nats.security else { panic!("tls:// is TLS") };
    assert!(!client.verify_hostname);
    let files = [client.ca_file, client.cert_file, client.key_file].map(|file| file.unwrap());
    assert_eq!(files.map(|file| file.display().to_string()), ["ca.pem", "own.pem", "own.key"]);
}

#[test]
fn what_cannot_work_names_its_key() {
    let folder = Pki::new();
    assert!(fault(&Settings::default()).contains("endpoint is required"));
    assert!(fault(&settings("http://a.example")).contains("tls:// or nats://"));
    assert!(fault(&settings("nats://127.0.0.1")).contains("allow_plaintext"));
    let mut far = settings("nats://127.0.0.1,nats://a.example");
    far.plaintext_acknowledged = true;
    assert!(fault(&far).contains("a.example:4222"), "plaintext stays on this machine");
    let mut wrong = settings("tls://localhost");
    wrong.ca_file = Some(folder.ca_file().into());
    wrong.broker.stream = "a.b".into();
    assert!(fault(&wrong).contains("nats.stream"));
    wrong.broker.stream = "T".into();
    wrong.broker.subject = "t.{tick}".into();
    assert!(fault(&wrong).contains("nats.subject"));
    wrong.broker.subject = "t.{stream}".into();
    assert!(fault(&wrong).contains("{partition}"));
    wrong.broker.partitions = 0;
    assert!(fault(&wrong).contains("nats.partitions"));
    wrong.broker.partitions = 1;
    wrong.auth = Some(Auth::Bearer(SecretSource::File(folder.dir().join("none"))));
    assert!(fault(&wrong).contains("auth.bearer"));
    wrong.auth = Some(Auth::Basic("ann".into(), SecretSource::Env("NOT_SET_AT_ALL".into())));
    assert!(fault(&wrong).contains("NOT_SET_AT_ALL"));
    wrong.auth = None;
    wrong.ca_file = Some(folder.dir().join("no.pem"));
    assert!(fault(&wrong).contains("no.pem"));
}
