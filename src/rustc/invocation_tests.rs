use super::*;
use crate::roots::Root;

const COMPILE: &str = r#"--crate-name aho_corasick --edition=2021 /h/.cargo/registry/src/i/aho-corasick-1.1.4/src/lib.rs
--error-format=json --json=diagnostic-rendered-ansi,artifacts,future-incompat --crate-type lib
--emit=dep-info,metadata,link -C embed-bitcode=no -C debuginfo=2 --cfg feature="default" --cfg feature="std"
--check-cfg cfg(docsrs,test) -C metadata=753b2dc2fc29954e -C extra-filename=-cfcac52743ff0eba
--out-dir /w/target/debug/deps -L dependency=/w/target/debug/deps
--extern memchr=/w/target/debug/deps/libmemchr-173228ab5b53d47a.rmeta --cap-lints allow"#;

fn arguments(line: &str) -> Vec<String> {
    line.split_whitespace().map(Into::into).collect()
}

fn roots(home: &str, build: &str) -> Roots {
    Roots::new([(Root::CargoHome, home.into()), (Root::BuildDir, build.into())])
}

fn digest(line: &str) -> Digest {
    Invocation::parse(&arguments(line)).digest(&roots("/h/.cargo", "/w/target"))
}

#[test]
fn cargos_command_line_for_a_library_is_parsed() {
    let invocation = Invocation::parse(&arguments(COMPILE));
    assert!(invocation.is_compile());
    assert_eq!(invocation.crate_name.as_deref(), Some("aho_corasick"));
    assert_eq!(invocation.crate_types, ["lib".to_owned()].into());
    assert_eq!(invocation.emit, [Emit::DepInfo, Emit::Metadata, Emit::Link].into());
    assert_eq!(invocation.features, ["default".to_owned(), "std".to_owned()].into());
    assert_eq!(invocation.extra_filename(), "-cfcac52743ff0eba");
    assert_eq!(invocation.externs[0].name, "memchr");
    assert!(invocation.artifact_notices && !invocation.links_native && !invocation.test);
    assert_eq!(invocation.uncacheable(|_| false), None);
}

#[test]
fn the_digest_is_the_same_under_other_directories() {
    let moved = COMPILE.replace("/h/.cargo", "/ci/cargo").replace("/w/target", "/build/t");
    let moved = Invocation::parse(&arguments(&moved)).digest(&roots("/ci/cargo", "/build/t"));
    assert_eq!(moved, digest(COMPILE));
}

#[test]
fn the_digest_ignores_how_diagnostics_are_shown_and_the_rendering_does_not() {
    let short = COMPILE.replace("diagnostic-rendered-ansi", "diagnostic-short");
    assert_eq!(digest(&short), digest(COMPILE));
    let rendering = |line: &str| Invocation::parse(&arguments(line)).rendering();
    assert_ne!(rendering(&short), rendering(COMPILE));
}

#[test]
fn the_digest_changes_with_everything_else() {
    for (from, to) in [
        ("edition=2021", "edition=2024"),
        ("debuginfo=2", "debuginfo=1"),
        ("feature=\"std\"", "feature=\"alloc\""),
        ("metadata=753b2dc2fc29954e", "metadata=853b2dc2fc29954e"),
        ("extra-filename=-cfcac52743ff0eba", "extra-filename=-dfcac52743ff0eba"),
        ("libmemchr-173228ab5b53d47a", "libmemchr-273228ab5b53d47a"),
        ("--cap-lints allow", "--cap-lints warn"),
        ("--cap-lints allow", "--cap-lints allow -C target-cpu=skylake"),
        ("--cap-lints allow", "--cap-lints allow --cfg loom"),
        ("--cap-lints allow", "--cap-lints allow -Zshare-generics=y"),
        ("--cap-lints allow", "--cap-lints allow -g"),
        ("--crate-type lib", "--crate-type rlib"),
        ("dep-info,metadata,link", "dep-info,metadata"),
    ] {
        assert!(COMPILE.contains(from), "{from}");
        assert_ne!(digest(&COMPILE.replace(from, to)), digest(COMPILE), "{from} -> {to}");
    }
}

#[test]
fn the_digest_tells_whether_a_crate_is_compiled_incrementally_and_not_where() {
    let with = |flags: &str| format!("{COMPILE} {flags}");
    let here = with("-C incremental=/w/target/debug/incremental");
    assert_ne!(digest(&here), digest(COMPILE));
    assert_eq!(digest(&with("-Cincremental=/t/fast/incremental")), digest(&here));
    let directories = |line: &str| Invocation::parse(&arguments(line)).incremental;
    assert_eq!(directories(COMPILE), [""; 0]);
    assert_eq!(directories(&here), ["/w/target/debug/incremental"]);
    assert_eq!(directories(&with("-C incremental=a --codegen=incremental=b")), ["a", "b"]);
}

#[test]
fn attached_and_separate_values_are_equal() {
    let apart = digest("--crate-name a a.rs -C opt-level=3 --emit link --out-dir o");
    assert_eq!(digest("--crate-name=a a.rs -Copt-level=3 --emit=link --out-dir=o"), apart);
    assert_eq!(digest("--crate-name=a a.rs --codegen opt-level=3 --emit=link --out-dir=o"), apart);
}

#[test]
fn options_that_depend_on_the_machine_or_unknown_files_are_uncacheable() {
    for (flag, reason) in [
        ("-C target-cpu=native", UncacheableReason::HostCpu),
        ("-Ctarget-cpu=native", UncacheableReason::HostCpu),
        ("-C profile-use=/p.profdata", UncacheableReason::CompilerInput),
        ("-C profile-use=p.profdata", UncacheableReason::CompilerInput),
        ("--target my-board.json", UncacheableReason::CustomTarget),
        ("--sysroot /s", UncacheableReason::CompilerInput),
        ("@/tmp/args", UncacheableReason::CompilerInput),
        ("-C save-temps", UncacheableReason::SideFiles),
        ("--emit=asm", UncacheableReason::SideFiles),
    ] {
        let invocation = Invocation::parse(&arguments(&format!("{COMPILE} {flag}")));
        assert_eq!(invocation.uncacheable(|_| false), Some(reason), "{flag}");
    }
}

#[test]
fn options_with_a_known_named_value_are_cacheable() {
    for (flag, name) in [("-C target-cpu=native", PROCESSOR), ("-Cprofile-use=/p.profdata", "profile /p.profdata")] {
        let invocation = Invocation::parse(&arguments(&format!("{COMPILE} {flag}")));
        assert_eq!(invocation.named().collect::<Vec<_>>(), [name]);
        assert_eq!(invocation.uncacheable(|known| known == name), None, "{flag}");
    }
    let both = Invocation::parse(&arguments(&format!("{COMPILE} -C target-cpu=native @/tmp/args")));
    assert_eq!(both.uncacheable(|_| true), Some(UncacheableReason::CompilerInput));
}

#[test]
fn queries_are_not_compilations() {
    for probe in [
        "-vV",
        "- --crate-name ___ --print=file-names --crate-type bin",
        "--print cfg",
        "--crate-name probe - --emit=metadata --out-dir /o",
    ] {
        assert!(!Invocation::parse(&arguments(probe)).is_compile(), "{probe}");
    }
}

#[test]
fn native_libraries_are_detected() {
    for flag in ["-l static=z", "-lz", "-L native=/usr/lib", "-L /usr/lib"] {
        assert!(Invocation::parse(&arguments(&format!("{COMPILE} {flag}"))).links_native, "{flag}");
    }
}
