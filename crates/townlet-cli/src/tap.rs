//! `townlet tap`: the frames of a running pipeline, as they are made; and the
//! console that a run of ours opens for it.

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use townlet_console::{Client, ClientError, Console, ConsoleError, ConsoleOptions, Shown, TapRequest, Token};
use townlet_pipeline::Telemetry;

use crate::args::{ConsoleArgs, Tap};
use crate::collect;
use crate::exit::{Exit, Failure};
use crate::out::remark;

/// How long a console may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How often a tap without traffic looks whether it should stop.
const LOOK_AROUND: Duration = Duration::from_millis(100);

/// Where the token is when no file is named.
const TOKEN_VARIABLE: &str = "TOWNLET_CONSOLE_TOKEN";

pub(crate) fn run(args: &Tap) -> anyhow::Result<Exit> {
    let token = match &args.token_file {
        Some(path) => Token::from_file(path),
        None => Token::from_env(TOKEN_VARIABLE),
    };
    let token = token.map_err(Failure::usage)?;
    let request = TapRequest { kinds: args.kinds.clone(), streams: args.streams.clone(), limit: args.limit };
    let stop = collect::stop_signal()?;
    let tapped = Client::connect(&args.endpoint, ANSWER).and_then(|client| client.tap(&token, &request));
    let mut tapped = tapped.map_err(explain)?;
    let mut out = BufWriter::new(io::stdout().lock());
    loop {
        if stop.try_recv().is_ok() {
            out.flush()?;
            return Ok(Exit::Yes);
        }
        // Nothing is held back for the sake of what may come.
        let wait = if out.buffer().is_empty() { LOOK_AROUND } else { Duration::ZERO };
        let shown = tapped.next(wait).map_err(explain)?;
        let written = match &shown {
            Some(Shown::Line(line)) => out.write_all(line),
            _ => out.flush(),
        };
        match written {
            // Who reads this has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Yes),
            written => written?,
        }
        match shown {
            None | Some(Shown::Line(_)) => {}
            Some(Shown::Missed { frames, total }) => {
                remark!("townlet: {frames} frames missed here, {total} in all: this tap reads too slowly");
            }
            Some(Shown::End { reason, shown, missed }) => {
                remark!("townlet: the tap ended ({reason}): {shown} frames shown, {missed} missed");
                return Ok(Exit::Yes);
            }
            Some(other) => remark!("townlet: {other:?}"),
        }
    }
}

/// The exit code that a refusal or a broken connection stands for.
fn explain(error: ClientError) -> anyhow::Error {
    let exit = match &error {
        ClientError::Refused { code, .. } => match code.as_str() {
            "forbidden" => Exit::Rejected,
            "conflict" => Exit::Unavailable,
            _ => Exit::Usage,
        },
        _ => Exit::Unavailable,
    };
    Failure { exit, message: error.to_string() }.into()
}

/// Opens the console that the arguments ask for. It goes with the value.
pub(crate) fn open_console(args: &ConsoleArgs, telemetry: &Telemetry) -> anyhow::Result<Option<Console>> {
    let Some(endpoint) = &args.console else { return Ok(None) };
    let token = match &args.console_token_file {
        Some(path) if !path.exists() => {
            let token = Token::create_file(path);
            remark!("townlet: a new console token is in {}", path.display());
            token
        }
        Some(path) => Token::from_file(path),
        None => Token::from_env(TOKEN_VARIABLE),
    };
    let token = token.map_err(Failure::usage)?;
    let console = Console::start(ConsoleOptions::new(endpoint.clone(), token), telemetry.clone());
    let console = console.map_err(|error| match error {
        ConsoleError::Exposed(_) | ConsoleError::NoSocket(_) => Failure::usage(error),
        error => error.into(),
    })?;
    let hint = args.console_token_file.as_ref().map(|path| format!(" --token-file {}", path.display()));
    let hint = hint.unwrap_or_default();
    remark!("townlet: console on {0}; try: townlet tap --endpoint {0}{hint}", console.endpoint());
    Ok(Some(console))
}
