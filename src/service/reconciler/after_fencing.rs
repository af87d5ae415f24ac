//! Records one node offline for the program that has just fenced it, under the same guards as the reconciler. It
//! submits a job to luxid and writes the reconciler's state.

use crate::core::ganeti::config::{GanetiConfig, Node};
use crate::core::ganeti::offline_job::OfflineJob;
use crate::core::grade::Grade;
use crate::core::node::NodeName;
use crate::core::reconcile::BlockReason;
use crate::service::reconciler::run::{MEMORY_FILE, ReconcileError, Reconciler};
use crate::service::reconciler::submitted_jobs::{SubmittedJob, submit};
use crate::sys::clock::{Deadline, now, wall_nanos};
use crate::sys::ganeti::luxi::LuxiError;
use crate::sys::lock::LockError;
use crate::sys::pacemaker::cib::{self, CibError};

/// The reason why the node is not recorded here and now.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// A reconciler runs here regularly, with every guard.
    #[error("the next reconciliation of the role agents records it")]
    Watched,
    /// A guard prevents the record.
    #[error("{0}")]
    Blocked(BlockReason),
    /// The proof is weaker than the record requires.
    #[error("it is only proven {grade}, and at least {least} is needed")]
    Grade {
        /// The grade that is proven.
        grade: Grade,
        /// The least grade that the record requires.
        least: Grade,
    },
    /// luxid did not accept the job.
    #[error(transparent)]
    Luxi(LuxiError),
    /// The input of the guards could not be read.
    #[error(transparent)]
    Unknown(#[from] ReconcileError),
}

impl From<LockError> for NotRecorded {
    fn from(error: LockError) -> Self {
        Self::Unknown(error.into())
    }
}

impl From<CibError> for NotRecorded {
    fn from(error: CibError) -> Self {
        Self::Unknown(error.into())
    }
}

impl Reconciler {
    /// Submits the record of one node that is proven `grade` just now, unless a guard prevents it. From then on the
    /// node counts as recorded, and the next reconciliation does not repeat it. Returns the number of the job, if luxid
    /// confirmed it in time.
    ///
    /// # Errors
    /// [`NotRecorded::Watched`] if a reconciler runs here; [`NotRecorded::Blocked`] or [`NotRecorded::Grade`] if a guard
    /// prevents the record; [`NotRecorded::Luxi`] if luxid does not accept the job; [`NotRecorded::Unknown`] if an input or a
    /// state file cannot be used, or the lock cannot be taken.
    pub fn record_fenced(
        &self,
        config: &GanetiConfig,
        job: &OfflineJob,
        grade: Grade,
        deadline: Deadline,
    ) -> Result<Option<u64>, NotRecorded> {
        let _lock = self.lock(deadline)?;
        let mut memory = self.memory()?;
        let at = now();
        // The time of its last reconciliation counts, not that of the file, which is written here, too.
        if memory.is_fresh(at) {
            return Err(NotRecorded::Watched);
        }
        self.check(grade)?;
        let mut submitted = self.submitted()?;
        // Ganeti shows a node online until its job has run.
        let is_back = |node: &Node| !node.offline && submitted.get(&node.name).is_none_or(|job| !job.is_pending(at));
        let nodes = config.nodes();
        let online: Vec<NodeName> = nodes.iter().filter(|node| is_back(node)).map(|node| node.name.clone()).collect();
        if job.sets_offline {
            let passed = memory.let_through(&job.node, &online, self.settings.limits, nodes.len(), at);
            // It is written before the job, and also if the node is blocked: a program that forgets its action would
            // repeat it.
            self.write(MEMORY_FILE, &memory)?;
            passed.map_err(NotRecorded::Blocked)?;
        }
        let verb = if job.sets_offline { "offline" } else { "power" };
        let what = format!("{verb}: {grade}, fenced just now");
        let number =
            submit(&self.luxi, &[vec![job.opcode(&what, wall_nanos())]], deadline).map_err(NotRecorded::Luxi)?;
        submitted.insert(job.node.clone(), SubmittedJob::new(what, at, number));
        // The job is submitted: if its entry cannot be kept, it is only submitted again.
        let _ = self.keep_submitted(&submitted);
        Ok(number)
    }

    /// Checks the guards that a single fencing can check. Pacemaker fences only with quorum; an administrator who
    /// fences by hand is responsible for it.
    fn check(&self, grade: Grade) -> Result<(), NotRecorded> {
        let cib = cib::read(&self.cib, &self.power_agents)?;
        let least = self.settings.promised(cib.fencing.least_of_ours()).least_grade;
        if grade < least {
            return Err(NotRecorded::Grade { grade, least });
        }
        if let Some(pause) = self.pause()? {
            return Err(NotRecorded::Blocked(BlockReason::Paused(pause)));
        }
        if cib.maintenance {
            return Err(NotRecorded::Blocked(BlockReason::Maintenance));
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

    fn reconciler(dir: &Path) -> Reconciler {
        std::fs::write(dir.join("cib.xml"), "<cib><configuration/></cib>").unwrap();
        let reconciler = Reconciler::new(&dir.join("state"), &dir.join("data"), &dir.join("luxi"));
        Reconciler { cib: dir.join("cib.xml"), ..reconciler }
    }

    fn ask(reconciler: &Reconciler, node: &str) -> Result<Option<u64>, NotRecorded> {
        let config = GanetiConfig::parse(CONFIG).unwrap();
        let job =
            OfflineJob { node: NodeName::new(node).unwrap(), sets_offline: true, powered: None, auto_promote: false };
        reconciler.record_fenced(&config, &job, Grade::Off, Deadline::after(Duration::from_secs(5)))
    }

    /// Accepts `count` jobs.
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

    /// Ganeti shows a node online until its job has run, so two jobs under way and a third node are three.
    #[test]
    fn jobs_that_are_under_way_count() {
        let dir = tempfile::tempdir().unwrap();
        let reconciler = reconciler(dir.path());
        let luxid = luxid(&reconciler.luxi, 2);
        for node in ["n2.lab", "n3.lab"] {
            assert_eq!(ask(&reconciler, node).unwrap(), Some(42));
        }
        let blocked = ask(&reconciler, "n4.lab").unwrap_err();
        assert!(matches!(blocked, NotRecorded::Blocked(BlockReason::Breaker { .. })), "{blocked}");
        let noted = reconciler.submitted().unwrap();
        assert!(noted.keys().map(NodeName::as_str).eq(["n2.lab", "n3.lab"]), "they are not submitted again");
        luxid.join().unwrap();
    }

    /// The power of a node that is recorded offline already is not a further loss: the breaker does not count it.
    #[test]
    fn the_power_of_a_node_that_is_offline_already_passes_the_breaker() {
        let dir = tempfile::tempdir().unwrap();
        let reconciler = reconciler(dir.path());
        let luxid = luxid(&reconciler.luxi, 3);
        for node in ["n2.lab", "n3.lab"] {
            assert_eq!(ask(&reconciler, node).unwrap(), Some(42));
        }
        let node = NodeName::new("n4.lab").unwrap();
        let job = OfflineJob { node: node.clone(), sets_offline: false, powered: Some(false), auto_promote: false };
        let config = GanetiConfig::parse(CONFIG).unwrap();
        let deadline = Deadline::after(Duration::from_secs(5));
        assert_eq!(reconciler.record_fenced(&config, &job, Grade::Off, deadline).unwrap(), Some(42));
        assert!(!reconciler.is_recording(&node).unwrap(), "it sets no flag offline");
        luxid.join().unwrap();
    }

    /// A job that Ganeti did not accept must be submitted again by the next reconciliation.
    #[test]
    fn a_job_that_ganeti_did_not_accept_is_not_under_way() {
        let dir = tempfile::tempdir().unwrap();
        let reconciler = reconciler(dir.path());
        assert!(matches!(ask(&reconciler, "n2.lab"), Err(NotRecorded::Luxi(_))));
        assert!(reconciler.submitted().unwrap().is_empty());
    }

    /// The record accepts a weaker grade only where the fence device in Pacemaker accepts it by name.
    #[test]
    fn isolated_is_recorded_only_where_a_fence_device_accepts_it() {
        let dir = tempfile::tempdir().unwrap();
        let reconciler = reconciler(dir.path());
        assert!(matches!(reconciler.check(Grade::Isolated), Err(NotRecorded::Grade { least: Grade::Bounded, .. })));
        let device = r#"<cib><configuration><resources><primitive id="f" class="stonith" type="fence_ganeti">
            <instance_attributes id="i"><nvpair id="n" name="minimum_grade" value="isolated"/></instance_attributes>
            </primitive></resources></configuration></cib>"#;
        std::fs::write(&reconciler.cib, device).unwrap();
        reconciler.check(Grade::Isolated).unwrap();
        assert!(reconciler.check(Grade::Unknown).is_err());
    }

    #[test]
    fn a_memory_that_cannot_be_read_blocks_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let reconciler = reconciler(dir.path());
        std::fs::create_dir(dir.path().join("state")).unwrap();
        std::fs::write(dir.path().join("state/reconcile-memory.json"), "{").unwrap();
        assert!(matches!(ask(&reconciler, "n2.lab"), Err(NotRecorded::Unknown(_))));
    }
}
