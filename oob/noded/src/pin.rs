//! Decides which host a call trusts: only one that has the key of the cluster's own certificate. Reads `server.pem`.
//!
//! All nodes have the same self-signed `server.pem` of Ganeti, so it is trust anchor and pin at once. It is read once
//! for each run: after `gnt-cluster renew-crypto` the next run has the new one, and no old one counts.

use std::path::{Path, PathBuf};

use curl::easy::{Easy2, Handler, SslVersion};
use openssl::base64::encode_block;
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::x509::X509;

/// The most that is read of the file, in bytes. No file that Ganeti makes is longer: a key of 2048 bits and a
/// certificate have 3,000.
const MAX_BYTES: u64 = 64 * 1024;

/// A path that can have no entries. libcurl searches the system's directory of trusted certificates if it has no other
/// directory, whatever else it is given (`CURLOPT_CAPATH`).
const NO_STORE: &str = "/dev/null";

/// The reason why the cluster's certificate is unknown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PinError {
    /// The file cannot be read.
    #[error("cannot read the cluster's certificate in {}: {error}", path.display())]
    Read {
        /// The path of `server.pem`.
        path: PathBuf,
        /// The error of the file system.
        error: std::io::Error,
    },
    /// The file has no certificate that OpenSSL can use.
    #[error("cannot read the cluster's certificate in {}: {error}", path.display())]
    Parse {
        /// The path of `server.pem`.
        path: PathBuf,
        /// The errors of OpenSSL.
        error: ErrorStack,
    },
}

/// The cluster's certificate and the hash of its key.
pub(crate) struct Pin {
    /// The certificate alone, as PEM.
    certificate: Vec<u8>,
    /// SHA-256 of its public key, in libcurl's form.
    key: String,
}

impl Pin {
    /// Reads the certificate from `server.pem`, which also has the key.
    ///
    /// # Errors
    /// [`PinError`] if the file has no complete certificate: then no host can be trusted.
    pub(crate) fn read(path: &Path) -> Result<Self, PinError> {
        let text = read_limited(path).map_err(|error| PinError::Read { path: path.to_owned(), error })?;
        Self::of(&text).map_err(|error| PinError::Parse { path: path.to_owned(), error })
    }

    fn of(pem: &[u8]) -> Result<Self, ErrorStack> {
        let certificate = X509::from_pem(pem)?;
        let key = hash(MessageDigest::sha256(), &certificate.public_key()?.public_key_to_der()?)?;
        Ok(Self { certificate: certificate.to_pem()?, key: format!("sha256//{}", encode_block(&key)) })
    }

    /// Makes `easy` accept only this certificate's chain and this key. The name is not checked: all nodes of all
    /// clusters have the same one.
    pub(crate) fn bind<H: Handler>(&self, easy: &mut Easy2<H>) -> Result<(), curl::Error> {
        easy.ssl_cainfo_blob(&self.certificate)?;
        easy.capath(NO_STORE)?;
        easy.pinned_public_key(&self.key)?;
        easy.ssl_verify_peer(true)?;
        easy.ssl_verify_host(false)?;
        easy.ssl_min_max_version(SslVersion::Tlsv12, SslVersion::Default)
    }
}

fn read_limited(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut pem = Vec::new();
    std::fs::File::open(path)?.take(MAX_BYTES).read_to_end(&mut pem)?;
    Ok(pem)
}
