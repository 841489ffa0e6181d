"""dlt's filesystem source reads with DuckDB into Arrow, the postgres destination ingests Parquet by ADBC.

Both are what dlt's documentation names as the fast ways. The table is dlt's own, in a schema of its own; the new rows
take the place of the old ones at once (`staging-optimized`). DuckDB's reader makes nulls of blanks; a step of the
pipeline drops them, and what is too long.
"""

import os
import sys
from pathlib import Path
from urllib.parse import quote

os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DESTINATION__REPLACE_STRATEGY"] = "staging-optimized"

import dlt
import pyarrow.compute as pc
from dlt.destinations import postgres
from dlt.sources.filesystem import filesystem, read_csv_duckdb
from pyarrow import RecordBatch

COLUMNS = {
    "customer_number": ("INTEGER", {"data_type": "bigint", "precision": 32}),
    "customer_rating": ("INTEGER", {"data_type": "bigint", "precision": 32}),
    "customer_rating_limit": ("INTEGER", {"data_type": "bigint", "precision": 32}),
    "customer_status": ("VARCHAR", {"data_type": "text", "precision": 25}),
}


def good_rows(batch: RecordBatch) -> RecordBatch:
    batch = batch.filter(pc.less_equal(pc.utf8_length(batch["customer_status"]), 25))
    return batch.drop_null()


def destination() -> postgres:
    place = {name: os.environ[f"PG{name.upper()}"] for name in ("database", "user", "password", "host", "port")}
    place["username"] = place.pop("user")
    # dlt puts it into an address as it is; a socket's has slashes.
    place["host"] = quote(place["host"], safe="")
    return postgres(place)


def main(file: str, table: str, folder: str) -> None:
    path = Path(file)
    dataset, name = table.split(".")
    files = filesystem(bucket_url=path.parent.as_uri(), file_glob=path.name)
    rows = files | read_csv_duckdb(
        chunk_size=100_000,
        use_pyarrow=True,
        auto_detect=False,
        header=True,
        sep=",",
        quotechar='"',
        escapechar='"',
        columns={column: kind for column, (kind, _) in COLUMNS.items()},
        ignore_errors=True,
    )
    rows.add_map(good_rows)
    rows.apply_hints(
        table_name=name,
        write_disposition="replace",
        columns={column: {"name": column, "nullable": False, **hints} for column, (_, hints) in COLUMNS.items()},
    )
    pipeline = dlt.pipeline("ratings", pipelines_dir=folder, destination=destination(), dataset_name=dataset)
    pipeline.run(rows, loader_file_format="parquet")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3])
