//! What an agent sends and what a host's policy says: what is understood comes back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_agent::JoinToken;
use wellkept_agent::policy::Policy;
use wellkept_agent::wire::{Kind, Lines, Record, Report, Told};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(records) = Record::read_all(bytes) {
        let mut again = Vec::new();
        records.iter().for_each(|record| record.write(&mut again));
        assert_eq!(again, bytes);
    }
    for record in Kind::of(1).into_iter().map(|kind| Record { seq: 1, at_ms: 2, kind, bytes: bytes.to_vec() })
    {
        let mut wire = Vec::new();
        record.write(&mut wire);
        assert_eq!(Record::read_all(&wire).as_deref(), Ok(&[record][..]));
    }
    let _ = serde_json::from_slice::<Lines>(bytes);
    let _ = serde_json::from_slice::<Vec<Told>>(bytes);
    let _ = serde_json::from_slice::<Report>(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (text.parse::<JoinToken>(), Policy::parse(text));
    }
});
