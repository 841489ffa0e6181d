"""Who is measured, and by which command."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from files import Files
from server import Psql

LOADERS = Path(__file__).resolve().parent / "loaders"

DATASET = """\
name = "{name}"
file = "{rows}/dirty.csv"
table = "bursar_{name}"
publish = "{way}"

[gate]
max_reject_percent = 100

[[column]]
name = "customer_number"
type = "integer"

[[column]]
name = "customer_rating"
type = "integer"

[[column]]
name = "customer_rating_limit"
type = "integer"

[[column]]
name = "customer_status"
type = "text"
max_length = 25

[measures]
count_customer_number = "count(customer_number)"
sum_customer_rating = "coalesce(sum(customer_rating), 0)"
high_value_count = "count(*) filter (where customer_status = 'high-value')"
"""
JOB = 'name = "{name}"\n[[task]]\nname = "load"\nkind = "load"\ndataset = "{name}"\n'
WAYS = ["swap", "segments"]


@dataclass(frozen=True)
class Stage:
    """What a loader is given for one run."""

    files: Files
    # Empty, and made anew for each run.
    folder: Path
    psql: Psql
    python: Path
    bursar: Path
    # Bursar loads for a run date; a new one for each round, as in service.
    day: datetime.date

    @property
    def table(self) -> str:
        return f"customer_rating_{self.files.rows}"


@dataclass(frozen=True)
class Peer:
    """A loader: its name for `--peers`, its title in the table, which of the files it gets, at which sizes."""

    name: str
    title: str
    file: str
    sizes: frozenset[str]
    # A program or package that must be there.
    needs: str
    command: Callable[["Peer", Stage], list[str]]
    table: Callable[[Stage], str] = lambda stage: stage.table

    def path(self, stage: Stage) -> Path:
        path: Path = getattr(stage.files, self.file)
        return path


def copy_csv(peer: Peer, stage: Stage) -> list[str]:
    copy = f"\\copy {stage.table} from '{peer.path(stage)}' with (format csv, header)"
    return stage.psql.command(f"truncate {stage.table}", copy)


def copy_binary(peer: Peer, stage: Stage) -> list[str]:
    copy = f"\\copy {stage.table} from '{peer.path(stage)}' with (format binary, freeze)"
    return stage.psql.command(f"truncate {stage.table}", copy)


def script(name: str, *options: str) -> Callable[[Peer, Stage], list[str]]:
    def command(peer: Peer, stage: Stage) -> list[str]:
        place = [str(peer.path(stage)), peer.table(stage), str(stage.folder)]
        return [str(stage.python), str(LOADERS / name), *place, *options]

    return command


def pgloader(peer: Peer, stage: Stage) -> list[str]:
    return ["pgloader", "--root-dir", str(stage.folder), str(LOADERS / "pgloader.load")]


def bursar(way: str, sizes: frozenset[str]) -> Peer:
    def command(peer: Peer, stage: Stage) -> list[str]:
        return [str(stage.bursar), "run-job", f"{way}_{stage.files.rows}", "--date", str(stage.day), "--json"]

    def table(stage: Stage) -> str:
        return f"bursar_{way}_{stage.files.rows}"

    return Peer(f"bursar-{way}", f"Bursar, `{way}`", "dirty", sizes, "bursar", command, table)


def write_config(folder: Path, sizes: set[int]) -> None:
    """Bursar's configuration: a dataset and a job for each way and size."""
    for part in ("datasets", "jobs"):
        (folder / part).mkdir(parents=True)
    # It must have a customer; these datasets are nobody's in particular.
    (folder / "customers.toml").write_text('[[customer]]\nname = "anybody"\n')
    for way in WAYS:
        for rows in sizes:
            name = f"{way}_{rows}"
            (folder / f"datasets/{name}.toml").write_text(DATASET.format(name=name, way=way, rows=rows))
            (folder / f"jobs/{name}.toml").write_text(JOB.format(name=name))


FULL, SLOW = frozenset(["full"]), frozenset(["slow"])
FLOOR = Peer("psql", "psql `\\copy` (the floor)", "clean", FULL | SLOW, "psql", copy_csv)

PEERS = [
    FLOOR,
    Peer("psql-binary", "psql `\\copy`, encoded before, FREEZE", "binary", FULL, "psql", copy_binary),
    bursar("swap", FULL | SLOW),
    bursar("segments", FULL),
    Peer("duckdb", "DuckDB, psql", "dirty", FULL, "duckdb", script("duckdb_psql.py")),
    Peer("duckdb-checked", "DuckDB, every rule, psql", "dirty", FULL, "duckdb", script("duckdb_psql.py", "--checked")),
    Peer("polars", "Polars, ADBC", "dirty", FULL, "polars", script("polars_adbc.py")),
    Peer("polars-checked", "Polars, every rule, ADBC", "dirty", FULL, "polars", script("polars_adbc.py", "--checked")),
    Peer("floe", "Floe, ADBC", "clean", FULL, "floe", script("floe_adbc.py")),
    Peer("psycopg", "csv, psycopg 3 COPY", "dirty", FULL, "psycopg", script("psycopg_copy.py")),
    Peer("psycopg2", "csv, psycopg2 `execute_values`", "dirty", SLOW, "psycopg2", script("psycopg2_values.py")),
    Peer("pandas-copy", "pandas `to_sql`, COPY", "dirty", SLOW, "pandas", script("pandas_to_sql.py", "copy")),
    Peer("pandas-multi", "pandas `to_sql`, `multi`", "dirty", SLOW, "pandas", script("pandas_to_sql.py", "multi")),
    Peer("dlt", "dlt", "dirty", FULL, "dlt", script("dlt_csv.py"), lambda stage: f"dlt.{stage.table}"),
    Peer("pgloader", "pgloader", "mild", SLOW, "pgloader", pgloader),
]
# Minutes for a million rows.
BY_REQUEST = {"pandas-multi"}
