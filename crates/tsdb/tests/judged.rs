//! Any bytes, as operations and as files: what the fuzz targets look for, with a few inputs in every run of the tests.

mod judge;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_operations_leave_what_a_map_would_hold(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judge::model(&bytes);
    }

    #[test]
    fn any_file_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        judge::file(&bytes);
    }
}
