//! Any bytes, as a message from the network; and the same bytes behind a header that passes every early check, so
//! that the fuzzer reaches the extensions and the records.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../crates/agora-core/tests/common/check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| {
    check::any_message(bytes);
    check::any_message(&sealed(bytes));
});

/// Completes the input to a frame with a right size and checksum. Its first byte chooses the type, its next two the
/// number of records, and the fourth the size of the extensions.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let Some((choice, rest)) = bytes.split_first_chunk::<4>() else { return Vec::new() };
    let mut frame = vec![0; 64];
    frame[..4].copy_from_slice(&agora_core::codec::MAGIC);
    frame[4] = agora_core::codec::VERSION;
    frame[5] = choice[0] % 3;
    frame[8] = 64 + choice[3] % 128;
    frame[10..12].copy_from_slice(&choice[1..3]);
    frame[48] = u8::from(frame[5] != 2);
    frame.extend_from_slice(rest);
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    frame[12..16].copy_from_slice(&length.to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&frame[..16]), &frame[20..]);
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    frame
}
