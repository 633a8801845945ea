//! OTLP logs as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::logs::{Door, enter};
use wellkept_logintake::otlp::Format;

fuzz_target!(|body: &[u8]| enter(Door::Otlp(Format::Json), body));
