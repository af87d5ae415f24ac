//! Reads or changes a machine's power: `chassis HOST PORT USER PASSWORD_FILE status|off|on|health [SECONDS]`.

use std::error::Error;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, fs};

use ipmi_lan::{ChassisControl, Secret, Session, Target};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [host, port, user, file, action, rest @ ..] = arguments.as_slice() else {
        return Err("usage: chassis HOST PORT USER PASSWORD_FILE status|off|on|health [SECONDS]".into());
    };
    let seconds = rest.first().map_or(Ok(10), |text| text.parse())?;
    let password = fs::read_to_string(file)?.trim_end_matches(['\r', '\n']).to_owned();
    let target = Target::new(host, user, Secret::new(password))?.with_port(port.parse()?);
    let result = run(&target, action, Instant::now() + Duration::from_secs(seconds));
    if let Err(error) = &result {
        eprintln!("hint: {}", error.hint());
    }
    Ok(result?)
}

fn run(target: &Target, action: &str, deadline: Instant) -> Result<(), ipmi_lan::Error> {
    let mut session = Session::open(target, deadline)?;
    match action {
        "off" => session.chassis_control(ChassisControl::PowerDown)?,
        "on" => session.chassis_control(ChassisControl::PowerUp)?,
        "health" => {
            println!("{:?}", session.device_id()?);
            println!("{:?}", session.self_test());
            println!("{:?}", session.sel_info());
        }
        _ => println!("suite {}: {:?}", session.cipher_suite(), session.chassis_status()?),
    }
    session.close();
    Ok(())
}
