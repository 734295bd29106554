//! The few calls of bpf(2) that measuring needs: programs that do nothing, programs that change a
//! packet and hand it on, `BPF_PROG_TEST_RUN`, and the maps of this process.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Commands of bpf(2) (linux/bpf.h).
const MAP_CREATE: i32 = 0;
const MAP_UPDATE_ELEM: i32 = 2;
const MAP_DELETE_ELEM: i32 = 3;
const MAP_GET_NEXT_KEY: i32 = 4;
const PROG_LOAD: i32 = 5;
const PROG_TEST_RUN: i32 = 10;
const OBJ_GET_INFO_BY_FD: i32 = 15;

const MAP_HASH: u32 = 1;
const MAP_PROG_ARRAY: u32 = 3;
const MAP_LRU_HASH: u32 = 9;
const MAP_LRU_PERCPU_HASH: u32 = 10;

/// Attach type of XDP programs on a device, which a tail call must agree on.
const ATTACH_XDP: u32 = 37;

/// Type of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Classifier,
    Xdp,
}

impl Kind {
    const fn number(self) -> u32 {
        match self {
            Self::Classifier => 3,
            Self::Xdp => 6,
        }
    }

    const fn attach_type(self) -> u32 {
        match self {
            Self::Classifier => 0,
            Self::Xdp => ATTACH_XDP,
        }
    }

    /// `TC_ACT_UNSPEC`, `XDP_PASS`: what the agent's programs return.
    pub(crate) const fn verdict(self) -> i32 {
        match self {
            Self::Classifier => -1,
            Self::Xdp => 2,
        }
    }

    /// Where the context has the ends of the packet.
    const fn data(self) -> (i16, i16) {
        match self {
            Self::Classifier => (76, 80),
            Self::Xdp => (0, 4),
        }
    }
}

fn bpf<T>(command: i32, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: the attributes are a prefix of `union bpf_attr` and of the given size; their pointers
    // are the callers' and valid for the call.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of_val(attributes))
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: fresh from bpf(2).
    unsafe { OwnedFd::from_raw_fd(fd) }
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    attach_type: u32,
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    data_bytes: u32,
    out_bytes: u32,
    data: u64,
    out: u64,
    repeat: u32,
    duration: u32,
    context_bytes: u32,
    context_out_bytes: u32,
    context: u64,
    context_out: u64,
}

/// `struct bpf_insn`.
const fn instruction(code: u8, to: u8, from: u8, offset: i16, value: i32) -> u64 {
    (code as u64)
        | ((to as u64) << 8)
        | ((from as u64) << 12)
        | ((offset as u16 as u64) << 16)
        | ((value as u32 as u64) << 32)
}

fn load(kind: Kind, instructions: &[u64]) -> io::Result<OwnedFd> {
    let mut log = vec![0u8; 1 << 16];
    let mut attributes = Load {
        kind: kind.number(),
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Dual MIT/GPL".as_ptr() as u64,
        log_level: 1,
        log_size: log.len() as u32,
        log: log.as_mut_ptr() as u64,
        name: *b"bench\0\0\0\0\0\0\0\0\0\0\0",
        attach_type: kind.attach_type(),
        ..Load::default()
    };
    bpf(PROG_LOAD, &mut attributes).map(owned).map_err(|error| {
        let text = String::from_utf8_lossy(&log);
        io::Error::new(error.kind(), format!("{error}: {}", text.trim_end_matches('\0')))
    })
}

/// A program that does nothing.
pub(crate) fn empty(kind: Kind) -> io::Result<OwnedFd> {
    load(kind, &[instruction(0xb7, 0, 0, 0, kind.verdict()), instruction(0x95, 0, 0, 0, 0)])
}

/// A number in the packet that goes up by one with every packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Offset of the four bytes, in network byte order, that it is part of.
    pub(crate) at: usize,
    /// Its bits, the lowest ones of the four bytes.
    pub(crate) mask: u32,
    /// The counters after this one go up only when it has come round to zero.
    pub(crate) carries: bool,
}

/// A program that counts up `counters` in the packet, then goes on to `program`.
///
/// `BPF_PROG_TEST_RUN` hands the same packet in again and again: without this every packet but the
/// first would be a duplicate, which is the cheap case.
pub(crate) fn counting(kind: Kind, counters: &[Counter], program: BorrowedFd<'_>) -> io::Result<Counting> {
    // One entry, 4 bytes each.
    let mut create = [MAP_PROG_ARRAY, 4, 4, 1, 0];
    let next = owned(bpf(MAP_CREATE, &mut create)?);
    let (key, value) = (0u32, program.as_raw_fd() as u32);
    let mut update =
        [next.as_raw_fd() as u64, std::ptr::from_ref(&key) as u64, std::ptr::from_ref(&value) as u64, 0];
    bpf(MAP_UPDATE_ELEM, &mut update)?;

    let (data, data_end) = kind.data();
    let longest = counters.iter().map(|counter| counter.at + 4).max().unwrap_or(0) as i32;
    let mut code = vec![
        instruction(0xbf, 6, 1, 0, 0),        // r6 = context
        instruction(0x61, 2, 1, data, 0),     // r2 = data
        instruction(0x61, 3, 1, data_end, 0), // r3 = end of data
        instruction(0xbf, 4, 2, 0, 0),        // r4 = r2
        instruction(0x07, 4, 0, 0, longest),  // r4 += longest
    ];
    let mut to_call = Vec::new();
    let mut to_end = vec![code.len()];
    code.push(instruction(0x2d, 4, 3, 0, 0)); // if r4 > r3 goto end
    for counter in counters {
        let at = counter.at as i16;
        code.extend([
            instruction(0x61, 5, 2, at, 0), // r5 = *(u32 *)(r2 + at)
            instruction(0xdc, 5, 0, 0, 32), // r5 = be32(r5)
            instruction(0xbc, 0, 5, 0, 0),  // w0 = w5
            instruction(0x54, 0, 0, 0, (!counter.mask).cast_signed()), // w0 &= !mask
            instruction(0x04, 5, 0, 0, 1),  // w5 += 1
            instruction(0x54, 5, 0, 0, counter.mask.cast_signed()), // w5 &= mask
            instruction(0xbc, 7, 5, 0, 0),  // w7 = w5
            instruction(0x4c, 5, 0, 0, 0),  // w5 |= w0
            instruction(0xdc, 5, 0, 0, 32), // r5 = be32(r5)
            instruction(0x63, 2, 5, at, 0), // *(u32 *)(r2 + at) = r5
        ]);
        if counter.carries {
            to_call.push(code.len());
            code.push(instruction(0x55, 7, 0, 0, 0)); // if r7 != 0 goto call
        }
    }
    let call = code.len();
    code.extend([
        instruction(0xbf, 1, 6, 0, 0),                // r1 = context
        instruction(0x18, 2, 1, 0, next.as_raw_fd()), // r2 = map
        0,                                            //
        instruction(0xb7, 3, 0, 0, 0),                // r3 = 0
        instruction(0x85, 0, 0, 0, 12),               // tail call
    ]);
    to_end.push(code.len());
    code.push(instruction(0x05, 0, 0, 0, 0)); // goto end: there was nothing to call
    let end = code.len();
    code.extend([instruction(0xb7, 0, 0, 0, 99), instruction(0x95, 0, 0, 0, 0)]);
    for (jumps, target) in [(to_call, call), (to_end, end)] {
        for jump in jumps {
            code[jump] |= (((target - jump - 1) as u16) as u64) << 16;
        }
    }
    Ok(Counting { program: load(kind, &code)?, _next: next })
}

/// A program that counts up numbers of the packet first.
pub(crate) struct Counting {
    pub(crate) program: OwnedFd,
    /// What comes next is forgotten when nobody holds the map, the program apart.
    _next: OwnedFd,
}

/// Hands `packet` in `repeat` times. Returns the time for one of them, in nanoseconds, and what the
/// program said last.
///
/// The time is the kernel's, without the preparations: before XDP programs it builds a trampoline and
/// waits for all CPUs.
pub(crate) fn test_run(program: BorrowedFd<'_>, packet: &[u8], repeat: u32) -> io::Result<(f64, i32)> {
    let mut attributes = TestRun {
        program: program.as_raw_fd() as u32,
        data_bytes: packet.len() as u32,
        data: packet.as_ptr() as u64,
        repeat,
        ..TestRun::default()
    };
    bpf(PROG_TEST_RUN, &mut attributes)?;
    Ok((f64::from(attributes.duration), attributes.result.cast_signed()))
}

/// A program of this process.
pub(crate) struct Program {
    pub(crate) fd: OwnedFd,
    pub(crate) name: String,
    /// Machine code, bytes.
    pub(crate) jited_bytes: u32,
    /// Instructions that the verifier followed when it was loaded; kernels before 5.16 do not say.
    pub(crate) verified: Option<u64>,
}

/// A hash map of this process.
pub(crate) struct Map {
    fd: OwnedFd,
    pub(crate) name: String,
    pub(crate) is_lru: bool,
    key_bytes: usize,
}

impl Map {
    /// Keys that it holds.
    pub(crate) fn keys(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        loop {
            let mut next = vec![0u8; self.key_bytes];
            let last = keys.last().map_or(0, |key| key.as_ptr() as u64);
            let mut attributes = [self.fd.as_raw_fd() as u64, last, next.as_mut_ptr() as u64];
            match bpf(MAP_GET_NEXT_KEY, &mut attributes) {
                Ok(_) => keys.push(next),
                Err(error) if error.raw_os_error() == Some(libc::ENOENT) => return Ok(keys),
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes everything out.
    pub(crate) fn clear(&self) -> io::Result<()> {
        for key in self.keys()? {
            let mut attributes = [self.fd.as_raw_fd() as u64, key.as_ptr() as u64];
            bpf(MAP_DELETE_ELEM, &mut attributes)?;
        }
        Ok(())
    }
}

/// The programs and hash maps that this process holds: those of the agent's loader.
pub(crate) fn own_objects() -> io::Result<(Vec<Program>, Vec<Map>)> {
    let (mut programs, mut maps) = (Vec::new(), Vec::new());
    for entry in fs::read_dir("/proc/self/fdinfo")? {
        let entry = entry?;
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let has = |field: &str| text.lines().any(|line| line.starts_with(field));
        if !has("prog_id:") && !has("map_id:") || has("link_type:") {
            continue;
        }
        let Some(number) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        // SAFETY: the descriptor is open, as just seen, and this program closes none meanwhile.
        let fd = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
        // `struct bpf_prog_info` and `struct bpf_map_info`, as far as the name.
        let mut info = [0u32; 20];
        let mut attributes =
            [fd.as_raw_fd() as u64 | (size_of_val(&info) as u64) << 32, info.as_mut_ptr() as u64];
        bpf(OBJ_GET_INFO_BY_FD, &mut attributes)?;
        let name = |from: usize| {
            let bytes: Vec<u8> = info[from..from + 4].iter().flat_map(|word| word.to_ne_bytes()).collect();
            String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
        };
        if has("prog_id:") {
            let verified =
                text.lines().find_map(|line| line.strip_prefix("verified_insns:")?.trim().parse().ok());
            programs.push(Program { fd, name: name(16), jited_bytes: info[4], verified });
        } else if let kind @ (MAP_HASH | MAP_LRU_HASH | MAP_LRU_PERCPU_HASH) = info[0] {
            maps.push(Map { fd, name: name(6), is_lru: kind != MAP_HASH, key_bytes: info[2] as usize });
        }
    }
    Ok((programs, maps))
}
