//! What was learned, on disk: the miner and the watches in one file, because ids of the one stand in the other.
//!
//! Layout: eight bytes of name, version (4 bytes, little endian), then a zstd frame of the parts, each with its name and content
//! behind their lengths (4 bytes). The parts carry checksums of their own. The file is replaced as a whole. A file that cannot be
//! read is set aside: learning begins anew, with ids that were never given.

use std::io::{self, Read as _};

use wellkept_tsdb::Disk;

const FILE: &str = "learned";
const TEMPORARY: &str = "learned.tmp";
const ASIDE: &str = "learned.unreadable";
const NAME: &[u8; 8] = b"wklearnt";
const VERSION: u32 = 2;
/// Effort of packing: what was learned is packed every few minutes while lines come.
const EFFORT: i32 = 3;
/// Largest file that is read. The miner's own bound is 64 MiB of forms.
const BYTES_MAX: u64 = 1 << 30;

/// A part: what it is of, and its bytes.
pub(crate) type Part = (String, Vec<u8>);

/// Reads the parts. `None`: there is no file, or none that can be read; the second says which.
pub(crate) fn read(disk: &dyn Disk) -> io::Result<Result<Option<Vec<Part>>, String>> {
    let length = match disk.len(FILE) {
        Ok(length) => length,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(e) => return Err(e),
    };
    if length > BYTES_MAX {
        return Ok(Err(format!("it has {length} bytes; at most {BYTES_MAX} are read")));
    }
    let bytes = disk.read(FILE, 0, usize::try_from(length).unwrap_or(usize::MAX))?;
    Ok(parse(&bytes).map(Some))
}

/// Moves a file that cannot be read out of the way.
pub(crate) fn set_aside(disk: &dyn Disk) -> io::Result<()> {
    disk.rename(FILE, ASIDE)
}

/// Replaces the file; on disk when it returns.
pub(crate) fn write(disk: &dyn Disk, parts: &[Part]) -> io::Result<()> {
    replace(disk, TEMPORARY, FILE, &written(parts)?)
}

/// Replaces a file as a whole; on disk when it returns.
pub(crate) fn replace(disk: &dyn Disk, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    match disk.remove(temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = disk.create(temporary)?;
    file.append(bytes)?;
    file.sync()?;
    drop(file);
    disk.rename(temporary, name)?;
    disk.sync_dir("")
}

fn written(parts: &[Part]) -> io::Result<Vec<u8>> {
    let mut plain = Vec::new();
    for (name, content) in parts {
        for bytes in [name.as_bytes(), content] {
            plain.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
            plain.extend_from_slice(bytes);
        }
    }
    let mut out = Vec::new();
    out.extend_from_slice(NAME);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&zstd::bulk::compress(&plain, EFFORT)?);
    Ok(out)
}

fn parse(bytes: &[u8]) -> Result<Vec<Part>, String> {
    let rest = bytes.strip_prefix(NAME).ok_or("it is no file of what was learned")?;
    let (version, packed) = number(rest)?;
    if version != VERSION {
        return Err(format!("it has version {version}; this program reads version {VERSION}"));
    }
    let mut plain = Vec::new();
    let unpack = zstd::Decoder::new(packed).and_then(|d| d.take(BYTES_MAX + 1).read_to_end(&mut plain));
    unpack.map_err(|e| format!("it does not unpack: {e}"))?;
    if plain.len() as u64 > BYTES_MAX {
        return Err(format!("it unpacks to more than {BYTES_MAX} bytes"));
    }
    let mut rest = plain.as_slice();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let (name, after) = block(rest)?;
        let (content, after) = block(after)?;
        rest = after;
        let name = String::from_utf8(name.to_vec()).map_err(|_| "a part's name is no text")?;
        parts.push((name, content.to_vec()));
    }
    Ok(parts)
}

fn number(bytes: &[u8]) -> Result<(u32, &[u8]), String> {
    let (number, rest) = bytes.split_first_chunk::<4>().ok_or("it is cut off")?;
    Ok((u32::from_le_bytes(*number), rest))
}

fn block(bytes: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(length as usize).ok_or_else(|| "it is cut off".to_owned())
}

#[cfg(test)]
mod tests {
    use wellkept_tsdb::OsDisk;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_any_cut_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let disk = OsDisk::new(folder.path());
        assert_eq!(read(&disk).unwrap(), Ok(None));
        let parts = vec![("miner".to_owned(), vec![1, 2, 3]), ("watch:app".to_owned(), Vec::new())];
        write(&disk, &parts).unwrap();
        write(&disk, &parts).unwrap();
        assert_eq!(read(&disk).unwrap(), Ok(Some(parts.clone())));
        let whole = written(&parts).unwrap();
        // What ends before its content begins holds nothing; all else that is cut off is told.
        let wrong =
            (0..whole.len()).filter(|&n| parse(&whole[..n]).is_ok_and(|found| !found.is_empty())).count();
        assert_eq!(wrong, 0);
        assert!(parse(b"wklearnt\x09\0\0\0").unwrap_err().contains("version 9"));
    }
}
