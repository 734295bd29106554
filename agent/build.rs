//! Compiles the kernel programs, so that they can be embedded into the agent.

use std::env;
use std::error::Error;
use std::path::PathBuf;

/// The release of bpf-linker that fits the pinned compiler: its LLVM must not be older.
const LINKER: &str = "bpf-linker-0.10.4";

/// Must agree with rust-toolchain.toml.
const TOOLCHAIN: &str = "1.95.0";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-env-changed=PPTPSCOPE_CACHE");
    println!("cargo:rerun-if-env-changed=XDG_CACHE_HOME");
    println!("cargo:rerun-if-env-changed=PATH");
    println!("cargo:rerun-if-changed=../agent-common/src");
    println!("cargo:rerun-if-changed=../agent-ebpf/Cargo.toml");

    let mut path: Vec<PathBuf> = env::var_os("PATH").iter().flat_map(env::split_paths).collect();
    if let Some(folder) = linker_folder().filter(|folder| folder.join("bpf-linker").is_file()) {
        path.insert(0, folder);
    }
    if !path.iter().any(|folder| folder.join("bpf-linker").is_file()) {
        return Err(format!("{LINKER} is needed to build the kernel programs: run cargo xtask setup").into());
    }

    // SAFETY: a build script has one thread at this point.
    unsafe {
        env::set_var("PATH", env::join_paths(path)?);
        // Building core for the BPF target is unstable; aya-build does it on a stable compiler
        // when this is set. It reaches the compilation of the kernel programs only.
        env::set_var("RUSTC_BOOTSTRAP", "1");
        // aya-build turns every line of that cargo into a warning of this one.
        env::set_var("CARGO_TERM_QUIET", "true");
    }
    let package =
        aya_build::Package { name: "pptpscope-ebpf", root_dir: "../agent-ebpf", ..Default::default() };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(TOOLCHAIN))?;
    Ok(())
}

/// Where `cargo xtask setup` puts the linker.
fn linker_folder() -> Option<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("PPTPSCOPE_CACHE")
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("pptpscope")))
        .or_else(|| Some(set("HOME")?.join(".cache/pptpscope")))?;
    Some(cache.join("tools").join(LINKER).join("bin"))
}
