use clap::CommandFactory;
use xcache::config::Overrides;
use xcache::config::SETTINGS;

use super::*;

#[test]
fn every_setting_is_a_flag_and_every_flag_is_a_setting() {
    let root = Root::command();
    let xcache = root.find_subcommand("xcache").unwrap();
    let mut flags: Vec<_> = xcache.get_arguments().filter_map(|argument| argument.get_long()).collect();
    flags.retain(|flag| !["help", "version"].contains(flag));
    let settings: Vec<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(flags, settings);
    for setting in SETTINGS {
        let flag = xcache.get_arguments().find(|argument| argument.get_long() == Some(setting.name)).unwrap();
        let help = flag.get_help().unwrap().to_string().to_lowercase();
        assert_eq!(help, setting.summary.to_lowercase(), "{}", setting.name);
    }
}

#[test]
fn arguments_for_cargo_are_kept_verbatim_with_the_dashes() {
    let typed = ["cargo", "xcache", "--remote", "s3://b", "run", "-p", "x", "--", "--remote", "y", "--"];
    let Root::Xcache(Arguments { settings, command: Command::Cargo(arguments) }) = Root::parse_from(typed) else {
        panic!("not a cargo command");
    };
    assert_eq!(Overrides::from(settings).remote.as_deref(), Some("s3://b"));
    assert_eq!(arguments, ["run", "-p", "x", "--", "--remote", "y", "--"]);
}

#[test]
fn a_toolchain_after_xcache_is_removed() {
    let split = |arguments: &[&str]| split_toolchain(arguments.iter().map(Into::into).collect());
    assert_eq!(
        split(&["cargo-xcache", "xcache", "+nightly", "build", "+x"]),
        (Some("+nightly".into()), ["cargo-xcache", "xcache", "build", "+x"].map(Into::into).to_vec())
    );
    assert_eq!(split(&["cargo-xcache", "build"]).1, ["cargo-xcache", "xcache", "build"].map(OsString::from));
}
