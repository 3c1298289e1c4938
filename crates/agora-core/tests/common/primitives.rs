//! An event with every type that a body can hold.

use std::collections::BTreeMap;

use agora_core::event::Event;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Primitives {
    pub unsigned: (u8, u16, u32, u64),
    pub signed: (i8, i16, i32, i64),
    #[serde(with = "wide")]
    pub wide: u128,
    #[serde(with = "wide")]
    pub wide_signed: i128,
    pub floats: (f32, f64),
    pub truth: (bool, bool),
    pub letter: Vec<char>,
    pub text: String,
    pub options: (Option<u64>, Option<u64>),
    pub map: BTreeMap<String, u16>,
    pub choice: Vec<Choice>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Choice {
    Unit,
    Newtype(u64),
    Tuple(u8, String),
    Struct { a: u8, b: bool },
}

/// Numbers that JSON does not carry stand in it as text.
mod wide {
    use std::fmt::Display;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<T: Display + Serialize, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(value)
        } else {
            value.serialize(serializer)
        }
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}

impl Event for Primitives {
    const KIND: &'static str = "test.primitives";
}

/// Small values: each takes the shortest form.
pub fn small() -> Primitives {
    Primitives {
        unsigned: (0, 1, 2, 250),
        signed: (-1, -1, 1, -125),
        wide: 3,
        wide_signed: 0,
        floats: (1.5, -2.25),
        truth: (true, false),
        letter: vec!['a'],
        text: String::new(),
        options: (None, Some(7)),
        map: BTreeMap::new(),
        choice: vec![Choice::Unit],
    }
}

/// Large values: each takes the longest form.
pub fn large() -> Primitives {
    Primitives {
        unsigned: (u8::MAX, u16::MAX, u32::MAX, u64::MAX),
        signed: (i8::MIN, i16::MIN, i32::MIN, i64::MIN),
        wide: u128::MAX,
        wide_signed: i128::MIN,
        floats: (-0.0078125, 1e300),
        truth: (false, true),
        letter: vec!['\u{e9}', '\u{20ac}', '\u{1f4ef}'],
        text: "gr\u{fc}\u{df}e \u{2192} \u{1f4ef}".into(),
        options: (Some(251), None),
        map: [("b".into(), 251), ("a".into(), 250)].into(),
        choice: vec![
            Choice::Struct { a: 255, b: true },
            Choice::Tuple(1, "x".into()),
            Choice::Newtype(65_536),
            Choice::Unit,
        ],
    }
}
