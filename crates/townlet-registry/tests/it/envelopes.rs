use townlet_registry::{Digest, Envelope, ErrorKind, Head, STATEMENT_PAYLOAD, Statement, Subject, pae};

use crate::support::{Note, noon, note, ring, signer, statement};

/// The test vector of the DSSE protocol (secure-systems-lab/dsse, protocol.md), and two that its definition gives.
#[test]
fn the_encoding_before_signing_is_that_of_dsse() {
    let vector = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), vector);
    assert_eq!(pae("", b""), b"DSSEv1 0  0 ");
    // Bytes, not characters, are counted.
    assert_eq!(pae("é", "ü".as_bytes()), "DSSEv1 2 é 2 ü".as_bytes());
}

#[test]
fn a_statement_is_written_as_in_toto_names_its_parts() {
    let payload = statement("release-42", "fine").to_payload().unwrap();
    let digest = Digest::of(b"release-42").to_hex();
    let wanted = format!(
        concat!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{"text":"fine","value":0.1}},"#,
            r#""predicateType":"https://example.com/note/v1","#,
            r#""subject":[{{"digest":{{"sha256":"{}"}},"name":"release-42"}}]}}"#
        ),
        digest
    );
    assert_eq!(String::from_utf8(payload).unwrap(), wanted);
}

#[test]
fn an_envelope_has_one_text_and_reads_back_from_it() {
    let envelope = note("ada", "release-42", "fine").countersigned(&signer("bob"));
    let text = envelope.to_vec().unwrap();
    let back = Envelope::from_slice(&text).unwrap();
    assert_eq!(back, envelope);
    assert_eq!(back.digest().unwrap(), Digest::of(&text));
    assert_eq!(back.payload_type(), STATEMENT_PAYLOAD);
    assert_eq!(back.statement::<Note>().unwrap(), statement("release-42", "fine"));
    assert_eq!(back.head().unwrap().subjects[0].digest, Digest::of(b"release-42"));
    // Who signed already is not added again.
    assert_eq!(envelope.clone().countersigned(&signer("ada")), envelope);
}

#[test]
fn other_layouts_of_an_envelope_are_refused() {
    let text = String::from_utf8(note("ada", "r", "fine").to_vec().unwrap()).unwrap();
    let mut refused = vec![
        text.replace(':', ": "),
        text.replace("\"signatures\":[", "\"signatures\":[],\"x\":["),
        format!("{text}\n"),
        text.replace("payloadType", "payloadtype"),
    ];
    let sig = text.split("\"sig\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    refused.push(text.replace(&sig, sig.trim_end_matches('=')));
    // The last digit before `==` carries four bits that must be zero.
    let (head, last) = sig.trim_end_matches('=').split_at(sig.len() - 3);
    let next = char::from(last.as_bytes()[0] + 1);
    refused.push(text.replace(&sig, &format!("{head}{next}==")));
    refused.push(text.replace(&sig, ""));
    for text in refused {
        assert_eq!(Envelope::from_slice(text.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed, "{text}");
    }
}

#[test]
fn a_statement_of_another_type_or_about_nothing_is_refused() {
    struct Other;
    impl serde::Serialize for Other {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    impl townlet_registry::Predicate for Other {
        const TYPE: &'static str = "https://example.com/other/v1";
    }
    let subject = Subject::new("r", Digest::of(b"r"));
    let other = Envelope::sign(&Statement::about(subject.clone(), Other), &signer("ada")).unwrap();
    let error = other.statement::<Note>().unwrap_err();
    assert!(error.to_string().contains("https://example.com/other/v1"), "{error}");

    let nothing = Statement { subjects: vec![], predicate: Other };
    assert_eq!(nothing.to_payload().unwrap_err().kind(), ErrorKind::Conflict);
    let twice = Statement { subjects: vec![subject.clone(), subject], predicate: Other };
    assert_eq!(twice.to_payload().unwrap_err().kind(), ErrorKind::Conflict);

    let bytes = Envelope::sign_bytes("text/plain", b"hello".to_vec(), &signer("ada"));
    assert_eq!(bytes.head().unwrap_err().kind(), ErrorKind::Malformed);
    for payload in ["{}", "[]", r#"{"_type":"x","subject":[],"predicateType":"p","predicate":{}}"#] {
        assert_eq!(Head::from_payload(payload.as_bytes()).unwrap_err().kind(), ErrorKind::Malformed);
    }
}

#[test]
fn a_subject_with_two_digests_of_a_kind_is_refused() {
    let (one, two) = (Digest::of(b"one").to_hex(), Digest::of(b"two").to_hex());
    let statement = |digest: String| {
        format!(
            r#"{{"_type":"https://in-toto.io/Statement/v1","predicate":{{}},"predicateType":"p/v1","subject":[{{"digest":{{{digest}}},"name":"r"}}]}}"#
        )
    };
    let plain = statement(format!(r#""sha1":"x","sha256":"{one}""#));
    assert!(Head::from_payload(plain.as_bytes()).is_ok(), "digests of other kinds are not looked at");
    let doubled = statement(format!(r#""sha256":"{one}","sha256":"{two}""#));
    let error = Head::from_payload(doubled.as_bytes()).unwrap_err();
    assert!(error.kind() == ErrorKind::Malformed && error.to_string().contains("duplicate"), "{error}");
}

#[test]
fn one_wrong_signature_refuses_the_whole_envelope() {
    let ring = ring(&["ada", "bob"]);
    let envelope = note("ada", "r", "fine").countersigned(&signer("bob"));
    let people: Vec<_> = ring.verify(&envelope, noon()).unwrap().iter().map(|who| who.person.to_owned()).collect();
    assert_eq!(people, ["ada", "bob"]);

    let stranger = note("ada", "r", "fine").countersigned(&signer("mallory"));
    assert_eq!(ring.verify(&stranger, noon()).unwrap_err().kind(), ErrorKind::UnknownKey);

    // Bob's name under Ada's signature: the key was swapped.
    let text = String::from_utf8(note("ada", "r", "fine").to_vec().unwrap()).unwrap();
    let swapped = text.replace(&signer("ada").key_id().to_string(), &signer("bob").key_id().to_string());
    let swapped = Envelope::from_slice(swapped.as_bytes()).unwrap();
    let error = ring.verify(&swapped, noon()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Signature);
    assert!(error.to_string().contains("bob"), "{error}");
}

#[test]
fn a_signature_fits_neither_another_payload_nor_another_type() {
    let ring = ring(&["ada"]);
    let envelope = note("ada", "r", "fine");
    let other = note("ada", "r", "fail");
    let text = String::from_utf8(envelope.to_vec().unwrap()).unwrap();
    let payload = |envelope: &Envelope| {
        let text = String::from_utf8(envelope.to_vec().unwrap()).unwrap();
        text.split("\"payload\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    for changed in
        [text.replace(&payload(&envelope), &payload(&other)), text.replace(STATEMENT_PAYLOAD, "application/json")]
    {
        let changed = Envelope::from_slice(changed.as_bytes()).unwrap();
        assert_eq!(ring.verify(&changed, noon()).unwrap_err().kind(), ErrorKind::Signature);
    }
}
