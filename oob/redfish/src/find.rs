//! Finds the one system, and checks that each document is that of the right one.

use crate::client::{Client, REQUEST_LIMIT};
use crate::collection::{Collection, ROOT, Root};
use crate::document;
use crate::extended_info::quoted;
use crate::http::{HttpResponse, Transport};
use crate::message::{CallFailure, FailureKind};
use crate::system::System;
use crate::uri;

/// The most systems that are read to find one by its serial number or UUID.
const MOST_SYSTEMS: usize = 64;

/// The usual path of the list of systems.
const SYSTEMS_PATH: &str = "/redfish/v1/Systems";

impl<T: Transport> Client<'_, T> {
    /// Finds and reads the one system.
    pub(crate) fn system(&mut self) -> Result<(String, System), CallFailure> {
        if let Some(known) = &self.call.known {
            let uri = self.checked(&known.uri)?;
            let system = self.system_at(&uri)?;
            system
                .check_known(known)
                .map_err(|why| CallFailure::new(FailureKind::Never, quoted(&why.0, &self.secrets)))?;
            return Ok((uri, system));
        }
        if let Some(uri) = &self.call.choice.uri {
            let uri = self.checked(uri)?;
            return self.configured_system(&uri);
        }
        let systems = self.systems()?;
        let choice = &self.call.choice;
        if choice.serial_number.is_none() && choice.uuid.is_none() {
            let [only] = systems.as_slice() else {
                let found = quoted(&systems.join(", "), &self.secrets);
                let why = format!("it has several systems: {found}; name one (system, serial_number or uuid)");
                return Err(CallFailure::new(FailureKind::Never, why));
            };
            return self.read_system(only);
        }
        self.system_by_identity(&systems)
    }

    fn system_by_identity(&mut self, systems: &[String]) -> Result<(String, System), CallFailure> {
        let mut found: Vec<(String, System)> = Vec::new();
        let mut unread = None;
        for path in systems.iter().take(MOST_SYSTEMS) {
            match self.read_any(path) {
                Ok((path, system)) if system.is(&self.call.choice) && system.check_kind(&path).is_ok() => {
                    found.push((path, system));
                }
                Ok(_) => {}
                // The login that was refused once is not sent for each further system.
                Err(failure) if self.is_refused => return Err(failure),
                Err(failure) => unread = Some(failure),
            }
        }
        // Only a UUID is unique by its meaning: makers give several boards one serial number.
        let is_unique = self.call.choice.uuid.is_some();
        match (found.len(), unread) {
            (0 | 1, _) if !is_unique && systems.len() > MOST_SYSTEMS => {
                let why = format!("it has more than {MOST_SYSTEMS} systems: name one by its path (system)");
                Err(CallFailure::new(FailureKind::Never, why))
            }
            (1, Some(failure)) if !is_unique => {
                let why = format!("another system could have the configured serial number, too: {}", failure.why);
                Err(CallFailure::new(FailureKind::Later, why))
            }
            (1, _) => found.pop().ok_or_else(|| CallFailure::new(FailureKind::Later, "no system")),
            (0, Some(failure)) => Err(failure),
            (0, None) => {
                let all = quoted(&systems.join(", "), &self.secrets);
                Err(CallFailure::new(
                    FailureKind::Never,
                    format!("no system has the configured serial number or UUID: it has {all}"),
                ))
            }
            _ => {
                let all: Vec<&str> = found.iter().map(|(path, _)| path.as_str()).collect();
                let all = quoted(&all.join(", "), &self.secrets);
                Err(CallFailure::new(
                    FailureKind::Never,
                    format!("several systems have the configured identity: {all}; use system"),
                ))
            }
        }
    }

    /// Reads the system at the configured path. Makers differ in the slash at the end. Where the path is wrong, the failure
    /// lists the right ones.
    fn configured_system(&mut self, uri: &str) -> Result<(String, System), CallFailure> {
        let (path, response) = self.fetch(uri, REQUEST_LIMIT)?;
        if response.status == 200 {
            return self.parse_system(path, &response);
        }
        let other = uri.strip_suffix('/').map_or_else(|| format!("{uri}/"), str::to_owned);
        let (path, response) = self.fetch(&other, REQUEST_LIMIT)?;
        if response.status == 200 {
            return self.parse_system(path, &response);
        }
        match self.systems()? {
            systems if systems.iter().any(|system| uri::is_same(system, uri)) => {
                Err(self.unexpected(&format!("GET {uri}"), &response))
            }
            systems => {
                let all = quoted(&systems.join(", "), &self.secrets);
                Err(CallFailure::new(FailureKind::Never, format!("it has no system {uri}: it has {all}")))
            }
        }
    }

    /// Reads the list of systems, at its usual path or where the root says.
    fn systems(&mut self) -> Result<Vec<String>, CallFailure> {
        let (_, mut response) = self.fetch(SYSTEMS_PATH, REQUEST_LIMIT)?;
        if response.status != 200 {
            let (_, root) = self.fetch(ROOT, REQUEST_LIMIT)?;
            if root.status != 200 {
                let why =
                    "has no Redfish service (404): switch it on in the BMC's settings, or correct address and port";
                return Err(CallFailure::new(FailureKind::Never, why));
            }
            let root: Root = document::parse(&root.body).map_err(|why| self.unknown(why))?;
            let path = root
                .systems()
                .ok_or_else(|| self.unknown("its service names no systems; if that lasts, reset the BMC itself"))?;
            (_, response) = self.fetch(&path, REQUEST_LIMIT)?;
            if response.status != 200 {
                return Err(self.unexpected(&format!("GET {path}"), &response));
            }
        }
        let list: Collection = document::parse(&response.body).map_err(|why| self.unknown(why))?;
        list.systems().map_err(|why| self.unknown(why))
    }

    pub(crate) fn system_at(&mut self, path: &str) -> Result<System, CallFailure> {
        self.read_system(path).map(|(_, system)| system)
    }

    fn read_system(&mut self, path: &str) -> Result<(String, System), CallFailure> {
        let (path, response) = self.fetch_same(path)?;
        self.parse_system(path, &response)
    }

    /// Reads a path that the BMC has named itself. One that redirects to another system would give that one's state.
    fn fetch_same(&mut self, asked: &str) -> Result<(String, HttpResponse), CallFailure> {
        let (path, response) = self.fetch(asked, REQUEST_LIMIT)?;
        if response.status != 200 {
            return Err(self.unexpected(&format!("GET {path}"), &response));
        }
        if !uri::is_same(asked, &path) {
            return Err(self.unknown(format!("redirects GET {asked} to {path}, which may be another system")));
        }
        Ok((path, response))
    }

    fn parse_system(&self, path: String, response: &HttpResponse) -> Result<(String, System), CallFailure> {
        let (path, system) = self.parse_any(path, response)?;
        if !system.is(&self.call.choice) {
            let why = format!("{path} has not the configured serial number or UUID");
            return Err(CallFailure::new(FailureKind::Never, why));
        }
        system.check_kind(&path).map_err(|why| CallFailure::new(FailureKind::Never, why))?;
        Ok((path, system))
    }

    /// Reads a system that may be another host's.
    fn read_any(&mut self, path: &str) -> Result<(String, System), CallFailure> {
        let (path, response) = self.fetch_same(path)?;
        self.parse_any(path, &response)
    }

    fn parse_any(&self, path: String, response: &HttpResponse) -> Result<(String, System), CallFailure> {
        let system: System = document::parse(&response.body).map_err(|why| self.unknown(why))?;
        system.check_path(&path).map_err(|why| self.unknown(why))?;
        Ok((path, system))
    }
}
