mod help;
mod kibana_config;
mod output;
mod maintenance;

use std::path::Path;

use clap::Parser as _;

use super::*;
use crate::config::Overrides;

fn parsed(line: &str) -> Command {
    Cli::try_parse_from(line.split(' ')).unwrap().command
}

fn complaint(line: &str) -> String {
    Cli::try_parse_from(line.split(' ')).unwrap_err().to_string()
}

#[test]
fn every_flag_of_run_reaches_the_overrides() {
    let line = "tollgate run --config t.yml --listen a --listen b --admin c --data-dir d --ca-cert e --ca-key f \
                --upstream-ca g --upstream-ca h --policy i --enforce --allow-host j --allow-host k --tunnel-host l \
                --allow-address m --resolve n=o --durability write --threads 7";
    let Command::Run(settings) = parsed(line) else { panic!("not run") };
    assert_eq!(settings.config.as_deref(), Some(Path::new("t.yml")));
    let strings = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let expected = Overrides {
        listen: strings(&["a", "b"]),
        admin: Some("c".to_owned()),
        data_dir: Some("d".into()),
        ca_cert: Some("e".into()),
        ca_key: Some("f".into()),
        upstream_ca: vec!["g".into(), "h".into()],
        policy: Some("i".into()),
        enforce: true,
        allow_host: strings(&["j", "k"]),
        tunnel_host: strings(&["l"]),
        allow_address: strings(&["m"]),
        resolve: strings(&["n=o"]),
        durability: Some("write".to_owned()),
        threads: Some(7),
    };
    assert_eq!(settings.overrides(), expected);
    let Command::Run(settings) = parsed("tollgate run") else { panic!("not run") };
    assert_eq!(settings.overrides(), Overrides::default());
}

#[test]
fn flags_of_records_make_the_query() {
    let line = "tollgate records --data-dir d --deployment dep --project pro --host *.slack.com --decision would_deny \
                --since 2026-11-22 --until 2026-11-22T00:00:01Z --limit 3 --json";
    let Command::Records(args) = parsed(line) else { panic!("not records") };
    let expected = crate::search::Query {
        deployment: Some("dep".to_owned()),
        project: Some("pro".to_owned()),
        host: Some("*.slack.com".parse().unwrap()),
        decision: Some(crate::record::Decision::WouldDeny),
        outcome: None,
        fingerprints: None,
        since_us: Some(1_795_305_600_000_000),
        until_us: Some(1_795_305_601_000_000),
        limit: 3,
    };
    assert_eq!(records::query(&args), expected);
    assert!(args.json);
    let Command::Records(args) = parsed("tollgate records") else { panic!("not records") };
    assert_eq!(records::query(&args), crate::search::Query::default());
    assert_eq!(args.data_dir, Path::new("tollgate-data"));
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    for (line, expected) in [
        ("tollgate records --decision maybe", "it is one of allow, deny, would_deny"),
        ("tollgate records --since yesterday", "not a time: write 2026-11-22T09:30:00Z"),
        ("tollgate records --host a.*.b", "`*` may only stand for the first labels: write *.slack.com"),
        ("tollgate run --threads many", "invalid value 'many' for '--threads <N>'"),
        ("tollgate ca show --ca-cert a.pem", "--ca-key <FILE>"),
        ("tollgate record", "a similar subcommand exists: 'records'"),
    ] {
        let complaint = complaint(line);
        assert!(complaint.contains(expected), "{line}: {complaint}");
    }
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let missing = Path::new("/nonexistent/tollgate.yml");
    let config = crate::config::Config::load(Some(missing), &Overrides::default()).unwrap_err();
    let authority = crate::intercept::authority::CaCertificate::read(missing).unwrap_err();
    let search = crate::search::run(missing, &crate::search::Query::default()).unwrap_err();
    let full = || io::Error::from(io::ErrorKind::StorageFull);
    for (error, code) in [
        (CliError::Config(config), 78),
        (CliError::Authority(authority), 78),
        (CliError::Checked, 78),
        (CliError::Output(full()), 74),
        (CliError::Output(io::ErrorKind::BrokenPipe.into()), 0),
        (CliError::OutputExists("x".into()), 74),
        (CliError::Search(search), 74),
        (CliError::Incomplete(Vec::new()), 74),
        (CliError::Run(crate::server::RunError::Unsealed(1)), 1),
    ] {
        assert_eq!(error.exit_code(), code, "{error}");
        assert_eq!(error.is_silent(), code == 0 || matches!(error, CliError::Checked), "{error}");
    }
}
