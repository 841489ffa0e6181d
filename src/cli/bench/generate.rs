//! Makes ratings files of a given size and share of bad rows from a seed.

use crate::fault;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

const HEADER: &[u8] = b"customer_number,customer_rating,customer_rating_limit,customer_status\r\n";

/// A way to spoil a row: one for every kind of reject that this shape of file can have.
type Spoil = fn(&mut Vec<u8>, Numbers);

/// A row's numbers: customer, rating, limit.
type Numbers = (u32, u32, u32);

const SPOILS: [Spoil; 9] = [
    |row, (n, r, l)| put(row, format_args!("z{n},{r},{l},low-value")),
    |row, (n, r, l)| put(row, format_args!("9{n}00,{r},{l},low-value")),
    |row, (_, r, l)| put(row, format_args!(",{r},{l},high-value")),
    |row, (n, r, _)| put(row, format_args!("{n},{r}")),
    |row, (n, r, l)| put(row, format_args!("{n},{r},{l},low-value,more")),
    |row, (n, r, l)| put(row, format_args!("{n},{r}.5,{l},low-value")),
    |row, (n, r, l)| put(row, format_args!("{n},{r},{l},a status of more than twenty-five characters")),
    |row, (n, r, l)| put(row, format_args!("{n},{r},{l},low\"value")),
    |row, (n, r, l)| {
        put(row, format_args!("{n},{r},{l},low-"));
        row.extend_from_slice(b"\xFFvalue");
    },
];

fn put(row: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Writing to a vector can't fail.
    let _ = row.write_fmt(text);
}

/// Writes a file of `rows` rows, of which about `bad_percent` in a hundred are bad; returns its size in bytes.
pub(super) fn write(path: &Path, rows: u64, bad_percent: f64, seed: u64) -> anyhow::Result<u64> {
    let failed = |error: std::io::Error| fault::config(format!("can't write {}: {error}", path.display()));
    let mut random = fastrand::Rng::with_seed(seed);
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let mut row = Vec::with_capacity(128);
    let mut bytes = HEADER.len() as u64;
    file.write_all(HEADER).map_err(failed)?;
    for _ in 0..rows {
        row.clear();
        let limit = random.u32(200_000..700_000);
        let numbers = (random.u32(1_111_000_000..1_112_000_000), random.u32(20_000..limit), limit);
        if random.f64() * 100.0 < bad_percent {
            SPOILS[random.usize(..SPOILS.len())](&mut row, numbers);
        } else {
            let status = if random.u8(..4) == 0 { "high-value" } else { "low-value" };
            put(&mut row, format_args!("{},{},{},{status}", numbers.0, numbers.1, numbers.2));
        }
        row.extend_from_slice(b"\r\n");
        bytes += row.len() as u64;
        file.write_all(&row).map_err(failed)?;
    }
    file.flush().map_err(failed)?;
    Ok(bytes)
}
