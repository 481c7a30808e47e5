//! The rows of the key reference, each with the tests that prove it.

use super::From::{Domains, List, Type};
use super::Kind::{self, Condition, Key, Place, Remembered};
use super::Proof::{self, Nothing, Tests};
use super::Section;

const ALONE: &str = "src/key/key_tests.rs: each_input_alone_changes_the_key";
const COMPILER_SCRIPT: &str = "tests/toolchains.rs: a_changed_script_in_place_of_the_compiler_is_another_compiler";
const GENERATED: &str = "tests/no_reuse.rs: a_dependency_with_another_generated_file_recompiles_its_dependents";
const REBUILT: &str = "tests/no_reuse.rs: a_dependency_rebuilt_to_other_bytes_recompiles_its_dependents";
const BOUND: &str = "tests/no_reuse.rs: a_library_that_contains_its_path_is_not_shared_under_another_root";
const COMPILED_IN: &str = "tests/no_reuse.rs: another_value_of_a_compiled_in_variable_is_not_shared";
const OLDER_LIBRARY: &str =
    "tests/no_reuse.rs: linked_units_and_script_runs_are_not_shared_with_a_host_that_has_an_older_c_library";
const LINKED_MACRO: &str =
    "tests/observed_native.rs: an_archive_linked_into_a_macro_is_an_input_of_the_crate_that_uses_the_macro";
const SAME_VERSION: &str = "tests/toolchains.rs: units_linked_by_another_linker_of_the_same_version_are_not_reused";
const OTHER_PLATFORM: &str = "tests/toolchains.rs: units_linked_by_another_linker_for_another_platform_are_not_reused";
const PATH_OF_WORKSPACE: &str = "tests/members.rs: another_workspace_path_shares_dependencies_but_no_members";
const APART: &str = "tests/checkouts.rs: \
     members_compiled_with_the_real_path_are_not_used_where_it_is_remapped_nor_the_reverse";
const OUTSIDE: &str = "tests/members.rs: a_changed_included_file_outside_of_the_package_is_not_reused";
const LINKER_PART: &str = "src/session/linking_tests.rs: each_part_of_a_linker_and_of_a_library_makes_another_one";
const NATIVE_PART: &str = "src/session/native.rs: each_part_of_a_host_alone_makes_another_class";
const NATIVE_PROGRAM: &str = "src/session/native.rs: each_program_alone_makes_another_class";
const INSTALLED: &str = "src/session/native.rs: what_is_installed_is_known_by_names_and_descriptions_by_sizes";
const OTHER_C: &str = "tests/native.rs: a_script_runs_for_another_compiler_with_the_same_name";
const UPGRADED_C: &str =
    "tests/toolchains.rs: native_code_compiled_through_a_script_by_an_upgraded_compiler_is_not_reused";
const SYSTEM_LIBRARY: &str =
    "tests/native.rs: a_program_linked_with_a_shared_system_library_is_a_hit_until_the_library_changes";
const FOR_OTHERS: &str = "tests/linked.rs: changed_native_code_of_a_dependency_is_followed";
const SCRIPT_INPUTS: &str = "tests/replayed.rs: a_script_runs_when_it_receives_other_metadata";
const MACRO_VARIABLE: &str =
    "tests/hostile_scripts.rs: a_macro_that_reads_a_variable_of_the_script_reads_the_current_one";
const MACRO_FILE: &str = "tests/hostile_scripts.rs: a_macro_that_reads_a_file_of_the_script_reads_the_current_one";
const OTHER_ENTRY: &str = "src/entry/entry_tests.rs: an_entry_of_another_key_is_refused";
const UNSAFE_NAMES: &str = "src/entry/entry_tests.rs: names_that_leave_the_directory_are_refused";
const DAMAGE: &str = "src/entry/entry_tests.rs: a_pack_round_trips_and_any_damage_is_detected";
const DAMAGED_FILE: &str = "tests/faults.rs: damaged_files_in_the_local_store_are_compiled_again_and_replaced";
const TRUNCATED_FILE: &str = "tests/faults.rs: truncated_files_in_the_local_store_are_compiled_again_and_replaced";
const REMOTE_DAMAGE: &str = "tests/faults.rs: damaged_objects_are_misses_and_named_in_the_report";
const FINGERPRINT: &str = "src/hydrate/fingerprint_tests.rs: any_field_that_changes_changes_the_hash";
const REJECTED: &str =
    "tests/not_hydrated.rs: a_unit_rejected_by_cargo_is_restored_by_the_wrapper_and_named_in_the_report";
const READS: &str = "tests/remembered.rs: a_changed_file_that_cargo_reads_or_would_read_is_noticed";
const READS_VARIABLE: &str = "tests/remembered.rs: a_changed_variable_that_cargo_reads_is_noticed";
const LISTED_VARIABLE: &str = "src/session/cargo_inputs.rs: each_variable_that_is_listed_counts";
const PROGRAMS: &str = "tests/remembered.rs: a_replaced_program_with_the_same_name_is_noticed";
const LOCKFILE: &str = "tests/remembered.rs: a_changed_lockfile_requests_the_graph_again";
const OTHER_COMMAND: &str = "tests/remembered.rs: another_environment_or_command_requests_the_graph_again";
const CIRCUMSTANCE: &str = "src/session/noop.rs: each_circumstance_alone_is_another_one";
const GRAPH_PART: &str = "src/session/graph.rs: each_part_of_what_a_graph_follows_from_makes_another_name";
const INDEX_PART: &str = "src/session/survey.rs: each_part_of_the_name_of_a_graph_index_makes_another_name";
const STAMP_PART: &str = "src/fs.rs: each_part_of_a_stamp_makes_another_one";
const ANSWER: &str = "src/probe_tests.rs: an_answer_is_asked_for_again_where_any_variable_has_another_value";
const SAME_ANSWER: &str = "src/probe_tests.rs: a_compilers_answer_is_known_until_the_compiler_or_the_question_changes";
const CLEANED: &str = "tests/hydrate.rs: cleaned_packages_are_hydrated_again";
const NEW_WRAPPER: &str = "tests/remembered.rs: a_newly_configured_wrapper_is_called_after_sessions_without_a_plan";
const FOR_PEOPLE: Proof = Nothing("it is only displayed.");

/// All of them, in the order of the book.
pub(super) const SECTIONS: &[Section] = &[
    Section { kind: Key, from: Type("src/key.rs", "KeyInputs"), proofs: KEY_INPUTS },
    Section { kind: Key, from: Type("src/key.rs", "Source"), proofs: SOURCES },
    Section { kind: Key, from: Type("src/key.rs", "DependencyKey"), proofs: EDGES },
    list(
        Key,
        "src/session/survey.rs",
        &[(
            "KEY_VARIABLES",
            Tests(&["src/session/survey.rs: each_variable_that_changes_what_the_compiler_writes_is_part_of_a_key"]),
        )],
    ),
    list(
        Key,
        "src/session/survey.rs",
        &[(
            "INHERITED",
            Tests(&[
                "tests/members.rs: an_inherited_description_is_up_to_date",
                "tests/members.rs: a_lint_of_the_workspace_that_becomes_an_error_fails_the_build",
            ]),
        )],
    ),
    list(
        Key,
        "src/session/planning.rs",
        &[(
            "KNOWN_FILES",
            Tests(&["tests/members.rs: files_and_variables_that_sqlx_reads_are_inputs_although_no_setting_names_them"]),
        )],
    ),
    list(
        Key,
        "src/session/planning.rs",
        &[(
            "KNOWN_VARIABLES",
            Tests(&["tests/members.rs: files_and_variables_that_sqlx_reads_are_inputs_although_no_setting_names_them"]),
        )],
    ),
    list(
        Key,
        "src/plan/content.rs",
        &[(
            "ALWAYS",
            Tests(&["tests/members.rs: a_changed_env_file_of_a_member_is_not_reused_although_no_setting_names_it"]),
        )],
    ),
    list(
        Key,
        "src/cargo/config.rs",
        &[("RELEVANT", Tests(&["src/plan/plan_tests.rs: each_input_changes_only_the_keys_that_depend_on_it"]))],
    ),
    list(
        Key,
        "src/cargo/config.rs",
        &[(
            "UNSEEN_BY_SCRIPTS",
            Tests(&["src/plan/plan_tests.rs: a_build_script_sees_configured_variables_and_linkers"]),
        )],
    ),
    list(
        Key,
        "src/session/flag_inputs.rs",
        &[(
            "IDENTIFYING",
            Tests(&[
                "src/session/flag_inputs.rs: processors_are_told_apart_by_what_they_can_and_not_by_how_fast_they_run",
            ]),
        )],
    ),
    Section { kind: Place, from: Type("src/plan/key_scope.rs", "KeyScope"), proofs: KEY_SCOPE },
    Section { kind: Place, from: Type("src/session/linking.rs", "ProbedLinker"), proofs: LINKER },
    Section { kind: Place, from: Type("src/session/linking.rs", "ProbedLibrary"), proofs: LIBRARY },
    list(
        Place,
        "src/session/linking.rs",
        &[("LIBRARIES", Tests(&["src/session/linking_tests.rs: each_file_of_a_library_alone_makes_another_class"]))],
    ),
    Section { kind: Place, from: Type("src/session/native.rs", "NativeTools"), proofs: NATIVE },
    Section { kind: Place, from: Type("src/session/native.rs", "ProbedProgram"), proofs: PROGRAM },
    list(
        Place,
        "src/session/native.rs",
        &[(
            "COMPILERS",
            Tests(&[
                NATIVE_PROGRAM,
                "tests/native.rs: a_script_runs_when_the_compiler_named_by_a_variable_changes",
                "tests/native.rs: a_script_runs_each_time_when_the_configuration_names_the_compiler",
            ]),
        )],
    ),
    list(Place, "src/session/native.rs", &[("TOOLS", Tests(&[NATIVE_PROGRAM]))]),
    list(Place, "src/session/native.rs", &[("INCLUDE_DIRS", Tests(&[INSTALLED]))]),
    list(
        Place,
        "src/session/native.rs",
        &[("PKG_CONFIG_DIRS", Tests(&[INSTALLED, "tests/native.rs: a_script_runs_when_a_library_is_installed"]))],
    ),
    list(Place, "src/session/native.rs", &[("SUBPROGRAMS", Tests(&[NATIVE_PROGRAM]))]),
    Section { kind: Condition, from: Type("src/entry/mod.rs", "Constraints"), proofs: CONSTRAINTS },
    Section { kind: Condition, from: Type("src/entry/observed.rs", "Observed"), proofs: OBSERVED },
    Section { kind: Condition, from: Type("src/entry/observed.rs", "PathState"), proofs: PATH_STATE },
    Section { kind: Condition, from: Type("src/entry/mod.rs", "DependencyRecord"), proofs: DEPENDENCY },
    Section { kind: Condition, from: Type("src/entry/mod.rs", "InputRecord"), proofs: INPUT },
    Section { kind: Condition, from: Type("src/entry/mod.rs", "Entry"), proofs: ENTRY },
    Section { kind: Condition, from: Type("src/entry/mod.rs", "FileRecord"), proofs: FILE },
    Section { kind: Condition, from: Type("src/entry/mod.rs", "PackRef"), proofs: PACK },
    Section { kind: Condition, from: Type("src/entry/fresh.rs", "Fresh"), proofs: FRESH },
    Section { kind: Remembered, from: Type("src/session/cargo_inputs.rs", "CargoInputs"), proofs: CARGO_INPUTS },
    list(Remembered, "src/session/cargo_inputs.rs", &[("PREFIXES", Tests(&[LISTED_VARIABLE, READS_VARIABLE]))]),
    list(Remembered, "src/session/cargo_inputs.rs", &[("NAMES", Tests(&[LISTED_VARIABLE, READS_VARIABLE]))]),
    list(Remembered, "src/session/cargo_inputs.rs", &[("CONFIGS", Tests(&[READS]))]),
    list(Remembered, "src/session/cargo_inputs.rs", &[("TOOLCHAINS", Tests(&[READS]))]),
    Section { kind: Remembered, from: Type("src/session/noop.rs", "Circumstances"), proofs: CIRCUMSTANCES },
    Section { kind: Remembered, from: Type("src/session/noop.rs", "NoopRecord"), proofs: NOOP_RECORD },
    Section { kind: Remembered, from: Type("src/session/noop.rs", "CargoInputState"), proofs: CARGO_INPUT_STATE },
    Section { kind: Remembered, from: Type("src/session/graph.rs", "Key"), proofs: GRAPH },
    Section { kind: Remembered, from: Type("src/session/survey.rs", "GraphKey"), proofs: INDEX },
    Section { kind: Remembered, from: Type("src/fs.rs", "Stamp"), proofs: STAMP },
    list(Remembered, "src/probe.rs", &[("VARIABLES", Tests(&[ANSWER]))]),
    Section { kind: Kind::Digest, from: Domains, proofs: DOMAINS },
];

const fn list(kind: Kind, file: &'static str, proofs: &'static [(&'static str, Proof)]) -> Section {
    Section { kind, from: List(file, proofs[0].0), proofs }
}

type Proofs = &'static [(&'static str, Proof)];

const KEY_INPUTS: Proofs = &[
    ("rustc", Tests(&[ALONE, "tests/no_reuse.rs: another_toolchain_is_not_shared", COMPILER_SCRIPT])),
    (
        "standard_library",
        Tests(&[ALONE, "tests/toolchains.rs: the_same_compiler_with_another_standard_library_is_another_toolchain"]),
    ),
    ("cargo", Tests(&[ALONE, "src/plan/plan_tests.rs: each_input_changes_only_the_keys_that_depend_on_it"])),
    ("name", Tests(&[ALONE])),
    ("version", Tests(&[ALONE, "tests/reuse.rs: only_a_bumped_dependency_and_its_dependents_are_compiled"])),
    ("source", Tests(&[ALONE])),
    ("target_kind", Tests(&[ALONE])),
    ("target_name", Tests(&[ALONE, "tests/members.rs: two_binaries_and_a_library_of_a_package_are_not_mixed_up"])),
    ("crate_types", Tests(&[ALONE])),
    ("root_file", Tests(&[ALONE, "tests/members.rs: two_binaries_and_a_library_of_a_package_are_not_mixed_up"])),
    ("edition", Tests(&[ALONE, "tests/no_reuse.rs: another_edition_is_not_shared"])),
    (
        "mode",
        Tests(&[
            ALONE,
            "tests/no_reuse.rs: a_check_and_a_build_share_nothing",
            "tests/members.rs: a_library_checked_with_and_without_its_tests_is_two_units",
        ]),
    ),
    (
        "profile",
        Tests(&[
            ALONE,
            "tests/no_reuse.rs: another_optimization_level_is_not_shared",
            "tests/no_reuse.rs: another_level_of_debug_information_is_not_shared",
            "tests/no_reuse.rs: other_debug_assertions_are_not_shared",
            "tests/no_reuse.rs: other_overflow_checks_are_not_shared",
            "tests/no_reuse.rs: another_panic_strategy_is_not_shared",
            "tests/no_reuse.rs: another_number_of_codegen_units_is_not_shared",
            "tests/no_reuse.rs: a_profile_override_of_one_package_is_not_shared",
            "tests/hostile_scripts.rs: a_script_that_reads_the_profile_name_sees_that_of_a_custom_profile",
            "tests/incremental.rs: units_recorded_stripped_are_not_used_when_incremental_compilation_is_kept",
        ]),
    ),
    (
        "lto",
        Tests(&[
            ALONE,
            "tests/no_reuse.rs: another_kind_of_link_time_optimization_is_not_shared",
            "src/plan/plan_tests.rs: the_lto_setting_of_a_dependent_that_links_a_library_counts",
        ]),
    ),
    ("features", Tests(&[ALONE, "tests/no_reuse.rs: other_features_are_not_shared"])),
    ("platform", Tests(&[ALONE, "tests/no_reuse.rs: the_host_and_the_same_triple_as_a_target_are_not_shared"])),
    (
        "rustflags",
        Tests(&[
            ALONE,
            "tests/no_reuse.rs: other_rustflags_are_not_shared",
            "tests/no_reuse.rs: another_cfg_is_not_shared",
        ]),
    ),
    (
        "environment",
        Tests(&[
            ALONE,
            "src/session/survey.rs: what_is_switched_on_and_a_wrapper_of_the_users_are_part_of_a_key",
            "tests/toolchains.rs: units_of_another_wrapper_at_the_same_path_are_not_shared",
            "tests/toolchains.rs: units_of_another_wrapper_with_the_same_name_are_not_shared",
            "tests/clippy.rs: another_driver_with_the_same_name_shares_nothing",
            "tests/clippy.rs: a_check_does_not_replace_a_lint_nor_a_lint_a_check",
            "tests/clippy.rs: lints_of_the_command_line_are_inputs",
            "tests/clippy.rs: no_deps_lints_only_the_packages_of_the_command",
        ]),
    ),
    (
        "member_inputs",
        Tests(&[
            ALONE,
            "tests/members.rs: a_changed_file_named_by_key_files_is_not_reused",
            "tests/members.rs: a_changed_variable_named_by_key_env_is_not_reused",
            "tests/members.rs: a_variable_of_cargos_configuration_that_the_compiler_reads_is_an_input",
            APART,
        ]),
    ),
    ("config", Tests(&[ALONE, "src/plan/plan_tests.rs: a_build_script_sees_configured_variables_and_linkers"])),
    ("dependencies", Tests(&[ALONE, "tests/reuse.rs: only_a_bumped_dependency_and_its_dependents_are_compiled"])),
];

const SOURCES: Proofs = &[
    ("Registry.registry", Tests(&[ALONE])),
    ("Registry.checksum", Tests(&[ALONE, "tests/no_reuse.rs: another_checksum_of_the_same_version_is_not_shared"])),
    ("Git.repository", Tests(&[ALONE])),
    ("Git.revision", Tests(&[ALONE, "tests/no_reuse.rs: another_commit_of_the_same_repository_is_not_shared"])),
    (
        "Directory.content",
        Tests(&[
            ALONE,
            "src/plan/content.rs: every_file_counts_except_ignored_and_built_ones",
            "tests/members.rs: a_changed_template_outside_of_src_is_not_reused",
            "tests/members.rs: a_changed_file_behind_a_link_is_not_reused",
        ]),
    ),
];

const EDGES: Proofs = &[
    ("extern_name", Tests(&[ALONE, "src/plan/plan_tests.rs: each_input_changes_only_the_keys_that_depend_on_it"])),
    ("noprelude", Tests(&[ALONE])),
    ("key", Tests(&[ALONE, "tests/reuse.rs: only_a_bumped_dependency_and_its_dependents_are_compiled"])),
];

const KEY_SCOPE: Proofs = &[
    (
        "host",
        Tests(&[
            "src/plan/plan_tests.rs: units_that_are_linked_or_run_are_valid_for_one_host_class_and_their_dependents_for_all",
            "src/plan/plan_tests.rs: a_library_for_other_languages_is_valid_for_one_host_class_and_its_dependents_for_all",
            OLDER_LIBRARY,
            SAME_VERSION,
        ]),
    ),
    (
        "native",
        Tests(&[
            "src/plan/plan_tests.rs: the_output_of_a_native_script_is_valid_for_hosts_with_the_same_compiler",
            OTHER_C,
            UPGRADED_C,
        ]),
    ),
    (
        "targets",
        Tests(&[
            "src/plan/plan_tests.rs: a_program_for_another_platform_is_valid_for_one_linker_of_that_platform",
            OTHER_PLATFORM,
        ]),
    ),
    (
        "host_platform",
        Tests(&["src/plan/plan_tests.rs: a_program_for_the_platform_of_the_host_is_valid_for_one_host_class"]),
    ),
    (
        "workspace",
        Tests(&[
            PATH_OF_WORKSPACE,
            "tests/members.rs: a_moved_workspace_prints_its_new_path",
            "tests/checkouts.rs: a_package_beside_the_workspace_is_that_of_its_own_checkout",
        ]),
    ),
];

const LINKER: Proofs = &[
    ("name", Tests(&[LINKER_PART])),
    (
        "version",
        Tests(&[LINKER_PART, "src/session/linking_tests.rs: a_platform_is_known_by_its_linker_and_its_library"]),
    ),
    ("content", Tests(&[LINKER_PART, SAME_VERSION, OTHER_PLATFORM])),
    (
        "ld",
        Tests(&[
            LINKER_PART,
            "src/session/linking_tests.rs: what_the_linker_starts_makes_another_class",
            "tests/toolchains.rs: units_linked_through_a_script_by_an_upgraded_linker_are_not_reused",
        ]),
    ),
];

const LIBRARY: Proofs = &[
    ("version", Tests(&[LINKER_PART, OLDER_LIBRARY])),
    (
        "content",
        Tests(&[
            LINKER_PART,
            "src/session/linking_tests.rs: a_platform_is_another_one_when_its_linker_or_its_library_has_another_content",
        ]),
    ),
];

const NATIVE: Proofs = &[
    ("compilers", Tests(&[NATIVE_PART, NATIVE_PROGRAM, OTHER_C])),
    ("optional", Tests(&[NATIVE_PART, NATIVE_PROGRAM])),
    ("system", Tests(&[NATIVE_PART])),
    ("installed", Tests(&[NATIVE_PART, INSTALLED, "tests/native.rs: a_script_runs_when_a_library_is_installed"])),
];

const PROGRAM: Proofs =
    &[("version", Tests(&[NATIVE_PART])), ("contents", Tests(&[NATIVE_PART, NATIVE_PROGRAM, UPGRADED_C]))];

const CONSTRAINTS: Proofs = &[
    (
        "invocation",
        Tests(&[
            "src/rustc/invocation_tests.rs: the_digest_changes_with_everything_else",
            "src/rustc/invocation_tests.rs: the_digest_tells_whether_a_crate_is_compiled_incrementally_and_not_where",
            "tests/no_reuse.rs: another_cfg_from_a_build_script_is_not_shared",
        ]),
    ),
    ("rendering", Tests(&["tests/no_reuse.rs: warnings_requested_in_another_format_are_not_shown_in_the_old_one"])),
    (
        "dependencies",
        Tests(&[
            REBUILT,
            "tests/not_hydrated.rs: stores_filled_separately_are_never_combined",
            "tests/hostile_scripts.rs: a_script_prints_what_its_current_program_prints",
            "tests/linked.rs: a_changed_library_for_crates_and_other_languages_changes_a_program_of_its_package",
        ]),
    ),
    (
        "environment",
        Tests(&[
            COMPILED_IN,
            "tests/members.rs: a_variable_that_the_compiler_reads_is_an_input_although_no_setting_names_it",
            "tests/not_hydrated.rs: a_script_runs_again_when_a_declared_variable_has_another_value",
        ]),
    ),
    ("inputs", Tests(&[GENERATED, OUTSIDE])),
    (
        "script",
        Tests(&[
            MACRO_VARIABLE,
            MACRO_FILE,
            "tests/members.rs: what_a_members_script_passes_on_is_an_input",
            SCRIPT_INPUTS,
        ]),
    ),
    (
        "linked",
        Tests(&[
            SYSTEM_LIBRARY,
            "tests/native.rs: a_script_runs_when_a_declared_variable_has_another_value",
            "tests/native.rs: the_expansion_of_a_macro_with_other_native_code_is_not_reused",
            LINKED_MACRO,
            FOR_OTHERS,
            "tests/linked.rs: a_changed_object_named_by_a_dependencys_script_for_the_linker_of_a_library_is_followed",
        ]),
    ),
    (
        "bound",
        Tests(&[
            BOUND,
            "tests/checkouts.rs: a_program_that_prints_the_length_of_its_path_prints_that_of_its_own_checkout",
            "tests/hostile_paths.rs: urls_that_contain_the_workspace_path_are_unchanged",
            "tests/hostile_paths.rs: generated_files_from_before_the_target_directory_was_moved_are_not_used_elsewhere",
            "tests/native.rs: native_code_with_a_path_in_its_data_is_recompiled_in_another_directory",
            "tests/native.rs: native_code_for_link_time_optimization_is_recompiled_in_another_directory",
        ]),
    ),
    (
        "observed",
        Tests(&[
            "tests/observed.rs: a_variable_that_a_script_reads_is_an_input_on_other_machines",
            "tests/observed.rs: a_variable_is_an_input_of_a_script_without_hydration",
            "tests/observed_native.rs: an_archive_that_the_linker_finds_is_an_input_on_other_machines",
            "tests/linked.rs: a_changed_archive_found_by_the_linker_is_followed",
        ]),
    ),
];

const OBSERVED: Proofs = &[
    (
        "paths",
        Tests(&[
            "tests/observed.rs: a_file_outside_of_the_package_is_an_input_of_a_script",
            "tests/observed.rs: a_file_that_is_absent_for_a_while_is_an_input",
            "tests/observed.rs: the_names_in_a_directory_are_an_input",
            "tests/observed.rs: the_target_of_links_is_an_input",
            "tests/observed.rs: another_tool_that_comes_first_in_path_is_an_input_of_a_script",
            "tests/observed.rs: another_tool_that_comes_first_in_path_is_an_input_without_rustup",
            "tests/observed.rs: a_file_that_a_shell_finds_in_path_is_an_input_of_a_script",
            "tests/observed_native.rs: a_header_that_appears_in_an_earlier_directory_of_a_flag_is_an_input",
            "tests/observed_native.rs: an_object_that_a_script_passes_to_the_linker_is_an_input",
            "tests/clippy.rs: every_clippy_toml_that_would_be_read_is_an_input",
        ]),
    ),
    (
        "variables",
        Tests(&[
            "tests/observed.rs: a_variable_is_an_input_of_a_script_that_does_not_declare_it",
            "tests/observed.rs: a_variable_is_an_input_of_a_macro_in_a_member",
        ]),
    ),
    ("replaced", Nothing("the value that cargo sets is in the key, or follows from the unit.")),
    (
        "words",
        Tests(&[
            "tests/observed.rs: a_variable_is_an_input_of_a_script_that_does_not_declare_it",
            "tests/observed.rs: a_variable_is_an_input_of_a_macro_in_a_dependency",
        ]),
    ),
    (
        "macro_words",
        Tests(&[
            "tests/observed.rs: a_variable_named_by_a_crate_is_an_input_of_its_macro",
            "tests/observed.rs: a_variable_named_among_other_words_is_an_input_of_a_macro",
            "tests/observed.rs: a_variable_named_by_a_macro_of_another_crate_is_an_input_of_the_macro_that_it_calls",
        ]),
    ),
    (
        "programs",
        Tests(&[
            "tests/observed.rs: a_variable_read_by_a_tool_of_a_script_is_an_input",
            "tests/clippy.rs: a_variable_that_the_driver_reads_is_an_input",
        ]),
    ),
];

const PATH_STATE: Proofs = &[
    ("Absent", Tests(&["tests/observed.rs: a_file_that_is_absent_for_a_while_is_an_input"])),
    (
        "Directory",
        Tests(&["tests/observed.rs: a_file_in_a_directory_that_is_absent_for_a_while_is_an_input_of_a_script"]),
    ),
    ("File", Tests(&["tests/observed.rs: a_file_that_a_macro_reads_is_an_input_on_other_machines"])),
    ("Names", Tests(&["tests/observed.rs: the_names_in_a_directory_are_an_input"])),
    ("Link", Tests(&["tests/observed.rs: the_target_of_links_is_an_input"])),
    ("Other", Nothing("it has no content; its presence is compared.")),
];

const DEPENDENCY: Proofs = &[
    ("extern_name", Nothing("it is in the key and in the command line; here it only labels the metadata.")),
    ("metadata", Tests(&[REBUILT, "tests/not_hydrated.rs: stores_filled_separately_are_never_combined"])),
];

const INPUT: Proofs = &[
    ("path", Tests(&[GENERATED, "tests/hostile_paths.rs: the_same_relative_value_in_two_workspaces_is_two_values"])),
    ("digest", Tests(&[GENERATED, OUTSIDE])),
];

const ENTRY: Proofs = &[
    ("key", Tests(&[OTHER_ENTRY])),
    ("package", FOR_PEOPLE),
    ("target", FOR_PEOPLE),
    (
        "files",
        Tests(&[UNSAFE_NAMES, "src/store/local_tests.rs: an_entry_without_all_its_files_is_absent_and_forgotten"]),
    ),
    ("notices", Nothing("they are printed.")),
    ("diagnostics", Nothing("they are printed; their form is a condition of its own.")),
    ("metadata", Tests(&[REBUILT, GENERATED])),
    (
        "code",
        Tests(&[
            LINKED_MACRO,
            "tests/observed_native.rs: an_archive_linked_into_a_macro_is_an_input_of_a_crate_that_uses_it_through_another_one",
        ]),
    ),
    ("constraints", Tests(&[COMPILED_IN, REBUILT, BOUND])),
    ("fresh", Tests(&[FINGERPRINT, REJECTED])),
    ("compile_ms", Nothing("the report shows it as the time that a hit saved.")),
    ("pack", Tests(&[DAMAGE])),
];

const FILE: Proofs = &[
    ("name", Tests(&[UNSAFE_NAMES])),
    ("kind", Nothing("it determines the place and the mode of the file; the name and the content identify a library.")),
    (
        "size",
        Tests(&[TRUNCATED_FILE, "src/entry/entry_tests.rs: a_pack_with_more_bytes_than_its_entry_lists_is_refused"]),
    ),
    ("digest", Tests(&[DAMAGED_FILE, "src/store/local_tests.rs: a_damaged_file_never_reaches_its_destination"])),
    ("mode", Tests(&["tests/hostile_scripts.rs: generated_files_keep_their_modes"])),
];

const PACK: Proofs = &[
    ("digest", Tests(&[DAMAGE, REMOTE_DAMAGE])),
    ("size", Tests(&[DAMAGE, "src/store/local_tests.rs: a_truncated_or_wrong_pack_leaves_nothing"])),
];

const FRESH: Proofs = &[
    ("layout", Tests(&["tests/hydrate.rs: units_of_another_build_directory_layout_are_not_hydrated"])),
    ("profile_dir", Tests(&["tests/not_hydrated.rs: nothing_is_shared_between_flags_or_profiles"])),
    ("directory", Tests(&["src/entry/fresh.rs: only_paths_below_the_directory_are_plain"])),
    ("fingerprint_dir", Tests(&["src/entry/fresh.rs: only_paths_below_the_directory_are_plain"])),
    ("name", Tests(&["src/entry/fresh.rs: only_paths_below_the_directory_are_plain"])),
    ("fingerprint", Tests(&[FINGERPRINT, REJECTED])),
    ("hash", Tests(&["src/hydrate/fingerprint_tests.rs: what_cargo_recorded_hashes_as_cargo_recorded", REJECTED])),
    ("source", Tests(&["src/hydrate/fingerprint_tests.rs: a_path_hashes_as_cargo_hashed_it"])),
    ("files", Nothing("they are cargo's own records, and cargo compares them.")),
];

const CARGO_INPUTS: Proofs = &[
    ("files", Tests(&[READS, "tests/remembered.rs: a_changed_manifest_requests_the_graph_again"])),
    ("programs", Tests(&[PROGRAMS])),
    ("lockfile", Tests(&[LOCKFILE])),
];

const CIRCUMSTANCES: Proofs = &[
    ("directory", Tests(&[CIRCUMSTANCE])),
    ("invocation", Tests(&[CIRCUMSTANCE, OTHER_COMMAND])),
    ("variables", Tests(&[CIRCUMSTANCE, READS_VARIABLE, OTHER_COMMAND])),
    ("store", Tests(&[CIRCUMSTANCE])),
    ("settings", Tests(&[CIRCUMSTANCE])),
];

const NOOP_RECORD: Proofs = &[
    ("target_dir", Nothing("it follows from the command and from what cargo reads.")),
    ("build_dir", Nothing("it follows from the command and from what cargo reads.")),
    ("user_wrapper", Tests(&[NEW_WRAPPER, PROGRAMS])),
    ("scripts", Nothing("they are looked after while cargo runs.")),
    ("cargo_inputs", Tests(&[READS])),
    ("written", Tests(&[CLEANED])),
    ("written_stamps", Tests(&[CLEANED])),
];

const CARGO_INPUT_STATE: Proofs =
    &[("inputs", Tests(&[READS, PROGRAMS])), ("stamps", Tests(&[READS, PROGRAMS, STAMP_PART]))];

const GRAPH: Proofs = &[
    ("circumstances", Tests(&[GRAPH_PART, OTHER_COMMAND])),
    ("rustc", Tests(&[GRAPH_PART])),
    ("cargo", Tests(&[GRAPH_PART])),
    ("sysroot", Tests(&[GRAPH_PART])),
    ("config", Tests(&[GRAPH_PART, "tests/remembered.rs: a_changed_configuration_requests_the_graph_again"])),
    (
        "description",
        Tests(&[GRAPH_PART, "tests/remembered.rs: a_new_target_beside_the_manifest_requests_the_graph_again"]),
    ),
    ("contents", Tests(&[GRAPH_PART, "tests/remembered.rs: a_changed_manifest_requests_the_graph_again", LOCKFILE])),
];

const INDEX: Proofs = &[
    ("unit_keys", Tests(&[INDEX_PART])),
    ("rustc", Tests(&[INDEX_PART])),
    ("cargo", Tests(&[INDEX_PART])),
    ("command", Tests(&[INDEX_PART, "src/cargo/invocation.rs: the_identity_does_not_mistake_a_value_for_an_option"])),
    ("directory", Tests(&[INDEX_PART])),
    ("rustflags", Tests(&[INDEX_PART])),
    ("config", Tests(&[INDEX_PART])),
    ("lockfile", Tests(&[INDEX_PART, "tests/remote.rs: an_unknown_lockfile_gets_shared_units"])),
];

const STAMP: Proofs = &[
    ("length", Tests(&[STAMP_PART])),
    ("modified", Tests(&[STAMP_PART, "src/fs.rs: a_file_of_any_time_has_a_stamp_of_its_own"])),
    (
        "changed",
        Tests(&[
            STAMP_PART,
            "tests/members.rs: a_file_moved_away_and_back_during_a_build_is_not_recorded_under_the_planned_key",
        ]),
    ),
    ("inode", Tests(&[STAMP_PART])),
];

const DOMAINS: Proofs = &[
    ("UnitKey", Tests(&[ALONE])),
    ("ScopedKey", Tests(&["src/key/key_tests.rs: a_key_differs_in_each_scope", OLDER_LIBRARY, PATH_OF_WORKSPACE])),
    ("UnitIdentity", Nothing("it selects the units that an explanation compares.")),
    ("HiddenValue", Nothing("only an explanation compares it.")),
    ("HostClass", Tests(&[LINKER_PART, NATIVE_PART, OLDER_LIBRARY])),
    (
        "PackageContent",
        Tests(&[
            "src/plan/content.rs: every_file_counts_except_ignored_and_built_ones",
            "src/plan/content.rs: links_count_and_no_directory_is_read_twice",
        ]),
    ),
    ("CommandLine", Tests(&["src/rustc/invocation_tests.rs: the_digest_changes_with_everything_else"])),
    (
        "Rendering",
        Tests(&[
            "src/rustc/invocation_tests.rs: the_digest_ignores_how_diagnostics_are_shown_and_the_rendering_does_not",
        ]),
    ),
    (
        "Variable",
        Tests(&["src/rustc/variables.rs: paths_of_cargos_move_and_other_values_are_what_they_are", COMPILED_IN]),
    ),
    ("ScriptRun", Tests(&[GENERATED, MACRO_VARIABLE, MACRO_FILE])),
    ("DependencyOutputs", Tests(&[SCRIPT_INPUTS])),
    (
        "Linked",
        Tests(&["src/rustc/linker.rs: a_library_is_known_by_the_content_of_what_may_be_taken_for_it", SYSTEM_LIBRARY]),
    ),
    ("RootPath", Tests(&[BOUND, PATH_OF_WORKSPACE])),
    ("GraphKey", Tests(&[INDEX_PART])),
    ("UnitGraph", Tests(&[GRAPH_PART])),
    ("Circumstances", Tests(&[CIRCUMSTANCE])),
    ("NothingToDo", Tests(&[CIRCUMSTANCE, OTHER_COMMAND])),
    ("Stamps", Tests(&[STAMP_PART, READS])),
    (
        "Processor",
        Tests(&["src/session/flag_inputs.rs: processors_are_told_apart_by_what_they_can_and_not_by_how_fast_they_run"]),
    ),
    ("SaltedDigest", Tests(&["src/entry/entry_tests.rs: the_same_file_has_another_salted_digest_in_another_unit"])),
    ("FoundNames", Tests(&["src/inputs/names.rs: names_are_found_wherever_they_stand_also_one_in_another"])),
    ("FileContents", Tests(&["src/probe_tests.rs: files_are_known_by_their_contents_wherever_they_are"])),
    (
        "StoredObject",
        Tests(&[
            "src/store/local_tests.rs: a_probe_comes_back_unless_it_is_damaged",
            "tests/faults.rs: swapped_probes_in_the_local_store_are_probed_again",
        ]),
    ),
    (
        "Proof",
        Tests(&[
            "tests/proof.rs: a_wrong_format_is_refused",
            "tests/proof.rs: an_option_under_which_nothing_is_fresh_is_not_proven_but_others_are",
        ]),
    ),
    ("Answer", Tests(&[ANSWER, SAME_ANSWER])),
    ("CompiledMark", Tests(&["tests/reuse.rs: xcache_and_plain_cargo_alternate_without_rebuilding"])),
    (
        "SharedHistory",
        Tests(&["src/store/input_history_tests.rs: the_object_of_a_workspace_is_found_by_its_members_and_the_command"]),
    ),
    (
        "Remote",
        Tests(&[
            "src/store/remote/service_tests.rs: a_store_is_known_by_where_it_is_and_not_by_who_asks",
            "tests/remote.rs: another_endpoint_is_another_remote",
        ]),
    ),
];
