//! Sealed texts: nothing opens that was not sealed, and what was sealed opens.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wellkept_fuzz::fleet::PASSWORD;
use wellkept_playbook::vault;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = (vault::label(text), vault::open(text, [PASSWORD]));
    }
    if let Some((salt, plain)) = bytes.split_first_chunk::<32>() {
        let sealed = vault::seal(plain, PASSWORD, None, salt);
        assert_eq!(vault::open(&sealed, [PASSWORD]).as_deref(), Ok(plain));
    }
});
