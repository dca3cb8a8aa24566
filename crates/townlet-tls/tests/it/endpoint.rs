use townlet_tls::{Endpoint, EndpointErrorKind as Kind};

#[test]
fn names_and_both_address_families_parse_and_print_as_they_were_written() {
    for (text, host, port) in [
        ("collector:9000", "collector", 9000),
        ("  collector.example.com:1 ", "collector.example.com", 1),
        ("192.0.2.7:65535", "192.0.2.7", 65535),
        ("[::1]:9000", "::1", 9000),
        ("[2001:db8::7]:443", "2001:db8::7", 443),
        ("host_with_underscore:80", "host_with_underscore", 80),
    ] {
        let endpoint = Endpoint::parse(text).unwrap();
        assert_eq!((endpoint.host().as_str(), endpoint.port()), (host, port));
        assert_eq!(endpoint.to_string(), text.trim());
        assert_eq!(endpoint.to_string().parse::<Endpoint>().unwrap(), endpoint);
    }
}

#[test]
fn each_mistake_has_its_own_kind_and_quotes_the_text() {
    for (text, kind) in [
        ("", Kind::Empty),
        ("   ", Kind::Empty),
        ("collector", Kind::MissingPort),
        ("collector:", Kind::MissingPort),
        ("[::1]", Kind::MissingPort),
        ("[::1]9000", Kind::MissingPort),
        (":9000", Kind::EmptyHost),
        ("collector:port", Kind::PortNotANumber),
        ("collector:-1", Kind::PortNotANumber),
        ("collector:+1", Kind::PortNotANumber),
        ("collector:0", Kind::PortOutOfRange),
        ("collector:99999", Kind::PortOutOfRange),
        ("collector:99999999999999999999", Kind::PortOutOfRange),
        ("::1:9000", Kind::UnbracketedIpv6),
        ("::1", Kind::UnbracketedIpv6),
        ("2001:db8::1:9000", Kind::UnbracketedIpv6),
        ("a:b:c", Kind::UnbracketedIpv6),
        ("[::1:9000", Kind::BadIpv6),
        ("[localhost]:9000", Kind::BadIpv6),
        ("http://collector:9000", Kind::Url),
        ("col lector:9000", Kind::BadHost),
        ("collector..example:9000", Kind::BadHost),
        ("1.2.3.400:9000", Kind::BadHost),
        ("-x:9000", Kind::BadHost),
        ("ö:9000", Kind::BadHost),
    ] {
        let error = Endpoint::parse(text).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(&format!("{text:?}")), "{error}");
    }
    let hint = Endpoint::parse("::1:9000").unwrap_err().to_string();
    assert!(hint.ends_with("write [::1]:9000"), "{hint}");
}

#[test]
fn only_this_machine_is_loopback() {
    for text in ["localhost:1", "LocalHost:1", "127.0.0.1:1", "127.9.8.7:1", "[::1]:1"] {
        assert!(Endpoint::parse(text).unwrap().is_loopback(), "{text}");
    }
    for text in ["localhost.example:1", "128.0.0.1:1", "0.0.0.0:1", "[::]:1", "[::2]:1", "127.example:1"] {
        assert!(!Endpoint::parse(text).unwrap().is_loopback(), "{text}");
    }
}
