//! Random documents, and a writer that spells them in every way that JSON allows.

use proptest::prelude::*;
use townlet_schema::{Json, Kind, Number, Object};
use townlet_transform::{Chain, ChainBuilder, Head, Record, Redaction, TransformSpec};

/// Few names, so that paths meet them; some need escapes, some look like containers.
pub(crate) const NAMES: [&str; 10] = ["a", "b", "c", "secret", "changes", "payload", "x.y", "z\"q", "s/l", "émile"];

pub(crate) fn name() -> impl Strategy<Value = String> {
    prop::sample::select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e6..1e6_f64).prop_map(|number| Json::Number(Number::try_from(number).unwrap())),
        "[ -~\u{e9}\u{1f600}\u{1b}\n]{0,8}".prop_map(Json::from),
        Just(Json::from("plain")),
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::vec((name(), inner), 0..5)
                .prop_map(|members| Json::Object(members.into_iter().collect())),
        ]
    })
}

pub(crate) fn object() -> impl Strategy<Value = Object> {
    prop::collection::vec((name(), value()), 0..6).prop_map(|members| members.into_iter().collect())
}

/// The text of `object` with white space and escapes wherever `dice` has a bit.
pub(crate) fn spelled(object: &Object, dice: u64) -> Vec<u8> {
    let mut speller = Speller { out: String::new(), dice: dice | 1 };
    speller.object(object);
    speller.out.into_bytes()
}

struct Speller {
    out: String,
    dice: u64,
}

impl Speller {
    /// xorshift: reproducible from the seed that the failing case prints.
    fn roll(&mut self, sides: u64) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice % sides
    }

    fn space(&mut self) {
        match self.roll(8) {
            0 => self.out.push(' '),
            1 => self.out.push_str("\n\t"),
            _ => {}
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for c in text.chars() {
            match c {
                '"' | '\\' => self.out.extend(['\\', c]),
                '/' if self.roll(2) == 0 => self.out.push_str("\\/"),
                '\n' if self.roll(2) == 0 => self.out.push_str("\\n"),
                c if (c as u32) < 0x20 || self.roll(16) == 0 => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        self.out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn object(&mut self, object: &Object) {
        self.out.push('{');
        for (n, (name, value)) in object.iter().enumerate() {
            if n > 0 {
                self.out.push(',');
            }
            self.space();
            self.string(name);
            self.space();
            self.out.push(':');
            self.space();
            self.value(value);
            self.space();
        }
        self.out.push('}');
    }

    fn value(&mut self, value: &Json) {
        match value {
            Json::Object(object) => self.object(object),
            Json::String(text) => self.string(text),
            Json::Array(elements) => {
                self.out.push('[');
                for (n, element) in elements.iter().enumerate() {
                    if n > 0 {
                        self.out.push(',');
                    }
                    self.space();
                    self.value(element);
                    self.space();
                }
                self.out.push(']');
            }
            scalar => self.out.push_str(&scalar.to_string()),
        }
    }
}

/// Any head of this kind.
pub(crate) fn head(kind: Kind) -> Head {
    Head::new(kind, "town", 7)
}

pub(crate) fn checked(kind: Kind, text: impl Into<Vec<u8>>) -> Record {
    Record::checked(head(kind), text.into()).unwrap()
}

/// A chain that only redacts.
pub(crate) fn redacting(fields: &[&str], kind: Kind, action: Redaction) -> Chain {
    let fields = fields.iter().map(|field| (*field).to_owned()).collect();
    ChainBuilder::from_specs([TransformSpec::RedactFields { fields, kinds: vec![kind], action }]).build().unwrap()
}

/// What comes out of `chain`, as text.
pub(crate) fn out(chain: &mut Chain, record: Record) -> String {
    String::from_utf8(chain.run(record).unwrap().into_body()).unwrap()
}
