//! Configuration files: which there are, who may have written them, and where in them a mistake is.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{DEFAULT_FILE, Settings};

/// A configuration is a few pages: something larger is none.
const MAX_BYTES: u64 = 1 << 20;

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others could have written it.
    #[error("the configuration {} {complaint}, so others could change what root does: {remedy}", path.display())]
    Untrusted {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        complaint: String,
        /// What to do.
        remedy: String,
    },
    /// There are mistakes in it.
    #[error("{}", list(.0))]
    Wrong(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A mistake in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.what)
    }
}

/// What the files say, and which they were.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All layers in one.
    pub settings: Settings,
    /// The files, in the order in which they were read.
    pub files: Vec<PathBuf>,
}

/// Reads `chosen`, else [`DEFAULT_FILE`] where it exists, and the drop-ins beside it: `*.toml` in the folder that
/// has its name with `.d`, in the order of their names, later ones over earlier ones.
///
/// # Errors
/// See [`Error`]; all mistakes of all files at once.
pub fn load(chosen: Option<&Path>) -> Result<Loaded, Error> {
    let main = chosen.unwrap_or(Path::new(DEFAULT_FILE));
    let mut files = Vec::new();
    if chosen.is_some() || main.exists() {
        files.push(main.to_owned());
    }
    files.extend(drop_ins(&main.with_extension("d"))?);
    let mut loaded = Loaded::default();
    let mut problems = Vec::new();
    for path in files {
        match parse(&path, &read(&path)?) {
            Ok(settings) => loaded.settings = settings.after(loaded.settings),
            Err(found) => problems.extend(found),
        }
        loaded.files.push(path);
    }
    if problems.is_empty() { Ok(loaded) } else { Err(Error::Wrong(problems)) }
}

fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    // Whoever may add a file to it writes the configuration.
    trust(folder, &fs::metadata(folder).map_err(failed)?)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> Result<String, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    trust(path, &file.metadata().map_err(failed)?)?;
    let mut text = String::new();
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(failed)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(failed(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 1 MiB")));
    }
    Ok(text)
}

/// The text of a file that only its owner and its group may read.
///
/// # Errors
/// When it cannot be read, or everybody can.
pub fn secret(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o007 != 0 {
        let complaint = format!("it is open to everybody: chmod o= {}", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, complaint));
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Only root and the user of the agent may have written it.
fn trust(path: &Path, metadata: &fs::Metadata) -> Result<(), Error> {
    let untrusted =
        |complaint: String, remedy: String| Error::Untrusted { path: path.to_owned(), complaint, remedy };
    if metadata.mode() & 0o002 != 0 {
        return Err(untrusted("is writable by everybody".into(), format!("chmod o-w {}", path.display())));
    }
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != 0 && metadata.uid() != user {
        let complaint = format!("belongs to user {}, who is neither root nor the agent's", metadata.uid());
        return Err(untrusted(complaint, format!("chown root {}", path.display())));
    }
    Ok(())
}

/// Reads the text of a file.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(path: &Path, text: &str) -> Result<Settings, Vec<Problem>> {
    let problem = |span: Option<Range<usize>>, what: String| Problem {
        path: path.to_owned(),
        line: line(text, span.map_or(0, |span| span.start)),
        what,
    };
    let of_toml = |error: &toml::de::Error| vec![problem(error.span(), error.message().replace('\n', " "))];
    let document = DeTable::parse(text).map_err(|error| of_toml(&error))?;
    let mut unknown = Vec::new();
    find_unknown(document.get_ref(), &schema(), "", &mut unknown);
    if !unknown.is_empty() {
        return Err(unknown.into_iter().map(|(span, what)| problem(Some(span), what)).collect());
    }
    let settings: Settings = toml::from_str(text).map_err(|error| of_toml(&error))?;
    let wrong = settings.sinks.iter().flatten().filter_map(|(name, sink)| {
        let what = sink.check().err()?;
        Some(problem(sink_span(document.get_ref(), name), format!("[sinks.{name}]: {what}")))
    });
    let wrong: Vec<_> = wrong.collect();
    if wrong.is_empty() { Ok(settings) } else { Err(wrong) }
}

/// The types as JSON Schema: what keys there are.
pub fn schema() -> Value {
    let settings =
        schemars::generate::SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Settings>().to_value()
}

/// The part of a schema that has `key`, also where the value may be absent.
fn part<'schema>(schema: &'schema Value, key: &str) -> Option<&'schema Value> {
    schema.get(key).or_else(|| schema.get("anyOf")?.as_array()?.iter().find_map(|one| one.get(key)))
}

/// What keys a table has.
fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    part(schema, "properties")?.as_object()
}

fn find_unknown(table: &DeTable<'_>, schema: &Value, place: &str, unknown: &mut Vec<(Range<usize>, String)>) {
    let known = properties(schema);
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let inner = match known {
            Some(known) => known.get(name),
            None => part(schema, "additionalProperties"),
        };
        let Some(inner) = inner else {
            let wrong = name.replace('_', "-");
            let nearest = known.and_then(|known| nearest(&wrong, known.keys().map(String::as_str)));
            let advice = nearest.map_or_else(
                || "; all names: pptpscope config default".to_owned(),
                |nearest| format!("; did you mean `{nearest}`?"),
            );
            let place = if place.is_empty() { String::new() } else { format!(" in [{place}]") };
            unknown.push((key.span(), format!("there is no `{name}`{place}{advice}")));
            continue;
        };
        let is_table =
            properties(inner).is_some() || part(inner, "additionalProperties").is_some_and(Value::is_object);
        if is_table && let DeValue::Table(table) = value.get_ref() {
            let place = if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") };
            find_unknown(table, inner, &place, unknown);
        }
    }
}

/// The name that was meant, where one is near enough.
pub fn nearest<'name>(wrong: &str, names: impl Iterator<Item = &'name str>) -> Option<&'name str> {
    let closest = names.map(|name| (strsim::damerau_levenshtein(wrong, name), name)).min()?;
    (closest.0 <= wrong.chars().count().max(3) / 3 + 1).then_some(closest.1)
}

fn sink_span(document: &DeTable<'_>, name: &str) -> Option<Range<usize>> {
    let sinks = document.get("sinks").map(Spanned::get_ref)?;
    let found = sinks.as_table()?.iter().find(|(key, _)| key.get_ref().as_ref() == name);
    found.map(|(key, _)| key.span())
}

fn line(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn problems(text: &str) -> String {
        list(&parse(Path::new("p.toml"), text).unwrap_err())
    }

    #[test]
    fn names_line_and_nearest_name() {
        for (text, complaint) in [
            (
                "deep = true\nstats_interval = 3",
                "p.toml:2: there is no `stats_interval`; did you mean `stats-interval`?",
            ),
            ("[log]\nfiles = []", "p.toml:1: there is no `log`; did you mean `logs`?"),
            ("[logs]\n\nfile = []", "p.toml:3: there is no `file` in [logs]; did you mean `files`?"),
            (
                "[sinks.a]\ntype = 'file'\nto = '/x'\nrotate-sise = 3",
                "p.toml:4: there is no `rotate-sise` in [sinks.a]; did you mean `rotate-size`?",
            ),
            (
                "\nwhatever-this-is = 1",
                "p.toml:2: there is no `whatever-this-is`; all names: pptpscope config default",
            ),
            ("\n\nstats-interval = 0", "p.toml:3: 0 is not from 1 to 86400"),
            ("ingress = 'xpd'", "p.toml:1: unknown variant `xpd`, expected one of `auto`, `xdp`, `tc`"),
            ("deep = true\ndeep = false", "p.toml:2: duplicate key"),
            ("[sinks.a]\ntype = 'file'", "p.toml:1: [sinks.a]: a sink of type file needs `to`"),
            ("deep = 'yes'", "p.toml:1: invalid type"),
            ("[sinks.a]\ntype = 'stdout'\nevents = ['Session']", "p.toml:3: `Session` is neither the name"),
        ] {
            let found = problems(text);
            assert!(found.starts_with(complaint), "{text}\n{found}");
        }
        assert_eq!(problems("a = 1\nb = 2").lines().count(), 2, "all mistakes at once");
    }

    #[test]
    fn reads_drop_ins_over_the_file_and_trusts_no_stranger() {
        let folder = std::env::temp_dir().join(format!("pptpscope-config-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("p.d")).unwrap();
        let main = folder.join("p.toml");
        fs::write(&main, "deep = true\nmax-sessions = 100").unwrap();
        fs::write(folder.join("p.d/20-b.toml"), "max-sessions = 300").unwrap();
        fs::write(folder.join("p.d/10-a.toml"), "max-sessions = 200").unwrap();
        fs::write(folder.join("p.d/30-c.toml.bak"), "nonsense").unwrap();
        let loaded = load(Some(&main)).unwrap();
        assert_eq!(loaded.settings.max_sessions.map(super::super::Number::get), Some(300));
        assert_eq!((loaded.settings.deep, loaded.files.len()), (Some(true), 3));
        for path in [folder.join("p.d/10-a.toml"), folder.join("p.d"), main.clone()] {
            let before = fs::metadata(&path).unwrap().permissions();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            let error = load(Some(&main)).unwrap_err().to_string();
            assert!(error.contains("writable by everybody") && error.contains("chmod o-w"), "{error}");
            fs::set_permissions(&path, before).unwrap();
        }
        assert!(load(Some(&main)).is_ok());
        let error = load(Some(&folder.join("absent.toml"))).unwrap_err().to_string();
        assert!(error.contains("cannot read the configuration") && error.contains("absent.toml"), "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
