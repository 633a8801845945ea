//! OTLP as JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::judge::doors::{Door, enter};
use wellkept_intake::otlp::Format;

fuzz_target!(|body: &[u8]| enter(Door::Otlp(Format::Json), body));
