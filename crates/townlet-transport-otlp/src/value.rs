//! From a line of JSON to OTLP's values, without a tree between them.

use std::fmt;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::OtlpOptions;

/// The line, its end not included, as the body of a record.
pub(crate) fn body(line: &[u8]) -> AnyValue {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    // A line that is a number or a word alone stays the text that it is.
    let value = match line.first() {
        Some(b'{' | b'[') => parse(line).ok(),
        _ => None,
    };
    value.unwrap_or_else(|| match std::str::from_utf8(line) {
        Ok(text) => string(text),
        Err(_) => AnyValue { value: Some(Value::BytesValue(line.to_vec())) },
    })
}

fn parse(line: &[u8]) -> Result<AnyValue, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let value = At(0).deserialize(&mut json)?;
    json.end()?;
    Ok(value)
}

pub(crate) fn string(text: impl Into<String>) -> AnyValue {
    AnyValue { value: Some(Value::StringValue(text.into())) }
}

/// A number as OTLP's integer, or as decimal text where it does not fit.
pub(crate) fn integer(n: u64) -> AnyValue {
    i64::try_from(n).map_or_else(|_| string(n.to_string()), |n| AnyValue { value: Some(Value::IntValue(n)) })
}

pub(crate) fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), key_strindex: 0 }
}

/// A value at this depth.
struct At(usize);

impl<'de> DeserializeSeed<'de> for At {
    type Value = AnyValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AnyValue, D::Error> {
        if self.0 < OtlpOptions::DEEPEST {
            return deserializer.deserialize_any(self);
        }
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if raw.starts_with(['{', '[']) {
            return Ok(string(raw));
        }
        serde_json::Deserializer::from_str(raw).deserialize_any(self).map_err(serde::de::Error::custom)
    }
}

impl<'de> Visitor<'de> for At {
    type Value = AnyValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnyValue, A::Error> {
        let mut values = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(At(self.0 + 1))?;
            values.push(KeyValue { key, value: Some(value), key_strindex: 0 });
        }
        Ok(AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<AnyValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(At(self.0 + 1))? {
            values.push(value);
        }
        Ok(AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) })
    }

    fn visit_str<E>(self, text: &str) -> Result<AnyValue, E> {
        Ok(string(text))
    }

    fn visit_i64<E>(self, n: i64) -> Result<AnyValue, E> {
        Ok(AnyValue { value: Some(Value::IntValue(n)) })
    }

    fn visit_u64<E>(self, n: u64) -> Result<AnyValue, E> {
        Ok(integer(n))
    }

    fn visit_f64<E>(self, n: f64) -> Result<AnyValue, E> {
        Ok(AnyValue { value: Some(Value::DoubleValue(n)) })
    }

    fn visit_bool<E>(self, truth: bool) -> Result<AnyValue, E> {
        Ok(AnyValue { value: Some(Value::BoolValue(truth)) })
    }

    fn visit_unit<E>(self) -> Result<AnyValue, E> {
        Ok(AnyValue { value: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    fn kind(line: &[u8]) -> Option<Value> {
        body(line).value
    }

    #[test]
    fn what_is_no_object_stays_what_it_is() {
        assert_eq!(kind(b"\n"), Some(Value::StringValue(String::new())));
        assert_eq!(kind(b"7\n"), Some(Value::StringValue("7".into())));
        assert_eq!(kind(b"{\"a\":1} x\n"), Some(Value::StringValue("{\"a\":1} x".into())));
        assert_eq!(kind(b"{\xff\n"), Some(Value::BytesValue(b"{\xff".to_vec())));
    }

    #[test]
    fn every_kind_of_value_has_its_own_and_the_order_is_kept() {
        let line = br#"{"z":null,"a":[true,-1,18446744073709551615,1.0,"x",{}]}"#;
        let Some(Value::KvlistValue(list)) = kind(line) else { panic!() };
        assert_eq!(list.values.iter().map(|kv| kv.key.as_str()).collect::<Vec<_>>(), ["z", "a"]);
        assert_eq!(list.values[0].value, Some(AnyValue { value: None }));
        let Some(Value::ArrayValue(array)) = list.values[1].value.clone().unwrap().value else { panic!() };
        let kinds: Vec<Value> = array.values.into_iter().map(|any| any.value.unwrap()).collect();
        let expected = [
            Value::BoolValue(true),
            Value::IntValue(-1),
            Value::StringValue("18446744073709551615".into()),
            Value::DoubleValue(1.0),
            Value::StringValue("x".into()),
            Value::KvlistValue(KeyValueList::default()),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn what_is_too_deep_for_protobuf_is_text_and_can_be_read_back() {
        for depth in [OtlpOptions::DEEPEST - 1, OtlpOptions::DEEPEST + 1, 120] {
            let line = format!("{}7{}", "{\"a\":".repeat(depth), "}".repeat(depth));
            let bytes = body(line.as_bytes()).encode_to_vec();
            let mut value = AnyValue::decode(&bytes[..]).expect("readers take it");
            let mut seen = 0;
            while let Some(Value::KvlistValue(mut list)) = value.value {
                value = list.values.remove(0).value.unwrap();
                seen += 1;
            }
            assert_eq!(seen, depth.min(OtlpOptions::DEEPEST));
            match value.value.unwrap() {
                Value::IntValue(n) => assert_eq!((n, depth), (7, seen)),
                Value::StringValue(text) => assert_eq!(text.matches('{').count(), depth - seen),
                other => panic!("{other:?}"),
            }
        }
    }
}
