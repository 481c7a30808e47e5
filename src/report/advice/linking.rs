//! What programs are linked by, and what they consist of.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::{Advice, AdviceInput, AdviceName, SHOWN, sum};
use crate::event::LinkedProgram;
use crate::report::UnitReport;
use crate::report::present::{bytes, counted, duration, first_few, title};

/// Below this share of the time spent on compiling, the linker is not what a build waits for.
const SHARE: u64 = 10;
/// So much debug information that is of no use for a backtrace is worth mentioning.
const MANY_BYTES: u64 = 100_000_000;
/// The same where nobody debugs.
const MANY_BYTES_IN_CI: u64 = 50_000_000;

/// How fast a linker is beside others; the one that leaves no name is GNU's.
fn rank(linker: Option<&str>) -> u8 {
    match linker {
        Some("mold" | "Wild") => 2,
        Some("LLD") => 1,
        _ => 0,
    }
}

/// A faster linker, and how cargo is told to use it.
struct Choice {
    name: &'static str,
    rank: u8,
    is_installed: bool,
    flags: &'static str,
}

impl Choice {
    /// The fastest one that is there; one to install where there is none.
    fn of(installed: &[String]) -> Self {
        const MOLD: &str = r#"rustflags = ["-C", "link-arg=-fuse-ld=mold"]"#;
        const WILD: &str = "linker = \"clang\"\nrustflags = [\"-C\", \"link-arg=--ld-path=wild\"]";
        const LLD: &str = r#"rustflags = ["-C", "link-arg=-fuse-ld=lld"]"#;
        let has = |name: &str| installed.iter().any(|linker| linker == name);
        let there = |name, rank, flags| Self { name, rank, is_installed: true, flags };
        match () {
            () if has("mold") => there("mold", 2, MOLD),
            () if has("wild") && has("clang") => there("wild", 2, WILD),
            () if has("ld.lld") => there("lld", 1, LLD),
            () => Self { name: "lld", rank: 1, is_installed: false, flags: LLD },
        }
    }
}

/// Which processor time the linker took is known, which time on the clock is not.
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
    let there = if choice.is_installed { "is installed and" } else { "is not installed, but" };
    let message = format!(
        "linking {} took {} of processor time in {used}, beside {} of compiling in all; {} {there} links faster",
        counted(slow.len(), "program", "programs"),
        duration(linker_ms),
        duration(compile_ms),
        choice.name,
    );
    let action = format!("in .cargo/config.toml:\n[target.{}]\n{}", input.host, choice.flags);
    let figures = [("linker_ms", linker_ms), ("compile_ms", compile_ms), ("programs", slow.len() as u64)];
    Some(Advice::new(AdviceName::FasterLinker, linker_ms, figures, message, action))
}

/// How long writing and linking it took is not known.
pub(super) fn debug_info(input: &AdviceInput<'_>) -> Option<Advice> {
    let mut full: Vec<_> = input.programs.iter().filter(|(_, program)| program.full_debug).collect();
    full.sort_by_key(|(_, program)| Reverse(program.debug_bytes));
    let of = |bytes: fn(&LinkedProgram) -> u64| sum(full.iter().map(|(_, program)| bytes(program)));
    let (all, debug, lines) =
        (of(|program| program.bytes), of(|program| program.debug_bytes), of(|program| program.line_bytes));
    let standard = standard_library(input);
    let most = sum(full.iter().map(|(_, program)| beyond_lines(program).saturating_sub(standard)));
    if most < if input.ci { MANY_BYTES_IN_CI } else { MANY_BYTES } {
        return None;
    }
    let largest: Vec<_> =
        full.iter().map(|(unit, program)| format!("{} {}", title(unit), bytes(program.debug_bytes))).collect();
    let message = format!(
        "of {} in {}, {} are debug information ({}); with that for lines alone, at most {} would not be written",
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

/// What the standard library brings along whatever the profile says: as much as is in the smallest program that was
/// compiled without.
fn standard_library(input: &AdviceInput<'_>) -> u64 {
    let without = input.programs.iter().filter(|(_, program)| !program.full_debug);
    without.map(|(_, program)| beyond_lines(program)).min().unwrap_or(0)
}

/// The profile from which one of cargo's own has its settings.
fn manifest_name(profile: &str) -> &str {
    match profile {
        "test" => "dev",
        "bench" => "release",
        profile => profile,
    }
}
