"""DuckDB reads and checks the file, psql copies what it writes down a pipe.

DuckDB's own postgres extension is a download of its own and not used. With --checked every cell is read as text and
held against the dataset's rules; without it DuckDB's reader does what it does by itself.
"""

import os
import subprocess
import sys
from pathlib import Path

import duckdb

NAMES = ["customer_number", "customer_rating", "customer_rating_limit", "customer_status"]
INTEGERS = NAMES[:3]
IN_RANGE = r"regexp_full_match({0}, '[+-]?[0-9]+') and try_cast({0} as integer) is not null"
NOT_NULL = "{0} is not null"


def rows_of(checked: bool) -> str:
    types = {name: "varchar" if checked else "integer" for name in INTEGERS} | {"customer_status": "varchar"}
    columns = ", ".join(f"'{name}': '{kind}'" for name, kind in types.items())
    rules = [(IN_RANGE if checked else NOT_NULL).format(name) for name in INTEGERS]
    rules += ["customer_status is not null", "length(customer_status) <= 25"]
    if checked:
        rules.append("not contains(customer_status, '\"')")
    values = ", ".join(f"{name}::integer" if name in INTEGERS else name for name in NAMES)
    return f"""
        select {values}
          from read_csv($file, auto_detect = false, header = true, delim = ',', quote = '"', escape = '"',
                        columns = {{{columns}}}, store_rejects = true)
         where {" and ".join(rules)}"""


def main(file: str, table: str, folder: str, checked: bool) -> None:
    copy = ["-c", f"truncate {table}", "-c", f"\\copy {table} from pstdin with (format csv)"]
    psql = subprocess.Popen(
        ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "--single-transaction", "-d", os.environ["DATABASE_URL"], *copy],
        stdin=subprocess.PIPE,
    )
    assert psql.stdin is not None
    try:
        with duckdb.connect() as db:
            db.execute("set preserve_insertion_order = false")
            pipe = f"/dev/fd/{psql.stdin.fileno()}"
            db.execute(f"copy ({rows_of(checked)}) to '{pipe}' (format csv, header false)", {"file": file})
            db.execute(f"copy reject_errors to '{Path(folder, 'rejects.csv')}' (format csv)")
    except BaseException:
        # Before its input ends, or it would commit half a file.
        psql.kill()
        raise
    psql.stdin.close()
    sys.exit(psql.wait())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], "--checked" in sys.argv)
