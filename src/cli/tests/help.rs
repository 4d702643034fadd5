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

/// The examples in the help texts must be ones that parse.
#[test]
fn examples_parse() {
    let mut examples = 0;
    for path in [
        &[][..],
        &["run"],
        &["check"],
        &["records"],
        &["verify"],
        &["prove"],
        &["manifest-key", "rotate"],
        &["doctor"],
        &["kibana-config"],
        &["connectors", "match"],
        &["fingerprint-key", "rotate"],
    ] {
        let help = help(path);
        for line in help.lines().filter(|line| line.starts_with("  tollgate ")) {
            let command =
                line.split("   ").next().unwrap_or_default().split(['|', '<']).next().unwrap_or_default().trim_end();
            let words = command.split_whitespace().map(|word| word.trim_matches('\''));
            let parsed = Cli::try_parse_from(words);
            assert!(parsed.is_ok(), "{command}: {parsed:?}");
            examples += 1;
        }
    }
    assert!(examples > 15, "{examples}");
}

#[test]
fn clap_finds_no_contradiction_in_the_flags() {
    Cli::command().debug_assert();
}
