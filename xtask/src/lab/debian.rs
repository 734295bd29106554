//! The Debian archive of this machine's apt sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cache;
use crate::command::{output, run_quietly};

/// Signs every suite from 5.10's to the newest.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where this machine gets Debian from, such as `scheme://host/debian`.
///
/// # Errors
/// When no apt source offers the main component of this machine's own release.
pub(crate) fn site() -> Result<String> {
    let os_release = fs::read_to_string("/etc/os-release").context("cannot read /etc/os-release")?;
    let codename = os_release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    let codename =
        codename.context("/etc/os-release has no VERSION_CODENAME: the lab needs a Debian machine")?;
    let format = "$(RELEASE) $(COMPONENT) $(REPO_URI)";
    let targets =
        output(Command::new("apt-get").args(["indextargets", "--format", format, "Created-By: Packages"]))?;
    let wanted = format!("{} main ", codename.trim_matches('"'));
    let site = targets.lines().find_map(|line| line.strip_prefix(&wanted));
    let site = site.with_context(|| format!("no apt source of this machine has {codename} main"))?;
    Ok(site.trim_end_matches('/').to_owned())
}

/// Options of debootstrap that make it check signatures.
pub(crate) fn keyring() -> Option<PathBuf> {
    let keyring = PathBuf::from(KEYRING);
    keyring.is_file().then_some(keyring)
}

/// A package index of one suite, apart from the machine's own.
pub(crate) struct Index {
    options: Vec<String>,
}

impl Index {
    /// Fetches the index of a suite.
    ///
    /// # Errors
    /// When apt cannot.
    pub(crate) fn fetch(suite: &str) -> Result<Self> {
        let state = cache::folder(&format!("apt/{suite}"))?;
        for dir in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(state.join(dir))?;
        }
        let signed_by = keyring().map(|path| format!(",signed-by={}", path.display())).unwrap_or_default();
        let site = site()?;
        fs::write(state.join("sources.list"), format!("deb [arch=amd64{signed_by}] {site} {suite} main\n"))?;
        let at = |name: &str| state.join(name).display().to_string();
        let options = [
            format!("Dir::Etc::sourcelist={}", at("sources.list")),
            "Dir::Etc::sourceparts=-".to_owned(),
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::State::status={}", at("status")),
            format!("Dir::Cache={}", at("cache")),
            "APT::Architecture=amd64".to_owned(),
            // The archive below our home is closed to apt's own user.
            "APT::Sandbox::User=root".to_owned(),
        ];
        fs::write(state.join("status"), "")?;
        let index =
            Self { options: options.into_iter().flat_map(|option| ["-o".to_owned(), option]).collect() };
        run_quietly(index.apt("apt-get").arg("update"))
            .with_context(|| format!("cannot read the package index of {suite} from {site}"))?;
        Ok(index)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(&self.options);
        command
    }

    /// Names of all packages that begin with `prefix`.
    ///
    /// # Errors
    /// When apt-cache fails.
    pub(crate) fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = output(self.apt("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Downloads a package into a folder and returns its path.
    ///
    /// # Errors
    /// When apt cannot, or there is more or less than one file of the package afterwards.
    pub(crate) fn download(&self, package: &str, dir: &Path) -> Result<PathBuf> {
        run_quietly(self.apt("apt-get").args(["download", package]).current_dir(dir))?;
        let prefix = format!("{package}_");
        let mut found = Vec::new();
        for entry in fs::read_dir(dir)? {
            let name = entry?.file_name();
            if name.to_string_lossy().starts_with(&prefix) {
                found.push(dir.join(name));
            }
        }
        match &found[..] {
            [one] => Ok(one.clone()),
            other => bail!("{} files of {package} in {}", other.len(), dir.display()),
        }
    }
}
