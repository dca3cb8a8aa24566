//! Versions, kinds, run ids, sections.

use townlet_schema::{Compatibility, Json, Kind, RunId, SchemaVersion, Section, SectionClass, Snapshot};

fn version(text: &str) -> SchemaVersion {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn w23_versions_are_ordered_by_number_and_0_90_1_is_no_0_9() {
    assert!(version("0.9.7") < version("0.10.0"));
    assert!(version("0.10.0") < version("0.90.1"));
    assert!(version("0.90.1") < version("1.0.0"));
    assert_eq!(version("0.90.1").read_by(SchemaVersion::LEGACY), Compatibility::NewerMinor);
    assert!(!version("0.90.1").is_readable());
    let error = townlet_schema::read_record(br#"{"schema_version":"0.90.1","tick":1}"#).unwrap_err();
    assert_eq!(error.kind(), townlet_schema::ReadErrorKind::UnsupportedVersion);
    assert_eq!(error.to_string(), "schema_version: there is no reader for 0.90.1: versions from 0.2.0 to 1.x are read");
}

#[test]
fn only_three_plain_numbers_are_a_version() {
    for text in ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.+0.0", "1.0.-0", "1..0", " 1.0.0", "1.0.65536", "v1.0.0"] {
        assert!(text.parse::<SchemaVersion>().is_err(), "{text:?} was taken");
    }
    assert_eq!(version("0.2.65535"), SchemaVersion::new(0, 2, 65535));
    assert_eq!(version("10.20.30").to_string(), "10.20.30");
}

#[test]
fn a_reader_learns_what_to_expect_of_each_version() {
    let reader = SchemaVersion::new(1, 2, 0);
    let cases = [
        ("1.2.0", Compatibility::Same),
        ("1.2.9", Compatibility::Same),
        ("1.1.0", Compatibility::OlderMinor),
        ("1.10.0", Compatibility::NewerMinor),
        ("2.2.0", Compatibility::DifferentMajor),
        ("0.9.0", Compatibility::DifferentMajor),
    ];
    for (text, expected) in cases {
        assert_eq!(version(text).read_by(reader), expected, "{text}");
    }
    assert!(!Compatibility::DifferentMajor.is_readable());
    assert!(Compatibility::NewerMinor.is_worth_a_warning() && !Compatibility::OlderMinor.is_worth_a_warning());
}

#[test]
fn every_kind_reads_back_from_its_name() {
    for kind in Kind::ALL {
        assert_eq!(kind.as_str().parse(), Ok(*kind));
        assert_eq!(Json::from_serialize(kind).unwrap().read::<Kind>().unwrap(), *kind);
    }
    assert!("Snapshot".parse::<Kind>().is_err());
}

#[test]
fn a_run_id_is_a_uuid_in_lower_case() {
    let id: RunId = "01932C07-1D3A-7CC2-8F6E-0123456789AB".parse().unwrap();
    assert_eq!(id.to_string(), "01932c07-1d3a-7cc2-8f6e-0123456789ab");
    assert_eq!(RunId::from_u128(0x0193_2c07_1d3a_7cc2_8f6e_0123_4567_89ab), id);
    assert_eq!(RunId::from_u128(0).as_str(), "00000000-0000-0000-0000-000000000000");
    for text in ["", "01932c07", "01932c07-1d3a-7cc2-8f6e-0123456789ag", "01932c071d3a-7cc2-8f6e-0123456789ab-"] {
        assert!(text.parse::<RunId>().is_err(), "{text:?} was taken");
    }
}

#[test]
fn the_sections_are_the_fields_of_a_snapshot_in_their_order() {
    let mut text = Vec::new();
    townlet_schema::encode_into(&Snapshot::default(), &mut text).unwrap();
    // Serde's own map keeps the order of the text and sees the top level only.
    struct Keys(Vec<String>);
    impl<'de> serde::Deserialize<'de> for Keys {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct Visit;
            impl<'de> serde::de::Visitor<'de> for Visit {
                type Value = Keys;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }
                fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }
            deserializer.deserialize_map(Visit)
        }
    }
    let keys: Keys = serde_json::from_slice(&text).unwrap();
    let names: Vec<_> = Section::ALL.iter().map(|section| section.name()).collect();
    assert_eq!(keys.0, names);
    assert!(Section::ALL.iter().all(|section| Section::from_name(section.name()) == Some(*section)));
}

#[test]
fn what_happened_in_a_tick_is_marked_per_tick() {
    let per_tick: Vec<_> =
        Section::ALL.iter().filter(|s| s.class() == SectionClass::PerTick).map(|s| s.name()).collect();
    assert_eq!(per_tick, ["relationship_updates", "events", "narrations", "social_events"]);
}
