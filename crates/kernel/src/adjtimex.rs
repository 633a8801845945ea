//! Asks the kernel what it thinks of its own clock.

use std::io;

/// State of the kernel's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// Somebody disciplines it.
    pub synchronised: bool,
    /// How far it may be off at most, microseconds.
    pub max_error_us: i64,
}

/// Reads the state; changes nothing.
///
/// # Errors
/// When the system refuses the call, as some sandboxes do.
#[expect(unsafe_code, reason = "adjtimex has no safe wrapper here")]
pub fn clock_state() -> io::Result<ClockState> {
    // SAFETY: `timex` is plain numbers, for which all zeros are valid; with `modes` 0 the kernel only fills it in.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    let unsynchronised = state == libc::TIME_ERROR || timex.status & libc::STA_UNSYNC != 0;
    #[allow(clippy::useless_conversion, reason = "its width is not the same everywhere")]
    let max_error_us = i64::from(timex.maxerror);
    Ok(ClockState { synchronised: !unsynchronised, max_error_us })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_how_far_its_clock_may_be_off() {
        assert!(clock_state().unwrap().max_error_us >= 0);
    }
}
