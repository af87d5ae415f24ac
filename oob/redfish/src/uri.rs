//! Paths that a BMC names: none may lead to another host, or out of the service.

/// The longest path that is accepted, in bytes.
const LONGEST_PATH: usize = 1024;

/// The host and port to which all requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The host name or IP address, as it is configured.
    pub address: String,
    /// The TCP port of its HTTPS service.
    pub port: u16,
}

impl Origin {
    /// Returns the address and port as a URL has them.
    #[must_use]
    pub fn authority(&self) -> String {
        let Self { address, port } = self;
        if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
    }

    /// Returns the path of a redirect's `Location`; `None` if it leads to another host, port or scheme.
    pub(crate) fn path_of(&self, location: &str) -> Option<String> {
        let Some((scheme, rest)) = location.split_once("://") else { return path(location) };
        let (authority, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let own = self.authority();
        let is_own = authority.eq_ignore_ascii_case(&own)
            || self.port == 443 && own.strip_suffix(":443").is_some_and(|own| authority.eq_ignore_ascii_case(own));
        if scheme.eq_ignore_ascii_case("https") && is_own { path(rest) } else { None }
    }
}

/// Returns the path if it is one of the same service: it begins with one slash, and has no other host, no step upwards, no
/// query and no character that a server could read otherwise.
pub(crate) fn path(text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#\\\"<>^`{|}".contains(&byte);
    let lower = text.to_ascii_lowercase();
    let is_valid = text.len() <= LONGEST_PATH
        && text.starts_with('/')
        && !text.contains("//")
        && !lower.contains("..")
        && !lower.contains("%2e")
        && !lower.contains("%2f")
        && text.bytes().all(is_plain);
    is_valid.then(|| text.to_owned())
}

/// Returns the path of a session's `Location`, whatever host it names: the request goes to the BMC in any case.
pub(crate) fn session_path(location: &str) -> Option<String> {
    match location.split_once("://") {
        Some((_, rest)) => path(rest.get(rest.find('/')?..)?),
        None => path(location),
    }
}

/// Whether two paths name one resource: a slash at the end does not count.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('/') == other.trim_end_matches('/')
}

/// Whether `path` is below `top`.
pub(crate) fn is_below(path: &str, top: &str) -> bool {
    path.strip_prefix(top.trim_end_matches('/')).is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test ends where its scene cannot be set")]

    use super::*;

    /// curl -L and Python's requests send X-Auth-Token, and on 307 the body of a login, to the new host.
    #[test]
    fn a_path_never_leads_to_another_host() {
        let origin = Origin { address: "bmc.lab".to_owned(), port: 443 };
        for same in ["/redfish/v1/", "https://bmc.lab/redfish/v1/", "HTTPS://BMC.LAB:443/redfish/v1/"] {
            assert_eq!(origin.path_of(same).unwrap(), "/redfish/v1/", "{same}");
        }
        for other in [
            "http://bmc.lab/redfish/v1/",
            "https://bmc.lab:444/redfish/v1/",
            "https://evil.lab/redfish/v1/",
            "https://bmc.lab@evil.lab/redfish/v1/",
            "https://bmc.lab.evil.lab/",
            "//evil.lab/redfish/v1/",
            "/\\evil.lab/",
            "redfish/v1",
            "https://bmc.lab",
            "",
        ] {
            assert_eq!(origin.path_of(other), None, "{other}");
        }
        let six = Origin { address: "2001:db8::1".to_owned(), port: 8443 };
        assert_eq!(six.path_of("https://[2001:db8::1]:8443/x").unwrap(), "/x");
        assert_eq!(six.path_of("https://[2001:db8::1]/x"), None);
    }

    #[test]
    fn a_path_has_no_step_query_or_control_character() {
        assert!(path("/redfish/v1/Systems/437XR1138R2").is_some());
        for bad in
            ["/a/../b", "/a/%2e%2e/b", "/a%2Fb", "/a?b", "/a#b", "/a b", "/a\r\nX: y", "/\u{e4}", "//a/b", "/a//b"]
        {
            assert_eq!(path(bad), None, "{bad:?}");
        }
        assert_eq!(path(&format!("/{}", "x".repeat(LONGEST_PATH))), None);
    }

    /// V22: `Location` of a session is absolute, or has another host's name.
    #[test]
    fn a_session_is_deleted_at_the_bmc_itself() {
        assert_eq!(session_path("https://idrac-X/redfish/v1/Sessions/3").unwrap(), "/redfish/v1/Sessions/3");
        assert_eq!(session_path("/redfish/v1/Sessions/3").unwrap(), "/redfish/v1/Sessions/3");
        for no in ["https://idrac", "x", "https://idrac/a/../b"] {
            assert_eq!(session_path(no), None, "{no}");
        }
    }

    #[test]
    fn a_slash_at_the_end_does_not_count() {
        assert!(is_same("/redfish/v1/Systems/1/", "/redfish/v1/Systems/1"));
        assert!(!is_same("/redfish/v1/Systems/1", "/redfish/v1/Systems/11"));
        assert!(is_below("/redfish/v1/Systems/1/Actions/x", "/redfish/v1/Systems/1/"));
        assert!(!is_below("/redfish/v1/Systems/11/Actions/x", "/redfish/v1/Systems/1"));
        assert!(!is_below("/redfish/v1/Systems/1/", "/redfish/v1/Systems/1"));
    }
}
