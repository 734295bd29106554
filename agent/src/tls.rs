//! TLS: whom the agent trusts when it sends, and how it introduces itself to receivers and scrapers.
//!
//! Versions 1.2 and 1.3, by rustls with ring. Files are PEM and read once: after a renewal the agent is restarted.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

use crate::config::file::secret;

/// An error that names the file.
fn wrong(path: &Path, what: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{}: {}", path.display(), what.to_string()))
}

/// All certificates of a file, of which there is one at least.
fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    let found = read().map_err(|error| wrong(path, error))?;
    if found.is_empty() { Err(wrong(path, "there is no certificate in it")) } else { Ok(found) }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// A certificate, those that lead to its authority, and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// The same, as the library for HTTP has it.
    http_key: PrivateKey<'static>,
}

impl Identity {
    /// Reads both files.
    ///
    /// # Errors
    /// Names the file that is not what it should be, or a key that is open to everybody.
    pub fn read(certificate: &Path, key: &Path) -> io::Result<Self> {
        let text = secret(key).map_err(|error| wrong(key, error))?;
        let none = "there is no private key in it";
        Ok(Self {
            chain: certificates(certificate)?,
            key: PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|_| wrong(key, none))?,
            http_key: PrivateKey::from_pem(text.as_bytes()).map_err(|_| wrong(key, none))?,
        })
    }

    /// What a server needs.
    ///
    /// # Errors
    /// When key and certificate do not belong together.
    pub fn server(self) -> io::Result<Arc<ServerConfig>> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_single_cert(self.chain, self.key)
            .map_err(io::Error::other)?;
        Ok(Arc::new(config))
    }
}

/// What a sink needs to send to a receiver.
#[derive(Debug)]
pub struct Client {
    roots: Vec<CertificateDer<'static>>,
    identity: Option<Identity>,
}

impl Client {
    /// Trusts the authorities in `authorities`, those of the system when there is no such file.
    ///
    /// # Errors
    /// When there is no authority, or key and certificate do not belong together.
    pub fn new(authorities: Option<&Path>, identity: Option<Identity>) -> io::Result<Self> {
        let roots = match authorities {
            Some(path) => certificates(path)?,
            None => rustls_native_certs::load_native_certs().certs,
        };
        if roots.is_empty() {
            let what =
                "this host has no certificates of authorities: install ca-certificates, or name a `ca-file`";
            return Err(io::Error::new(io::ErrorKind::NotFound, what));
        }
        let client = Self { roots, identity };
        // The library for HTTP would find out with the first request.
        client.stream()?;
        Ok(client)
    }

    /// For a stream of our own.
    ///
    /// # Errors
    /// When key and certificate do not belong together.
    pub fn stream(&self) -> io::Result<Arc<ClientConfig>> {
        let mut store = RootCertStore::empty();
        // Systems have some that nobody can read.
        store.add_parsable_certificates(self.roots.iter().cloned());
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(store);
        let config = match &self.identity {
            Some(identity) => config
                .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
                .map_err(io::Error::other)?,
            None => config.with_no_client_auth(),
        };
        Ok(Arc::new(config))
    }

    /// For HTTP.
    pub fn http(&self) -> TlsConfig {
        let of = |ders: &[CertificateDer<'_>]| -> Vec<Certificate<'static>> {
            ders.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        };
        let identity = self
            .identity
            .as_ref()
            .map(|identity| ClientCert::new_with_certs(&of(&identity.chain), identity.http_key.to_owned()));
        TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&of(&self.roots)))
            .client_cert(identity)
            .unversioned_rustls_crypto_provider(provider())
            .build()
    }
}

/// Certificates for tests, as an administrator has them: in files.
#[cfg(test)]
pub(crate) mod testing {
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;

    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    use super::*;

    /// An authority, and its folder.
    pub(crate) struct Authority {
        folder: PathBuf,
        issuer: CertifiedIssuer<'static, KeyPair>,
    }

    impl Authority {
        pub(crate) fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("pptpscope-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
            let authority = Self { folder, issuer };
            authority.write("ca.pem", &authority.issuer.pem());
            authority
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.folder.join(name);
            let mut file = fs::File::create(&path).unwrap();
            file.set_permissions(Permissions::from_mode(0o600)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            path
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.folder.join(name)
        }

        /// A certificate for `host` and its key: `HOST.pem`, `HOST.key`.
        pub(crate) fn issue(&self, host: &str) -> Identity {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![host.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
            let certificate = self.write(&format!("{host}.pem"), &certificate.pem());
            let key = self.write(&format!("{host}.key"), &key.serialize_pem());
            Identity::read(&certificate, &key).unwrap()
        }

        /// A server that wants a certificate of this authority.
        pub(crate) fn strict_server(&self, identity: Identity) -> Arc<ServerConfig> {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.der().clone()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
            let config = ServerConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_client_cert_verifier(verifier.build().unwrap())
                .with_single_cert(identity.chain, identity.key)
                .unwrap();
            Arc::new(config)
        }
    }

    impl Drop for Authority {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::testing::Authority;
    use super::*;

    #[test]
    fn says_which_file_is_wrong_and_why() {
        let authority = Authority::new("tls-files");
        authority.issue("localhost");
        authority.issue("other");
        let path = |name: &str| authority.path(name);
        let said = |result: io::Result<Identity>| result.unwrap_err().to_string();
        let error = said(Identity::read(&path("none.pem"), &path("localhost.key")));
        assert!(error.contains("none.pem") && error.contains("No such file"), "{error}");
        let error = said(Identity::read(&path("localhost.key"), &path("localhost.key")));
        assert!(error.contains("no certificate in it"), "{error}");
        let error = said(Identity::read(&path("localhost.pem"), &path("localhost.pem")));
        assert!(error.contains("no private key in it"), "{error}");
        fs::set_permissions(path("localhost.key"), Permissions::from_mode(0o644)).unwrap();
        let error = said(Identity::read(&path("localhost.pem"), &path("localhost.key")));
        assert!(error.contains("open to everybody"), "{error}");
        let mixed = Identity::read(&path("localhost.pem"), &path("other.key")).unwrap();
        assert!(Client::new(Some(&path("ca.pem")), Some(mixed)).is_err());
    }

    #[test]
    fn keys_are_not_shown() {
        let identity = Authority::new("tls-debug").issue("localhost");
        let shown = format!("{identity:?}");
        let key = identity.key.secret_der();
        assert!(!shown.contains(format!("{:?}", &key[..8]).trim_matches(['[', ']'])), "{shown}");
        assert!(shown.contains("elided"), "{shown}");
    }
}
