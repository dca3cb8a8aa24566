//! From text to a checked configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use townlet_transport::Factory;

use crate::cadence;
use crate::config::TelemetryConfig;
use crate::context::Context;
use crate::correct;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity, lines};
use crate::keys::KeyInfo;
use crate::origin::{Origin, Place};
use crate::{layer, sections, yaml};

/// Loads configurations: which transports there are, what lies over the file,
/// and where relative paths start.
///
/// Without a registered factory every known `transport.type` is accepted and no
/// backend is asked; a program registers those it links.
#[derive(Clone, Default)]
pub struct Loader<'a> {
    factories: Vec<&'a dyn Factory>,
    environment: Vec<(String, String)>,
    overrides: Vec<String>,
    base_dir: Option<PathBuf>,
    home: Option<PathBuf>,
    skip_files: bool,
}

impl fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("factories", &self.factories.iter().map(|factory| factory.kind()).collect::<Vec<_>>())
            .field("overrides", &self.overrides)
            .field("base_dir", &self.base_dir)
            .finish_non_exhaustive()
    }
}

impl<'a> Loader<'a> {
    /// A loader of the file layer alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers a transport. The order is that of the list in messages.
    pub fn factory(mut self, factory: &'a dyn Factory) -> Self {
        self.factories.push(factory);
        self
    }

    /// Lays environment variables over the file; only those that start with
    /// `TOWNLET_` count. `TOWNLET_TELEMETRY__TRANSPORT__TYPE=file` sets
    /// `telemetry.transport.type`.
    pub fn environment(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.environment.extend(variables.into_iter().filter(|(name, _)| name.starts_with("TOWNLET_")));
        self
    }

    /// Takes the environment and the home directory of this process.
    pub fn process_environment(self) -> Self {
        let variables = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()));
        let loader = self.environment(variables);
        match std::env::home_dir() {
            Some(home) => loader.home(home),
            None => loader,
        }
    }

    /// Lays `key=value` over everything else; the last one of a key wins. A
    /// value of `null` takes a key away, so that
    /// `telemetry.transport.type=stdout` with
    /// `telemetry.transport.file_path=null` turns a file sink into standard
    /// output.
    pub fn set(mut self, key_and_value: impl Into<String>) -> Self {
        self.overrides.push(key_and_value.into());
        self
    }

    /// The folder at which relative paths start. [`load_file`](Self::load_file)
    /// uses the folder of the file; without one, paths stay as they are written
    /// and so start at the working directory.
    pub fn base_dir(mut self, folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        self.base_dir = Some(std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned()));
        self
    }

    /// What `~` stands for.
    pub fn home(mut self, folder: impl Into<PathBuf>) -> Self {
        self.home = Some(folder.into());
        self
    }

    /// Leaves out what opens files: certificates, schemas, and the backends'
    /// own checks. For checking a configuration on another machine.
    pub fn skip_files(mut self) -> Self {
        self.skip_files = true;
        self
    }

    /// Loads a file; relative paths in it start at its folder.
    ///
    /// # Errors
    /// All findings, if one of them is an error; also where the file cannot be
    /// read or is not UTF-8.
    pub fn load_file(&self, path: impl AsRef<Path>) -> Result<Loaded, Diagnostics> {
        let path = path.as_ref();
        let name = path.to_string_lossy();
        let loader = match path.parent() {
            Some(folder) if self.base_dir.is_none() => {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                self.clone().base_dir(folder)
            }
            _ => self.clone(),
        };
        match std::fs::read(path) {
            Ok(bytes) => loader.load_bytes(&name, &bytes),
            Err(error) => Err(refused(&name, Code::Unreadable, format!("cannot read the file: {error}"))),
        }
    }

    /// Loads bytes that should be UTF-8.
    ///
    /// # Errors
    /// As [`load_file`](Self::load_file).
    pub fn load_bytes(&self, file_name: &str, bytes: &[u8]) -> Result<Loaded, Diagnostics> {
        let error = match std::str::from_utf8(bytes) {
            Ok(text) => return self.load_str(file_name, text),
            Err(error) => error,
        };
        let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        // With a letter in the place of the byte its line is there, even if nothing stands before it.
        let before = format!("{before}x");
        let (line, last) = lines(&before).enumerate().last().map_or((1, "x"), |(above, last)| (above + 1, last));
        let message = format!("the file is not UTF-8: byte {} of line {line} is not text", last.len());
        let mut diagnostics = refused(file_name, Code::Unreadable, message);
        if let Some(diagnostic) = diagnostics.first_mut() {
            diagnostic.line = u32::try_from(line).unwrap_or(u32::MAX);
            diagnostic.column = u32::try_from(last.chars().count()).unwrap_or(u32::MAX);
            diagnostic.help = Some("save it as UTF-8".into());
        }
        Err(diagnostics)
    }

    /// Loads text. `file_name` is what diagnostics call it.
    ///
    /// # Errors
    /// All findings, if one of them is an error.
    pub fn load_str(&self, file_name: &str, text: &str) -> Result<Loaded, Diagnostics> {
        let mut ctx = Context {
            file: file_name,
            text,
            base_dir: self.base_dir.as_deref(),
            home: self.home.as_deref(),
            check_files: !self.skip_files,
            found: Diagnostics::default(),
            catalogue: Vec::new(),
            unknown: Vec::new(),
            places: BTreeMap::new(),
        };
        let Some(mut tree) = yaml::parse(file_name, text, &mut ctx.found) else { return Err(ctx.found) };
        layer::apply_environment(&mut ctx, &mut tree, &self.environment);
        layer::apply_overrides(&mut ctx, &mut tree, &self.overrides);
        let config = sections::read(&mut ctx, &self.factories, &tree);
        ctx.found.sort();
        if ctx.found.has_errors() {
            return Err(ctx.found);
        }
        Ok(Loaded {
            config,
            warnings: ctx.found,
            file: file_name.to_owned(),
            text: text.to_owned(),
            places: ctx.places,
        })
    }

    /// The text's telemetry block with every finding put right, if that can be
    /// done without guessing at what was meant; it is certain to load with this
    /// loader's transports and folder (environment and overrides aside).
    ///
    /// Misplaced keys move, keys of another type go, misspelt keys and words
    /// take the nearest name, quoted numbers lose their quotes. Comments are lost.
    pub fn corrected_block(&self, diagnostics: &Diagnostics, text: &str) -> Option<String> {
        let plain = Self { environment: Vec::new(), overrides: Vec::new(), ..self.clone() };
        let mut text = correct::correct(diagnostics, text)?;
        // What one mistake hid shows when it is gone.
        for _ in 0..8 {
            match plain.load_str("corrected", &text) {
                Ok(_) => return Some(text),
                Err(more) => text = correct::correct(&more, &text)?,
            }
        }
        None
    }

    /// Every key with what it takes and its default, in the order of reading.
    /// Keys of named sinks stand under `telemetry.sinks.<name>`, options of
    /// transforms under `telemetry.transforms.pipeline.<id>`.
    pub fn known_keys() -> Vec<KeyInfo> {
        let mut ctx = Context {
            file: "",
            text: "",
            base_dir: None,
            home: None,
            check_files: false,
            found: Diagnostics::default(),
            catalogue: Vec::new(),
            unknown: Vec::new(),
            places: BTreeMap::new(),
        };
        const ALL: &str = "{runtime: {telemetry: {}}, telemetry: {sinks: {name: {}}, transforms: {pipeline: \
                           [snapshot_normalizer, redact_fields, ensure_fields, schema_validator]}}}";
        const IDS: [&str; 4] = ["snapshot_normalizer", "redact_fields", "ensure_fields", "schema_validator"];
        if let Some(tree) = yaml::parse("", ALL, &mut ctx.found) {
            sections::read(&mut ctx, &[], &tree);
        }
        for info in &mut ctx.catalogue {
            info.key = info.key.replace("sinks.name", "sinks.<name>");
            for (i, id) in IDS.iter().enumerate() {
                info.key = info.key.replace(&format!("pipeline[{i}]"), &format!("pipeline.{id}"));
            }
        }
        ctx.catalogue
    }
}

fn refused(file: &str, code: Code, message: String) -> Diagnostics {
    let mut diagnostic = Diagnostic::new(code, Severity::Error, "", message);
    diagnostic.file = file.to_owned();
    let mut diagnostics = Diagnostics::default();
    diagnostics.push(diagnostic);
    diagnostics
}

/// Loads text with no layer over it and any known transport type.
///
/// # Errors
/// As [`Loader::load_str`].
pub fn load_str(file_name: &str, text: &str) -> Result<Loaded, Diagnostics> {
    Loader::new().load_str(file_name, text)
}

/// [`Loader::corrected_block`] with no folder and any known transport type.
pub fn corrected_block(diagnostics: &Diagnostics, text: &str) -> Option<String> {
    Loader::new().corrected_block(diagnostics, text)
}

/// A configuration that may be used, and how it came about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Loaded {
    /// The configuration.
    pub config: TelemetryConfig,
    /// What was found that is no error.
    pub warnings: Diagnostics,
    pub(crate) file: String,
    text: String,
    pub(crate) places: BTreeMap<String, Place>,
}

impl Loaded {
    /// The layer that decided a dotted key.
    pub fn origin(&self, key: &str) -> Origin {
        self.places.get(key).map_or(Origin::Default, |place| place.origin.clone())
    }

    /// [`validate_cadence`](crate::validate_cadence), with the findings at the
    /// lines that set the limits.
    pub fn validate_cadence(&self, tick_ms: f64, bytes_per_tick: u64) -> Vec<Diagnostic> {
        let mut found = cadence::validate_cadence(&self.config, tick_ms, bytes_per_tick);
        found.iter_mut().for_each(|diagnostic| self.locate(diagnostic));
        found
    }

    /// Puts a finding to the line of its key.
    pub(crate) fn locate(&self, diagnostic: &mut Diagnostic) {
        match self.places.get(&diagnostic.key) {
            Some(place) => diagnostic.locate(place, &self.file, &self.text),
            None => diagnostic.file = format!("{} (default)", self.file),
        }
    }
}
