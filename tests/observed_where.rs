//! Where observing works: for a user who cannot become another one, in a container, below a tracer, and where the
//! kernel does not allow it. The outputs are right everywhere.
#![cfg(target_os = "linux")]

use support::readers::script;
use support::witness::{NOTHING, in_variable};
use support::{Output, Project, Tool, Witness, require, tree, wait_until, xcache_binary};

const NONE: [&str; 0] = [];
/// The warning where observing is impossible.
const UNOBSERVED: &str = "cannot be observed here";
/// A tracer that changes nothing, and one that makes the kernel refuse filters.
const TRACED: &[&str] = &["strace", "-f", "-qq", "-e", "trace=none", "-o", "/dev/null"];
const REFUSED: &[&str] =
    &["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=seccomp", "-e", "inject=seccomp:error=EPERM"];
/// Root, but without the right to install filters for processes that may change their user.
const CONFINED: &[&str] = &["setpriv", "--bounding-set", "-sys_admin"];
/// A container.
const CONTAINED: &[&str] = &["unshare", "--map-root-user", "--mount", "--pid", "--fork", "--mount-proc"];

/// Reads a variable that it does not declare.
fn reading_variable() -> Witness {
    script(&[], "variable(\"MADE_UP\")")
}

/// Builds into an empty target directory, started by a program. `None` if that is not possible here.
fn build(witness: &Witness, project: &Project, by: &[&'static str]) -> Option<Output> {
    let (program, arguments) = by.split_first().expect("a program is named");
    let is_possible = project.program(program, arguments).arg("true").run();
    require(Tool::Starter(program), is_possible.status.success().then_some(()))?;
    project.clean();
    witness.sandbox.reset();
    Some(project.program(program, arguments).arg(xcache_binary()).args(["xcache", "build"]).ok())
}

/// Asserts that a build started in this way is observed.
#[track_caller]
fn assert_observed(by: &[&'static str]) {
    let witness = reading_variable();
    for (text, run) in [("1", &["leaf"][..]), ("1", &NONE), ("2", &["leaf"]), (NOTHING, &["leaf"]), (NOTHING, &NONE)] {
        let project = in_variable("MADE_UP")(&witness.demo, text);
        let Some(output) = build(&witness, &project, by) else { return };
        assert_eq!(project.run_binary("demo").trim_end(), text);
        assert!(!output.stderr.contains(UNOBSERVED), "{output}");
        assert_eq!(witness.sandbox.scripts_run(), run, "{output}");
    }
}

#[test]
fn a_process_that_cannot_change_its_user_is_observed() {
    assert_observed(CONFINED);
}

#[test]
fn an_unprivileged_container_is_observed() {
    assert_observed(CONTAINED);
}

#[test]
fn a_traced_build_is_observed() {
    assert_observed(TRACED);
}

#[test]
fn without_observing_one_warning_is_printed_and_only_declared_inputs_are_reused() {
    for (declared, is_reused) in [(&[][..], false), (&["env-changed=MADE_UP"][..], true)] {
        let witness = script(declared, "variable(\"MADE_UP\")");
        for (text, is_known) in [("1", false), ("1", true), ("2", false)] {
            let project = in_variable("MADE_UP")(&witness.demo, text);
            let Some(output) = build(&witness, &project, REFUSED) else { return };
            assert_eq!(project.run_binary("demo").trim_end(), text);
            let is_run = !(is_known && is_reused);
            assert_eq!(!witness.sandbox.scripts_run().is_empty(), is_run, "{declared:?}: {output}");
            assert_eq!(output.stderr.matches(UNOBSERVED).count(), usize::from(is_run), "{output}");
        }
    }
}

#[test]
fn outputs_recorded_without_observing_are_not_used_with_it() {
    let witness = script(&["env-changed=MADE_UP"], "variable(\"MADE_UP\")");
    let project = in_variable("MADE_UP")(&witness.demo, "1");
    if build(&witness, &project, REFUSED).is_none() {
        return;
    }
    witness.assert_prints(&project, "1");
    assert_eq!(witness.sandbox.scripts_run(), ["leaf"]);
    witness.assert_reused(&project, "1");
}

#[test]
fn observe_off_reuses_declared_scripts_and_unknown_trust_reuses_all() {
    for (setting, run) in [("XCACHE_OBSERVE=off", &["leaf"][..]), ("XCACHE_OBSERVE=off XCACHE_UNKNOWN=trust", &NONE)] {
        let witness = reading_variable();
        let settings = setting.split(' ').filter_map(|setting| setting.split_once('='));
        let project = settings.fold(witness.demo.clone(), |project, (name, value)| project.env(name, value));
        witness.assert_prints(&project, NOTHING);
        witness.assert_prints(&project, NOTHING);
        assert_eq!(witness.sandbox.scripts_run(), run, "{setting}");
        // Outputs recorded with trust are not used without it.
        witness.assert_prints(&witness.demo, NOTHING);
        assert_eq!(witness.sandbox.scripts_run(), ["leaf"], "{setting}");
    }
}

#[test]
fn a_daemon_that_outlives_a_script_continues() {
    let sandbox = support::Sandbox::new();
    let (log, go) = (sandbox.path("log"), sandbox.path("go"));
    // The daemon opens files long after the end of the build.
    let daemon = format!(
        "i=0; until cat {go} || [ $((i += 1)) -gt 3000 ]; do sleep 0.02; done; cat {go} > {log}; test -d / && echo there >> {log}",
        go = go.display(),
        log = log.display()
    );
    let look = format!(
        "{{
            use std::process::{{Command, Stdio}};
            let mut daemon = Command::new(\"setsid\");
            daemon.args([\"sh\", \"-c\", {daemon:?}]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            daemon.spawn().unwrap();
            \"1\".to_owned()
        }}"
    );
    let witness = support::readers::script_in(sandbox, &[], &look);
    witness.assert_prints(&witness.demo, "1");
    tree::write(&go, "gone on\n");
    wait_until("the daemon has read and written", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.ends_with("there\n"))
    });
    assert_eq!(tree::read(&log), "gone on\nthere\n");
}

#[test]
fn a_script_that_fails_because_it_cannot_change_its_user_runs_again_unobserved() {
    let sandbox = support::Sandbox::new();
    let program = sandbox.path("becomes");
    // The program succeeds only if it may change its user.
    tree::write(&program, "#!/bin/sh\n! grep -q 'NoNewPrivs:.1' /proc/self/status\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).expect("modes can be set");
    let look = format!("{{ assert_eq!(agrees({program:?}, &[]), \"true\"); \"1\".to_owned() }}");
    let witness = support::readers::script_in(sandbox, &[], &look);
    let Some(_) = build(&witness, &witness.demo, CONFINED) else { return };
    assert_eq!(witness.demo.run_binary("demo").trim_end(), "1");
    assert_eq!(witness.sandbox.scripts_run(), ["leaf", "leaf"]);
}
