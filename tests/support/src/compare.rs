//! Comparison of cargo's output: everything but times and the order of independent units.

use crate::Output;

/// Asserts that both exit and print alike.
#[track_caller]
pub fn assert_equal(ours: &Output, cargos: &Output, when: &str) {
    assert_eq!(ours.code(), cargos.code(), "{when}: {ours}");
    assert_same_lines(&ours.cargo_stderr(), &cargos.cargo_stderr(), &format!("on stderr, {when}"));
    assert_same_lines(&ours.timeless_stdout(), &cargos.timeless_stdout(), &format!("on stdout, {when}"));
}

/// Asserts the same, except that cargo may find units fresh that it compiled for `cargos`.
#[track_caller]
pub fn assert_equal_except_freshness(ours: &Output, cargos: &Output, when: &str) {
    assert_eq!(ours.code(), cargos.code(), "{when}: {ours}");
    let (our_lines, cargos_lines) = (ours.cargo_stderr(), cargos.cargo_stderr());
    for line in our_lines.lines().filter(|line| is_compiling(line)) {
        // The message about a package depends on which of its units comes first: its build script or its library.
        let is_same = |other: &str| is_compiling(other) && other.get(12..) == line.get(12..);
        assert!(cargos_lines.lines().any(is_same), "{when}: only xcache prints {line}");
    }
    let [our_lines, cargos_lines] = [our_lines, cargos_lines].map(|text| {
        // Cargo waits for other jobs only if there are any.
        let is_other = |line: &&str| !is_compiling(line) && !line.contains("waiting for other jobs to finish");
        let lines = text.lines().filter(is_other);
        lines.map(|line| format!("{line}\n")).collect::<String>()
    });
    assert_same_lines(&our_lines, &cargos_lines, &format!("on stderr, {when}"));
    let [our_messages, cargos_messages] = [ours, cargos].map(|output| without_freshness(&output.timeless_stdout()));
    assert_same_lines(&our_messages, &cargos_messages, &format!("on stdout, {when}"));
}

/// Messages about artifacts, without whether they were fresh.
pub fn without_freshness(messages: &str) -> String {
    messages.replace("\"fresh\":true", "\"fresh\":false")
}

/// Cargo prints these lines about units that it compiles, but not about fresh ones.
fn is_compiling(line: &str) -> bool {
    ["Compiling", "Checking", "Dirty"].iter().any(|verb| line.trim_start().starts_with(verb)) && is_status(line)
}

/// Asserts that lines about single units are the same in any order, and all others in the same order.
#[track_caller]
fn assert_same_lines(ours: &str, cargos: &str, when: &str) {
    let is_free = |line: &&str| is_status(line) || line.starts_with("{\"reason\":");
    let [mut ours, mut cargos] = [ours, cargos].map(|text| text.lines().partition::<Vec<_>, _>(is_free));
    ours.0.sort_unstable();
    cargos.0.sort_unstable();
    let missing = |these: &[&str], those: &[&str]| {
        let lines = these.iter().filter(|line| !those.contains(line));
        lines.map(|line| format!("\n  {line}")).collect::<String>()
    };
    for (ours, cargos) in [(ours.0, cargos.0), (ours.1, cargos.1)] {
        let (more, less) = (missing(&ours, &cargos), missing(&cargos, &ours));
        assert!(
            ours == cargos,
            "{when}\nonly xcache prints:{more}\nonly cargo prints:{less}\nin all, xcache: {ours:#?}"
        );
    }
}

/// Cargo's status lines have a verb that ends in column 12.
fn is_status(line: &str) -> bool {
    let Some((verb, rest)) = line.split_at_checked(12) else { return false };
    rest.starts_with(' ') && verb.trim_start().bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-')
}
