//! What is found while the host runs, before it has to be fenced.

use redfish::{CallAnswer, CallFailure, CallOperation, FailureKind, PowerSeen};
use serde_json::{Value, json};

use crate::bmc::{Bmc, SYSTEM, SYSTEMS, answer, call, changed, list, system_at};

/// A chassis without a `PowerState`, or a BMC that does not allow `ForceOff`, was found when the host was fenced: a reading of
/// a host that is on asks for neither.
#[test]
fn what_would_prevent_the_proof_of_an_off_is_found_while_the_host_runs() {
    const CHASSIS: &str = "/redfish/v1/Chassis/1";
    let links = json!({"Chassis": [{"@odata.id": CHASSIS}]});
    let bmc = |chassis: Value| {
        let system = changed("On", "Links", links.clone());
        Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [system]).get(CHASSIS, [answer(200, &chassis)])
    };
    let call = call(CallOperation::Rehearse);
    for (state, kind, is_right) in [
        (json!("On"), json!("RackMount"), true),
        (json!("Off"), json!("RackMount"), true),
        (Value::Null, json!("Enclosure"), true),
        (Value::Null, json!("RackMount"), false),
        (json!("Paused"), json!("RackMount"), false),
    ] {
        let result = bmc(json!({"@odata.id": CHASSIS, "PowerState": state, "ChassisType": kind})).run(&call);
        match result {
            Ok(CallAnswer::Power { power: PowerSeen::On, .. }) => assert!(is_right, "{state} {kind}"),
            Err(CallFailure { shows: FailureKind::Never, why }) => {
                assert!(
                    !is_right && why.contains("no off of this host would be believed") && why.contains(CHASSIS),
                    "{why}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    let mut document = system_at(SYSTEM, "On");
    document["Actions"]["#ComputerSystem.Reset"]["ResetType@Redfish.AllowableValues"] = json!(["GracefulShutdown"]);
    let mut graceful = Bmc::new().get(SYSTEMS, [list(&[SYSTEM])]).get(SYSTEM, [answer(200, &document)]);
    let why = graceful.run(&call).unwrap_err().why;
    assert!(why.contains("it does not allow ForceOff: only GracefulShutdown"), "{why}");
    assert!(graceful.log.iter().all(|request| request.starts_with("GET")), "{:?}", graceful.log);
}
