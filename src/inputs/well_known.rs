//! Packages whose build scripts and macros are known to read only what cargo and the compiler tell them.
//!
//! They are trusted where nothing can be observed. The source of each of them was read: it reads no variable except
//! cargo's, and no file outside of its package.

/// Packages whose scripts ask at most the compiler for its abilities.
const SCRIPTS: &[&str] = &[
    "ahash",
    "anyhow",
    "async-trait",
    "crossbeam-utils",
    "generic-array",
    "getrandom",
    "httparse",
    "icu_normalizer_data",
    "icu_properties_data",
    "indexmap",
    "libc",
    "lock_api",
    "log",
    "memchr",
    "mime_guess",
    "num-traits",
    "parking_lot_core",
    "portable-atomic",
    "prettyplease",
    "proc-macro2",
    "quote",
    "rayon-core",
    "rustix",
    "rustversion",
    "semver",
    "serde",
    "serde_core",
    "serde_json",
    "signal-hook",
    "slab",
    "thiserror",
    "typenum",
    "unicase",
    "zerocopy",
    "zmij",
];
/// Packages whose macros look only at their input.
const MACROS: &[&str] = &[
    "async-recursion",
    "async-stream-impl",
    "async-trait",
    "bytemuck_derive",
    "clap_derive",
    "darling_macro",
    "derive_more-impl",
    "displaydoc",
    "enum-map-derive",
    "futures-macro",
    "num-derive",
    "paste",
    "phf_macros",
    "pin-project-internal",
    "ref-cast-impl",
    "rustversion",
    "schemars_derive",
    "serde_derive",
    "serde_repr",
    "strum_macros",
    "synstructure",
    "thiserror-impl",
    "tokio-macros",
    "tracing-attributes",
    "yoke-derive",
    "zerocopy-derive",
    "zerofrom-derive",
    "zerovec-derive",
];

/// Whether the script of a package is well known.
pub fn has_known_script(package: &str) -> bool {
    SCRIPTS.binary_search(&package).is_ok()
}

/// Whether the macros of a package are well known.
pub fn has_known_macros(package: &str) -> bool {
    MACROS.binary_search(&package).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted() {
        assert!(SCRIPTS.is_sorted() && MACROS.is_sorted());
        assert!(has_known_script("libc") && has_known_macros("serde_derive"));
        assert!(!has_known_script("openssl-sys") && !has_known_macros("sqlx-macros"));
    }
}
