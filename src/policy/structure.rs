//! The bare structure of a policy file, read to find all unknown keys of one that `written` could not read to its end.
//! Values are not looked at.

use super::problem::{PolicyProblem, Problem, located, yaml_problem};
use super::written::{WrittenPolicy, WrittenRule, WrittenSubjects};
use crate::yaml::{self, Node};

/// All unknown keys of a policy file, or the error that keeps its structure from being read.
pub(super) fn unknown_keys(text: &str) -> Vec<PolicyProblem> {
    let root = match serde_saphyr::from_str_with_options::<Node>(text, yaml::options(text)) {
        Ok(root) => root,
        Err(error) => return vec![yaml_problem(&error)],
    };
    let mut problems = Vec::new();
    check_keys(&root, WrittenPolicy::KEYS, &mut problems);
    for rule in root.items("rules") {
        check_keys(rule, WrittenRule::KEYS, &mut problems);
        check_keys(rule.value("for"), WrittenSubjects::KEYS, &mut problems);
    }
    problems
}

fn check_keys(node: &Node, allowed: &[&str], problems: &mut Vec<PolicyProblem>) {
    for key in node.unknown_keys(allowed) {
        problems.push(located(key.referenced.into(), Problem::unknown_key(&key.value, allowed)));
    }
}
