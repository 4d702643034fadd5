//! The policy file as written: one pass over the YAML, to texts and their places. It judges no value.
//!
//! Rules are handed over one by one as they are read, and texts are borrowed, so that a file of a million hosts takes
//! little memory beside its own.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::yaml;

/// A place in the text. Lines and columns count from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl From<Location> for Place {
    fn from(location: Location) -> Self {
        let number = |number: u64| u32::try_from(number).unwrap_or(u32::MAX).max(1);
        Self { line: number(location.line()), column: number(location.column()) }
    }
}

/// A value and where it is used.
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Placed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::deserialize(deserializer)?;
        Ok(Self { value, place: referenced.into() })
    }
}

/// A scalar's text, borrowed unless YAML spells it with escapes.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'t>(#[serde(borrow)] Cow<'t, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A list of texts.
pub(super) type List<'t> = Placed<Vec<Placed<Text<'t>>>>;

/// Declares a mapping: its keys, all optional. Other keys are collected, their values are not looked at.
macro_rules! mapping {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $value:ty = $key:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Default)]
        pub(super) struct $name<'t> {
            $(pub(super) $field: Option<$value>,)+
            pub(super) unknown: Vec<Placed<Text<'t>>>,
        }

        impl $name<'_> {
            pub(super) const KEYS: &'static [&'static str] = &[$($key),+];
        }

        impl<'de: 't, 't> Deserialize<'de> for $name<'t> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Keys<'t>(PhantomData<&'t ()>);

                impl<'de: 't, 't> Visitor<'de> for Keys<'t> {
                    type Value = $name<'t>;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a mapping")
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key::<Placed<Text<'t>>>()? {
                            match &*key.value {
                                $($key => read.$field = map.next_value()?,)+
                                _ => {
                                    map.next_value::<IgnoredAny>()?;
                                    read.unknown.push(key);
                                }
                            }
                        }
                        Ok(read)
                    }
                }

                deserializer.deserialize_map(Keys(PhantomData))
            }
        }
    };
}

mapping! {
    /// One of `rules`.
    WrittenRule {
        name: Placed<Text<'t>> = "name",
        hosts: List<'t> = "hosts",
        connectors: List<'t> = "connectors",
        subjects: Placed<WrittenSubjects<'t>> = "for",
    }
}

mapping! {
    /// `for` of a rule.
    WrittenSubjects {
        deployments: List<'t> = "deployments",
        projects: List<'t> = "projects",
        clients: List<'t> = "clients",
    }
}

/// What a policy file says beside its rules.
#[derive(Default)]
pub(super) struct WrittenPolicy<'t> {
    pub(super) mode: Option<Placed<Text<'t>>>,
    pub(super) default: Option<Placed<Text<'t>>>,
    pub(super) unknown: Vec<Placed<Text<'t>>>,
}

impl WrittenPolicy<'_> {
    pub(super) const KEYS: &'static [&'static str] = &["mode", "default", "rules"];
}

/// Reads a policy file and hands each of its rules to `rule`, in their order. A syntax error, or a value of the wrong
/// type, ends the reading.
pub(super) fn read<'t>(
    text: &'t str,
    rule: impl FnMut(Placed<WrittenRule<'t>>),
) -> Result<WrittenPolicy<'t>, serde_saphyr::Error> {
    let options = yaml::options(text);
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |deserializer| {
        deserializer.deserialize_option(Policy { rule, text: PhantomData })
    })
}

/// Reads the mapping of a whole file; an empty file is one without keys.
struct Policy<'t, F> {
    rule: F,
    text: PhantomData<&'t ()>,
}

impl<'t, F: FnMut(Placed<WrittenRule<'t>>)> Visitor<'t> for Policy<'t, F> {
    type Value = WrittenPolicy<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(WrittenPolicy::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(WrittenPolicy::default())
    }

    fn visit_some<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut read = WrittenPolicy::default();
        while let Some(key) = map.next_key::<Placed<Text<'t>>>()? {
            match &*key.value {
                "mode" => read.mode = map.next_value()?,
                "default" => read.default = map.next_value()?,
                "rules" => map.next_value_seed(Rules { rule: &mut self.rule, text: PhantomData })?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    read.unknown.push(key);
                }
            }
        }
        Ok(read)
    }
}

/// Reads `rules` and keeps none.
struct Rules<'f, 't, F> {
    rule: &'f mut F,
    text: PhantomData<&'t ()>,
}

impl<'t, F: FnMut(Placed<WrittenRule<'t>>)> DeserializeSeed<'t> for Rules<'_, 't, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'t, F: FnMut(Placed<WrittenRule<'t>>)> Visitor<'t> for Rules<'_, 't, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence of rules")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut rules: A) -> Result<(), A::Error> {
        while let Some(rule) = rules.next_element()? {
            (self.rule)(rule);
        }
        Ok(())
    }
}
