//! The bare structure of a YAML text, with the places of its keys: read to find every unknown key at once, which typed reading
//! cannot, because it stops at the first. Values are not looked at.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// Limits for reading `text`: node counts follow its length, which the loader bounds; aliases keep tight limits.
pub(crate) fn options(text: &str) -> serde_saphyr::Options {
    let nodes = text.len().saturating_add(16);
    serde_saphyr::options! {
        with_snippet: false,
        budget: serde_saphyr::budget! {
            max_events: nodes.saturating_mul(2),
            max_nodes: nodes,
            max_total_scalar_bytes: nodes,
        },
    }
}

/// One node of a text.
pub(crate) enum Node {
    Scalar,
    Sequence(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Keys and values of a mapping; none for anything else.
    pub(crate) fn entries(&self) -> &[(Spanned<String>, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            Self::Scalar | Self::Sequence(_) => &[],
        }
    }

    /// The keys of a mapping that are not among `known`.
    pub(crate) fn unknown_keys<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a Spanned<String>> {
        self.entries().iter().map(|(key, _)| key).filter(|key| !known.contains(&key.value.as_str()))
    }

    /// The value of a key; a scalar when there is none.
    pub(crate) fn value(&self, key: &str) -> &Self {
        self.entries().iter().find(|(name, _)| name.value == key).map_or(&Self::Scalar, |(_, value)| value)
    }

    /// The items of the sequence that a key has for a value; none for anything else.
    pub(crate) fn items(&self, key: &str) -> &[Self] {
        match self.value(key) {
            Self::Sequence(items) => items,
            Self::Scalar | Self::Mapping(_) => &[],
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Mapping(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Node::Sequence(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }
}
