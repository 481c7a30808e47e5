//! Reads compiled files: native code, metadata, debug information.

use std::fs;
use std::path::Path;

use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ReadCache};

use crate::digest::Digest;
use crate::error::{Error, Result};

/// Whether an rlib contains objects that rustc did not compile: those of a bundled native library.
///
/// rustc names its own members `*.rcgu.o`, `*.dwo`, `lib.rmeta` and, from 1.97 on, `lib.rmeta-link`
/// (`rustc_codegen_ssa::back::{write, metadata}`). An unreadable file counts as native.
pub fn has_foreign_objects(rlib: &[u8]) -> bool {
    let ours = |name: &[u8]| {
        name.starts_with(b"lib.rmeta") || [".rcgu.o", ".dwo"].iter().any(|end| name.ends_with(end.as_bytes()))
    };
    let Ok(archive) = ArchiveFile::parse(rlib) else { return true };
    archive.members().any(|member| member.map_or(true, |member| !ours(member.name())))
}

/// The first bytes of metadata. A byte with the version of the format follows
/// (`rustc_metadata::rmeta::METADATA_HEADER`).
const METADATA: &[u8] = b"rust\0\0\0";
/// The byte after every encoded text (`rustc_serialize::opaque::STR_SENTINEL`).
const END_OF_TEXT: u8 = 0xC1;

/// The version of the compiler that wrote a `.rmeta`, a `.rlib` or a procedural macro, in the form of the first line of
/// `rustc -vV`; `None` if the file does not contain it.
pub fn compiler_of(bytes: &[u8]) -> Option<String> {
    if bytes.starts_with(METADATA) {
        return version_in(bytes);
    }
    if let Ok(archive) = ArchiveFile::parse(bytes) {
        let mut members = archive.members().flatten();
        let metadata = members.find(|member| member.name() == b"lib.rmeta")?.data(bytes).ok()?;
        return if metadata.starts_with(METADATA) { version_in(metadata) } else { version_in_object(metadata) };
    }
    version_in_object(bytes)
}

/// The version in the metadata section of a library or procedural macro. In linked files, another header and the length
/// precede the metadata.
fn version_in_object(bytes: &[u8]) -> Option<String> {
    let file = object::File::parse(bytes).ok()?;
    let section = [".rmeta", ".rustc"].iter().find_map(|name| file.section_by_name(name))?;
    let data = section.data().ok()?;
    let inner = data.get(METADATA.len() + 1 + size_of::<u64>()..).filter(|rest| rest.starts_with(METADATA));
    version_in(inner.unwrap_or(data))
}

/// The version in metadata, after the header and the position of the root (four bytes up to version 8 of the format).
fn version_in(metadata: &[u8]) -> Option<String> {
    let rest = metadata.strip_prefix(METADATA)?.get(1..)?;
    [size_of::<u64>(), size_of::<u32>()].into_iter().find_map(|position| text_at(rest.get(position..)?))
}

/// Decodes a version: its length in LEB128, its bytes, and [`END_OF_TEXT`]. Versions are shorter than 16 kB.
fn text_at(bytes: &[u8]) -> Option<String> {
    let (length, rest) = match *bytes {
        [length @ 0..0x80, ref rest @ ..] => (usize::from(length), rest),
        [low, high @ 0..0x80, ref rest @ ..] => (usize::from(low & 0x7f) | usize::from(high) << 7, rest),
        _ => return None,
    };
    let (text, following) = rest.split_at_checked(length)?;
    let text = str::from_utf8(text).ok().filter(|text| text.starts_with("rustc "))?;
    (following.first() == Some(&END_OF_TEXT)).then(|| text.to_owned())
}

/// What a linked file consists of, by its table of sections.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// Its size.
    pub bytes: u64,
    /// The part of it that is debug information.
    pub debug_bytes: u64,
    /// The part of the debug information that maps code to lines.
    pub line_bytes: u64,
    /// The name that the linker left in the file: `LLD`, `mold` or `Wild`. GNU's linkers leave none.
    pub linker: Option<String>,
}

impl Contents {
    /// Reads the table of sections, and no content but that of `.comment`; `None` if the file cannot be parsed.
    pub fn of(path: &Path) -> Option<Self> {
        const OF_LINES: [&str; 3] = ["line", "line_str", "aranges"];
        let file = fs::File::open(path).ok()?;
        let bytes = file.metadata().ok()?.len();
        let cache = ReadCache::new(file);
        let file = object::File::parse(&cache).ok()?;
        let (mut debug_bytes, mut line_bytes) = (0_u64, 0_u64);
        for section in file.sections() {
            // `.debug_info` in ELF and PE, `__debug_info` in Mach-O.
            let name = section.name().unwrap_or_default().trim_start_matches(['.', '_']);
            let Some(kind) = name.strip_prefix("debug_") else { continue };
            let size = section.compressed_file_range().map_or(0, |range| range.compressed_size);
            debug_bytes = debug_bytes.saturating_add(size);
            line_bytes = line_bytes.saturating_add(if OF_LINES.contains(&kind) { size } else { 0 });
        }
        let comment = file.section_by_name(".comment").and_then(|section| section.data().ok());
        Some(Self { bytes, debug_bytes, line_bytes, linker: comment.and_then(linker_in) })
    }
}

/// The linker's name in `.comment`, where each tool that contributed to the file may leave a text.
fn linker_in(comment: &[u8]) -> Option<String> {
    let texts = comment.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok());
    texts.map(|text| text.strip_prefix("Linker: ").unwrap_or(text)).find_map(|text| {
        let name = text.split_whitespace().next()?;
        ["LLD", "mold", "Wild"].iter().find(|known| known.eq_ignore_ascii_case(name)).map(|known| (*known).to_owned())
    })
}

/// The digest by which crates that were compiled against `path` recognise it.
///
/// For a library, this is the digest of its `.rmeta` file, even if cargo passes the `.rlib` beside it. For a procedural
/// macro, it is that of the metadata section, since the linked code may differ from host to host.
pub fn metadata_digest(path: &Path) -> Result<Digest> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let rmeta = path.with_extension("rmeta");
    match extension {
        "rmeta" => Digest::of_file(path).map_err(Error::io("read", path)),
        "rlib" if rmeta.exists() => Digest::of_file(&rmeta).map_err(Error::io("read", &rmeta)),
        "rlib" => Digest::of_file(path).map_err(Error::io("read", path)),
        _ => {
            let bytes = fs::read(path).map_err(Error::io("read", path))?;
            Ok(linked_metadata(&bytes))
        }
    }
}

/// The digest by which dependents recognise a procedural macro with this content.
pub fn linked_metadata(bytes: &[u8]) -> Digest {
    metadata_section(bytes).unwrap_or_else(|| Digest::of(bytes))
}

/// The digest of the `.rustc` section of a dynamic library.
fn metadata_section(bytes: &[u8]) -> Option<Digest> {
    let file = object::File::parse(bytes).ok()?;
    let section = file.section_by_name(".rustc")?;
    Some(Digest::of(section.data().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An archive with an empty member of each name.
    fn archive(names: &[&str]) -> Vec<u8> {
        let member = |name: &&str| format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", format!("{name}/"), 0, 0, 0, 644, 0);
        let members: String = names.iter().map(member).collect();
        format!("!<arch>\n{members}").into_bytes()
    }

    #[test]
    fn rustcs_own_members_are_recognized_by_their_names() {
        assert!(!has_foreign_objects(&archive(&["lib.rmeta", "lib.rmeta-link", "a.0.rcgu.o", "a.dwo"])));
        assert!(has_foreign_objects(&archive(&["lib.rmeta", "sqlite3.o"])));
    }

    /// The file that the compiler writes for an empty crate of this type.
    fn compiled(crate_type: &str, emit: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("output");
        let source = directory.path().join("lib.rs");
        fs::write(&source, "").unwrap();
        let mut rustc = std::process::Command::new("rustc");
        rustc.args(["--crate-name", "made", "--crate-type", crate_type, "--emit", emit, "-o"]).arg(&output).arg(source);
        assert!(rustc.status().unwrap().success());
        fs::read(output).unwrap()
    }

    #[test]
    fn compiled_files_contain_the_version_of_their_compiler() {
        let printed = std::process::Command::new("rustc").arg("-vV").output().unwrap().stdout;
        let version = String::from_utf8(printed).unwrap().lines().next().map(str::to_owned);
        for (crate_type, emit) in [("lib", "metadata"), ("lib", "link"), ("proc-macro", "link"), ("dylib", "link")] {
            assert_eq!(compiler_of(&compiled(crate_type, emit)), version, "{crate_type} {emit}");
        }
        // A file without metadata has no version, nor has a truncated one.
        for bytes in [compiled("staticlib", "link"), compiled("lib", "metadata")[..20].to_vec(), b"rust\0\0\0".to_vec()]
        {
            assert_eq!(compiler_of(&bytes), None);
        }
        assert_eq!(compiler_of(&archive(&["a.o"])), None);
    }

    #[test]
    fn a_linker_is_recognized_by_its_comment() {
        assert_eq!(linker_in(b"Linker: LLD 21.1.8\0rustc version 1.95.0\0").as_deref(), Some("LLD"));
        assert_eq!(linker_in(b"GCC: (Debian) 14\0mold 2.30.0 (compatible with GNU ld)\0").as_deref(), Some("mold"));
        assert_eq!(linker_in(b"rustc version 1.95.0\0Linker: Wild version 0.6.0\0").as_deref(), Some("Wild"));
        assert_eq!(linker_in(b"GCC: (Debian 14.2.0) 14.2.0\0rustc version 1.95.0\0\xff\0"), None);
    }

    #[test]
    fn the_contents_of_a_program_are_read() {
        let own = Contents::of(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.bytes > own.debug_bytes && own.debug_bytes >= own.line_bytes, "{own:?}");
        if cfg!(target_os = "linux") {
            assert!(own.line_bytes > 0, "{own:?}");
        }
        assert_eq!(Contents::of(Path::new("/nowhere")), None);
        assert_eq!(Contents::of(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").as_path()), None);
    }

    #[test]
    fn a_file_that_is_no_archive_counts_as_native() {
        assert!(has_foreign_objects(b"not an archive"));
    }
}
