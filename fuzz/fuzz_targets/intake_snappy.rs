//! Snappy around remote write.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::judge::doors::{Door, enter};
use wellkept_intake::remote_write::Version;
use wellkept_intake::unpack::Encoding;

fuzz_target!(|body: &[u8]| enter(Door::RemoteWrite(Version::V1, Encoding::Snappy), body));
