use super::*;

#[test]
fn the_documented_list_is_the_parsers() {
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
fn the_workspace_file_is_read_and_flags_win() {
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
fn incremental_compilation_is_stripped_where_ci_says_yes() {
    let by_default = |ci: Option<&str>| Incremental::by_default(ci.map(OsStr::new));
    assert_eq!([None, Some(""), Some("false")].map(by_default), [Incremental::Keep; 3]);
    assert_eq!([Some("true"), Some("1"), Some("woodpecker")].map(by_default), [Incremental::Strip; 3]);
}
