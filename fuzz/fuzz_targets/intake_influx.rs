//! Influx line protocol.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::judge::doors::{Door, enter};

fuzz_target!(|body: &[u8]| enter(Door::Influx, body));
