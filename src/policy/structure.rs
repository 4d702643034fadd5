//! The bare structure of a policy file, read to find all unknown keys at once. Values are not looked at.

use super::problem::{PolicyProblem, Problem, located, yaml_problem};
use crate::yaml::{self, Node};

const POLICY_KEYS: &[&str] = &["mode", "default", "rules"];
const RULE_KEYS: &[&str] = &["name", "hosts", "connectors", "for"];
const SUBJECT_KEYS: &[&str] = &["deployments", "projects", "clients"];

/// All unknown keys of a policy file, or the error that keeps its structure from being read.
pub(super) fn unknown_keys(text: &str) -> Vec<PolicyProblem> {
    let root = match serde_saphyr::from_str_with_options::<Node>(text, yaml::options(text)) {
        Ok(root) => root,
        Err(error) => return vec![yaml_problem(&error)],
    };
    let mut problems = Vec::new();
    check_keys(&root, POLICY_KEYS, &mut problems);
    for rule in root.items("rules") {
        check_keys(rule, RULE_KEYS, &mut problems);
        check_keys(rule.value("for"), SUBJECT_KEYS, &mut problems);
    }
    problems
}

fn check_keys(node: &Node, allowed: &[&str], problems: &mut Vec<PolicyProblem>) {
    for key in node.unknown_keys(allowed) {
        let problem = Problem::UnknownKey { key: key.value.clone(), allowed: allowed.join(", ") };
        problems.push(located(key.referenced, problem));
    }
}
