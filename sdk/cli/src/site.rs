//! A site as it lies in a folder: manifest, components and files, ready to be published or loaded by `up`.

mod build;
mod component;
mod content_type;
mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use holm_model::ids::Digest;
use holm_model::manifest::{EndpointUrl, HandlerSpec, Manifest, TlsFiles, parse};
use holm_model::release::Files;

pub(crate) use self::build::{Built, build, refresh};
pub use self::component::check as check_component;
use crate::Failure;

/// A site's manifest, and where everything that it names lies on this machine.
#[derive(Debug)]
pub struct Site {
    /// The resolved manifest. Paths of TLS files are absolute.
    pub manifest: Manifest,
    /// The component of each handler, by the handler's name.
    pub components: BTreeMap<String, Digest>,
    /// The files of each route that has files, by the route's index.
    pub files: BTreeMap<usize, Files>,
    /// All content by digest, each once.
    pub blobs: BTreeMap<Digest, Blob>,
    /// What the user should know, though it stops nothing.
    pub notes: Vec<String>,
}

/// Content of a release that lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// BLAKE3 of the bytes, when they were read.
    pub digest: Digest,
}

impl Site {
    /// Reads the site in the folder or manifest `path`: parses the manifest, finds the components, walks the folders
    /// of files, and hashes all of them.
    ///
    /// # Errors
    /// The manifest has mistakes, a component is missing or is none, a folder cannot be read or holds more than
    /// [`holm_model::limits`] allow.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        Self::load_with_text(path).map(|(site, _)| site)
    }

    /// The same with the manifest's text as it is published: paths of TLS files are absolute there, too.
    pub(crate) fn load_with_text(path: &Path) -> Result<(Self, String), Failure> {
        let (file, mut text, mut manifest) = read(path)?;
        let base = manifest_folder(&file).to_owned();
        if let Some(tls) = &mut manifest.tls {
            let absolute = absolute_tls(&base, tls)?;
            if absolute != *tls {
                text = with_tls(&text, &absolute)?;
                *tls = absolute;
            }
        }
        let mut site = Self::bare(manifest);
        site.add_components(&base)?;
        site.add_files(&base)?;
        Ok((site, text))
    }

    /// The site named `default` that answers for every host from these origins.
    pub(crate) fn for_origins(origins: Vec<EndpointUrl>) -> Self {
        Self::bare(Manifest::for_origins(origins))
    }

    /// The site that answers every request with the component in this file.
    pub(crate) fn for_component(file: &Path, env: Vec<(String, String)>) -> Result<Self, Failure> {
        check_component(file)?;
        let spec = HandlerSpec { env: env.into_iter().collect(), ..HandlerSpec::new(file.display().to_string()) };
        let mut site = Self::bare(Manifest::for_handler(spec));
        site.add_components(Path::new(""))?;
        Ok(site)
    }

    fn bare(manifest: Manifest) -> Self {
        let (components, files, blobs) = Default::default();
        Self { manifest, components, files, blobs, notes: Vec::new() }
    }

    fn add_components(&mut self, base: &Path) -> Result<(), Failure> {
        for (name, spec) in &self.manifest.handlers {
            let found = component::find(base, name, &spec.component)?;
            self.notes.extend(found.note);
            let blob = files::hash(&found.path)?;
            self.components.insert(name.clone(), blob.digest);
            self.blobs.insert(blob.digest, blob);
        }
        Ok(())
    }

    fn add_files(&mut self, base: &Path) -> Result<(), Failure> {
        for (index, route) in self.manifest.routes.iter().enumerate() {
            let Some(spec) = &route.files else { continue };
            let walked = files::walk(&base.join(&spec.dir))?;
            self.notes.extend(walked.note);
            self.blobs.extend(walked.blobs.into_iter().map(|blob| (blob.digest, blob)));
            self.files.insert(index, walked.entries);
        }
        Ok(())
    }
}

/// The manifest in the folder or file `path`, and its file.
///
/// # Errors
/// It cannot be read, or has mistakes.
pub fn read_manifest(path: &Path) -> Result<(PathBuf, Manifest), Failure> {
    read(path).map(|(file, _, manifest)| (file, manifest))
}

/// The manifest's file, its text, and what it says.
fn read(path: &Path) -> Result<(PathBuf, String, Manifest), Failure> {
    let file = manifest_file(path)?;
    let bytes = std::fs::read(&file).map_err(|error| Failure::io("read", &file, &error))?;
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::new(format!("{} is not text in UTF-8", file.display())))?;
    let manifest = parse(&file.display().to_string(), &text)?;
    Ok((file, text, manifest))
}

/// `DIR` → `DIR/holm.toml`; a file stays itself.
fn manifest_file(path: &Path) -> Result<PathBuf, Failure> {
    let metadata = std::fs::metadata(path).map_err(|error| Failure::io("open", path, &error))?;
    if !metadata.is_dir() {
        if path.extension().is_some_and(|extension| extension == "wasm") {
            let help = format!("`holm serve {}` runs it; to publish it, name it in a {MANIFEST}", path.display());
            return Err(Failure::usage(format!("{} is a component, not a site", path.display())).help(help));
        }
        return Ok(path.to_owned());
    }
    let file = if path == Path::new(".") { PathBuf::from(MANIFEST) } else { path.join(MANIFEST) };
    if file.is_file() {
        return Ok(file);
    }
    let shown = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    Err(Failure::new(format!("there is no {MANIFEST} in {}", shown.display()))
        .help(format!("give the site's folder or manifest, or write a {MANIFEST}")))
}

/// The folder that the paths in the manifest `file` are relative to.
fn manifest_folder(file: &Path) -> &Path {
    file.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Certificates are opened by each node, wherever it was started: their paths must not depend on this folder.
fn absolute_tls(base: &Path, tls: &TlsFiles) -> Result<TlsFiles, Failure> {
    let absolute = |file: &str| {
        let path = base.join(file);
        let path = path.canonicalize().map_err(|error| Failure::io("open", &path, &error))?;
        path.into_os_string().into_string().map_err(|_| Failure::new(format!("the path of {file} is not UTF-8")))
    };
    Ok(TlsFiles { cert: absolute(&tls.cert)?, key: absolute(&tls.key)? })
}

/// The manifest with these certificates. Its comments are lost: only a manifest with relative paths of TLS files comes
/// here, and nobody edits what is published.
fn with_tls(text: &str, tls: &TlsFiles) -> Result<String, Failure> {
    let rewrite = || {
        let mut table: toml::Table = text.parse().ok()?;
        let files = table.get_mut("tls")?.as_table_mut()?;
        files.insert("cert".to_owned(), tls.cert.clone().into());
        files.insert("key".to_owned(), tls.key.clone().into());
        toml::to_string(&table).ok()
    };
    rewrite().ok_or_else(|| Failure::new("`tls` of the manifest is not `{ cert = …, key = … }`"))
}

/// The name of a site's manifest in its folder.
pub const MANIFEST: &str = "holm.toml";

#[cfg(test)]
mod tests;
