#!/usr/bin/env python3
"""Measures Bursar beside what people would use instead, on the same file and the same server.

See README.md beside this file.
"""

import argparse
import contextlib
import datetime
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import files
import lineup
import process
import report
import server
from lineup import Peer, Stage
from truth import Truth

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FIRST_DAY = datetime.date(2026, 1, 1)


@dataclass(frozen=True)
class Arena:
    """All that is there while it is measured."""

    arguments: argparse.Namespace
    peers: list[Peer]
    sizes: dict[str, int]
    psql: server.Psql
    folder: Path
    env: dict[str, str]
    # By rows: each size's files and its good rows in the database.
    truths: dict[int, Truth]


def parse_arguments() -> argparse.Namespace:
    names = [peer.name for peer in lineup.PEERS]
    usual = [name for name in names if name not in lineup.BY_REQUEST]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="rows of the file (10 million)")
    parser.add_argument("--slow-rows", type=int, default=300_000, help="rows for the slow ones (300,000); 0: none")
    parser.add_argument("--bad", type=float, default=1.0, help="how many of a hundred rows are bad (1)")
    parser.add_argument("--rounds", type=int, default=3, help="everybody once a round, in random order (3)")
    parser.add_argument("--seed", type=int, default=1, help="of the files and the order (1)")
    parser.add_argument("--peers", default=",".join(usual), help=f"some of {','.join(names)}")
    parser.add_argument("--timeout", type=float, default=600, help="seconds until a loader is ended (600)")
    bursar = os.environ.get("BURSAR", str(ROOT / "target/release/bursar"))
    parser.add_argument("--bursar", type=Path, default=Path(bursar), help="Bursar ($BURSAR, target/release/bursar)")
    parser.add_argument("--venv", type=Path, default=ROOT / "target/peers", help="the packages' folder (target/peers)")
    parser.add_argument("--work", type=Path, default=None, help="where files and cluster go (the temporary folder)")
    parser.add_argument("--json", type=Path, default=None, help="writes the raw figures there")
    arguments = parser.parse_args()
    arguments.names = set(arguments.peers.split(",")) | {lineup.FLOOR.name}
    if unknown := arguments.names - set(names):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    arguments.bursar = arguments.bursar.resolve()
    return arguments


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, stop)
    server.find_programs()
    chosen = [peer for peer in lineup.PEERS if peer.name in arguments.names]
    missing = {peer.name: why for peer in chosen if (why := what_lacks(peer, arguments))}
    chosen = [peer for peer in chosen if peer.name not in missing]
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(work_folder(arguments.work))
        url = stack.enter_context(database(folder))
        arena = build(arguments, chosen, server.Psql(url), folder)
        runs = measure(arena)
        figures = report.Figures(arena.psql.ask("show server_version"), arguments, chosen, runs, missing)
    if arguments.json:
        arguments.json.write_text(figures.json())
    print(figures.markdown())


def stop(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


def what_lacks(peer: Peer, arguments: argparse.Namespace) -> str | None:
    """Why it can't be measured."""
    if "full" not in peer.sizes and not arguments.slow_rows:
        return "only with `--slow-rows`"
    if peer.needs == "bursar" and not arguments.bursar.is_file():
        return f"there is no {arguments.bursar}: `cargo build --release`, or set `BURSAR`"
    if peer.needs in ("psql", "pgloader") and not shutil.which(peer.needs):
        return f"{peer.needs} is not installed"
    return None


@contextlib.contextmanager
def work_folder(parent: Path | None) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bursar-peers-", dir=parent)).resolve()
    # The server's account passes through it.
    folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def database(folder: Path) -> Iterator[str]:
    """A database of the run's own, on the given server or a private one; gone afterwards, whatever happens."""
    name = f"bursar_peers_{os.getpid()}"
    with contextlib.ExitStack() as stack:
        url = os.environ.get("DATABASE_URL")
        if not url:
            private = server.Private(folder)
            stack.callback(private.stop)
            private.start()
            url = private.url
        psql = server.Psql(url)
        psql.ask(f"create database {name} template template0 encoding 'UTF8'")
        stack.callback(drop, psql, name)
        yield server.with_database(url, name)


def drop(psql: server.Psql, name: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    psql.ask(f"drop database if exists {name} with (force)")


def build(arguments: argparse.Namespace, peers: list[Peer], psql: server.Psql, folder: Path) -> Arena:
    """Packages, files, tables, Bursar's configuration: all that is no part of what is measured."""
    if any(peer.needs in PYTHON_PACKAGES for peer in peers):
        make_venv(arguments.venv)
    sizes = sizes_of(arguments, peers)
    lineup.write_config(folder / "config", set(sizes.values()))
    truths = {rows: build_size(arguments, peers, psql, folder, rows) for rows in set(sizes.values())}
    env = os.environ | server.environment(psql.url)
    for name in ("DATABASE_URL_FILE", "PGSERVICE", "PGOPTIONS"):
        env.pop(name, None)
    env |= {
        "BURSAR_CONFIG_DIR": str(folder / "config"),
        "BURSAR_INBOX_DIR": str(folder),
        "BURSAR_OUTPUT_DIR": str(folder / "output"),
        "BURSAR_DATA_DIR": str(folder / "state"),
    }
    if any(peer.needs == "bursar" for peer in peers):
        subprocess.run([arguments.bursar, "migrate"], env=env, check=True, capture_output=True)
    return Arena(arguments, peers, sizes, psql, folder, env, truths)


def sizes_of(arguments: argparse.Namespace, peers: list[Peer]) -> dict[str, int]:
    """The rows of each size that somebody is measured at who is at no other."""
    sizes = {"full": arguments.rows, "slow": arguments.slow_rows}
    return {s: rows for s, rows in sizes.items() if any(peer.sizes == {s} for peer in peers)} or {
        "full": arguments.rows
    }


PYTHON_PACKAGES = {"duckdb", "polars", "floe", "psycopg", "psycopg2", "pandas", "dlt"}


def make_venv(folder: Path) -> None:
    """Installs what requirements.txt names, unless that is there already."""
    wanted = (HERE / "requirements.txt").read_text()
    stamp = folder / "requirements.txt"
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    say(f"installing the loaders' packages in {folder}")
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]
    subprocess.run([folder / "bin/python", *install, HERE / "requirements.txt"], check=True)
    stamp.write_text(wanted)


def build_size(arguments: argparse.Namespace, peers: list[Peer], psql: server.Psql, folder: Path, rows: int) -> Truth:
    say(f"making a file of {rows:,} rows")
    made = files.write(folder / str(rows), rows, arguments.bad, arguments.seed)
    truth = Truth(psql, made)
    truth.load()
    psql.ask(
        f"""create table customer_rating_{rows} (
            customer_number integer not null,
            customer_rating integer not null,
            customer_rating_limit integer not null,
            customer_status character varying(25) not null)"""
    )
    if any(peer.file == "binary" for peer in peers):
        psql.ask(f"\\copy {truth.table} to '{made.binary}' with (format binary)")
    return truth


def measure(arena: Arena) -> list[report.Run]:
    order = random.Random(arena.arguments.seed)
    pairs = ((peer, rows) for peer in arena.peers for size, rows in arena.sizes.items() if size in peer.sizes)
    entries = list(dict.fromkeys(pairs))
    runs = []
    for number in range(arena.arguments.rounds):
        order.shuffle(entries)
        for peer, rows in entries:
            run = measure_one(arena, peer, rows, number)
            say(f"round {number + 1}: {run}")
            runs.append(run)
    return runs


def measure_one(arena: Arena, peer: Peer, rows: int, number: int) -> report.Run:
    truth = arena.truths[rows]
    arguments = arena.arguments
    folder = arena.folder / "loader"
    folder.mkdir()
    day = FIRST_DAY + datetime.timedelta(days=number)
    stage = Stage(truth.files, folder, arena.psql, arguments.venv / "bin/python", arguments.bursar, day)
    env = arena.env | {"PEER_FILE": str(peer.path(stage)), "PEER_TABLE": peer.table(stage)}
    truth.prepare(stage.table)
    settle(arena.psql)
    try:
        taken = process.run(peer.command(peer, stage), env, folder, arguments.timeout)
    except process.LoaderError as error:
        return report.Run(peer.name, rows, number, failure=str(error))
    finally:
        shutil.rmtree(folder)
    verdict = truth.judge(peer.name, peer.table(stage))
    return report.Run(
        peer.name, rows, number, taken.seconds, taken.peak_memory_bytes, lost=verdict.lost, wrong=verdict.wrong
    )


def settle(psql: server.Psql) -> None:
    """Who is next must not pay for who was before."""
    try:
        psql.ask("checkpoint")
    except server.ServerError as error:
        say(f"the rounds disturb each other more: {error}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (server.ServerError, subprocess.CalledProcessError) as error:
        sys.exit(f"{error}\n{(getattr(error, 'stderr', None) or b'').decode(errors='replace')}".strip())
