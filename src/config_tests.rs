use super::*;

#[test]
fn every_field_is_a_documented_setting() {
    let fields = serde_json::to_value(Settings {
        remote: Some("s3://b".into()),
        events: Some("e".into()),
        ..Settings::default()
    })
    .unwrap();
    let mut fields: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
    fields.sort();
    let mut documented: Vec<_> = SETTINGS.iter().map(|setting| setting.name.to_owned()).collect();
    documented.sort();
    assert_eq!(fields, documented);
}

#[test]
fn flags_override_the_workspace_file() {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspace.path().join(".config")).unwrap();
    std::fs::write(
        workspace.path().join(".config/xcache.toml"),
        "remote = 's3://from-file'\nconcurrency = 7\nmax-size = '2 GiB'\n",
    )
    .unwrap();
    let overrides = Overrides { remote: Some("s3://from-flag/p".into()), ..Overrides::default() };
    let settings = Settings::load(Some(workspace.path()), &overrides).unwrap();
    assert_eq!(settings.remote.as_deref(), Some("s3://from-flag/p"));
    assert_eq!(settings.concurrency, 7);
    assert_eq!(settings.max_size, ByteSize::gib(2));
}

#[test]
fn a_misspelt_key_and_a_bad_value_are_named() {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspace.path().join(".config")).unwrap();
    let load = |text: &str| {
        std::fs::write(workspace.path().join(".config/xcache.toml"), text).unwrap();
        Settings::load(Some(workspace.path()), &Overrides::default()).unwrap_err().to_string()
    };
    assert!(load("remot = 's3://x'").contains("remot"));
    assert!(load("concurrency = 'many'").contains("concurrency"));
    assert!(load("concurrency = 0").contains("concurrency"));
}

#[test]
fn incremental_compilation_is_stripped_if_ci_is_set() {
    let by_default = |ci: Option<&str>| Incremental::by_default(ci.map(OsStr::new));
    assert_eq!([None, Some(""), Some("false")].map(by_default), [Incremental::Keep; 3]);
    assert_eq!([Some("true"), Some("1"), Some("woodpecker")].map(by_default), [Incremental::Strip; 3]);
}

#[test]
fn prices_may_be_in_a_table_and_flags_win() {
    let workspace = tempfile::tempdir().unwrap();
    std::fs::create_dir(workspace.path().join(".config")).unwrap();
    let load = |text: &str, overrides: &Overrides| {
        std::fs::write(workspace.path().join(".config/xcache.toml"), text).unwrap();
        Settings::load(Some(workspace.path()), overrides)
    };
    let text = "concurrency = 7\n[report.prices]\ncore-minute = 0.004\ngb-received = 0.09\nrequest = 1";
    let overrides = Overrides { price_gb_received: Some(0.5), ..Overrides::default() };
    let settings = load(text, &overrides).unwrap();
    let expected = Prices { core_minute: 0.004, gb_received: 0.5, gb_sent: 0.0, request: 1.0 };
    assert_eq!((settings.prices(), settings.concurrency), (expected, 7));
    let plain = load("price-core-minute = 0.004", &Overrides::default()).unwrap();
    assert_eq!(plain.prices(), Prices { core_minute: 0.004, ..Prices::default() });

    let bad = |text| load(text, &Overrides::default()).unwrap_err().to_string();
    assert!(bad("[report.prices]\nminutes = 1").contains("price-minutes"));
    assert!(bad("[report]\nprice = 1").contains("report"));
    assert!(bad("price-request = -1").contains("negative"));
    assert!(bad("price-request = nan").contains("negative"));
}

#[test]
fn settings_that_only_affect_reports_do_not_affect_a_build() {
    let reporting = Settings {
        events: Some("events".into()),
        ci_summary: Switch::Off,
        price_request: 1.0,
        price_gb_sent: 1.0,
        ..Settings::default()
    };
    assert_eq!(reporting.of_the_build(), Settings::default());
    let other = Settings { members: Switch::Off, ..Settings::default() };
    assert_ne!(other.of_the_build(), Settings::default());
}

/// Compares a file of the book with its expected content, or writes it.
fn assert_in_book(file: &str, expected: impl FnOnce(&str) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("book/src").join(file);
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    let expected = expected(&written);
    if std::env::var_os("XCACHE_BLESS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    } else {
        assert!(written == expected, "book/src/{file} is out of date; XCACHE_BLESS=1 writes it");
    }
}

#[test]
fn the_book_lists_every_setting_as_flag_variable_and_key() {
    let rows = SETTINGS.iter().map(|setting| {
        let Setting { name, summary, default } = setting;
        let variable = setting.variable();
        format!("| `--{name}` | `{variable}` | `{name}` | {summary} | {default} |\n")
    });
    let rows: String = rows.collect();
    assert_in_book("configuration.md", |chapter| {
        let (before, table) = chapter.split_once("| `--").expect("the chapter has the table");
        let (_, behind) = table.split_once("\n\n").expect("the table ends");
        format!("{before}{rows}\n{behind}")
    });
}

#[test]
fn the_schema_in_the_book_is_up_to_date() {
    assert_in_book("config.schema.json", |_| format!("{:#}\n", Settings::schema()));
    let schema = Settings::schema();
    for setting in SETTINGS {
        assert!(schema["properties"][setting.name].is_object(), "{}", setting.name);
    }
    assert_eq!(schema["properties"]["report"]["properties"]["prices"]["properties"]["request"]["type"], "number");
    assert_eq!(schema["required"], serde_json::Value::Null);
}
