//! Certificates in files, made for one check.

use std::io;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

/// Issues certificates. Its files are removed with it.
pub(crate) struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
    /// The path of its own certificate.
    pub(crate) path: String,
}

/// Paths of a certificate and its key, and the certificate itself.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: Vec<u8>,
}

impl Authority {
    pub(crate) fn new() -> io::Result<Self> {
        let mut params = CertificateParams::new(Vec::new()).map_err(io::Error::other)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.self_signed(&key).map_err(io::Error::other)?;
        let directory = tempfile::tempdir()?;
        let path = put(&directory, "authority.pem", &certificate.pem())?;
        Ok(Self { directory, issuer: Issuer::new(params, key), path })
    }

    /// A certificate for this name or address.
    pub(crate) fn issue(&self, name: &str) -> io::Result<Issued> {
        let mut params = CertificateParams::new([name.to_owned()]).map_err(io::Error::other)?;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(io::Error::other)?;
        Ok(Issued {
            certificate: put(&self.directory, &format!("{name}.pem"), &certificate.pem())?,
            key: put(&self.directory, &format!("{name}.key"), &key.serialize_pem())?,
            der: certificate.der().to_vec(),
        })
    }
}

fn put(directory: &TempDir, name: &str, content: &str) -> io::Result<String> {
    let path = directory.path().join(name);
    std::fs::write(&path, content)?;
    Ok(path.display().to_string())
}
