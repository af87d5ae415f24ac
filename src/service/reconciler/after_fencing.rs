//! The record of one node by the program that has just fenced it and cannot wait for a whole look: the same guards.

use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::ganeti::offline_job::OfflineJob;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::reconcile::BlockReason;
use crate::service::reconciler::run::{MEMORY_FILE, ReconcileError, Reconciler};
use crate::service::reconciler::submitted_jobs::{Submitted, submit};
use crate::sys::clock::{Deadline, now, wall_nanos};
use crate::sys::ganeti::luxi::LuxiError;
use crate::sys::lock::LockError;
use crate::sys::pacemaker::cib::{self, CibError};

/// Why a record is left to others.
#[derive(Debug, thiserror::Error)]
pub enum Withheld {
    /// Somebody reconciles here, with every guard.
    #[error("the roles' next look records it")]
    Watched,
    /// A guard.
    #[error("{0}")]
    Refused(BlockReason),
    /// The proof is weaker than what the record asks for.
    #[error("it is only proven {grade}, and at least {least} is asked for")]
    Grade {
        /// Its grade.
        grade: Grade,
        /// The least.
        least: Grade,
    },
    /// Ganeti.
    #[error(transparent)]
    Luxi(LuxiError),
    /// What the guards need to know is not known.
    #[error(transparent)]
    Unknown(#[from] ReconcileError),
}

impl From<LockError> for Withheld {
    fn from(error: LockError) -> Self {
        Self::Unknown(error.into())
    }
}

impl From<CibError> for Withheld {
    fn from(error: CibError) -> Self {
        Self::Unknown(error.into())
    }
}

impl Reconciler {
    /// Has one node recorded that is proven `grade` just now, if no guard is against it. From then on it counts as
    /// recorded, and a look in a moment does not do it again. Returns the job's number, if that was confirmed in time.
    ///
    /// # Errors
    /// [`Withheld`].
    pub fn record_fenced(
        &self,
        config: &GanetiConfig,
        job: &OfflineJob,
        grade: Grade,
        deadline: Deadline,
    ) -> Result<Option<u64>, Withheld> {
        let _lock = self.lock(deadline)?;
        let mut memory = self.memory()?;
        let at = now();
        // By when it looked, not by when the file was written: it is written here, too.
        if memory.is_fresh(at) {
            return Err(Withheld::Watched);
        }
        self.check(grade)?;
        let mut submitted = self.submitted()?;
        // Ganeti shows a node online until its job has run.
        let is_back = |node: &Node| !node.offline && submitted.get(&node.name).is_none_or(|job| !job.is_pending(at));
        let nodes = config.nodes();
        let online: Vec<NodeName> = nodes.iter().filter(|node| is_back(node)).map(|node| node.name.clone()).collect();
        let passed = memory.let_through(&job.node, &online, self.settings.limits, nodes.len(), at);
        // Before anything is done, and when it is held back: whoever acts and forgets would act again.
        self.write(MEMORY_FILE, &memory)?;
        passed.map_err(Withheld::Refused)?;
        let what = format!("offline: {grade}, fenced just now");
        let number = submit(&self.luxi, &[vec![job.opcode(&what, wall_nanos())]], deadline).map_err(Withheld::Luxi)?;
        submitted.insert(job.node.clone(), Submitted::new(what, at, number));
        // The job is there: what cannot be kept of it is only done again.
        let _ = self.keep_submitted(&submitted);
        Ok(number)
    }

    /// The guards that a single fencing knows of. Pacemaker fences only with quorum; whoever fences by hand answers for it.
    fn check(&self, grade: Grade) -> Result<(), Withheld> {
        let cib = cib::read(&self.cib, &self.power_agents)?;
        let least = self.settings.promised(cib.fencing.least_of_ours()).least_grade;
        if grade < least {
            return Err(Withheld::Grade { grade, least });
        }
        if let Some(pause) = self.pause()? {
            return Err(Withheld::Refused(BlockReason::Paused(pause)));
        }
        if cib.maintenance {
            return Err(Withheld::Refused(BlockReason::Maintenance));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    const CONFIG: &[u8] = br#"{"version": 3000000, "serial_no": 1,
        "cluster": {"master_node": "u1", "candidate_pool_size": 10},
        "nodegroups": {"g": {}},
        "nodes": {"u1": {"name": "n1.lab", "group": "g"}, "u2": {"name": "n2.lab", "group": "g"},
                  "u3": {"name": "n3.lab", "group": "g"}, "u4": {"name": "n4.lab", "group": "g"}}}"#;

    fn recorder(folder: &Path) -> Reconciler {
        std::fs::write(folder.join("cib.xml"), "<cib><configuration/></cib>").unwrap();
        let recorder = Reconciler::new(&folder.join("state"), &folder.join("data"), &folder.join("luxi"));
        Reconciler { cib: folder.join("cib.xml"), ..recorder }
    }

    fn ask(recorder: &Reconciler, node: &str) -> Result<Option<u64>, Withheld> {
        let config = GanetiConfig::parse(CONFIG).unwrap();
        let job = OfflineJob { node: NodeName::new(node).unwrap(), powered: None, auto_promote: false };
        recorder.record_fenced(&config, &job, Grade::Off, Deadline::after(Duration::from_secs(5)))
    }

    /// Takes `count` jobs.
    fn luxid(path: &Path, count: usize) -> std::thread::JoinHandle<()> {
        let listener = UnixListener::bind(path).unwrap();
        std::thread::spawn(move || {
            for _ in 0..count {
                let (mut stream, _) = listener.accept().unwrap();
                let mut byte = [0];
                while byte != [3] {
                    stream.read_exact(&mut byte).unwrap();
                }
                stream.write_all(b"{\"success\": true, \"result\": 42}\x03").unwrap();
            }
        })
    }

    /// Ganeti shows a node online until its job has run: two that are on their way and a third are three.
    #[test]
    fn jobs_that_are_on_their_way_count() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        let luxid = luxid(&recorder.luxi, 2);
        for node in ["n2.lab", "n3.lab"] {
            assert_eq!(ask(&recorder, node).unwrap(), Some(42));
        }
        let refused = ask(&recorder, "n4.lab").unwrap_err();
        assert!(matches!(refused, Withheld::Refused(BlockReason::Breaker { .. })), "{refused}");
        let noted = recorder.submitted().unwrap();
        assert!(noted.keys().map(NodeName::as_str).eq(["n2.lab", "n3.lab"]), "no look hands them over again");
        luxid.join().unwrap();
    }

    /// What Ganeti did not take must be handed over at the next look.
    #[test]
    fn a_job_that_ganeti_did_not_take_is_not_on_its_way() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        assert!(matches!(ask(&recorder, "n2.lab"), Err(Withheld::Luxi(_))));
        assert!(recorder.submitted().unwrap().is_empty());
    }

    /// Where Pacemaker was told by name to go on after less, the record follows; nowhere else.
    #[test]
    fn isolated_is_recorded_only_where_a_fence_device_is_content_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        assert!(matches!(recorder.check(Grade::Isolated), Err(Withheld::Grade { least: Grade::Bounded, .. })));
        let device = r#"<cib><configuration><resources><primitive id="f" class="stonith" type="fence_ganeti">
            <instance_attributes id="i"><nvpair id="n" name="minimum_grade" value="isolated"/></instance_attributes>
            </primitive></resources></configuration></cib>"#;
        std::fs::write(&recorder.cib, device).unwrap();
        recorder.check(Grade::Isolated).unwrap();
        assert!(recorder.check(Grade::Unknown).is_err());
    }

    #[test]
    fn what_is_remembered_and_cannot_be_read_holds_back() {
        let folder = tempfile::tempdir().unwrap();
        let recorder = recorder(folder.path());
        std::fs::create_dir(folder.path().join("state")).unwrap();
        std::fs::write(folder.path().join("state/reconcile-memory.json"), "{").unwrap();
        assert!(matches!(ask(&recorder, "n2.lab"), Err(Withheld::Unknown(_))));
    }
}
