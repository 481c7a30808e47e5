//! Looks into objects, archives and linked files: for debug sections, and for texts that a search of the bytes misses.
//!
//! **Invariant.** A section counts as a debug section only if it has such a name and, by its flags, is not part of the
//! program in memory. Content that cannot be read may contain anything.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::ops::Range;

use object::endian::Endian;
use object::read::archive::ArchiveFile;
use object::{CompressionFormat, Object, ObjectSection, SectionFlags, elf, macho, pe};

use crate::roots::{PathScanner, Root};

/// The DWARF sections that contain texts.
const DWARF: &[&str] = &["info", "line", "line_str", "macinfo", "macro", "str", "types"];
/// The CodeView sections that contain texts.
const CODE_VIEW: &[&str] = &[".debug$S", ".debug$T"];
/// The section with digests of their content.
const CODE_VIEW_HASHES: &str = ".debug$H";
/// The first bytes of intermediate code: LLVM's bitcode, without and with a header.
const INTERMEDIATE: &[&[u8]] = &[b"BC\xc0\xde", b"\xde\xc0\x17\x0b"];
/// The beginnings of the names of sections with intermediate code.
const INTERMEDIATE_SECTIONS: &[&str] = &[".gnu.lto_", ".llvm.lto", ".llvmbc", "__bitcode"];
/// The maximum size of a section that is decompressed.
const MAX_SIZE: u64 = 1 << 31;

/// A debug section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugSection {
    /// Where its content is in the file.
    pub content: Range<usize>,
    /// How it is compressed, if it is.
    pub packed: Option<Packed>,
}

/// How a section is compressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packed {
    format: CompressionFormat,
    size: u64,
    /// The position of the section's size in the file, and whether the size is big-endian.
    written_size: Option<(Range<usize>, bool)>,
}

impl Packed {
    /// The decompressed content; `None` if it does not have the stated size or cannot be decompressed.
    pub fn unpack(&self, content: &[u8]) -> Option<Vec<u8>> {
        unpack(self.format, self.size, content)
    }

    /// Replaces the content by another one of the same size, compressed as well as possible. `None` if that does not
    /// fit.
    pub fn replace(&self, bytes: &mut [u8], at: Range<usize>, content: &[u8]) -> Option<()> {
        let (field, is_big) = self.written_size.clone()?;
        let packed = match self.format {
            CompressionFormat::Zlib => pack_zlib(content).ok()?,
            CompressionFormat::Zstandard => zstd::bulk::compress(content, 19).ok()?,
            _ => return None,
        };
        let spare = at.len().checked_sub(packed.len())?;
        let size: [u8; size_of::<u64>()] = bytes.get(field.clone())?.try_into().ok()?;
        let size = if is_big { u64::from_be_bytes(size) } else { u64::from_le_bytes(size) };
        let size = size.checked_sub(u64::try_from(spare).ok()?)?;
        bytes[field].copy_from_slice(&if is_big { size.to_be_bytes() } else { size.to_le_bytes() });
        let (used, rest) = bytes[at].split_at_mut(packed.len());
        used.copy_from_slice(&packed);
        rest.fill(0);
        Some(())
    }
}

fn pack_zlib(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(content)?;
    packer.finish()
}

fn unpack(format: CompressionFormat, size: u64, content: &[u8]) -> Option<Vec<u8>> {
    if size > MAX_SIZE {
        return None;
    }
    let mut unpacked = Vec::new();
    // One more byte shows whether there is more content than stated.
    match format {
        CompressionFormat::Zlib => flate2::read::ZlibDecoder::new(content).take(size + 1).read_to_end(&mut unpacked),
        CompressionFormat::Zstandard => zstd::Decoder::new(content).ok()?.take(size + 1).read_to_end(&mut unpacked),
        _ => return None,
    }
    .ok()?;
    (u64::try_from(unpacked.len()) == Ok(size)).then_some(unpacked)
}

/// The debug sections of an object, or of all objects of an archive.
pub fn debug_sections(bytes: &[u8]) -> Vec<DebugSection> {
    let objects = objects(bytes).into_iter();
    objects.flat_map(|object| debug_sections_of(&bytes[object.clone()], object.start)).collect()
}

/// The roots whose path a binary file contains. Compressed sections are searched as well. Intermediate code encodes its
/// texts in its own way, so it may contain any root.
pub fn roots_in(bytes: &[u8], scanner: &PathScanner) -> BTreeSet<Root> {
    roots_among(objects(bytes), bytes, scanner)
}

/// The roots whose path a `staticlib` contains. As in an `rlib`, only the bytes of rustc's own objects are searched:
/// those of the standard library contain their code in both forms.
pub fn roots_in_staticlib(bytes: &[u8], scanner: &PathScanner) -> BTreeSet<Root> {
    let foreign = members(bytes, |name| !name.ends_with(b".rcgu.o"));
    roots_among(foreign.unwrap_or_default(), bytes, scanner)
}

fn roots_among(objects: Vec<Range<usize>>, bytes: &[u8], scanner: &PathScanner) -> BTreeSet<Root> {
    let mut found = scanner.scan(bytes);
    for object in objects {
        match hidden_texts(&bytes[object]) {
            Some(texts) => found.extend(texts.iter().flat_map(|text| scanner.scan(text))),
            None => return scanner.all(),
        }
    }
    found
}

/// The ranges of the objects in a file: the whole file, or the members of an archive.
fn objects(bytes: &[u8]) -> Vec<Range<usize>> {
    let whole = 0..bytes.len();
    members(bytes, |_| true).unwrap_or_else(|| vec![whole])
}

/// The ranges of the members of an archive with such names; `None` if the file is not an archive.
fn members(bytes: &[u8], has_name: impl Fn(&[u8]) -> bool) -> Option<Vec<Range<usize>>> {
    let members = ArchiveFile::parse(bytes).ok()?.members().flatten();
    let wanted = members.filter(|member| !member.is_thin() && has_name(member.name()));
    Some(wanted.filter_map(|member| range(member.file_range().0, member.file_range().1, bytes)).collect())
}

/// The decompressed sections of an object; `None` if it contains something that cannot be read.
fn hidden_texts(object: &[u8]) -> Option<Vec<Vec<u8>>> {
    if INTERMEDIATE.iter().any(|begin| object.starts_with(begin)) {
        return None;
    }
    let Ok(file) = object::File::parse(object) else { return Some(Vec::new()) };
    let mut texts = Vec::new();
    for section in file.sections() {
        let name = section.name().unwrap_or_default();
        if INTERMEDIATE_SECTIONS.iter().any(|begin| name.starts_with(begin)) {
            return None;
        }
        let packed = section.compressed_file_range().ok()?;
        if packed.format != CompressionFormat::None {
            let content = range(packed.offset, packed.compressed_size, object)?;
            texts.push(unpack(packed.format, packed.uncompressed_size, &object[content])?);
        }
    }
    Some(texts)
}

fn debug_sections_of(bytes: &[u8], start: usize) -> Vec<DebugSection> {
    let Ok(file) = object::File::parse(bytes) else { return Vec::new() };
    let has_hashes = file.section_by_name(CODE_VIEW_HASHES).is_some();
    let moved = |range: Range<usize>| range.start + start..range.end + start;
    let for_debuggers = file.sections().filter(|section| is_for_debuggers(section, has_hashes));
    let sections = for_debuggers.filter_map(|section| {
        let found = section.compressed_file_range().ok()?;
        let content = range(found.offset, found.compressed_size, bytes)?;
        let packed = (found.format != CompressionFormat::None).then(|| Packed {
            format: found.format,
            size: found.uncompressed_size,
            written_size: written_size(&file, section.index(), bytes).map(|(field, is_big)| (moved(field), is_big)),
        });
        Some(DebugSection { content: moved(content), packed })
    });
    sections.collect()
}

/// Whether a section is a debug section, and not one of the program's own with such a name.
fn is_for_debuggers<'data>(section: &impl ObjectSection<'data>, has_hashes: bool) -> bool {
    let name = section.name().unwrap_or_default();
    let kind = name.strip_prefix(".debug_").or_else(|| name.strip_prefix("__debug_"));
    let is_dwarf = kind.is_some_and(|kind| DWARF.contains(&kind.strip_suffix(".dwo").unwrap_or(kind)));
    match section.flags() {
        SectionFlags::Elf { sh_flags } => is_dwarf && sh_flags & u64::from(elf::SHF_ALLOC) == 0,
        SectionFlags::MachO { flags } => {
            is_dwarf && flags & macho::S_ATTR_DEBUG != 0 && section.segment_name().ok().flatten() == Some("__DWARF")
        }
        SectionFlags::Coff { characteristics } => {
            let is_code_view = CODE_VIEW.contains(&name) && !has_hashes;
            (is_dwarf || is_code_view) && characteristics & pe::IMAGE_SCN_MEM_DISCARDABLE != 0
        }
        _ => false,
    }
}

/// The position of a section's size in an object, and whether it is big-endian; `None` if the format is not supported.
fn written_size(file: &object::File<'_>, index: object::SectionIndex, bytes: &[u8]) -> Option<(Range<usize>, bool)> {
    /// The offset of `sh_size` in a section's header.
    const SIZE: u64 = 32;
    let object::File::Elf64(file) = file else { return None };
    let (header, endian) = (file.elf_header(), file.endian());
    let index = u64::try_from(index.0).ok()?;
    let at = u64::from(header.e_shentsize.get(endian)).checked_mul(index)?;
    let field = header.e_shoff.get(endian).checked_add(at)?.checked_add(SIZE)?;
    Some((range(field, 8, bytes)?, endian.is_big_endian()))
}

/// A range of a file, if the file is long enough.
fn range(start: u64, length: u64, bytes: &[u8]) -> Option<Range<usize>> {
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(usize::try_from(length).ok()?)?;
    (end <= bytes.len()).then_some(start..end)
}
