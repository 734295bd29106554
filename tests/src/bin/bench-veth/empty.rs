//! A program that only returns, at the hook where the agent's is: what no program can cost less than.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Commands of bpf(2), a type of programs, and where they are attached (linux/bpf.h).
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const CLASSIFIER: u32 = 3;
const TCX_INGRESS: u32 = 46;

/// `r0 = TC_ACT_UNSPEC` and `exit`.
static RETURNS: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

/// `union bpf_attr` for PROG_LOAD, as far as it is needed.
#[repr(C)]
struct Load {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
}

/// The same for LINK_CREATE.
#[repr(C)]
struct Attach {
    program: u32,
    interface: u32,
    attach_type: u32,
    flags: u32,
    relative: u32,
    _pad: u32,
    expected_revision: u64,
}

/// Attached as long as it lives.
pub(crate) struct Empty {
    _link: OwnedFd,
}

impl Empty {
    /// Attaches it to what comes in on the interface with this index. From Linux 6.6 on.
    pub(crate) fn attach(interface: u32) -> io::Result<Self> {
        let load = Load {
            kind: CLASSIFIER,
            instruction_count: RETURNS.len() as u32,
            instructions: RETURNS.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
        };
        let program = bpf(PROG_LOAD, &load)?;
        let attach = Attach {
            program: program.as_raw_fd().cast_unsigned(),
            interface,
            attach_type: TCX_INGRESS,
            flags: 0,
            relative: 0,
            _pad: 0,
            expected_revision: 0,
        };
        Ok(Self { _link: bpf(LINK_CREATE, &attach)? })
    }
}

fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the attributes are those of the command, and valid for their size; what they point to is static.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: fresh from the system call.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
