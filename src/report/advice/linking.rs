//! Advice about the linker and the content of programs.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Advice, AdviceInput, AdviceName, SHOWN};
use crate::event::LinkedProgram;
use crate::report::present::{bytes, counted, duration, first_few, title};

/// The linker is worth mentioning from one part in this many of the compile time.
const SHARE: u64 = 10;
/// The least size of debug information beyond that of backtraces that is worth mentioning.
const MIN_BYTES: u64 = 100_000_000;
/// The same limit in CI, where nobody debugs.
const MIN_BYTES_IN_CI: u64 = 50_000_000;

/// A fast linker: its name, its rank, the programs that must be installed for it, and the configuration that makes
/// cargo use it.
type Linker = (&'static str, u8, &'static [&'static str], &'static str);

/// The fast linkers, the best choice first. The last one is the one to install if there is none.
const LINKERS: &[Linker] = &[
    ("mold", 2, &["mold"], r#"rustflags = ["-C", "link-arg=-fuse-ld=mold"]"#),
    ("wild", 2, &["wild", "clang"], "linker = \"clang\"\nrustflags = [\"-C\", \"link-arg=--ld-path=wild\"]"),
    ("lld", 1, &["ld.lld"], r#"rustflags = ["-C", "link-arg=-fuse-ld=lld"]"#),
];

/// The rank of the linker that leaves this name in a program. GNU's linker leaves none.
fn rank(linker: Option<&str>) -> u8 {
    match linker {
        Some("mold" | "Wild") => 2,
        Some("LLD") => 1,
        _ => 0,
    }
}

/// The linker's processor time is known, its wall-clock time is not.
pub(super) fn faster_linker(input: &AdviceInput<'_>) -> Option<Advice> {
    let is_installed = |(_, _, programs, _): &&Linker| {
        programs.iter().all(|program| input.linkers.iter().any(|installed| installed == program))
    };
    let installed = LINKERS.iter().find(is_installed);
    let (name, fastest, _, flags) = installed.or(LINKERS.last())?;
    let slow: Vec<&LinkedProgram> = input
        .programs
        .iter()
        .filter(|(unit, _)| unit.platform.as_deref().is_none_or(|platform| platform == input.host))
        .map(|(_, program)| *program)
        .filter(|program| rank(program.linker.as_deref()) < *fastest)
        .collect();
    let linker_ms = slow.iter().filter_map(|program| program.linker_millis).fold(0, u64::saturating_add);
    let compile_ms = input.report.totals.compile_ms;
    if linker_ms.saturating_mul(SHARE) < compile_ms {
        return None;
    }
    let used = slow.first()?.linker.as_deref().unwrap_or("the system's linker");
    let state = if installed.is_some() { "is installed and" } else { "is not installed, but" };
    let programs = counted(slow.len(), "program", "programs");
    let (linking, compiling) = (duration(linker_ms), duration(compile_ms));
    Advice::new(
        AdviceName::FasterLinker,
        linker_ms,
        [("linker_ms", linker_ms), ("compile_ms", compile_ms), ("programs", slow.len() as u64)],
        format!(
            "linking {programs} took {linking} of processor time in {used}, compared to {compiling} for all \
             compilations; {name} {state} links faster"
        ),
        format!("in .cargo/config.toml:\n[target.{}]\n{flags}", input.host),
    )
}

/// The time that it takes to write and link debug information is not known.
pub(super) fn debug_info(input: &AdviceInput<'_>) -> Option<Advice> {
    let (mut full, others): (Vec<_>, Vec<_>) = input.programs.iter().partition(|(_, program)| program.full_debug);
    full.sort_by_key(|(_, program)| Reverse(program.debug_bytes));
    let sum =
        |of: &dyn Fn(&LinkedProgram) -> u64| full.iter().map(|(_, program)| of(program)).fold(0, u64::saturating_add);
    let beyond_lines = |program: &LinkedProgram| program.debug_bytes.saturating_sub(program.line_bytes);
    // The debug information of the standard library does not depend on the profile: the least amount in a program that
    // was compiled without full debug information.
    let standard = others.iter().map(|(_, program)| beyond_lines(program)).min().unwrap_or(0);
    let most = sum(&|program| beyond_lines(program).saturating_sub(standard));
    if most < if input.ci { MIN_BYTES_IN_CI } else { MIN_BYTES } {
        return None;
    }
    let (all, debug) = (sum(&|program| program.bytes), sum(&|program| program.debug_bytes));
    let largest = full.iter().map(|(unit, program)| format!("{} {}", title(unit), bytes(program.debug_bytes)));
    let message = format!(
        "of {} in {}, {} are debug information ({}); line tables alone would save at most {}",
        bytes(all),
        counted(full.len(), "program", "programs"),
        bytes(debug),
        first_few(&largest.collect::<Vec<_>>(), SHOWN),
        bytes(most),
    );
    let profiles: BTreeSet<_> = full.iter().map(|(_, program)| manifest_name(&program.profile)).collect();
    let sections = profiles.iter().map(|profile| format!("\n[profile.{profile}]\ndebug = \"line-tables-only\""));
    let figures = [
        ("bytes", all),
        ("debug_bytes", debug),
        ("line_bytes", sum(&|program| program.line_bytes)),
        ("spared_bytes", most),
        ("programs", full.len() as u64),
    ];
    let action = format!("in Cargo.toml (backtraces keep their lines):{}", sections.collect::<String>());
    Advice::new(AdviceName::DebugInfo, None, figures, message, action)
}

/// The section of the manifest that sets a profile: cargo's own profiles inherit from others.
fn manifest_name(profile: &str) -> &str {
    match profile {
        "test" => "dev",
        "bench" => "release",
        profile => profile,
    }
}
