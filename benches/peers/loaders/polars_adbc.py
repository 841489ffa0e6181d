"""Polars reads and checks the file as a whole, ADBC ingests the frame by binary COPY, in one transaction.

With --checked the reader has a fifth column for what is too much, takes a quote for a character like any other, and
what it had to replace is refused; without it Polars' reader does what it does by itself.
"""

import os
import sys

import polars as pl
from adbc_driver_postgresql import dbapi

COLUMNS = {
    "customer_number": pl.Int32,
    "customer_rating": pl.Int32,
    "customer_rating_limit": pl.Int32,
    "customer_status": pl.String,
}
STATUS = pl.col("customer_status")


def read(file: str) -> pl.DataFrame:
    frame = pl.read_csv(file, schema=COLUMNS, ignore_errors=True, truncate_ragged_lines=True, encoding="utf8-lossy")
    return frame.drop_nulls().filter(STATUS.str.len_chars() <= 25)


def read_checked(file: str) -> pl.DataFrame:
    lines = pl.scan_csv(
        file,
        schema=COLUMNS | {"more": pl.String},
        missing_columns="insert",
        ignore_errors=True,
        encoding="utf8-lossy",
        quote_char=None,
    )
    mangled = STATUS.str.contains_any(['"', "\N{REPLACEMENT CHARACTER}"])
    good = pl.col("more").is_null() & (STATUS.str.len_chars() <= 25) & ~mangled
    return lines.filter(good).drop("more").drop_nulls().collect()


def main(file: str, table: str, checked: bool) -> None:
    frame = read_checked(file) if checked else read(file)
    with dbapi.connect(os.environ["DATABASE_URL"]) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {table}")
        frame.write_database(table, connection, if_table_exists="append", engine="adbc")
        connection.commit()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "--checked" in sys.argv)
