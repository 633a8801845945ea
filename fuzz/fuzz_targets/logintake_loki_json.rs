//! Loki's push as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::logs::{Door, enter};
use wellkept_intake::unpack::Encoding;
use wellkept_logintake::loki::Format;

fuzz_target!(|body: &[u8]| enter(Door::Loki(Format::Json, Encoding::Identity), body));
