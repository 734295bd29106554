//! Bytes of a capture: a file, standard input, or gzip of either, read in large pieces and looked
//! at in place.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;

/// What is read at once. Small enough for the second level cache, large enough for few system calls.
const BUFFER_BYTES: usize = 512 * 1024;

/// The first bytes of a gzip member (RFC 1952, section 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// How far a file was read, counted before decompression; shared with whoever shows progress.
#[derive(Clone, Debug, Default)]
pub struct Position(Arc<AtomicU64>);

impl Position {
    /// Bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Counts what passes.
struct Counted<R> {
    inner: R,
    position: Position,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.position.0.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// A window on a stream of bytes that moves forward.
pub struct Input {
    source: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    /// Where in `buffer` the next byte is, and where the bytes end.
    start: usize,
    end: usize,
    /// Bytes before `start`, decompressed.
    offset: u64,
    ended: bool,
    position: Position,
    size: Option<u64>,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or its first bytes cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::new(io::stdin(), None);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        Self::new(file, metadata.is_file().then_some(metadata.len()))
    }

    /// Reads from `source`, which has `size` bytes where that is known.
    ///
    /// # Errors
    ///
    /// When its first bytes cannot be read.
    pub fn new(source: impl Read + Send + 'static, size: Option<u64>) -> io::Result<Self> {
        let position = Position::default();
        let counted = Counted { inner: source, position: position.clone() };
        let mut input = Self {
            source: Box::new(counted),
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
            position,
            size,
        };
        if input.fill(GZIP_MAGIC.len())?.starts_with(&GZIP_MAGIC) {
            let head = io::Cursor::new(input.available().to_vec());
            let rest = std::mem::replace(&mut input.source, Box::new(io::empty()));
            input.source = Box::new(MultiGzDecoder::new(head.chain(rest)));
            (input.start, input.end, input.ended) = (0, 0, false);
        }
        Ok(input)
    }

    /// Tries to have `wanted` bytes at hand; fewer are there only at the end.
    ///
    /// # Errors
    ///
    /// When reading fails. A gzip that ends early gives [`io::ErrorKind::UnexpectedEof`].
    #[inline]
    pub fn fill(&mut self, wanted: usize) -> io::Result<&[u8]> {
        if self.end - self.start < wanted {
            self.read(wanted)?;
        }
        Ok(self.available())
    }

    #[cold]
    fn read(&mut self, wanted: usize) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        while self.end < wanted && !self.ended {
            match self.source.read(self.buffer.get_mut(self.end..).unwrap_or_default()) {
                Ok(0) => self.ended = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The bytes at hand.
    #[inline]
    pub fn available(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Leaves `bytes` behind, at most those at hand.
    #[inline]
    pub fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.offset += bytes as u64;
    }

    /// Where the next byte is in the decompressed stream.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// How far the source was read.
    pub fn position(&self) -> Position {
        self.position.clone()
    }

    /// Size of the source, where it is known.
    pub const fn size(&self) -> Option<u64> {
        self.size
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input at {}", self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Gives one byte at a time.
    struct Slow(io::Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn slow_sources_and_several_gzip_members_read_alike() {
        let bytes: Vec<u8> = (0..2000u32).flat_map(u32::to_be_bytes).collect();
        let members = [gzip(&bytes[..3000]), gzip(&bytes[3000..])].concat();
        for source in [bytes.clone(), members] {
            let mut input = Input::new(Slow(io::Cursor::new(source)), None).unwrap();
            for number in 0..2000u32 {
                assert_eq!(input.offset(), u64::from(number) * 4);
                assert_eq!(input.fill(4).unwrap()[..4], number.to_be_bytes());
                input.consume(4);
            }
            assert!(input.fill(1).unwrap().is_empty());
        }
    }

    #[test]
    fn a_cut_gzip_is_an_unexpected_end() {
        let whole = gzip(&vec![7; 100_000]);
        let mut input = Input::new(io::Cursor::new(whole[..whole.len() / 2].to_vec()), None).unwrap();
        let error = loop {
            match input.fill(1000) {
                Ok(_) => input.consume(1000),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn more_than_the_buffer_can_be_wanted() {
        let mut input = Input::new(io::Cursor::new(vec![1; BUFFER_BYTES * 3]), None).unwrap();
        input.consume(10);
        assert!(input.fill(BUFFER_BYTES * 2).unwrap().len() >= BUFFER_BYTES * 2);
    }
}
