//! Frames between controller and helper: what is understood comes back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fleet::helper::protocol::{Down, Up};

fuzz_target!(|bytes: &[u8]| {
    if let Some((id, down)) = Down::decode(bytes) {
        let again = down.encode(id);
        let (known, down) = Down::decode(&again).expect("our own frame");
        assert_eq!((known, down.encode(id)), (id, again));
    }
    if let Some((id, up)) = Up::decode(bytes) {
        let again = up.encode(id);
        let (known, up) = Up::decode(&again).expect("our own frame");
        assert_eq!((known, up.encode(id)), (id, again));
    }
});
