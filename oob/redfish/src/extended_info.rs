//! The text of an error answer, for people only: decisions are made by the status and the state.

use serde_json::Value;

use crate::secret::HttpSecret;

/// The most characters of a BMC's text that an error quotes.
const QUOTED: usize = 200;

/// The sign for a secret that was removed from a text.
const HIDDEN: &str = "***";

/// Returns the message identifiers of an error answer, without registry and version, and its texts: those of
/// `@Message.ExtendedInfo` inside `error` or at the top, which may be a list or one object.
fn entries(body: &[u8]) -> Vec<(String, String)> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return Vec::new() };
    let error = value.get("error").unwrap_or(&value);
    let info = error.get("@Message.ExtendedInfo").or_else(|| value.get("@Message.ExtendedInfo"));
    let info = info.or_else(|| value.get("Messages"));
    let list: Vec<&Value> = match info {
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let text = |entry: &Value, names: [&str; 2]| {
        names.iter().find_map(|name| entry.get(name)?.as_str()).unwrap_or_default().to_owned()
    };
    let mut found: Vec<(String, String)> = list
        .into_iter()
        .map(|entry| {
            let id = text(entry, ["MessageId", "MessageID"]);
            (id.rsplit('.').next().unwrap_or_default().to_owned(), text(entry, ["Message", "message"]))
        })
        .filter(|(id, text)| !(id.is_empty() && text.is_empty()))
        .collect();
    if found.iter().all(|(_, text)| text.is_empty()) {
        let whole = (text(error, ["code", "Code"]), text(error, ["message", "Message"]));
        let id = whole.0.rsplit('.').next().unwrap_or_default().to_owned();
        if !whole.1.is_empty() {
            found.retain(|(known, _)| *known != id);
            found.push((id, whole.1));
        }
    }
    found
}

/// Whether the answer has a message with this identifier.
pub(crate) fn has(body: &[u8], id: &str) -> bool {
    entries(body).iter().any(|(known, _)| known == id)
}

/// Returns the error answer as one printable line without `secrets`; empty if it has no text.
pub(crate) fn text(body: &[u8], secrets: &[HttpSecret]) -> String {
    let parts: Vec<String> = entries(body)
        .into_iter()
        .map(|(id, text)| match (id.is_empty(), text.is_empty()) {
            (false, false) => format!("{id}: {text}"),
            (true, false) => text,
            _ => id,
        })
        .collect();
    quoted(&parts.join("; "), secrets)
}

/// Returns the beginning of a BMC's text on one line. Secrets are removed before the cut, as a part of one is secret, too.
pub(crate) fn quoted(text: &str, secrets: &[HttpSecret]) -> String {
    let hides = secrets.iter().map(HttpSecret::expose).filter(|secret| !secret.is_empty());
    let text = hides.fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
    let is_plain = |letter: &char| {
        !letter.is_control()
            && !matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    let plain = text.trim().chars().map(|letter| if is_plain(&letter) { letter } else { ' ' });
    plain.take(QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_of_an_error_is_read() {
        let list = br#"{"error":{"code":"Base.1.0.GeneralError","message":"see","@Message.ExtendedInfo":[
            {"MessageId":"IDRAC.2.4.PSU501","Message":"already powered ON"}]}}"#;
        assert_eq!(text(list, &[]), "PSU501: already powered ON");
        let object = br#"{"error":{"@Message.ExtendedInfo":{"MessageId":"Base.1.8.NotAcceptable","Message":"no"}}}"#;
        assert_eq!(text(object, &[]), "NotAcceptable: no");
        let ilo4 = br#"{"Messages":[{"MessageID":"iLO.0.10.InvalidOperationForSystemState"}],"Type":"ExtendedError"}"#;
        assert_eq!(text(ilo4, &[]), "InvalidOperationForSystemState");
        let top = br#"{"@Message.ExtendedInfo":[{"MessageId":"Base.1.0.PasswordChangeRequired"}]}"#;
        assert!(has(top, "PasswordChangeRequired"));
        let only = br#"{"error":{"code":"Base.1.0.GeneralError","message":"404 Not Found"}}"#;
        assert_eq!(text(only, &[]), "GeneralError: 404 Not Found");
        let sushy = br#"{"error":{"code":"Base.1.0.GeneralError","message":"Authorization required",
            "@Message.ExtendedInfo":[{"MessageId":"Base.1.0.GeneralError"}]}}"#;
        assert_eq!(text(sushy, &[]), "GeneralError: Authorization required");
        for none in [&b""[..], b"<html>", b"{}", b"[]", b"\"x\"", b"{\"error\":7}"] {
            assert_eq!(text(none, &[]), "");
        }
    }

    #[test]
    fn a_secret_or_a_control_character_is_not_quoted() {
        let body = br#"{"error":{"message":"user fencing, password hunter2\u001b[31m\n, token abc"}}"#;
        let secrets = [HttpSecret::new("hunter2"), HttpSecret::new("abc"), HttpSecret::new("")];
        let text = text(body, &secrets);
        assert_eq!(text, "user fencing, password *** [31m , token ***");
        // A secret at the place of the cut.
        let long = format!("{}hunter2", "x".repeat(QUOTED - 3));
        assert!(!quoted(&long, &secrets).contains("hun"));
    }
}
