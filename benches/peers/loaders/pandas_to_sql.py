"""pandas reads in chunks and checks them, `to_sql` writes them in one transaction.

`copy` gives `to_sql` a method that copies the chunk as CSV, as pandas' documentation proposes for PostgreSQL; `multi`
is the method of that name, many rows an INSERT.
"""

import csv
import io
import os
import sys
from collections.abc import Iterable

import pandas as pd
import sqlalchemy as sa

INTEGERS = ["customer_number", "customer_rating", "customer_rating_limit"]
CHUNK_ROWS = {"copy": 100_000, "multi": 10_000}


def good_rows(chunk: pd.DataFrame) -> pd.DataFrame:
    status = chunk["customer_status"]
    good = status.str.len().between(1, 25) & ~status.str.contains('["\N{REPLACEMENT CHARACTER}]', na=True)
    for name in INTEGERS:
        good &= chunk[name].str.fullmatch(r"[+-]?[0-9]+", na=False)
    chunk = chunk[good].astype(dict.fromkeys(INTEGERS, "int64"))
    in_range = chunk[INTEGERS].ge(-(2**31)).all(axis=1) & chunk[INTEGERS].lt(2**31).all(axis=1)
    return chunk[in_range]


def copy_csv(table: pd.io.sql.SQLTable, connection: sa.Connection, names: list[str], rows: Iterable[tuple]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    statement = f"copy {table.name} ({', '.join(names)}) from stdin with (format csv)"
    with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(text.getvalue())


def main(file: str, table: str, way: str) -> None:
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    chunks = pd.read_csv(
        file,
        dtype="str",
        keep_default_na=False,
        on_bad_lines="skip",
        encoding_errors="replace",
        chunksize=CHUNK_ROWS[way],
    )
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text(f"truncate {table}"))
        for chunk in chunks:
            method = copy_csv if way == "copy" else "multi"
            good_rows(chunk).to_sql(table, connection, if_exists="append", index=False, method=method)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[4])
