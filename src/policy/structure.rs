//! The bare structure of a policy file, read to find all unknown keys at once. Values are not looked at.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::file::{PolicyProblem, Problem, located, yaml_options, yaml_problem};

const POLICY_KEYS: &[&str] = &["mode", "default", "rules"];
const RULE_KEYS: &[&str] = &["name", "hosts", "for"];
const SUBJECT_KEYS: &[&str] = &["deployments", "projects", "clients"];

/// All unknown keys of a policy file, or the error that keeps its structure from being read.
pub(super) fn unknown_keys(text: &str) -> Vec<PolicyProblem> {
    let root = match serde_saphyr::from_str_with_options::<Node>(text, yaml_options(text)) {
        Ok(root) => root,
        Err(error) => return vec![yaml_problem(&error)],
    };
    let mut problems = Vec::new();
    root.check_keys(POLICY_KEYS, &mut problems);
    for rule in root.value_of("rules").map(Node::items).unwrap_or_default() {
        rule.check_keys(RULE_KEYS, &mut problems);
        if let Some(subjects) = rule.value_of("for") {
            subjects.check_keys(SUBJECT_KEYS, &mut problems);
        }
    }
    problems
}

enum Node {
    Scalar,
    Sequence(Vec<Node>),
    Mapping(Vec<(Spanned<String>, Node)>),
}

impl Node {
    fn check_keys(&self, allowed: &[&str], problems: &mut Vec<PolicyProblem>) {
        for (key, _) in self.entries().iter().filter(|(key, _)| !allowed.contains(&key.value.as_str())) {
            let problem = Problem::UnknownKey { key: key.value.clone(), allowed: allowed.join(", ") };
            problems.push(located(key.referenced, problem));
        }
    }

    fn value_of(&self, key: &str) -> Option<&Self> {
        self.entries().iter().find(|(name, _)| name.value == key).map(|(_, value)| value)
    }

    fn entries(&self) -> &[(Spanned<String>, Self)] {
        match self {
            Self::Mapping(entries) => entries,
            Self::Scalar | Self::Sequence(_) => &[],
        }
    }

    fn items(&self) -> &[Self] {
        match self {
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
