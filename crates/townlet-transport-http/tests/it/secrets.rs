//! Credentials, proxies and the plaintext rule.

use std::process::Command;

use townlet_testkit::frames;
use townlet_testkit::http::{Server, status};
use townlet_transport::{Auth, ErrorKind, Factory, SecretSource, Settings};
use townlet_transport_http::{HttpFactory, HttpOptions, HttpTransport, Secret};

use crate::{plaintext, send, tls, transport};

fn with_auth(server: &Server, auth: Auth) -> HttpOptions {
    HttpOptions { auth: Some(auth), ..plaintext(&server.url()) }
}

fn authorizations(server: &Server) -> Vec<String> {
    server.requests().into_iter().filter_map(|mut request| request.headers.remove("authorization")).collect()
}

#[test]
fn a_token_comes_from_a_file_and_a_renewed_one_is_taken_up_when_the_old_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2\n").unwrap();
    let server = Server::start(status(200)).then(status(200)).then(status(401)).then(status(200)).then(status(401));
    let options = with_auth(&server, Auth::Bearer(SecretSource::File(path.clone())));
    let mut sink = transport(options.clone());
    send(&mut sink, &frames(1..=1)).unwrap();
    std::fs::write(&path, "hunter3\n").unwrap();
    let failed = send(&mut sink, &frames(2..=2));
    if let Err(failed) = failed {
        assert_eq!(failed.error.kind(), ErrorKind::Unavailable, "the frame waits: {failed}");
        send(&mut sink, &frames(2..=2)).unwrap();
    }
    let failed = send(&mut sink, &frames(3..=3)).unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Rejected, "nothing newer is there");
    let shown = authorizations(&server);
    assert_eq!((shown.first().unwrap().as_str(), shown.last().unwrap().as_str()), ("Bearer hunter2", "Bearer hunter3"));
    for text in [format!("{options:?}"), format!("{sink:?}"), failed.to_string(), format!("{failed:?}")] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn a_password_comes_from_the_environment() {
    // Cargo sets this one for every test.
    let server = Server::start(status(200));
    let auth = Auth::Basic("ann".into(), SecretSource::Env("CARGO_PKG_NAME".into()));
    send(&mut transport(with_auth(&server, auth)), &frames(1..=1)).unwrap();
    assert_eq!(authorizations(&server), ["Basic YW5uOnRvd25sZXQtdHJhbnNwb3J0LWh0dHA="]);
}

#[test]
fn headers_of_any_name_come_from_one_text_in_percent_encoding_and_follow_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("headers");
    std::fs::write(&path, "Authorization=Api-Token%20hunter2,x-tenant=a%2Cb\n").unwrap();
    let server = Server::start(status(401)).then(status(200));
    let options = with_auth(&server, Auth::Headers(SecretSource::File(path.clone())));
    let mut sink = transport(options.clone());
    send(&mut sink, &frames(1..=1)).unwrap();
    let request = &server.requests()[0];
    assert_eq!(
        (request.headers["authorization"].as_str(), request.headers["x-tenant"].as_str()),
        ("Api-Token hunter2", "a,b")
    );
    // One that cannot be used leaves in use what was, until there is another.
    std::fs::write(&path, "hunter3\n").unwrap();
    assert_eq!(send(&mut sink, &frames(2..=2)).unwrap_err().error.kind(), ErrorKind::Rejected);
    assert_eq!(authorizations(&server).last().unwrap(), "Api-Token hunter2");
    assert!(!format!("{options:?} {sink:?}").contains("hunter"));
}

#[test]
fn a_secret_that_cannot_be_used_is_refused_by_the_name_of_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        SecretSource::File(path)
    };
    let bearer = |source| Auth::Bearer(source);
    for (auth, says) in [
        (bearer(SecretSource::File("no/such/token".into())), "no/such/token"),
        (bearer(SecretSource::Env("TOWNLET_NO_SUCH_VARIABLE".into())), "TOWNLET_NO_SUCH_VARIABLE"),
        (bearer(file("empty", b" \n")), "empty"),
        (bearer(file("two", b"hunter\r\n2")), "no header can carry"),
        (bearer(file("bytes", b"hunter\xff")), "not text"),
        (bearer(file("large", &[b'x'; 20_000])), "too large"),
        (Auth::Basic("ann:2".into(), file("good", b"hunter2")), "auth.user"),
        (Auth::Headers(file("no-pair", b"x=1,hunter2")), "header 2 has no `=`"),
        (Auth::Headers(file("ours", b"host=hunter2")), "header 1, host, is set by the client"),
    ] {
        let settings = settings("https://collector.example/in", |s| s.auth = Some(auth.clone()));
        let Err(error) = HttpFactory.build(&settings) else { panic!("{auth:?} was accepted") };
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says) && !error.to_string().contains("hunter"), "{error}");
    }
    assert_eq!(format!("{:?}", Secret::new("hunter2".into()).unwrap()), "Secret(…)");
}

fn settings(endpoint: &str, change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    settings.endpoint = Some(endpoint.into());
    change(&mut settings);
    settings
}

#[test]
fn plaintext_goes_to_this_machine_only_and_with_both_acknowledgements() {
    let refused = |endpoint: &str, both, says: &str| {
        let settings = settings(endpoint, |s| s.plaintext_acknowledged = both);
        let Err(error) = HttpFactory.build(&settings) else { panic!("{endpoint} was accepted") };
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says), "{error}");
    };
    refused("http://127.0.0.1:8080/", false, "allow_plaintext");
    refused("http://collector.example/", true, "this machine only");
    refused("http://127.0.0.1.example/", true, "this machine only");
    refused("  ", true, "endpoint is required when type is 'http'");
    let local = settings("http://localhost:8080/", |s| s.plaintext_acknowledged = true);
    assert!(HttpFactory.build(&local).is_ok());
    assert_eq!(HttpFactory.kind(), "http");
}

/// Where the variables of a proxy are read: in a process of its own, started by the test below.
#[test]
fn in_a_process_with_proxy_variables() {
    let Some(proxy) = std::env::var_os("TOWNLET_TEST_BEHIND_PROXY") else { return };
    let pki = townlet_testkit::certs::Pki::new();
    let far = HttpTransport::new(tls("https://collector.example:8443/in", pki.ca_file())).unwrap();
    let failed = send(&mut { far }, &frames(1..=1)).unwrap_err();
    assert!(failed.error.kind().is_retryable(), "{failed}");
    assert!(!failed.to_string().contains("hunter2"), "{failed}");
    // Plaintext stays on this machine, whatever the variables say.
    let server = Server::start(status(200));
    send(&mut transport(plaintext(&server.url())), &frames(1..=1)).unwrap();
    assert_eq!(server.requests().len(), 1, "past {}", proxy.display());
}

#[test]
fn proxy_variables_hold_for_tls_and_never_for_plaintext() {
    let proxy = Server::start(status(403));
    let url = format!("http://ann:hunter2@{}", proxy.address);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "secrets::in_a_process_with_proxy_variables", "--nocapture"])
        .envs([("TOWNLET_TEST_BEHIND_PROXY", "1"), ("HTTPS_PROXY", &url), ("http_proxy", &url), ("ALL_PROXY", &url)])
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    let asked: Vec<(String, String)> = proxy.requests().into_iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(asked, [("CONNECT".to_owned(), "collector.example:8443".to_owned())]);
    assert!(authorizations(&proxy).is_empty(), "the proxy has its own header");
}
