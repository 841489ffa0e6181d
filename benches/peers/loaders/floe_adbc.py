"""Floe checks the file against a contract and writes Parquet, ADBC ingests that in one transaction.

Floe writes to no PostgreSQL. Its contract knows no length of a text, so that is checked behind it.
"""

import json
import os
import sys
from pathlib import Path

import floe
import polars as pl
from adbc_driver_postgresql import dbapi

TYPES = {
    "customer_number": "int32",
    "customer_rating": "int32",
    "customer_rating_limit": "int32",
    "customer_status": "string",
}


def write_contract(file: str, folder: Path) -> Path:
    entity = {
        "name": "ratings",
        "source": {"format": "csv", "path": file, "options": {"separator": ","}, "cast_mode": "strict"},
        "sink": {
            "write_mode": "overwrite",
            "accepted": {"format": "parquet", "path": str(folder / "accepted")},
            "rejected": {"format": "csv", "path": str(folder / "rejected")},
        },
        "policy": {"severity": "reject"},
        "schema": {"columns": [{"name": name, "type": kind, "nullable": False} for name, kind in TYPES.items()]},
    }
    contract = {"version": "0.3", "report": {"path": str(folder / "report")}, "entities": [entity]}
    path = folder / "contract.yml"
    path.write_text(json.dumps(contract))  # JSON is YAML, too.
    return path


def main(file: str, table: str, folder: Path) -> None:
    outcome = floe.run(str(write_contract(file, folder)))
    if outcome.summary["results"]["accepted_total"] == 0:
        sys.exit(json.dumps(outcome.entity_reports[0]["files"]))
    accepted = pl.scan_parquet(folder / "accepted" / "*.parquet")
    frame = accepted.filter(pl.col("customer_status").str.len_chars() <= 25).collect()
    with dbapi.connect(os.environ["DATABASE_URL"]) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"truncate {table}")
        frame.write_database(table, connection, if_table_exists="append", engine="adbc")
        connection.commit()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
