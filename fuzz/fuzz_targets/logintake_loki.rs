//! Loki's push as protobuf.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::logs::{Door, enter, packed};
use wellkept_intake::unpack::Encoding;
use wellkept_logintake::loki::Format;

fuzz_target!(|body: &[u8]| enter(Door::Loki(Format::Protobuf, Encoding::Snappy), &packed(body)));
