//! OpenMetrics text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::judge::doors::{Door, enter};
use wellkept_intake::text::Format;

fuzz_target!(|body: &[u8]| enter(Door::Text(Format::OpenMetrics), body));
