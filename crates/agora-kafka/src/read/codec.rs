//! What records are compressed with. Pure: bytes come in, at most so many bytes come out.

use std::io::{self, Read};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;

use super::batch::Why;

/// How much room is made at first.
const STEP_BYTES: usize = 64 << 10;
/// The largest window of zstd, as a power of two: what its highest level needs.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;
/// How the framing of snappy begins that Java uses: its name, and two versions of four bytes each.
const XERIAL: &[u8] = b"\x82SNAPPY\0";
const XERIAL_HEADER: usize = 16;

const BROKEN: Why = "it cannot be decompressed";
const TOO_LARGE: Why = "it is larger than allowed when it is decompressed";

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    Plain,
    /// gzip.
    Gzip,
    /// snappy, in blocks as Java writes it, or as one block.
    Snappy,
    /// LZ4, in its frame format.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Codec {
    /// By its number in the attributes of a batch.
    pub(super) fn of(number: i16) -> Option<Self> {
        Some(match number {
            0 => Self::Plain,
            1 => Self::Gzip,
            2 => Self::Snappy,
            3 => Self::Lz4,
            4 => Self::Zstd,
            _ => return None,
        })
    }

    /// Decompresses. More than `bytes_max` is never made room for.
    ///
    /// # Errors
    /// These are no bytes of this codec, or there are more than `bytes_max`.
    pub fn decompress(self, bytes: Bytes, bytes_max: usize) -> Result<Bytes, Why> {
        match self {
            Self::Plain if bytes.len() > bytes_max => Err(TOO_LARGE),
            Self::Plain => Ok(bytes),
            Self::Gzip => read(MultiGzDecoder::new(&*bytes), bytes_max),
            Self::Snappy => snappy(&bytes, bytes_max),
            Self::Lz4 => read(FrameDecoder::new(&*bytes), bytes_max),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(&*bytes).map_err(|_| BROKEN)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|_| BROKEN)?;
                read(decoder, bytes_max)
            }
        }
    }
}

fn read(mut from: impl Read, bytes_max: usize) -> Result<Bytes, Why> {
    let (mut out, mut length) = (Vec::new(), 0);
    loop {
        if length == out.len() {
            if length == bytes_max {
                // Is there more?
                return match from.read(&mut [0]) {
                    Ok(0) => Ok(out.into()),
                    _ => Err(TOO_LARGE),
                };
            }
            let room = length.max(STEP_BYTES).min(bytes_max - length);
            out.reserve_exact(room);
            out.resize(length + room, 0);
        }
        match from.read(out.get_mut(length..).unwrap_or_default()) {
            Ok(0) => {
                out.truncate(length);
                return Ok(out.into());
            }
            Ok(count) => length += count,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(BROKEN),
        }
    }
}

fn snappy(bytes: &[u8], bytes_max: usize) -> Result<Bytes, Why> {
    let mut out = Vec::new();
    if !bytes.starts_with(XERIAL) {
        block(bytes, bytes_max, &mut out)?;
        return Ok(out.into());
    }
    let mut rest = bytes.get(XERIAL_HEADER..).ok_or(BROKEN)?;
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk().ok_or(BROKEN)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (compressed, behind) = behind.split_at_checked(length).ok_or(BROKEN)?;
        block(compressed, bytes_max, &mut out)?;
        rest = behind;
    }
    Ok(out.into())
}

fn block(bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Why> {
    let (before, length) = (out.len(), snap::raw::decompress_len(bytes).map_err(|_| BROKEN)?);
    if length > bytes_max - before {
        return Err(TOO_LARGE);
    }
    out.reserve_exact(length.max(before).min(bytes_max - before));
    out.resize(before + length, 0);
    let room = out.get_mut(before..).unwrap_or_default();
    snap::raw::Decoder::new().decompress(bytes, room).map(drop).map_err(|_| BROKEN)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// The same bytes in every codec.
    pub(crate) fn compressed(codec: Codec, bytes: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Plain => bytes.to_vec(),
            Codec::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Snappy => snap::raw::Encoder::new().compress_vec(bytes).unwrap(),
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Codec::Zstd => zstd::encode_all(bytes, 3).unwrap(),
        }
    }

    fn xerial(bytes: &[u8], block_bytes: usize) -> Vec<u8> {
        let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
        for block in bytes.chunks(block_bytes) {
            let compressed = compressed(Codec::Snappy, block);
            out.extend((compressed.len() as u32).to_be_bytes());
            out.extend(compressed);
        }
        out
    }

    const ALL: [Codec; 5] = [Codec::Plain, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    fn text() -> Vec<u8> {
        (0..100_000_u32).flat_map(|number| (number / 7).to_be_bytes()).collect()
    }

    #[test]
    fn every_codec_gives_back_what_was_compressed_up_to_the_limit() {
        let text = text();
        for codec in ALL {
            let small: Bytes = compressed(codec, &text).into();
            let out = codec.decompress(small.clone(), text.len()).unwrap();
            assert!(out == text, "{codec:?}");
            assert_eq!(codec.decompress(small, text.len() - 1), Err(TOO_LARGE), "{codec:?}");
        }
        let out = Codec::Snappy.decompress(xerial(&text, 32 << 10).into(), text.len()).unwrap();
        assert!(out == text);
        assert_eq!(Codec::Snappy.decompress(xerial(&text, 32 << 10).into(), text.len() - 1), Err(TOO_LARGE));
    }

    #[test]
    fn what_was_cut_off_or_damaged_is_no_panic_and_not_the_same() {
        let text = text();
        for codec in ALL.into_iter().filter(|codec| *codec != Codec::Plain) {
            let whole = compressed(codec, &text);
            // What is missing at the very end may be a mark alone.
            for cut in [1, 5, 17, whole.len() / 2, whole.len() * 9 / 10] {
                let out = codec.decompress(whole[..cut].to_vec().into(), 1 << 20);
                assert!(out.is_err() || out.is_ok_and(|out| out != text), "{codec:?} cut at {cut}");
            }
            for place in (0..whole.len()).step_by(whole.len() / 50 + 1) {
                let mut damaged = whole.clone();
                damaged[place] ^= 0x55;
                let _ = codec.decompress(damaged.into(), 1 << 20);
            }
        }
    }

    #[test]
    fn a_bomb_is_not_made_room_for() {
        let zeros = vec![0; 64 << 20];
        for codec in ALL.into_iter().filter(|codec| *codec != Codec::Plain) {
            let bomb = compressed(codec, &zeros);
            assert!(bomb.len() < 8 << 20, "{codec:?}: {}", bomb.len());
            assert_eq!(codec.decompress(bomb.into(), 1 << 20), Err(TOO_LARGE), "{codec:?}");
        }
        // Announces 4 GiB.
        assert_eq!(Codec::Snappy.decompress(b"\xff\xff\xff\xff\x0f\0"[..].into(), 1 << 20), Err(TOO_LARGE));
    }
}
