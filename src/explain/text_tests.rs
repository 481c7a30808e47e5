use super::*;
use crate::event::MissReason;
use crate::report::tests;

fn unit(package: &str, kind: &str, mode: &str, causes: &[usize]) -> Explained {
    Explained {
        package: package.into(),
        version: "1.0.0".into(),
        target: package.into(),
        kind: kind.into(),
        mode: mode.into(),
        outcome: "miss".into(),
        causes: causes.into(),
        compared_with: None,
        path: vec!["app".into(), package.into()],
    }
}

fn cause(what: CauseKind, text: &str, units: &[usize], followers: &[usize]) -> Cause {
    let package = text.split(' ').next().map(|name| format!("{name} 1.0.0"));
    let path = ["app", "middle", "base"].map(Into::into).into();
    Cause { what, package, text: text.into(), path, units: units.into(), followers: followers.into() }
}

fn explanation(units: Vec<Explained>, causes: Vec<Cause>, notes: &[&str]) -> Explanation {
    Explanation {
        schema_version: super::super::SCHEMA_VERSION,
        command: vec!["build".into(), "--release".into()],
        started: None,
        planned: 9,
        misses: units.len(),
        uncacheable: 1,
        causes,
        units,
        notes: notes.iter().map(|note| (*note).to_owned()).collect(),
    }
}

fn plain(explanation: &Explanation, named: bool, width: Option<u16>) -> String {
    tests::plain(|out| write(explanation, named, width, out))
}

#[test]
fn a_cause_is_written_once_with_its_units_and_their_followers() {
    let units = vec![unit("base", "lib", "build", &[0]), unit("middle", "lib", "build", &[0])];
    let changed = CauseKind::Changed { changes: Vec::new() };
    let text =
        plain(&explanation(units, vec![cause(changed, "base has changed", &[0], &[1])], &["a note"]), false, None);
    assert_eq!(
        text,
        "      Missed 2 of 9 units in `cargo build --release`; 1 cannot be cached, which `cargo xcache report` lists
     Because base has changed
             app → middle → base
             1 unit: base
             1 more follows: middle
        Note a note
"
    );
}

#[test]
fn a_build_without_misses_or_units_takes_one_line() {
    let mut none = explanation(vec![], vec![], &[]);
    none.uncacheable = 0;
    assert_eq!(plain(&none, false, None), "      Missed none of 9 units in `cargo build --release`\n");
    none.planned = 0;
    assert_eq!(plain(&none, false, None), "      Missed no unit in `cargo build --release`\n");
    none.command.clear();
    assert_eq!(plain(&none, false, None), "");
}

#[test]
fn new_packages_are_one_list() {
    let names: Vec<_> = (0..20).map(|index| format!("new{index:02}")).collect();
    let units = names.iter().map(|name| unit(name, "lib", "build", &[])).collect();
    let new = |name: &String| cause(CauseKind::New, &format!("{name} was never built before"), &[0], &[]);
    let text = plain(&explanation(units, names.iter().map(new).collect(), &[]), false, None);
    assert_eq!(text.matches("Because").count(), 1);
    assert!(text.contains("Because 20 packages were never built before\n"), "{text}");
    assert!(text.contains("             new11 1.0.0 (app → middle → base)\n             and 8 more\n"), "{text}");
}

#[test]
fn a_named_unit_has_its_causes_and_its_path() {
    let unusable = CauseKind::Unusable { reason: MissReason::Corrupt, differences: Vec::new() };
    let units = vec![unit("base", "custom-build", "run-custom-build", &[0])];
    let text = plain(&explanation(units, vec![cause(unusable, "base: it was damaged", &[0], &[])], &[]), true, None);
    assert_eq!(
        text,
        "      Missed base (build script's run) 1.0.0
     Because base: it was damaged
     Through app → base
"
    );
}

#[test]
fn long_lines_are_wrapped_beside_the_verb() {
    let text = "base has changed in a way that needs more words than fit on one line of a terminal";
    let causes = vec![cause(CauseKind::Changed { changes: Vec::new() }, text, &[0], &[])];
    let shown = plain(&explanation(vec![unit("base", "lib", "build", &[0])], causes, &[]), false, Some(50));
    assert!(shown.lines().all(|line| line.chars().count() <= 50), "{shown}");
    let words: Vec<_> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains(text), "{shown}");
}

#[test]
fn names_distinguish_the_units_of_a_package() {
    let mut bin = unit("app", "bin", "build", &[]);
    assert_eq!(name(&bin), "app (bin)");
    bin.target = "tool".into();
    assert_eq!(name(&bin), "app (bin tool)");
    assert_eq!(name(&unit("app", "lib", "check", &[])), "app (check)");
    assert_eq!(name(&unit("app", "lib", "test", &[])), "app (test)");
    assert_eq!(name(&unit("app", "proc-macro", "build", &[])), "app");
    assert_eq!(name(&unit("app", "custom-build", "build", &[])), "app (build script)");
}
