//! From settings to a transport.

use std::time::Duration;

use townlet_testkit::certs::Pki;
use townlet_testkit::frames;
use townlet_transport::{Auth, ErrorKind, Factory, Level, SecretSource, Settings};
use townlet_transport_websocket::{Security, Token, WsFactory};

use crate::peer::{Manner, Peer};

fn settings(url: &str) -> Settings {
    let mut settings = Settings::default();
    settings.endpoint = Some(url.to_owned());
    settings
}

fn fault(settings: &Settings) -> String {
    let error = WsFactory.build(settings).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
    error.to_string()
}

#[test]
fn it_builds_what_the_settings_say() {
    let peer = Peer::start(Manner::Durable);
    let mut settings = settings(&format!("ws://{}/ws", peer.address));
    settings.plaintext_acknowledged = true;
    settings.settle_at = Level::Durable;
    assert_eq!(WsFactory.kind(), "websocket");
    let mut sink = WsFactory.build(&settings).unwrap();
    assert_eq!(peer.look(|seen| seen.openings), 0, "building touches no network");
    assert_eq!(sink.connect().unwrap().level, Level::Durable);
    sink.send(&frames(1..=2)).unwrap();
    peer.wait_for(|seen| seen.lines.len() == 2);
    settings.acks = false;
    assert_eq!(WsFactory.build(&settings).unwrap().connect().unwrap().level, Level::Sent);
}

#[test]
fn each_setting_reaches_its_option() {
    let mut settings = settings("wss://c.example/ws");
    (settings.connect_timeout, settings.send_timeout) = (Duration::from_secs(7), Duration::from_secs(8));
    settings.verify_hostname = false;
    settings.ca_file = Some("ca.pem".into());
    (settings.cert_file, settings.key_file) = (Some("own.pem".into()), Some("own.key".into()));
    settings.auth = Some(Auth::Bearer(SecretSource::Env("TOKEN_OF_TOWN".into())));
    let options = WsFactory::options(&settings).unwrap();
    assert_eq!((options.connect_timeout, options.send_timeout), (Duration::from_secs(7), Duration::from_secs(8)));
    assert_eq!(options.token, Some(Token::Environment("TOKEN_OF_TOWN".into())));
    let Security::Tls(client) = options.security else { panic!("wss is TLS") };
    assert!(!client.verify_hostname);
    let files = [client.ca_file, client.cert_file, client.key_file].map(|file| file.unwrap());
    assert_eq!(files.map(|file| file.display().to_string()), ["ca.pem", "own.pem", "own.key"]);
}

#[test]
fn what_cannot_work_names_its_key() {
    let folder = Pki::new();
    assert!(fault(&Settings::default()).contains("websocket_url is required"));
    assert!(fault(&settings("https://c.example/")).contains("websocket_url"));
    assert!(fault(&settings("ws://127.0.0.1:9/")).contains("allow_plaintext"));
    let mut far = settings("ws://c.example/");
    far.plaintext_acknowledged = true;
    assert!(fault(&far).contains("websocket_url is ws://"), "plaintext stays on this machine");
    let mut wrong = settings("wss://localhost/");
    wrong.ca_file = Some(folder.ca_file().into());
    wrong.auth = Some(Auth::Bearer(SecretSource::File(folder.dir().join("none"))));
    assert!(fault(&wrong).contains("auth.bearer_file"));
    wrong.auth = Some(Auth::Bearer(SecretSource::Env("ALSO".into())));
    assert!(fault(&wrong).contains("auth.bearer_env ALSO"), "the variable is not set");
    wrong.auth = Some(Auth::Basic("ann".into(), SecretSource::Env("ALSO".into())));
    assert!(fault(&wrong).contains("set bearer_file"), "there is no password in this protocol");
    wrong.auth = None;
    wrong.ca_file = Some(folder.dir().join("no.pem"));
    assert!(fault(&wrong).contains("no.pem"));
}
