//! Any bytes in any dialect: two bytes pick the dialect, the rest is the file.
#![no_main]

#[path = "../laws.rs"]
mod laws;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    if let Some((pick, file)) = input.split_first_chunk() {
        laws::check(u16::from_be_bytes(*pick), file);
    }
});
