use proptest::prelude::*;

use super::*;

fn roots() -> Roots {
    Roots::new([
        (Root::CargoHome, "/home/ann/.cargo".into()),
        (Root::Workspace, "/home/ann/app".into()),
        (Root::BuildDir, "/home/ann/app/target".into()),
    ])
}

fn below(root: Root, rest: &str) -> RootedPath {
    RootedPath::Below { root, rest: rest.into() }
}

/// The recorded path, and the roots that it is bound to.
fn recorded(roots: &Roots, path: &str) -> (RootedPath, Vec<Root>) {
    let mut bound = BTreeSet::new();
    let recorded = roots.record(path, &mut bound);
    (recorded, bound.into_iter().collect())
}

#[test]
fn a_path_is_recorded_as_the_longest_root_and_the_rest() {
    let of = |path: &str| recorded(&roots(), path);
    assert_eq!(of("/home/ann/app/target/debug/x.d"), (below(Root::BuildDir, "/debug/x.d"), vec![]));
    assert_eq!(of("/home/ann/app/src/b.rs"), (below(Root::Workspace, "/src/b.rs"), vec![]));
    assert_eq!(of("/home/ann/app"), (below(Root::Workspace, ""), vec![]));
    for path in ["/home/ann/apple", "/home/ann/app-target/x", "src/lib.rs", "/usr/home/ann/app/x", ""] {
        assert_eq!(of(path), (RootedPath::Plain(path.into()), vec![]), "{path}");
    }
}

#[test]
fn a_path_moves_with_its_root() {
    let elsewhere = Roots::new([(Root::Workspace, "/w".into())]);
    let moved = |path: &str| elsewhere.resolve(&recorded(&roots(), path).0);
    assert_eq!(moved("/home/ann/app/src/b.rs"), Some("/w/src/b.rs".into()));
    assert_eq!(moved("/usr/include/x.h"), Some("/usr/include/x.h".into()));
    assert_eq!(moved("/home/ann/.cargo/x"), None);
}

#[test]
fn a_path_that_goes_up_or_avoids_links_is_bound() {
    let of = |path: &str| recorded(&roots(), path).1;
    assert_eq!(of("/home/ann/app/target/../src"), [Root::BuildDir, Root::Workspace]);
    assert_eq!(of("/usr/../home/ann/app/src"), [Root::Workspace]);
    assert_eq!(of("/usr/lib/gcc/../../include"), []);
    let package = "/home/ann/.cargo/registry/src/index-1/x-1.0.0";
    for inside in
        ["src/../README.md", "src/a/../../b/../c.rs", "../x-1.0.0/README.md"].map(|it| format!("{package}/{it}"))
    {
        assert_eq!(of(&inside).is_empty(), !inside.contains("/../x-"), "{inside}");
    }
    assert_eq!(of("/home/ann/.cargo/git/checkouts/x-1/0123456/a/../b.rs"), []);
    for outside in ["registry/src/index-1/x/../y/z", "git/checkouts/x-1/../y", "registry/src/../cache", "bin/../x"] {
        assert_eq!(of(&format!("/home/ann/.cargo/{outside}")), [Root::CargoHome], "{outside}");
    }
    let linked = roots().resolved(|path| (path == "/home/ann/app").then(|| "/disk/app".into()));
    assert_eq!(recorded(&linked, "/disk/app/src"), (RootedPath::Plain("/disk/app/src".into()), vec![Root::Workspace]));
    assert_ne!(linked.digest(Root::Workspace), roots().digest(Root::Workspace));
    assert_eq!(linked.held_by("at /disk/app"), [Root::Workspace].into());
}

#[test]
fn a_relative_path_moves_with_its_directory() {
    let from = |directory: &str, path: &str| {
        let mut bound = BTreeSet::new();
        let recorded = roots().record_from(directory.into(), path.into(), &mut bound);
        (recorded, bound.into_iter().collect::<Vec<_>>())
    };
    assert_eq!(from("/home/ann/app", "src/lib.rs"), (below(Root::Workspace, "/src/lib.rs"), vec![]));
    assert_eq!(from("/home/ann/app", "src/../../x"), (below(Root::Workspace, "/src/../../x"), vec![]));
    assert_eq!(from("/home/ann/app", "/home/ann/app/x"), (below(Root::Workspace, "/x"), vec![]));
    assert_eq!(from("/other", "x"), (RootedPath::Plain("/other/x".into()), vec![]));
    let above = "/home/ann/app/a/../x";
    assert_eq!(from("/home/ann/app", above), (RootedPath::Plain(above.into()), vec![Root::Workspace]));
}

#[test]
fn a_text_is_a_path_only_as_a_whole_and_in_a_directory_with_a_hash() {
    let own: Utf8PathBuf = "/home/ann/app/target/debug/build/x-0123456789abcdef/out".into();
    let of = |text: &str| roots().record_value(text, &[&own]);
    assert!(matches!(of(&format!("{own}/gen.rs")), Value::Path(_)));
    assert!(matches!(of(own.as_str()), Value::Path(_)));
    for text in [format!("-I{own}"), format!("{own}ly"), format!("{own}/a:{own}/b/../c"), "/home/ann/app/login".into()]
    {
        assert_eq!(of(&text), Value::Text(text.clone()), "{text}");
    }
}

#[test]
fn the_longest_root_is_remapped_last() {
    let inside = Roots::new([(Root::CargoHome, "/ci".into()), (Root::BuildDir, "/ci/target".into())]);
    assert_eq!(
        inside.remap_arguments(false),
        ["--remap-path-prefix=/ci=/xcache/cargo-home", "--remap-path-prefix=/ci/target=/xcache/build-dir"]
    );
}

#[test]
fn the_workspace_is_remapped_for_its_own_packages_by_its_real_path() {
    let arguments = |roots: Roots, is_of_workspace| roots.remap_arguments(is_of_workspace).join(" ");
    let plain = || Roots::new([(Root::Workspace, "/app".into()), (Root::BuildDir, "/app/target".into())]);
    let target = "--remap-path-prefix=/app/target=/xcache/build-dir";
    assert_eq!(arguments(plain(), false), target);
    assert_eq!(arguments(plain(), true), format!("--remap-path-prefix=/app=/xcache/workspace {target}"));
    let linked = plain().resolved(|path| (path == "/app").then(|| "/disk/app".into()));
    assert_eq!(arguments(linked, true), format!("--remap-path-prefix=/disk/app=/xcache/workspace {target}"));
}

#[test]
fn a_root_is_found_within_a_word() {
    let short = Roots::new([(Root::Workspace, "/app".into())]);
    assert_eq!(short.held_by("https://example.com/apple"), [Root::Workspace].into());
    assert_eq!(short.held_by("app"), [].into());
    assert_eq!(Roots::new([(Root::Workspace, "/".into())]).held_by("a/b"), [Root::Workspace].into());
}

#[test]
fn a_directory_above_a_root_counts_as_the_root() {
    let below = Roots::new([(Root::BuildDir, "/home/ann/app/target".into())]);
    for text in ["/home/ann/app", "/home/ann/apple", "in /home/ann"] {
        assert_eq!(below.held_by(text), [Root::BuildDir].into(), "{text}");
    }
    assert_eq!(below.held_by("/home/eve"), [].into());
    assert_eq!(roots().held_by("/home/ann/app"), [Root::BuildDir, Root::Workspace].into());
    let home = roots().held_by("/home/ann/.cargo/registry and /home/ann/.cargo");
    assert_eq!(home, [Root::CargoHome].into());
    let beside = roots().held_by("/home/ann/.cargos");
    assert_eq!(beside, [Root::BuildDir, Root::CargoHome, Root::Workspace].into());
    let short = Roots::new([(Root::BuildDir, "/app/target".into())]);
    assert_eq!(short.held_by("https://example.com/apple"), [Root::BuildDir].into());
    assert_eq!(Roots::new([(Root::BuildDir, "/target".into())]).held_by("a/b"), [].into());
}

#[test]
fn a_short_root_is_found_in_compiled_files_only_as_a_word() {
    let scan = |workspace: &str, bytes: &[u8]| {
        !PathScanner::new(&Roots::new([(Root::Workspace, workspace.into())])).scan(bytes).is_empty()
    };
    for text in ["/xcache/cargo-home/registry/src/x", "see foo/src/lib.rs", "/srcs/x", "https://example.com/src"] {
        assert!(!scan("/src", text.as_bytes()), "{text}");
    }
    for text in ["\0/src\0", "file:///src/lib.rs", "(/src)", "/src"] {
        assert!(scan("/src", text.as_bytes()), "{text}");
    }
    assert!(scan("/home/ann", b"x/home/anna"));
    assert!(scan("/x", b"\0/x/y\0") && !scan("/x", b"\0/x\0") && !scan("/x", b"a/x/y"));
}

/// Roots that are short, nested, prefixes of one another, or not plain ASCII.
fn any_roots() -> impl Strategy<Value = Roots> {
    let names = ["/", "/a", "/src", "/app", "/app/target", "/ap", "/a b", "/übung", "/a/src", "/src/app"];
    let path = prop::sample::select(names.to_vec());
    let all = [Root::BuildDir, Root::CargoHome, Root::Sysroot, Root::TargetDir, Root::Workspace];
    prop::collection::vec(path, all.len())
        .prop_map(move |paths| Roots::new(all.into_iter().zip(paths.into_iter().map(Utf8PathBuf::from))))
}

/// Paths and texts composed of pieces of roots, and of placeholders that earlier versions wrote for them.
fn any_text() -> impl Strategy<Value = String> {
    let pieces = [
        "/",
        "/a",
        "/src",
        "/app",
        "target",
        "le",
        " ",
        "übung",
        "..",
        ".",
        "{{workspace}}",
        "<workspace>",
        "registry",
        "https://example.com",
        "=",
        ":",
        "\\",
        "\n",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn a_recorded_value_round_trips_under_the_same_roots(roots in any_roots(), text in any_text()) {
        let (path, _) = recorded(&roots, &text);
        prop_assert_eq!(roots.resolve(&path), Some(Utf8PathBuf::from(&text)));
        let value = roots.record_value(&text, &["/app/target".into(), "/src".into()]);
        prop_assert_eq!(roots.resolve_value(&value), Some(text));
    }

    #[test]
    fn a_path_below_a_root_resolves_below_the_same_root_elsewhere(
        here in any_roots(), there in any_roots(), name in "[a-z]{1,3}(/[a-z]{1,3}){0,2}",
    ) {
        for root in [Root::BuildDir, Root::Workspace, Root::CargoHome] {
            let path = format!("{}/{name}", here.get(root).unwrap());
            let (path, bound) = recorded(&here, &path);
            if let RootedPath::Below { root, .. } = &path {
                // A root within this one may contain it, and then counts.
                prop_assert!(there.resolve(&path).unwrap().starts_with(there.get(*root).unwrap()));
                prop_assert!(bound.is_empty());
            }
        }
    }

    #[test]
    fn a_text_that_is_not_a_path_never_changes(here in any_roots(), there in any_roots(), text in any_text()) {
        let value = here.record_value(&text, &[]);
        prop_assert_eq!(there.resolve_value(&value), Some(text));
    }
}
