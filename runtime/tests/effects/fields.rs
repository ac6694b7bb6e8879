//! The fields of a struct, as it tells them itself when it is read from a file: a new one is there
//! without anyone naming it.

use std::collections::BTreeSet;

use serde::de::value::Error;
use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

/// Takes note of the fields, and gives none.
struct Ask<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Ask<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("nothing is there"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

pub(crate) fn of<T: Deserialize<'static>>() -> &'static [&'static str] {
    let mut fields: &'static [&'static str] = &[];
    assert!(T::deserialize(Ask(&mut fields)).is_err(), "nothing was read");
    assert!(!fields.is_empty(), "the struct has told its fields");
    fields
}

pub(crate) fn compare(table: &[&'static str], fields: &[&'static str]) {
    let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
    let (checked, existing) = (set(table), set(fields));
    assert_eq!(checked.len(), table.len(), "each once");
    let unchecked: Vec<_> = existing.difference(&checked).collect();
    assert!(unchecked.is_empty(), "fields without a check: {unchecked:?}");
    let gone: Vec<_> = checked.difference(&existing).collect();
    assert!(gone.is_empty(), "checks without a field: {gone:?}");
}

#[test]
fn a_difference_in_either_direction_is_found() {
    let differs = |table: &[&'static str], fields: &[&'static str]| {
        let (table, fields) = (table.to_vec(), fields.to_vec());
        std::panic::catch_unwind(move || compare(&table, &fields)).is_err()
    };
    assert!(!differs(&["a", "b"], &["b", "a"]));
    assert!(differs(&["a"], &["a", "b"]));
    assert!(differs(&["a", "b"], &["a"]));
    assert!(differs(&["a", "a"], &["a"]));
}
