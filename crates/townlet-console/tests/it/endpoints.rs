//! Where a console listens, and what it leaves alone.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use tempfile::TempDir;
use townlet_console::{Client, ClientError, Console, ConsoleError, Endpoint, EndpointError};

use crate::fakes::{PATIENCE, client, on_socket, options, pipeline, token};

#[test]
fn an_endpoint_is_a_path_or_a_loopback_port() {
    let parsed = |text: &str| text.parse::<Endpoint>();
    assert_eq!(parsed("unix:/run/town.sock"), Ok(Endpoint::Unix("/run/town.sock".into())));
    assert_eq!(parsed("run/town.sock"), Ok(Endpoint::Unix("run/town.sock".into())));
    assert_eq!(parsed("unix:town.sock"), Ok(Endpoint::Unix("town.sock".into())));
    for text in ["tcp:127.0.0.1:7070", "127.0.0.1:7070", "tcp:localhost:7070", "localhost:7070"] {
        assert_eq!(parsed(text).unwrap().to_string(), "tcp:127.0.0.1:7070", "{text}");
    }
    assert_eq!(parsed("tcp:[::1]:7070").unwrap().to_string(), "tcp:[::1]:7070");
    for text in ["", "unix:", "tcp:", "town", "tcp:localhost", "tcp:example.org:1", "127.0.0.1:99999", "tcp:/run/x"] {
        assert!(matches!(parsed(text), Err(EndpointError::Syntax(_))), "{text}");
    }
    for text in ["tcp:0.0.0.0:7070", "192.0.2.1:7070", "tcp:[::]:7070"] {
        assert!(matches!(parsed(text), Err(EndpointError::Exposed(_))), "{text}");
    }
}

#[test]
fn an_address_that_others_can_reach_is_refused_however_it_was_made() {
    let (telemetry, _) = pipeline();
    let mut options = options();
    options.endpoint = Endpoint::Tcp("0.0.0.0:0".parse().unwrap());
    assert!(matches!(Console::start(options, telemetry), Err(ConsoleError::Exposed(_))));
}

#[test]
fn a_socket_is_its_owners_alone_and_goes_with_the_console() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("made/here/c.sock");
    let (telemetry, _) = pipeline();
    let console = on_socket(&telemetry, &path);
    let there = fs::symlink_metadata(&path).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(client(&console).status(&token()).is_ok());
    drop(console);
    assert!(!path.exists());
    let gone = Client::connect(&Endpoint::Unix(path), PATIENCE).unwrap_err();
    assert!(matches!(gone, ClientError::Unreachable { .. }), "{gone}");
}

#[test]
fn a_stale_socket_is_replaced_and_nothing_else_is() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("c.sock");
    let (telemetry, _) = pipeline();
    // As a process leaves it that was killed.
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let console = on_socket(&telemetry, &path);
    assert!(client(&console).status(&token()).is_ok());

    let mut second = options();
    second.endpoint = Endpoint::Unix(path.clone());
    let refused = Console::start(second.clone(), telemetry.clone()).unwrap_err();
    assert!(matches!(refused, ConsoleError::InUse(_)), "{refused}");
    assert!(client(&console).status(&token()).is_ok(), "the first goes on");

    // Somebody else's file at the path survives the console.
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    drop(console);
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
    let refused = Console::start(second, telemetry).unwrap_err();
    assert!(matches!(refused, ConsoleError::NoSocket(_)), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
}

#[test]
fn a_path_that_cannot_be_a_socket_is_an_error_that_names_it() {
    let folder = TempDir::new().unwrap();
    let (telemetry, _) = pipeline();
    let mut options = options();
    options.endpoint = Endpoint::Unix(folder.path().join("x".repeat(200)));
    let refused = Console::start(options, telemetry).unwrap_err();
    assert!(matches!(refused, ConsoleError::Bind { .. }));
    assert!(refused.to_string().contains("xxx"), "{refused}");
}
