//! The help texts, word for word: they are what users read first, and flags are a contract.

use clap::CommandFactory as _;

use super::*;

fn help(path: &[&str]) -> String {
    let mut root = Cli::command();
    root.build();
    let mut command = &mut root;
    for name in path {
        command = command.find_subcommand_mut(name).unwrap();
    }
    command.render_help().to_string()
}

#[test]
fn help_texts_are_the_golden_ones() {
    for (path, golden) in [
        (&[][..], include_str!("../golden/help.txt")),
        (&["run"], include_str!("../golden/run.txt")),
        (&["check"], include_str!("../golden/check.txt")),
        (&["records"], include_str!("../golden/records.txt")),
        (&["doctor"], include_str!("../golden/doctor.txt")),
        (&["verify"], include_str!("../golden/verify.txt")),
        (&["prove"], include_str!("../golden/prove.txt")),
        (&["manifest-key", "rotate"], include_str!("../golden/manifest-key-rotate.txt")),
        (&["retention"], include_str!("../golden/retention.txt")),
        (&["retention", "plan"], include_str!("../golden/retention-plan.txt")),
        (&["retention", "apply"], include_str!("../golden/retention-apply.txt")),
        (&["kibana-config"], include_str!("../golden/kibana-config.txt")),
        (&["ca"], include_str!("../golden/ca.txt")),
        (&["ca", "show"], include_str!("../golden/ca-show.txt")),
        (&["ca", "export"], include_str!("../golden/ca-export.txt")),
        (&["fingerprint-key"], include_str!("../golden/fingerprint-key.txt")),
        (&["fingerprint-key", "rotate"], include_str!("../golden/fingerprint-key-rotate.txt")),
        (&["connectors"], include_str!("../golden/connectors.txt")),
        (&["connectors", "list"], include_str!("../golden/connectors-list.txt")),
        (&["connectors", "match"], include_str!("../golden/connectors-match.txt")),
        (&["connectors", "hosts"], include_str!("../golden/connectors-hosts.txt")),
    ] {
        assert_eq!(help(path), golden, "tollgate {} --help", path.join(" "));
    }
}

/// Groups, whose commands have examples of their own, and commands that are called as their usage says.
const WITHOUT_EXAMPLES: [&str; 9] = [
    "manifest-key",
    "retention",
    "ca",
    "ca show",
    "ca export",
    "fingerprint-key",
    "connectors",
    "connectors list",
    "connectors hosts",
];

/// All commands, by their names; the program itself is the first.
fn all_commands() -> Vec<Vec<String>> {
    fn below(command: &clap::Command, path: &[String], found: &mut Vec<Vec<String>>) {
        found.push(path.to_vec());
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            below(inner, &[path, &[inner.get_name().to_owned()]].concat(), found);
        }
    }
    let (mut root, mut found) = (Cli::command(), Vec::new());
    root.build();
    below(&root, &[], &mut found);
    found
}

/// The examples in the help texts must be ones that parse, and of the command they are shown for.
#[test]
fn examples_parse() {
    let mut without = Vec::new();
    for path in all_commands() {
        let help = help(&path.iter().map(String::as_str).collect::<Vec<_>>());
        let examples: Vec<&str> = help.lines().filter(|line| line.starts_with("  tollgate ")).collect();
        for line in &examples {
            let command = line.split("   ").next().unwrap().split(['|', '<']).next().unwrap().trim();
            let words = command.split_whitespace().map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{command}: {parsed:?}");
        }
        let own = ["tollgate".to_owned()].into_iter().chain(path.clone()).collect::<Vec<_>>().join(" ");
        if !examples.iter().any(|line| line.trim_start().starts_with(&own)) {
            without.push(path.join(" "));
        }
    }
    assert_eq!(without, WITHOUT_EXAMPLES);
}

#[test]
fn clap_finds_no_contradiction_in_the_flags() {
    Cli::command().debug_assert();
}
