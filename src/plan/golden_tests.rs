//! The keys of a fixed plan, and digests of fixed values, compared with those in `golden_keys.json`.
//!
//! A key that changes by accident empties every cache, and a key that changes without a new version may be mistaken for
//! an old one. So a recorded digest may change only together with the context of one of its domains
//! ([`crate::digest`]). `XCACHE_BLESS=1` writes the file again, but refuses to do so without a new context. A new
//! digest gets a section or a name of its own.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::*;
use crate::digest::Domain;
use crate::plan::content::Contents;
use crate::roots::{Root, Roots};
use crate::rustc::{Invocation, variables};

/// Digests of one kind.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Section {
    /// The contexts of all domains that the digests are derived in.
    contexts: Vec<String>,
    digests: BTreeMap<String, String>,
}

type Golden = BTreeMap<String, Section>;

fn section(domains: &[Domain], digests: impl IntoIterator<Item = (String, Digest)>) -> Section {
    let digests = digests.into_iter().map(|(name, digest)| (name, digest.to_string())).collect();
    Section { contexts: domains.iter().map(|domain| domain.context().to_owned()).collect(), digests }
}

/// A plan with every kind of input: members, flags, native code, configured variables.
fn plan() -> BuildPlan {
    let world = World {
        links: true,
        lto: "thin".into(),
        rustflags: Some(vec!["-Copt-level=2".into(), "--cfg=shout".into()]),
        environment: [("RUSTC_BOOTSTRAP".to_owned(), "1".to_owned())].into(),
        config: json!({ "unstable": { "x": true }, "env": { "A": { "value": "b" } } }),
        ..World::default()
    };
    let digests = [("file .env", ""), ("inherited", "[package]\n"), ("variable DATABASE_URL", "digest")];
    let digests = digests.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let toolchain = world.toolchain();
    let inputs = PlanInputs {
        graph: &world.graph(),
        packages: &world.packages(),
        lockfile: &world.lockfile(),
        toolchain: &toolchain,
        config: &serde_json::from_value(world.config.clone()).unwrap(),
        environment: world.environment.clone(),
        native: world.native.as_deref().map(class),
        sees_variables: world.sees_variables,
        member_inputs: Some(MemberInputs { workspace: world.workspace.as_str().into(), is_remapped: false, digests }),
        driver: None,
    };
    BuildPlan::new(&inputs, |_| Ok(Digest::of("content"))).unwrap()
}

fn roots() -> Roots {
    Roots::new([(Root::CargoHome, "/home/ann/.cargo".into()), (Root::Workspace, "/home/ann/app".into())])
}

/// A directory with a file, a link and an ignored file.
fn content() -> Digest {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8Path::from_path(directory.path()).unwrap();
    for (name, text) in [("lib.rs", "pub fn f() {}"), (".gitignore", "ignored\n"), ("ignored", "x"), (".env", "A=1")] {
        std::fs::write(path.join(name), text).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", path.join("link")).unwrap();
    Contents::default().package(path).unwrap().digest
}

fn now() -> Golden {
    let plan = plan();
    let units = || plan.units.iter().enumerate().map(|(index, unit)| (UnitId(index), unit));
    let name = |unit: &Unit| format!("{} {} {}", unit.package, unit.kind, unit.mode);
    let keys = units().map(|(id, unit)| (name(unit), plan.unit_inputs(id).expect("all have keys").key.0));
    let stored = units().map(|(_, unit)| (name(unit), unit.key.unwrap().0));
    let arguments = "--crate-name a --edition=2021 src/lib.rs --crate-type lib --emit=dep-info,metadata,link \
                     --out-dir /o --error-format=json --json=diagnostic-short -C opt-level=3 --cfg x \
                     --extern b=/home/ann/app/target/debug/deps/libb-0123456789abcdef.rmeta";
    let arguments: Vec<_> = arguments.split_whitespace().collect();
    let call = Invocation::parse(&arguments);
    let variable =
        |name: &str, value: &str| (name.to_owned(), variables::digest(name, Some(value), &roots(), &[]).unwrap());
    let only = |name: &str, digest| [(name.to_owned(), digest)];
    let scoped = UnitKey(Digest::of("key")).scoped(Digest::of("place")).0;
    let sections = [
        ("keys", section(&[Domain::UnitKey], keys)),
        ("a key in a place", section(&[Domain::ScopedKey], only("one", scoped))),
        ("stored keys", section(&[Domain::UnitKey, Domain::ScopedKey, Domain::HostClass, Domain::RootPath], stored)),
        (
            "identities",
            section(
                &[Domain::UnitIdentity],
                units().map(|(id, unit)| (name(unit), plan.unit_inputs(id).unwrap().identity())),
            ),
        ),
        ("packages", section(&[Domain::PackageContent], only("a directory", content()))),
        ("command lines", section(&[Domain::CommandLine], only("a library", call.digest(&roots())))),
        ("renderings", section(&[Domain::Rendering], only("short", call.rendering()))),
        (
            "variables",
            section(
                &[Domain::Variable],
                [variable("CARGO_MANIFEST_DIR", "/home/ann/app/a"), variable("FLAVOUR", "mint")],
            ),
        ),
        ("roots", section(&[Domain::RootPath], only("workspace", roots().digest(Root::Workspace).unwrap()))),
    ];
    sections.map(|(name, section)| (name.to_owned(), section)).into()
}

/// Why `now` must not replace `recorded`: a digest changed although no context did.
fn refusal(recorded: &Golden, now: &Golden) -> Option<String> {
    recorded.iter().find_map(|(name, before)| {
        let Some(after) = now.get(name) else { return Some(format!("{name} are no longer computed")) };
        let changed = before.digests.iter().find(|(name, digest)| after.digests.get(*name) != Some(*digest));
        let (digest, _) = changed.filter(|_| before.contexts == after.contexts)?;
        Some(format!("{name}: {digest:?} changed in the context of {:?}; bump it in src/digest.rs", after.contexts))
    })
}

#[test]
fn keys_change_only_with_their_version() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan/golden_keys.json");
    let recorded: Golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let now = now();
    if let Some(refusal) = refusal(&recorded, &now) {
        panic!("{refusal}");
    }
    if std::env::var_os("XCACHE_BLESS").is_some() {
        std::fs::write(&path, serde_json::to_string_pretty(&now).unwrap() + "\n").unwrap();
    }
    let recorded: Golden = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert!(recorded == now, "src/plan/golden_keys.json is out of date; XCACHE_BLESS=1 writes it");
}

#[test]
fn changed_keys_are_refused_in_an_unchanged_context() {
    let golden = |context: &str, digests: &[(&str, &str)]| -> Golden {
        let digests = digests.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect();
        [("keys".to_owned(), Section { contexts: vec![context.to_owned()], digests })].into()
    };
    let recorded = golden("unit key 4", &[("a", "01")]);
    assert_eq!(refusal(&recorded, &recorded), None);
    assert_eq!(refusal(&recorded, &golden("unit key 4", &[("a", "01"), ("b", "02")])), None, "a new digest");
    assert_eq!(refusal(&recorded, &golden("unit key 5", &[("a", "02")])), None, "a new version");
    assert!(refusal(&recorded, &golden("unit key 4", &[("a", "02")])).is_some());
    assert!(refusal(&recorded, &golden("unit key 4", &[("b", "01")])).is_some(), "a missing digest");
    assert!(refusal(&recorded, &Golden::new()).is_some());
}
