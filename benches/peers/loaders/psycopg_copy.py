"""The csv module reads, Python checks each row, psycopg 3 copies it with `write_row`, in one transaction."""

import csv
import os
import re
import sys
from pathlib import Path

import psycopg

is_whole = re.compile(r"[+-]?[0-9]+", re.ASCII).fullmatch


def is_integer(text: str) -> bool:
    return is_whole(text) is not None and -(2**31) <= int(text) < 2**31


def is_text(text: str) -> bool:
    if not 0 < len(text) <= 25 or '"' in text:
        return False
    # What is no UTF-8 was read as lone surrogates.
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)


def is_good(row: list[str]) -> bool:
    if len(row) != 4:
        return False
    number, rating, limit, status = row
    return is_integer(number) and is_integer(rating) and is_integer(limit) and is_text(status)


def main(file: str, table: str, folder: str) -> None:
    way = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    with (
        open(file, **way) as lines,
        open(Path(folder, "rejects.csv"), "w", **way) as kept,
        psycopg.connect(os.environ["DATABASE_URL"]) as connection,
        connection.cursor() as cursor,
    ):
        rows = csv.reader(lines)
        rejects = csv.writer(kept)
        next(rows)
        cursor.execute(f"truncate {table}")
        with cursor.copy(f"copy {table} from stdin") as copy:
            for row in rows:
                if is_good(row):
                    copy.write_row(row)
                else:
                    rejects.writerow(row)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
