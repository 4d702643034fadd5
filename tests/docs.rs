//! What the documents show is what the program accepts.

#![cfg(test)]

use std::fs;
use std::process::{Command, Output};

fn tollgate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).args(args).output().unwrap()
}

/// The fenced block of a document that begins with this line.
fn block(document: &str, first_line: &str) -> String {
    let text = fs::read_to_string(document).unwrap();
    let start = text.find(&format!("\n{first_line}\n")).unwrap_or_else(|| panic!("{document} has no {first_line}"));
    let rest = &text[start + 1..];
    rest[..rest.find("\n```").unwrap()].to_owned()
}

/// The words of every `tollgate` command line in the fenced blocks of a document, comments and line ends removed.
fn command_lines(document: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(document).unwrap();
    let commands = text.split("```").skip(1).step_by(2).flat_map(str::lines).filter_map(|line| {
        let line = line.strip_prefix("target/release/").unwrap_or(line).strip_prefix("tollgate ")?;
        Some(line.split(&['#', '|', '>', '<']).next().unwrap().trim())
    });
    commands
        .filter(|line| !line.contains('…'))
        .map(|line| line.split_whitespace().map(|word| word.trim_matches('\'').to_owned()).collect())
        .collect()
}

#[test]
fn the_policy_of_the_readme_is_valid() {
    let dir = tempfile::tempdir().unwrap();
    let policy = dir.path().join("policy.yml");
    fs::write(&policy, block("README.md", "# policy.yml")).unwrap();
    let checked = tollgate(&["check", "--policy", policy.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("enforce, 2 rules"), "{said}");
}

#[test]
fn the_samples_in_deploy_are_valid() {
    let checked = tollgate(&["check", "--config", "deploy/tollgate.yml"]);
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.status.success() && said.contains("The configuration is valid."), "{said}");
}

#[test]
fn nothing_that_is_shipped_is_built_with_the_program_that_keeps_no_evidence() {
    let manifest = fs::read_to_string("Cargo.toml").unwrap();
    assert!(manifest.contains("\nbench-without-evidence = []\n") && !manifest.contains("\ndefault = ["), "{manifest}");
    for file in ["deploy/Dockerfile", "deploy/tollgate.service", ".ci/run"] {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("without-evidence") && !text.contains("--all-features"), "{file}:\n{text}");
    }
    let makefile = fs::read_to_string("Makefile").unwrap();
    let naming: Vec<&str> = makefile.lines().filter(|line| line.contains("without-evidence")).collect();
    let measures_or_lints = |line: &&str| line.contains(" bench --locked ") || line.contains(" clippy --locked ");
    assert!(naming.len() == 2 && naming.iter().all(measures_or_lints), "{naming:?}");
}

#[test]
fn every_command_line_shown_is_one_the_program_takes() {
    let mut shown = 0;
    for document in ["README.md", "docs/operating.md", "certs/README.md", "deploy/README.md"] {
        for words in command_lines(document) {
            shown += 1;
            let parsed = tollgate(&words.iter().map(String::as_str).chain(["--help"]).collect::<Vec<_>>());
            assert!(parsed.status.success(), "{document}: tollgate {words:?}: {parsed:?}");
        }
    }
    assert!(shown > 8, "only {shown} command lines were found");
}
