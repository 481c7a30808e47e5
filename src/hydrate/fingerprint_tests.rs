use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::cargo::Format;

/// A fingerprint of a dependency of ripgrep 15.2.0 or serde 1.0.229, recorded by cargo 1.95.0 (`cargo build`) on Linux.
struct Recorded {
    json: &'static str,
    hash: &'static str,
}

/// A library without a build script: cfg-if 1.0.4.
const LIBRARY: Recorded = Recorded {
    json: r#"{"rustc":7458672600737419911,"features":"[]","declared_features":"[\"core\", \"rustc-dep-of-std\"]","target":13840298032947503755,"profile":15657897354478470176,"path":16492044804877320905,"deps":[],"local":[{"CheckDepInfo":{"dep_info":"debug/.fingerprint/cfg-if-595cd1fd9b5b1165/dep-lib-cfg_if","checksum":false}}],"rustflags":[],"config":8247474407144887393,"compile_kind":0}"#,
    hash: "697804ab768dddbc",
};

/// A library with a build script: anyhow 1.0.103.
const LIBRARY_WITH_SCRIPT: Recorded = Recorded {
    json: r#"{"rustc":7458672600737419911,"features":"[\"default\", \"std\"]","declared_features":"[\"backtrace\", \"default\", \"std\"]","target":1563897884725121975,"profile":15657897354478470176,"path":16550926185267966467,"deps":[[9904903520081483939,"build_script_build",false,1324521276816158398]],"local":[{"CheckDepInfo":{"dep_info":"debug/.fingerprint/anyhow-e7c1d2086df2d66b/dep-lib-anyhow","checksum":false}}],"rustflags":[],"config":8247474407144887393,"compile_kind":0}"#,
    hash: "44d0344ed7e3a1ab",
};

/// The run of that build script.
const SCRIPT_RUN: Recorded = Recorded {
    json: r#"{"rustc":7458672600737419911,"features":"","declared_features":"","target":0,"profile":0,"path":0,"deps":[[9904903520081483939,"build_script_build",false,16318494176186831577]],"local":[{"RerunIfChanged":{"output":"debug/build/anyhow-0f85b58ad6563fc7/output","paths":["src/nightly.rs"]}},{"RerunIfEnvChanged":{"var":"RUSTC_BOOTSTRAP","val":null}}],"rustflags":[],"config":0,"compile_kind":0}"#,
    hash: "beee126a15a56112",
};

/// A procedural macro: serde_derive 1.0.229.
const PROC_MACRO: Recorded = Recorded {
    json: r#"{"rustc":7458672600737419911,"features":"[\"default\"]","declared_features":"[\"default\", \"deserialize_in_place\"]","target":13076129734743110817,"profile":2225463790103693989,"path":5771501406112012214,"deps":[[8711674966389384079,"syn",false,8092161950081747346],[8949245912927223590,"quote",false,6450575695135356418],[16346726298725429545,"proc_macro2",false,12356260576782618011]],"local":[{"CheckDepInfo":{"dep_info":"debug/.fingerprint/serde_derive-b2ce52d3d55f3751/dep-lib-serde_derive","checksum":false}}],"rustflags":[],"config":8247474407144887393,"compile_kind":0}"#,
    hash: "1ca635ba358a6226",
};

const RECORDED: [&Recorded; 4] = [&LIBRARY, &LIBRARY_WITH_SCRIPT, &SCRIPT_RUN, &PROC_MACRO];

fn generation() -> &'static Generation {
    Format::named("1.91, classic").unwrap().generation
}

/// The fingerprints of the workspace in `fixtures/app` that one release of cargo recorded on Linux.
#[derive(Deserialize)]
struct RecordedBy {
    cargo: String,
    generation: String,
    units: BTreeMap<String, RecordedUnit>,
}

#[derive(Deserialize)]
struct RecordedUnit {
    json: String,
    hash: String,
}

fn recorded_by_all() -> Vec<RecordedBy> {
    serde_json::from_str(include_str!("recorded.json")).unwrap()
}

impl Recorded {
    fn parse(&self) -> Fingerprint {
        Fingerprint::parse(self.json, generation()).unwrap()
    }

    fn value(&self) -> Value {
        serde_json::from_str(self.json).unwrap()
    }

    /// The fingerprint with another value at one place of its JSON.
    fn with(&self, pointer: &str, new: Value) -> Fingerprint {
        let mut json = self.value();
        *json.pointer_mut(pointer).unwrap() = new;
        parse_value(&json)
    }

    /// The words for the difference if one place has another value.
    fn words(&self, pointer: &str, new: Value) -> String {
        difference(&self.parse(), &self.with(pointer, new)).unwrap()
    }
}

fn parse_value(json: &Value) -> Fingerprint {
    Fingerprint::parse(&json.to_string(), generation()).unwrap()
}

/// The JSON pointers of all values that contain no others, including empty lists.
fn leaves(json: &Value, at: String, found: &mut Vec<String>) {
    match json {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| leaves(value, format!("{at}/{name}"), found)),
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, format!("{at}/{index}"), found));
        }
        _ => found.push(at),
    }
}

fn altered(value: &Value) -> Value {
    match value {
        Value::Null => json!(""),
        Value::Bool(value) => json!(!value),
        Value::Number(value) => json!(value.as_u64().unwrap() ^ 1),
        Value::String(value) => json!(format!("{value}x")),
        Value::Array(_) => json!(["x"]),
        Value::Object(_) => unreachable!("not a leaf"),
    }
}

#[test]
fn what_cargo_recorded_hashes_as_cargo_recorded() {
    for recorded in RECORDED {
        let hash = recorded.parse().hash();
        assert_eq!(to_hex(hash), recorded.hash);
        assert_eq!(from_hex(recorded.hash), Some(hash));
    }
}

#[test]
fn only_its_own_generation_reproduces_the_fingerprints_of_a_cargo() {
    let all: Vec<_> = Format::all().map(|format| format.generation).collect();
    for RecordedBy { cargo, generation, units } in recorded_by_all() {
        assert_eq!(Format::likely(&cargo, None).generation.name, generation, "{cargo}");
        assert_eq!(units.len(), 5);
        for (kind, RecordedUnit { json, hash }) in &units {
            for one in &all {
                let read = Fingerprint::parse(json, one).ok();
                let holds = read.is_some_and(|read| to_hex(read.hash()) == *hash && read.to_json() == *json);
                // The run of a build script has no field that differs.
                assert!(holds == (one.name == generation) || kind == "run", "{cargo} {kind} {}", one.name);
            }
        }
    }
}

#[test]
fn a_wrong_generation_reproduces_no_hash() {
    let RecordedUnit { json, hash } = &recorded_by_all().remove(0).units["program"];
    let (written, hashed) = (&generation().written, &generation().hashed);
    for other in 0..hashed.len() - 1 {
        let mut hashed = hashed.clone();
        hashed.swap(other, other + 1);
        let wrong = Generation::of(written.clone(), hashed, Sources::Checksum);
        // There are no rustflags: both orders hash the same zeros.
        let is_same = wrong.hashed[other] == Field::Rustflags;
        assert_eq!(to_hex(Fingerprint::parse(json, wrong).unwrap().hash()) == *hash, is_same, "{other}");
    }
    let wrong = Generation::of(written[1..].to_vec(), hashed.clone(), Sources::Checksum);
    assert!(Fingerprint::parse(json, wrong).is_err());
    assert!(Fingerprint::parse(json, Generation::of(written.clone(), hashed.clone(), Sources::Fingerprint)).is_err());
}

#[test]
fn json_is_written_byte_for_byte_as_cargo_wrote_it() {
    for recorded in RECORDED {
        assert_eq!(recorded.parse().to_json(), recorded.json);
    }
}

#[test]
fn any_field_that_changes_changes_the_hash() {
    for recorded in RECORDED {
        let json = recorded.value();
        let mut pointers = Vec::new();
        // A text cannot fill an empty list of dependencies; see the next test.
        leaves(&json, String::new(), &mut pointers);
        pointers.retain(|pointer| pointer != "/deps");
        let mut hashes = vec![recorded.parse().hash()];
        for pointer in &pointers {
            hashes.push(recorded.with(pointer, altered(json.pointer(pointer).unwrap())).hash());
        }
        assert!(pointers.len() >= 11);
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), pointers.len() + 1, "{pointers:?}");
    }
}

#[test]
fn the_number_and_the_order_of_dependencies_change_the_hash() {
    let recorded = PROC_MACRO.parse();
    let mut reversed = PROC_MACRO.value();
    reversed["deps"].as_array_mut().unwrap().reverse();
    assert_ne!(parse_value(&reversed).hash(), recorded.hash());
    assert_ne!(PROC_MACRO.with("/deps", json!([])).hash(), recorded.hash());
    assert_ne!(LIBRARY.with("/deps", json!([[1, "a", true, 2]])).hash(), LIBRARY.parse().hash());
}

#[test]
fn the_kind_of_an_input_is_part_of_the_hash() {
    let precalculated = |text| LIBRARY.with("/local", json!([{ "Precalculated": text }]));
    assert_ne!(precalculated("1.0.4").hash(), precalculated("1.0.5").hash());
    let variable = LIBRARY.with("/local", json!([{ "RerunIfEnvChanged": { "var": "1.0.4", "val": null } }]));
    assert_ne!(variable.hash(), precalculated("1.0.4").hash());
}

#[test]
fn unknown_fields_and_inputs_are_errors() {
    let refused = |change: fn(&mut Value)| {
        let mut json = SCRIPT_RUN.value();
        change(&mut json);
        Fingerprint::parse(&json.to_string(), generation()).unwrap_err().to_string()
    };
    assert!(refused(|json| json["edition"] = json!(2024)).contains("not as cargo 1.91 writes it"));
    assert!(refused(|json| json["local"][0] = json!({ "CheckNetwork": "a" })).contains("CheckNetwork"));
    assert!(refused(|json| json["local"][0]["RerunIfChanged"]["hash"] = json!(1)).contains("not as cargo"));
    assert!(refused(|json| json["deps"][0].as_array_mut().unwrap().push(json!(1))).contains("array"));
    assert!(refused(|json| drop(json.as_object_mut().unwrap().remove("rustflags"))).contains("null"));
    assert!(Fingerprint::parse("", generation()).is_err());
}

#[test]
fn a_fingerprint_contains_the_hash_of_its_dependency() {
    let run = SCRIPT_RUN.parse().hash();
    assert_eq!(LIBRARY_WITH_SCRIPT.parse().dependencies().collect::<Vec<_>>(), [("build_script_build", run)]);
}

#[test]
fn dependencies_with_a_new_hash_are_replaced() {
    let mut fingerprint = PROC_MACRO.parse();
    fingerprint.replace_dependencies(|hash| (hash == 6_450_575_695_135_356_418).then_some(7));
    let dependencies: Vec<_> = fingerprint.dependencies().collect();
    assert_eq!(
        dependencies,
        [("syn", 8_092_161_950_081_747_346), ("quote", 7), ("proc_macro2", 12_356_260_576_782_618_011)]
    );
    assert_eq!(fingerprint, PROC_MACRO.with("/deps/1/3", json!(7)));

    fingerprint.replace_dependencies(|hash| (hash == 7).then_some(6_450_575_695_135_356_418));
    assert_eq!(fingerprint.to_json(), PROC_MACRO.json);
}

#[test]
fn the_environment_can_be_rewritten() {
    let mut fingerprint = SCRIPT_RUN.parse();
    for (variable, value) in fingerprint.environment_mut() {
        assert_eq!((variable, value.as_deref()), ("RUSTC_BOOTSTRAP", None));
        *value = Some("1".into());
    }
    assert_eq!(fingerprint, SCRIPT_RUN.with("/local/1/RerunIfEnvChanged/val", json!("1")));
    assert_eq!(LIBRARY.parse().environment_mut().count(), 0);
}

#[test]
fn the_watched_paths_are_listed() {
    assert_eq!(SCRIPT_RUN.parse().changed_paths().collect::<Vec<_>>(), [Path::new("src/nightly.rs")]);
    assert_eq!(LIBRARY.parse().changed_paths().count(), 0);
}

#[test]
#[cfg(unix)]
fn a_path_hashes_as_cargo_hashed_it() {
    // Cargo had the sources here when these fingerprints were recorded, and hashed this path.
    let registry = "/tmp/x/fp/home/registry/src/index.crates.io-1949cf8c6b5b557f";
    let root_file = |package: &str| hash_path(&Path::new(registry).join(package).join("src/lib.rs"));
    assert_eq!(LIBRARY.parse().path(), root_file("cfg-if-1.0.4"));
    assert_eq!(PROC_MACRO.parse().path(), root_file("serde_derive-1.0.229"));
    assert_eq!(SCRIPT_RUN.parse().path(), 0);

    let mut moved = LIBRARY.parse();
    moved.set_path(root_file("cfg-if-1.0.5"));
    assert_eq!(difference(&LIBRARY.parse(), &moved).unwrap(), "the path to the source changed");
}

#[test]
fn a_hash_in_hex_has_sixteen_digits() {
    assert_eq!(to_hex(1), "0100000000000000");
    assert_eq!(from_hex("0100000000000000"), Some(1));
    for text in ["", "01", "010000000000000", "01000000000000000", "010000000000000g", "0100000000000000\n"] {
        assert_eq!(from_hex(text), None, "{text:?}");
    }
}

#[test]
fn equal_fingerprints_do_not_differ() {
    for recorded in RECORDED {
        assert_eq!(difference(&recorded.parse(), &recorded.parse()), None);
    }
}

#[test]
fn a_difference_is_reported_in_cargos_words() {
    for (pointer, words) in [
        ("/rustc", "the toolchain changed"),
        ("/target", "the target configuration changed"),
        ("/path", "the path to the source changed"),
        ("/profile", "the profile configuration changed"),
        ("/config", "the config settings changed"),
        ("/compile_kind", "the rustc compile kind changed"),
        ("/deps/1/0", "the fingerprint comparison turned up nothing obvious"),
        ("/deps/1/3", "info of dependency `quote` changed"),
    ] {
        assert_eq!(PROC_MACRO.words(pointer, json!(1)), words);
    }
    for (pointer, words) in [
        ("/features", "the list of features changed"),
        ("/declared_features", "the list of declared features changed"),
        ("/deps/1/1", "name of dependency changed (quote => x)"),
        ("/local/0/CheckDepInfo/dep_info", "the dependency info output changed"),
    ] {
        assert_eq!(PROC_MACRO.words(pointer, json!("x")), words);
    }
    assert_eq!(PROC_MACRO.words("/rustflags", json!(["--cfg", "x"])), "the rustflags changed");
    assert_eq!(PROC_MACRO.words("/deps", json!([])), "number of dependencies changed (3 => 0)");
    let checksum = PROC_MACRO.words("/local/0/CheckDepInfo/checksum", json!(true));
    assert_eq!(checksum, "checksum freshness requested, prior compilation did not use checksum freshness");

    let newer = recorded_by_all().pop().unwrap().units.remove("library").unwrap();
    let generation = Format::all().next().unwrap().generation;
    let now = newer.json.replace("\"mtime\"", "\"content\"");
    let [newer, now] = [&newer.json, &now].map(|json| Fingerprint::parse(json, generation).unwrap());
    let words = "the prior compilation fingerprinted build inputs using `mtime` and this one used `content`";
    assert_eq!(difference(&newer, &now).unwrap(), words);
}

#[test]
fn a_difference_of_a_script_run_is_reported_in_cargos_words() {
    for (pointer, new, words) in [
        ("/local/0/RerunIfChanged/output", json!("x"), "rerun-if-changed output file path changed"),
        ("/local/0/RerunIfChanged/paths", json!(["x"]), "the rerun-if-changed instructions changed"),
        ("/local/1/RerunIfEnvChanged/var", json!("X"), "the environment variables changed"),
        ("/local/1/RerunIfEnvChanged/val", json!("1"), "the env variable RUSTC_BOOTSTRAP changed"),
        ("/local/1", json!({ "Precalculated": "1.0.103" }), "the local fingerprint type changed"),
        ("/local", json!([]), "the local lengths changed"),
    ] {
        assert_eq!(SCRIPT_RUN.words(pointer, new), words);
    }
}

#[test]
fn only_the_first_difference_is_reported() {
    let mut now = PROC_MACRO.with("/deps/0/3", json!(1));
    *now.value_mut(Field::Rustflags).unwrap() = FieldValue::Texts(vec!["-Copt-level=3".into()]);
    now.set_path(1);
    assert_eq!(difference(&PROC_MACRO.parse(), &now).unwrap(), "the path to the source changed");
}
