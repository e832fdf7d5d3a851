#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hither_fuzz::scan::one(bytes));
