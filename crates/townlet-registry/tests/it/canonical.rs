#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;
use townlet_registry::{Digest, ErrorKind, canonical};

fn text<T: Serialize>(value: &T) -> String {
    String::from_utf8(canonical::to_vec(value).unwrap()).unwrap()
}

/// RFC 8785, appendix B: the bits of a double, and its text.
#[test]
fn numbers_are_written_as_in_appendix_b_of_rfc_8785() {
    for (bits, wanted) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        let value = f64::from_bits(bits);
        assert_eq!(text(&value), wanted);
        canonical::check(wanted.as_bytes()).unwrap();
        assert_eq!(canonical::from_slice::<f64>(wanted.as_bytes()).unwrap(), value);
    }
}

/// RFC 8785, section 3.2.2: the sample with its expected bytes of section 3.2.4.
#[test]
fn the_sample_of_rfc_8785_gives_its_bytes() {
    #[derive(Serialize)]
    struct Sample {
        numbers: Vec<f64>,
        string: &'static str,
        literals: (Option<()>, bool, bool),
    }
    let sample = Sample {
        numbers: vec![333_333_333.333_333_3, 1e30, 4.50, 2e-3, 0.000_000_000_000_000_000_000_000_001],
        string: "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
        literals: (None, true, false),
    };
    let wanted = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    assert_eq!(text(&sample), wanted);
    canonical::check(wanted.as_bytes()).unwrap();
}

/// RFC 8785, section 3.2.3: by UTF-16 code units, which is not the order of UTF-8.
#[test]
fn members_stand_in_the_order_of_utf_16() {
    let names = ["\u{20ac}", "\r", "\u{fb33}", "1", "\u{1f600}", "\u{80}", "\u{f6}"];
    let map: BTreeMap<&str, u8> = names.iter().map(|name| (*name, 0)).collect();
    let wanted = "{\"\\r\":0,\"1\":0,\"\u{80}\":0,\"\u{f6}\":0,\"\u{20ac}\":0,\"\u{1f600}\":0,\"\u{fb33}\":0}";
    assert_eq!(text(&map), wanted);
    canonical::check(wanted.as_bytes()).unwrap();
}

#[test]
fn what_would_lose_something_is_refused_and_named() {
    let refused = |error: townlet_registry::Error, what: &str| {
        assert_eq!(error.kind(), ErrorKind::Unrepresentable);
        assert!(error.to_string().contains(what), "{error}");
    };
    refused(canonical::to_vec(&f64::NAN).unwrap_err(), "NaN is no JSON number");
    refused(canonical::to_vec(&[f64::NEG_INFINITY]).unwrap_err(), "-inf is no JSON number");
    refused(canonical::to_vec(&f32::INFINITY).unwrap_err(), "inf is no JSON number");
    refused(canonical::to_vec(&(1_u64 << 53)).unwrap_err(), "9007199254740992 is beyond");
    refused(canonical::to_vec(&i64::MIN).unwrap_err(), "-9223372036854775808 is beyond");
    refused(canonical::to_vec(&BTreeMap::from([(true, 0)])).unwrap_err(), "a boolean is no name");
    assert_eq!(text(&((1_i64 << 53) - 1)), "9007199254740991");
    assert_eq!(text(&-((1_i64 << 53) - 1)), "-9007199254740991");

    let mut deep = String::from("0");
    for _ in 0..canonical::MAX_DEPTH {
        deep = format!("[{deep}]");
    }
    canonical::check(deep.as_bytes()).unwrap();
    assert!(canonical::check(format!("[{deep}]").as_bytes()).is_err());
    let depth = canonical::MAX_DEPTH + 1;
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let inner = if open == "[" { "" } else { "{}" };
        let depth = depth - usize::from(!inner.is_empty());
        let hollow = open.repeat(depth) + inner + &close.repeat(depth);
        assert!(canonical::check(hollow.as_bytes()).is_err(), "what holds nothing is as deep");
    }
    // Deeper than any stack: refused, not overflowed.
    assert!(canonical::check("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn a_name_that_two_fields_share_is_refused() {
    #[derive(Serialize)]
    struct Twice {
        a: u8,
        #[serde(flatten)]
        more: BTreeMap<String, u8>,
    }
    let twice = Twice { a: 1, more: BTreeMap::from([("a".to_owned(), 2)]) };
    let error = canonical::to_vec(&twice).unwrap_err();
    assert!(error.to_string().contains("`a` stands twice"), "{error}");
}

#[test]
fn every_other_text_of_a_value_is_refused_with_its_place() {
    for (other, place) in [
        (r#"{"b":1,"a":2}"#, "byte 7"),
        (r#"{"a":1,"a":2}"#, "stands twice"),
        (r#"{"a": 1}"#, "byte 5"),
        (r#"{"a":1} "#, "after the end"),
        (r#"{"a":1"#, "`}` expected"),
        ("[1,]", "byte 3"),
        ("1.0", "`1.0`"),
        ("-0", "`-0`"),
        ("01", "`01`"),
        ("+1", "a value expected"),
        ("1E3", "`1E3`"),
        ("1e3", "`1e3`"),
        ("1e400", "`1e400`"),
        ("9007199254740993", "`9007199254740993`"),
        (r#""\/""#, "escape"),
        (r#""\u0041""#, "escape"),
        (r#""\u000a""#, "shorter escape"),
        (r#""\u000F""#, "escape"),
        (r#""\ud83d""#, "escape"),
        ("\"\n\"", "control character"),
        ("\"", "ends in a string"),
        ("NaN", "a value expected"),
        ("True", "a value expected"),
        ("", "a value expected"),
    ] {
        let error = canonical::check(other.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        assert!(error.to_string().contains(place), "{other}: {error}");
    }
    assert!(canonical::check(b"\"\xff\"").unwrap_err().to_string().contains("byte 1"));
}

#[test]
fn digests_name_their_function_and_have_one_text() {
    let digest = Digest::of(b"abc");
    let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(digest.to_string(), text);
    assert_eq!(text.parse::<Digest>().unwrap(), digest);
    assert_eq!(Digest::of_reader(&b"abc"[..]).unwrap(), digest);
    for wrong in [&text.to_uppercase(), &text[7..], &text[..70], "sha512:00", ""] {
        assert_eq!(wrong.parse::<Digest>().unwrap_err().kind(), ErrorKind::Malformed, "{wrong}");
    }
    assert!("sha256:BA7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse::<Digest>().is_err());
}

proptest! {
    #[test]
    fn doubles_come_back_to_the_bit(bits: u64) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        let text = canonical::to_vec(&value).unwrap();
        let back: f64 = canonical::from_slice(&text).unwrap();
        // -0 is the one double that becomes another; the two are equal.
        prop_assert_eq!(back, value);
        prop_assert!(value == 0.0 || back.to_bits() == bits);
    }

    #[test]
    fn what_is_written_passes_the_check_and_reads_back(
        map in prop::collection::btree_map(
            any::<String>(),
            (".{0,9}", any::<Option<i32>>(), prop::collection::vec(prop::num::f64::NORMAL, 0..4)),
            0..8,
        )
    ) {
        let text = canonical::to_vec(&map).unwrap();
        let back: BTreeMap<String, (String, Option<i32>, Vec<f64>)> = canonical::from_slice(&text).unwrap();
        prop_assert_eq!(back, map);
    }

    #[test]
    fn no_text_makes_the_check_panic(text in r#"[\[\]{}",:0-9a-u\\.eE+\-]{0,40}"#) {
        if canonical::check(text.as_bytes()).is_ok() {
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(canonical::to_vec(&value).unwrap(), text.into_bytes());
        }
    }

    #[test]
    fn no_bytes_make_the_check_panic(bytes: Vec<u8>) {
        drop(canonical::check(&bytes));
    }
}
