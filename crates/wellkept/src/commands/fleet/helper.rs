//! `wellkept helper`: the far end of a play. Started by a controller, never by a person.

use std::path::PathBuf;

use crate::exit::{NOT_WELL, OK};
use crate::say;

/// Talks over standard input and output until the controller ends; with `job` does one order in the background.
pub(in crate::commands) async fn run(job: Option<PathBuf>) -> anyhow::Result<u8> {
    if let Some(path) = job {
        return match tokio::task::spawn_blocking(move || wellkept_fleet::helper::background(&path)).await? {
            Ok(()) => Ok(OK),
            Err(why) => {
                say::error(&why);
                Ok(NOT_WELL)
            }
        };
    }
    let exe = std::env::current_exe()?;
    let served = wellkept_fleet::helper::serve(tokio::io::stdin(), tokio::io::stdout(), exe).await;
    // The thread that waits for standard input would hold us until its next byte.
    match served {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            say::error(&error.to_string());
            std::process::exit(i32::from(NOT_WELL))
        }
    }
}
