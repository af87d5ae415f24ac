//! Options for the paths of a host whose paths are not the defaults.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::core::config::DEFAULT_STATE;
use crate::service::reconciler::run::Reconciler;
use crate::service::reconciler::view::View;
use crate::sys::ganeti::files;
use crate::sys::pacemaker::cib;

/// The directories and files of one host.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Paths")]
pub struct Paths {
    /// State directory, with the receipts
    #[arg(long, value_name = "DIR", default_value = DEFAULT_STATE)]
    pub state_dir: PathBuf,

    /// Ganeti's data directory
    #[arg(long, value_name = "DIR", default_value = files::DATA_DIR)]
    pub data_dir: PathBuf,

    /// Pacemaker's configuration on this host
    #[arg(long, value_name = "FILE", default_value = cib::FILE)]
    pub cib: PathBuf,
}

impl Paths {
    /// Returns the reconciler for commands that change nothing.
    #[must_use]
    pub fn view(&self) -> View {
        View::of(self.reconciler())
    }

    /// Returns the reconciler for commands that change the record.
    #[must_use]
    pub fn reconciler(&self) -> Reconciler {
        let luxi = Path::new(files::LUXI_SOCKET);
        let reconciler = Reconciler::new(&self.state_dir, &self.data_dir, luxi);
        Reconciler { cib: self.cib.clone(), ..reconciler }
    }
}
