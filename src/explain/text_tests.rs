use super::*;
use crate::event::MissReason;
use crate::report::tests::{assert_page, plain};

fn unit(package: &str, kind: &str, mode: &str) -> Explained {
    Explained {
        package: package.into(),
        version: "1.0.0".into(),
        target: package.into(),
        kind: kind.into(),
        mode: mode.into(),
        outcome: "miss".into(),
        causes: vec![0],
        compared_with: None,
        path: vec!["app".into(), package.into()],
    }
}

fn cause(what: CauseKind, text: &str, followers: &[usize]) -> Cause {
    let package = text.split(' ').next().map(|name| format!("{name} 1.0.0"));
    let path = ["app", "middle", "base"].map(Into::into).into();
    Cause { what, package, text: text.into(), path, units: vec![0], followers: followers.into() }
}

fn explanation(units: Vec<Explained>, causes: Vec<Cause>) -> Explanation {
    Explanation {
        schema_version: super::super::SCHEMA_VERSION,
        command: vec!["build".into(), "--release".into()],
        started: None,
        planned: 9,
        misses: units.len(),
        uncacheable: 1,
        causes,
        units,
        notes: vec!["a note".into()],
    }
}

/// An explanation of a change whose words do not fit on one line of a terminal.
fn changed() -> Explanation {
    let text = "base has changed in a way that needs more words than fit on one line of a terminal";
    let units = vec![unit("base", "lib", "build"), unit("middle", "lib", "build")];
    explanation(units, vec![cause(CauseKind::Changed { changes: Vec::new() }, text, &[1])])
}

fn page(explanation: &Explanation, named: bool, width: Option<u16>) -> String {
    plain(|out| write(explanation, named, width, out))
}

#[test]
fn pages_are_as_checked_in() {
    let names: Vec<_> = (0..20).map(|index| format!("new{index:02}")).collect();
    let units = names.iter().map(|name| unit(name, "lib", "build")).collect();
    let new = names.iter().map(|name| cause(CauseKind::New, &format!("{name} was never built before"), &[]));
    let unusable = CauseKind::Unusable { reason: MissReason::Corrupt, differences: Vec::new() };
    let run = vec![unit("base", "custom-build", "run-custom-build")];
    let without_misses = || Explanation { uncacheable: 0, notes: Vec::new(), ..explanation(vec![], vec![]) };
    for (name, page) in [
        ("explanation.txt", page(&changed(), false, None)),
        ("explanation-50.txt", page(&changed(), false, Some(50))),
        ("explanation-of-new-packages.txt", page(&explanation(units, new.collect()), false, None)),
        (
            "explanation-of-a-unit.txt",
            page(&explanation(run, vec![cause(unusable, "base: it was damaged", &[])]), true, None),
        ),
        ("explanation-without-misses.txt", page(&without_misses(), false, None)),
        ("explanation-without-units.txt", page(&Explanation { planned: 0, ..without_misses() }, false, None)),
    ] {
        assert_page(name, &page);
    }
    assert_eq!(page(&Explanation { command: Vec::new(), ..without_misses() }, false, None), "");
}

#[test]
fn long_lines_are_wrapped_beside_the_verb() {
    let shown = page(&changed(), false, Some(50));
    assert!(shown.lines().all(|line| line.chars().count() <= 50), "{shown}");
    let words: Vec<_> = shown.split_whitespace().collect();
    assert!(words.join(" ").contains(&changed().causes[0].text), "{shown}");
}

#[test]
fn names_distinguish_the_units_of_a_package() {
    for (kind, mode, target, expected) in [
        ("bin", "build", "app", "app (bin)"),
        ("bin", "build", "tool", "app (bin tool)"),
        ("lib", "check", "app", "app (check)"),
        ("lib", "test", "app", "app (test)"),
        ("proc-macro", "build", "app", "app"),
        ("custom-build", "build", "app", "app (build script)"),
    ] {
        assert_eq!(name(&Explained { target: target.into(), ..unit("app", kind, mode) }), expected);
    }
}
