//! Any value of any type that serde can read: a deserializer that makes its input up.
//!
//! It knows only the types, not the schemas, so it finds values that a schema forgot.

use serde::de::value::StringDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

type Error = serde::de::value::Error;

/// A value of `T` that depends on nothing but `seed`.
///
/// Some types refuse some inputs (a run id must be a UUID): then the next seed is taken.
pub(crate) fn arbitrary<T: DeserializeOwned>(seed: u64) -> T {
    let mut refusal = None;
    for n in 0..1_000 {
        match T::deserialize(&mut Dice { state: seed.wrapping_add(n << 32) | 1, depth: 0, free: 0 }) {
            Ok(value) => return value,
            Err(error) => refusal = Some(error),
        }
    }
    panic!("none of a thousand inputs suits {}: {refusal:?}", std::any::type_name::<T>());
}

struct Dice {
    state: u64,
    depth: u32,
    /// Levels of free-form values around this one.
    free: u32,
}

const STRINGS: [&str; 9] =
    ["", "ann", "x_1", "Zoë 😀", "\u{1b}[2J", "\"\\/", "policy_hash", "\n", "01890a5d-ac96-774b-bcce-b302099a8057"];
const FLOATS: [f64; 9] = [0.0, -0.0, 1.0, -1.5, 0.1, f64::MAX, f64::MIN, 5e-324, 1e21];
const INTEGERS: [u64; 6] = [0, 1, 7, 4096, i64::MAX as u64, u64::MAX];

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len())]
    }

    fn len(&mut self) -> usize {
        if self.depth > 6 { 0 } else { self.roll(3) }
    }
}

macro_rules! unsigned {
    ($($method:ident $visit:ident $type:ty),*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            visitor.$visit(<$type>::try_from(self.pick(&INTEGERS)).unwrap_or(<$type>::MAX))
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Dice {
    type Error = Error;

    unsigned!(
        deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64
    );

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.pick(&[0, -1, 7, i64::MIN, i64::MAX]);
        visitor.visit_i64(value)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.pick(&FLOATS);
        visitor.visit_f64(value)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.roll(2) == 0;
        visitor.visit_bool(value)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.pick(&STRINGS);
        visitor.visit_string(value.to_owned())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.roll(3) == 0 { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let left = self.len();
        self.depth += 1;
        let value = visitor.visit_seq(Items { dice: self, left });
        self.depth -= 1;
        value
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Items { dice: self, left: len })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // The first two are what a flat world event needs; to other maps they are names like any other.
        let mut keys = vec!["event", "tick"];
        let more = self.len();
        keys.extend(STRINGS.iter().skip(self.roll(5)).take(more));
        self.depth += 1;
        let value = visitor.visit_map(Entries { dice: self, keys: keys.into_iter() });
        self.depth -= 1;
        value
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        // `cmd` is an alias of `name`; both at once are refused.
        let keys: Vec<_> = fields.iter().copied().filter(|field| *field != "cmd").collect();
        visitor.visit_map(Entries { dice: self, keys: keys.into_iter() })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let variant = self.pick(variants);
        visitor.visit_enum(variant.into_deserializer())
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // The outermost is an object, which is what most free-form fields want.
        let shape = if self.free == 0 { 6 } else { self.roll(7) };
        self.free += 1;
        let value = match shape {
            0 => self.deserialize_u64(visitor),
            1 => self.deserialize_i64(visitor),
            2 => self.deserialize_f64(visitor),
            3 => self.deserialize_bool(visitor),
            4 => self.deserialize_string(visitor),
            5 if self.depth < 6 => self.deserialize_seq(visitor),
            6 if self.depth < 12 => self.deserialize_map(visitor),
            _ => self.deserialize_unit(visitor),
        };
        self.free -= 1;
        value
    }

    forward_to_deserialize_any! {
        i8 i16 i32 f32 char bytes byte_buf unit_struct tuple_struct ignored_any
    }
}

struct Items<'a> {
    dice: &'a mut Dice,
    left: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.dice).map(Some)
    }
}

struct Entries<'a, I> {
    dice: &'a mut Dice,
    keys: I,
}

impl<'de, I: Iterator<Item = &'static str>> MapAccess<'de> for Entries<'_, I> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let key = self.keys.next();
        key.map(|key| seed.deserialize(StringDeserializer::new(key.to_owned()))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(&mut *self.dice)
    }
}
