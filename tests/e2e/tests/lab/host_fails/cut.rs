//! The master loses its network and runs on: the most dangerous failure.

use e2e::observer::{Observer, Sign};
use e2e::receipts;
use gnt_ha::core::grade::Grade;
use gnt_ha::core::receipt::Outcome;
use lab::{Network, Power};

use crate::support::cluster::Scene;
use crate::support::end::End;

/// The master n1 is cut off from all others, but its BMC is not. It serves clients on its side until it is fenced, and
/// no other node serves before that. At the end it has power and network again, and is recorded offline. `fenced`: all
/// nodes that were fenced until then, including n1. Returns the new master.
pub(crate) fn the_master_is_cut_off(scene: &Scene, fenced: &[&str]) -> String {
    let n1 = scene.host("n1");
    let mut observer = Observer::new(&scene.lab);
    n1.cut(Network::Primary).unwrap();
    n1.cut(Network::Secondary).unwrap();
    assert_eq!(n1.power_status(), Power::On);
    let took = scene.wait_fenced("n1", 60);
    let new = scene.wait_new_master("n1");
    scene.wait_offline(&["n1"]);
    let end = End { master: &new, fenced, offline: &["n1"], ..End::default() };
    scene.assert_end(&end);

    // It comes back with its old files, and is watched again.
    n1.heal(Network::Primary).unwrap();
    n1.heal(Network::Secondary).unwrap();
    n1.power_on().unwrap();
    observer.watch(&n1);
    scene.wait_back("n1");
    scene.settle();
    scene.assert_end(&end);

    let timeline = observer.end();
    timeline.assert_never_two();
    for sign in [Sign::Luxid, Sign::MasterIp] {
        // The watcher proves something only if it saw both masters.
        let (old, taken) = (timeline.of(sign, "n1"), timeline.of(sign, &new));
        let until = old.first().and_then(|span| span.to).unwrap_or_else(|| panic!("{timeline:#?}"));
        let from = taken.first().unwrap_or_else(|| panic!("{timeline:#?}")).from;
        println!(
            "{sign:?}: n1 until {:.2} s, {new} from {:.2} s; reported as fenced by Pacemaker at about {:.2} s",
            until.as_secs_f64(),
            from.as_secs_f64(),
            took.as_secs_f64()
        );
        assert!(until < from, "{timeline:#?}");
    }
    // A device that reads the power has read it as off, over the BMC that was not cut.
    let receipt = receipts::on_all(&scene.lab)
        .into_iter()
        .filter(|action| action.intent.program == "fence_ganeti" && action.intent.node.short() == "n1")
        .find_map(|action| action.receipt);
    let receipt = receipt.unwrap();
    assert_eq!((receipt.outcome, receipt.grade), (Outcome::Done, Grade::Off), "{receipt:?}");
    new
}
