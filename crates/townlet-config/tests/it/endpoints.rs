//! W13: what the predecessor took at load and fell over at connect.

use crate::support::{accept, only_error, transport};

#[test]
fn endpoints_that_cannot_work_are_refused_at_load_with_the_right_form() {
    for (endpoint, says, help) in [
        ("collector", "has no port", "add one: 'collector:9000'"),
        ("collector:port", "has the port 'port'", "a port is a number from 1 to 65535"),
        (":9000", "has no host", "a host is a DNS name or an IP address"),
        ("collector:99999", "has the port '99999'", "a port is a number from 1 to 65535"),
        ("collector:0", "has the port '0'", "a port is a number from 1 to 65535"),
        ("collector:+90", "has the port '+90'", "a port is a number from 1 to 65535"),
        ("collector:", "has no port", "a port is a number from 1 to 65535"),
        ("::1", "is an IPv6 address without brackets", "write '[::1]:9000'"),
        ("::1:9000", "is an IPv6 address without brackets", "write '[::1]:9000'"),
        ("[::1]", "has no port", "add one: '[::1]:9000'"),
        ("[::1", "opens a bracket and never closes it", ""),
        ("[::g]:9", "'::g' is not an IPv6 address", ""),
        ("300.1.2.3:9", "'300.1.2.3' is not an IPv4 address", ""),
        ("tcp://collector:9", "starts with 'tcp://'", "leave the scheme out: host:port"),
        ("me@collector:9", "has a user name in it", ""),
        ("a b:9", "has a blank in it", ""),
        ("-a:9", "'-a' is not a host name", ""),
        ("a..b:9", "'a..b' is not a host name", ""),
        ("collector:9/path", "has the port '9/path'", ""),
    ] {
        let (error, shown) = only_error(&transport(&format!("type: tcp, endpoint: '{endpoint}'")));
        assert_eq!(error, "endpoint telemetry.transport.endpoint", "{endpoint}");
        assert!(shown.contains(says) && shown.contains(help), "{shown}");
    }
}

#[test]
fn addresses_of_both_families_and_names_are_accepted() {
    for endpoint in ["collector.example:9000", "10.1.2.3:1", "[::1]:9000", "[2001:db8::1]:65535", "collector_1:9"] {
        let sink = accept(&transport(&format!("type: tcp, endpoint: '{endpoint}'"))).config.sinks.remove(0);
        assert_eq!(sink.settings.endpoint.as_deref(), Some(endpoint));
    }
}
