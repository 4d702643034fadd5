//! Whether the configuration loads, and what it weakens.

use super::{Finding, Setup};

/// All problems of the configuration and its policy.
pub(super) fn loads(setup: &Setup) -> Vec<Finding> {
    match &setup.config {
        Ok(config) => {
            let (policy, listeners) = (&config.policy, config.listeners.len());
            vec![Finding::ok(format!(
                "{listeners} listener{}, policy {} with {} rule{}",
                plural(listeners),
                policy.mode().as_str(),
                policy.rule_count(),
                plural(policy.rule_count())
            ))]
        }
        Err(error) => {
            let problems = error.problems.iter();
            problems
                .map(|problem| {
                    Finding::fail(problem.to_string(), "correct it as it says; `tollgate check` shows the same")
                })
                .collect()
        }
    }
}

/// What the settings weaken.
pub(super) fn warnings(setup: &Setup) -> Vec<Finding> {
    setup.with_config(|config| {
        if config.warnings.is_empty() {
            return vec![Finding::ok("no setting weakens safety")];
        }
        let warnings = config.warnings.iter();
        warnings.map(|warning| Finding::warn(warning.to_string(), "change the setting, unless it is meant")).collect()
    })
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
