//! Advice about the linker and the content of programs.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Advice, AdviceInput, AdviceName, SHOWN, sum};
use crate::event::LinkedProgram;
use crate::report::UnitReport;
use crate::report::present::{bytes, counted, duration, first_few, title};

/// The linker is worth mentioning from one part in this many of the compile time.
const SHARE: u64 = 10;
/// The least size of debug information beyond that of backtraces that is worth mentioning.
const MIN_BYTES: u64 = 100_000_000;
/// The same limit in CI, where nobody debugs.
const MIN_BYTES_IN_CI: u64 = 50_000_000;

/// The speed of a linker, compared with the others. GNU's linker leaves no name in a program.
fn rank(linker: Option<&str>) -> u8 {
    match linker {
        Some("mold" | "Wild") => 2,
        Some("LLD") => 1,
        _ => 0,
    }
}

/// A faster linker, and the configuration that makes cargo use it.
struct Choice {
    name: &'static str,
    rank: u8,
    is_installed: bool,
    flags: &'static str,
}

impl Choice {
    /// The fastest installed linker, or one to install.
    fn of(installed: &[String]) -> Self {
        const MOLD: &str = r#"rustflags = ["-C", "link-arg=-fuse-ld=mold"]"#;
        const WILD: &str = "linker = \"clang\"\nrustflags = [\"-C\", \"link-arg=--ld-path=wild\"]";
        const LLD: &str = r#"rustflags = ["-C", "link-arg=-fuse-ld=lld"]"#;
        let has = |name: &str| installed.iter().any(|linker| linker == name);
        let installed = |name, rank, flags| Self { name, rank, is_installed: true, flags };
        match () {
            () if has("mold") => installed("mold", 2, MOLD),
            () if has("wild") && has("clang") => installed("wild", 2, WILD),
            () if has("ld.lld") => installed("lld", 1, LLD),
            () => Self { name: "lld", rank: 1, is_installed: false, flags: LLD },
        }
    }
}

/// The linker's processor time is known, its wall-clock time is not.
pub(super) fn faster_linker(input: &AdviceInput<'_>) -> Option<Advice> {
    let choice = Choice::of(input.linkers);
    let is_for_host = |unit: &UnitReport| unit.platform.as_deref().is_none_or(|platform| platform == input.host);
    let slow = |(unit, program): &&(&UnitReport, &LinkedProgram)| {
        is_for_host(unit) && rank(program.linker.as_deref()) < choice.rank
    };
    let slow: Vec<_> = input.programs.iter().filter(slow).collect();
    let linker_ms = sum(slow.iter().filter_map(|(_, program)| program.linker_millis));
    let compile_ms = input.report.totals.compile_ms;
    if linker_ms.saturating_mul(SHARE) < compile_ms {
        return None;
    }
    let (_, first) = slow.first()?;
    let used = first.linker.as_deref().unwrap_or("the system's linker");
    let state = if choice.is_installed { "is installed and" } else { "is not installed, but" };
    let message = format!(
        "linking {} took {} of processor time in {used}, compared to {} for all compilations; {} {state} links faster",
        counted(slow.len(), "program", "programs"),
        duration(linker_ms),
        duration(compile_ms),
        choice.name,
    );
    let action = format!("in .cargo/config.toml:\n[target.{}]\n{}", input.host, choice.flags);
    let figures = [("linker_ms", linker_ms), ("compile_ms", compile_ms), ("programs", slow.len() as u64)];
    Some(Advice::new(AdviceName::FasterLinker, linker_ms, figures, message, action))
}

/// The time that it takes to write and link debug information is not known.
pub(super) fn debug_info(input: &AdviceInput<'_>) -> Option<Advice> {
    let mut full: Vec<_> = input.programs.iter().filter(|(_, program)| program.full_debug).collect();
    full.sort_by_key(|(_, program)| Reverse(program.debug_bytes));
    let of = |bytes: fn(&LinkedProgram) -> u64| sum(full.iter().map(|(_, program)| bytes(program)));
    let (all, debug, lines) =
        (of(|program| program.bytes), of(|program| program.debug_bytes), of(|program| program.line_bytes));
    let standard = standard_library(input);
    let most = sum(full.iter().map(|(_, program)| beyond_lines(program).saturating_sub(standard)));
    if most < if input.ci { MIN_BYTES_IN_CI } else { MIN_BYTES } {
        return None;
    }
    let largest: Vec<_> =
        full.iter().map(|(unit, program)| format!("{} {}", title(unit), bytes(program.debug_bytes))).collect();
    let message = format!(
        "of {} in {}, {} are debug information ({}); line tables alone would save at most {}",
        bytes(all),
        counted(full.len(), "program", "programs"),
        bytes(debug),
        first_few(&largest, SHOWN),
        bytes(most),
    );
    let profiles: BTreeSet<_> = full.iter().map(|(_, program)| manifest_name(&program.profile)).collect();
    let lines_of = |profile: &&str| format!("[profile.{profile}]\ndebug = \"line-tables-only\"");
    let sections: Vec<_> = profiles.iter().map(lines_of).collect();
    let action = format!("in Cargo.toml (backtraces keep their lines):\n{}", sections.join("\n"));
    let figures = [
        ("bytes", all),
        ("debug_bytes", debug),
        ("line_bytes", lines),
        ("spared_bytes", most),
        ("programs", full.len() as u64),
    ];
    Some(Advice::new(AdviceName::DebugInfo, None, figures, message, action))
}

fn beyond_lines(program: &LinkedProgram) -> u64 {
    program.debug_bytes.saturating_sub(program.line_bytes)
}

/// The debug information of the standard library, which does not depend on the profile: the least amount in a program
/// that was compiled without full debug information.
fn standard_library(input: &AdviceInput<'_>) -> u64 {
    let without = input.programs.iter().filter(|(_, program)| !program.full_debug);
    without.map(|(_, program)| beyond_lines(program)).min().unwrap_or(0)
}

/// The section of the manifest that sets a profile: cargo's own profiles inherit from others.
fn manifest_name(profile: &str) -> &str {
    match profile {
        "test" => "dev",
        "bench" => "release",
        profile => profile,
    }
}
