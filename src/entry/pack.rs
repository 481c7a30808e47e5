//! Packs: a unit's files as one compressed object.
//!
//! ```text
//! zstd( magic "xpack", version u8, then the files' bytes, in the order and with the sizes the entry gives )
//! ```
//!
//! A pack is meaningless without its entry, which has the names, sizes and digests. So a pack cannot say where anything
//! goes or how large it is. It is addressed by the digest of its compressed bytes.

use std::io::{self, Read, Write};

use super::{FileRecord, PackRef};
use crate::digest::Digest;

const MAGIC: &[u8; 6] = b"xpack\x01";

/// The maximum size of a file. No compiler writes larger ones.
pub const MAX_FILE_SIZE: u64 = 4 << 30;

/// Compresses files to `output`, in the order of their records.
pub fn write<R: Read>(
    files: impl IntoIterator<Item = io::Result<R>>,
    level: i32,
    output: impl Write,
) -> io::Result<PackRef> {
    let mut encoder = zstd::stream::write::Encoder::new(HashWriter::new(output), level)?;
    encoder.write_all(MAGIC)?;
    for file in files {
        io::copy(&mut file?, &mut encoder)?;
    }
    Ok(encoder.finish()?.pack_ref())
}

/// Reads a pack as a stream: writes the bytes of every file to its own writer and compares them with its record.
///
/// Nothing may be used before this returns `Ok`: only then have sizes, digests and the pack's own digest been verified.
pub fn read<W: Write>(
    pack: PackRef,
    records: &[FileRecord],
    input: impl Read,
    mut writer: impl FnMut(&FileRecord) -> io::Result<W>,
) -> io::Result<()> {
    let mut input = HashReader { inner: input.take(pack.size + 1), hasher: blake3::Hasher::new() };
    {
        let mut decoder = zstd::stream::read::Decoder::new(&mut input)?;
        let mut magic = [0; MAGIC.len()];
        decoder.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(invalid("it is not a pack of this version"));
        }
        for record in records {
            let mut output = HashWriter::new(writer(record)?);
            io::copy(&mut (&mut decoder).take(record.size), &mut output)?;
            let written = output.pack_ref();
            if written.size != record.size || written.digest != record.digest {
                return Err(invalid("a file's digest does not match"));
            }
        }
        if decoder.read(&mut [0])? != 0 {
            return Err(invalid("it continues after its last file"));
        }
    }
    io::copy(&mut input, &mut io::sink())?;
    if Digest::from(input.hasher) != pack.digest {
        return Err(invalid("its digest does not match"));
    }
    Ok(())
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

struct HashWriter<W> {
    inner: W,
    hasher: blake3::Hasher,
    size: u64,
}

impl<W> HashWriter<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: blake3::Hasher::new(), size: 0 }
    }

    fn pack_ref(self) -> PackRef {
        PackRef { digest: self.hasher.into(), size: self.size }
    }
}

impl<W: Write> Write for HashWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

struct HashReader<R> {
    inner: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for HashReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        Ok(read)
    }
}
