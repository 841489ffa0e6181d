"""The csv module reads, Python checks each row, psycopg2 inserts 10,000 rows a statement, in one transaction."""

import csv
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg2
from psycopg2.extras import execute_values

is_whole = re.compile(r"[+-]?[0-9]+", re.ASCII).fullmatch

Row = tuple[int, int, int, str]


def parse_row(row: list[str]) -> Row:
    number, rating, limit, status = row
    if not 0 < len(status) <= 25 or '"' in status:
        raise ValueError(status)
    status.encode()
    return parse_integer(number), parse_integer(rating), parse_integer(limit), status


def parse_integer(text: str) -> int:
    value = int(text)
    if not -(2**31) <= value < 2**31 or not is_whole(text):
        raise ValueError(text)
    return value


def good_rows(file: str, folder: str) -> Iterator[Row]:
    way = {"newline": "", "encoding": "utf-8", "errors": "surrogateescape"}
    with open(file, **way) as lines, open(Path(folder, "rejects.csv"), "w", **way) as kept:
        rows = csv.reader(lines)
        rejects = csv.writer(kept)
        next(rows)
        for row in rows:
            try:
                values = parse_row(row)
            except ValueError:
                rejects.writerow(row)
            else:
                yield values


def main(file: str, table: str, folder: str) -> None:
    connection = psycopg2.connect(os.environ["DATABASE_URL"])
    with connection, connection.cursor() as cursor:
        cursor.execute(f"truncate {table}")
        execute_values(cursor, f"insert into {table} values %s", good_rows(file, folder), page_size=10_000)
    connection.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
