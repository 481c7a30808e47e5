//! The values that flags only name: the processor that `native` stands for, and the content of a profile.
//!
//! **Invariant.** Each value found here is part of every key of the session. If a flag names a value that is not found,
//! the units that the flag is for are uncacheable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::digest::{Digest, Domain};
use crate::rustc::Invocation;
use crate::rustc::invocation::{PROCESSOR, PROFILE};

/// Fields that distinguish processors (`arch/*/kernel/cpu/proc.c`, `cpuinfo.c`).
const IDENTIFYING: &[&str] = &[
    "CPU architecture",
    "CPU implementer",
    "CPU part",
    "CPU revision",
    "CPU variant",
    "Features",
    "cpu family",
    "flags",
    "model",
    "model name",
    "stepping",
    "vendor_id",
];
/// The field with the name that people use.
const MODEL_NAME: &str = "model name";

/// The values that the flags of all platforms name, by that name. `query` asks rustc about the processor.
pub(super) fn flag_inputs(
    flags: &BTreeMap<String, Vec<String>>,
    query: impl Fn() -> Option<String>,
) -> BTreeMap<String, String> {
    let all: Vec<_> = flags.values().map(|flags| Invocation::parse(flags)).collect();
    let names: BTreeSet<_> = all.iter().flat_map(Invocation::named).cloned().collect();
    let found = names.into_iter().filter_map(|name| {
        let found = match name.strip_prefix(PROFILE) {
            Some(path) => Digest::of_file(Path::new(path)).ok()?.to_string(),
            None if name == PROCESSOR => processor(&std::fs::read_to_string("/proc/cpuinfo").ok()?, &query()?)?,
            None => return None,
        };
        Some((name, found))
    });
    found.collect()
}

/// Identifies a processor by what the system and the compiler say about it. Returns `None` if the system says nothing.
fn processor(cpuinfo: &str, from_rustc: &str) -> Option<String> {
    let lines =
        cpuinfo.lines().filter_map(|line| line.split_once(':')).map(|(name, value)| (name.trim(), value.trim()));
    let identifying: BTreeSet<_> = lines.filter(|(name, _)| IDENTIFYING.contains(name)).collect();
    let model = identifying.iter().find(|(name, _)| *name == MODEL_NAME).map_or("a processor", |(_, value)| value);
    let digest = Digest::of_value(Domain::Processor, &(&identifying, from_rustc)).to_string();
    (!identifying.is_empty()).then(|| format!("{model} ({})", &digest[..12]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str =
        "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Xeon\nflags\t: sse avx\ncpu MHz\t: 2000.1\n";

    fn flags(text: &str) -> BTreeMap<String, Vec<String>> {
        [("here".to_owned(), text.split(' ').map(str::to_owned).collect())].into()
    }

    #[test]
    fn processors_are_told_apart_by_what_they_can_and_not_by_how_fast_they_run() {
        let known = processor(INFO, "avx").unwrap();
        assert!(known.starts_with("Xeon ("), "{known}");
        assert_eq!(processor(&INFO.replace("2000.1", "3000.0").replace(": 0", ": 7"), "avx").unwrap(), known);
        for other in [processor(&INFO.replace("sse avx", "sse"), "avx"), processor(INFO, "avx\navx512f")] {
            assert_ne!(other.unwrap(), known);
        }
        assert_eq!(processor("no such lines", "avx"), None);
    }

    #[test]
    fn a_profile_is_identified_by_its_content() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("merged.profdata");
        let name = format!("{PROFILE}{}", path.display());
        let known = || flag_inputs(&flags(&format!("-Cprofile-use={}", path.display())), || None);
        assert_eq!(known(), BTreeMap::new());
        std::fs::write(&path, "one").unwrap();
        let one = known();
        assert_eq!(one.keys().collect::<Vec<_>>(), [&name]);
        std::fs::write(&path, "two").unwrap();
        assert_ne!(known(), one);
    }

    #[test]
    fn rustc_is_queried_only_if_a_flag_names_the_processor() {
        assert_eq!(flag_inputs(&flags("-g -Ctarget-cpu=x86-64-v3"), || panic!("queried")), BTreeMap::new());
        assert_eq!(flag_inputs(&flags("-Ctarget-cpu=native"), || None), BTreeMap::new(), "rustc does not say");
    }
}
