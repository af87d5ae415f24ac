//! BMCs for benchmarks and trials: any number of them in one process, on consecutive ports.

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bmc_responder::{Behaviour, Bmc, PowerActs, User, serve};
use clap::Parser;
use ipmi_lan::{CipherSuite, Privilege};

/// Answers IPMI 2.0 over LAN as one or many BMCs.
#[derive(Parser)]
struct Arguments {
    /// Address and port of the first BMC.
    #[arg(long, default_value = "127.0.0.1:6230")]
    listen: SocketAddr,
    /// Number of BMCs, on consecutive ports.
    #[arg(long, default_value_t = 1)]
    count: u16,
    /// Name of the user who may log in.
    #[arg(long, default_value = "admin")]
    user: String,
    /// File whose first line is the password.
    #[arg(long)]
    password_file: PathBuf,
    /// File whose first line is the BMC key (K_g).
    #[arg(long)]
    kg_file: Option<PathBuf>,
    /// Cipher suites offered.
    #[arg(long, value_delimiter = ',', default_value = "17,3")]
    suites: Vec<u8>,
    /// Start with power off.
    #[arg(long)]
    off: bool,
    /// Act on power commands this many milliseconds after acknowledging them.
    #[arg(long)]
    act_after: Option<u64>,
    /// Never act on power commands, but acknowledge them.
    #[arg(long)]
    never_act: bool,
    /// Milliseconds for each packet: one is worked off after another.
    #[arg(long, default_value_t = 0)]
    packet_time: u64,
    /// Milliseconds to compute RAKP 2.
    #[arg(long, default_value_t = 0)]
    rakp_delay: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let behaviour = behaviour(&arguments)?;
    let mut banks = Vec::new();
    for index in 0..arguments.count {
        let port = arguments.listen.port().checked_add(index).ok_or("the port numbers run past 65535")?;
        let socket = UdpSocket::bind(SocketAddr::new(arguments.listen.ip(), port))?;
        let mut behaviour = behaviour.clone();
        behaviour.noise.seed = index.into();
        banks.push((socket, Arc::new(Mutex::new(Bmc::new(behaviour)))));
    }
    println!("ready: {} from {}", arguments.count, arguments.listen);
    serve(&banks, &AtomicBool::new(false))?;
    Ok(())
}

fn behaviour(arguments: &Arguments) -> Result<Behaviour, Box<dyn Error>> {
    let suites: Option<Vec<_>> = arguments.suites.iter().map(|id| CipherSuite::from_id(*id)).collect();
    let mut behaviour = Behaviour {
        users: vec![User {
            name: arguments.user.clone(),
            password: first_line(&arguments.password_file)?,
            privilege: Privilege::Administrator,
        }],
        suites: suites.ok_or("only cipher suites 17 and 3 can be offered")?,
        packet_time: Duration::from_millis(arguments.packet_time),
        rakp2_delay: Duration::from_millis(arguments.rakp_delay),
        ..Behaviour::default()
    };
    if let Some(file) = &arguments.kg_file {
        behaviour.kg = Some(first_line(file)?);
    }
    behaviour.chassis.power_on = !arguments.off;
    behaviour.power_acts = match arguments.act_after {
        _ if arguments.never_act => PowerActs::Never,
        Some(millis) => PowerActs::After(Duration::from_millis(millis)),
        None => PowerActs::AtOnce,
    };
    Ok(behaviour)
}

fn first_line(file: &PathBuf) -> Result<Vec<u8>, Box<dyn Error>> {
    let text = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(text.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default().to_vec())
}
