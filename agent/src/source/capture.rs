//! Captures of packets, as tcpdump and Wireshark write them.
//!
//! [`Captures`] reads files and merges them by time; [`Counter`] does with each packet what the
//! kernel programs do on a live host, so that the same traffic gives the same counts.

mod copies;
mod counter;
mod file;
mod flows;
mod gre;
mod input;
mod ip;
mod link;
mod ng;
mod reassembly;
mod roles;
mod table;

use std::io::Cursor;
use std::path::PathBuf;

pub use copies::Copies;
pub use counter::{Books, Counter};
pub use file::{CaptureFile, Error, Frame};
pub use input::{Input, Position};
pub use link::is_known as is_known_link_type;

/// Bytes at the beginning of a file that are looked at before it is read.
const LOOK_AHEAD: usize = 64 * 1024;

/// Several captures, as one stream in the order of time.
#[derive(Debug, Default)]
pub struct Captures {
    members: Vec<Member>,
    /// The member whose packet was shown last.
    shown: Option<usize>,
}

#[derive(Debug)]
struct Member {
    name: String,
    file: Option<CaptureFile>,
    head: Vec<u8>,
    problem: Option<Error>,
}

impl Captures {
    /// Opens the captures; `-` is standard input. What cannot be opened is in [`Self::problems`].
    pub fn open(paths: &[PathBuf]) -> Self {
        let mut captures = Self::default();
        for path in paths {
            captures.add(path.display().to_string(), Input::open(path).map_err(Error::Open));
        }
        captures
    }

    /// Adds a capture.
    pub fn add(&mut self, name: String, input: Result<Input, Error>) {
        let mut member = Member { name, file: None, head: Vec::new(), problem: None };
        let opened = input.and_then(|mut input| {
            // A source that fails here will fail again when it is read.
            let head = input.fill(LOOK_AHEAD).unwrap_or_default();
            member.head = head.get(..LOOK_AHEAD).unwrap_or(head).to_vec();
            CaptureFile::new(input)
        });
        match opened {
            Ok(file) => {
                member.file = Some(file);
                member.step();
            }
            Err(error) => member.problem = Some(error),
        }
        self.members.push(member);
    }

    /// Lets `counter` see the beginning of every file.
    pub fn look_ahead(&mut self, counter: &mut Counter) {
        for (index, member) in self.members.iter_mut().enumerate() {
            let head = std::mem::take(&mut member.head);
            let Ok(input) = Input::new(Cursor::new(head), None) else { continue };
            let Ok(mut file) = CaptureFile::new(input) else { continue };
            let mut census = counter.census(index);
            // It ends with an error in the middle of a packet, as a rule.
            while let Ok(true) = file.advance() {
                if let Some(frame) = file.frame() {
                    census.see(&frame);
                }
            }
            census.finish();
        }
    }

    /// The next packet of all, and the number of its file.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "lends the packet")]
    pub fn next(&mut self) -> Option<(usize, Frame<'_>)> {
        if let Some(member) = self.shown.and_then(|shown| self.members.get_mut(shown)) {
            member.step();
        }
        let at = |member: &Member| member.file.as_ref().and_then(CaptureFile::at);
        let earliest = match self.members.as_slice() {
            [_] => Some(0),
            members => {
                let waiting = members.iter().enumerate().filter_map(|(i, member)| Some((at(member)?, i)));
                waiting.min().map(|(_, index)| index)
            }
        };
        self.shown = earliest;
        let index = earliest?;
        let frame = self.members.get(index)?.file.as_ref()?.frame()?;
        Some((index, frame))
    }

    /// Name, packets read, and what went wrong, of each file.
    pub fn members(&self) -> impl Iterator<Item = (&str, u64, Option<&Error>)> {
        self.members.iter().map(|member| {
            let packets = member.file.as_ref().map_or(0, CaptureFile::packets);
            (member.name.as_str(), packets, member.problem.as_ref())
        })
    }

    /// How far each file was read; with the sum of their sizes where all are known.
    pub fn progress(&self) -> (Vec<Position>, Option<u64>) {
        let files = || self.members.iter().filter_map(|member| member.file.as_ref());
        (files().map(CaptureFile::position).collect(), files().map(CaptureFile::size).sum())
    }
}

impl Member {
    #[inline]
    fn step(&mut self) {
        if let Some(file) = &mut self.file
            && let Err(error) = file.advance()
        {
            self.problem = Some(error);
        }
    }
}
