"""The figures: raw as JSON, and as a Markdown table of medians and quartiles."""

import argparse
import json
import os
import platform
import statistics
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import lineup
from lineup import Peer

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
FILES = {
    "clean": "its good rows",
    "binary": "its good rows",
    "mild": "seven of nine kinds of bad rows",
    "dirty": "the file",
}
HEADER = ["loader", "given", "seconds", "**ratio** to the floor", "rows a second", "MiB", "good rows lost", "wrong"]


@dataclass(frozen=True)
class Run:
    """One loader's run in one round."""

    peer: str
    rows: int
    round: int
    # All of it is 0 or empty where it failed.
    seconds: float = 0.0
    # None where there is no /proc.
    peak_memory_bytes: int | None = None
    # Good rows that are not in the table.
    lost: int = 0
    # Rows of the table that are no good rows of the file, by the kind of bad row they were made from.
    wrong: dict[str, int] = field(default_factory=dict)
    failure: str | None = None

    def __str__(self) -> str:
        what = self.failure or f"{self.seconds:.2f} s, {self.lost} lost, {sum(self.wrong.values())} wrong"
        return f"{self.peer} of {self.rows:,} rows: {what}"


@dataclass(frozen=True)
class Figures:
    server: str
    arguments: argparse.Namespace
    peers: list[Peer]
    runs: list[Run]
    # Who was not measured, and why.
    missing: dict[str, str]

    def json(self) -> str:
        conditions = {name: getattr(self.arguments, name) for name in ("rows", "slow_rows", "bad", "rounds", "seed")}
        conditions |= {
            "server": self.server,
            "cores": os.cpu_count(),
            "python": platform.python_version(),
            "packages": packages(),
        }
        runs = [asdict(run) for run in self.runs]
        return json.dumps({"conditions": conditions, "missing": self.missing, "runs": runs}, indent=1) + "\n"

    def markdown(self) -> str:
        blocks = [
            f"PostgreSQL {self.server}; {os.cpu_count()} cores; {self.arguments.bad:g} % bad rows; rounds:"
            f" {self.arguments.rounds}; median (quartiles). {', '.join(packages())}."
        ]
        for rows in sorted({run.rows for run in self.runs}, reverse=True):
            blocks += [f"{rows:,} rows:", self.table(rows), *self.remarks(rows)]
        blocks += [f"- not measured: {name}: {why}" for name, why in self.missing.items()]
        return "\n\n".join(blocks)

    def table(self, rows: int) -> str:
        lines = [HEADER, ["---"] * len(HEADER)]
        ranked = []
        for peer in self.peers:
            runs = [run for run in self.runs if run.peer == peer.name and run.rows == rows]
            if runs:
                ranked.append(self.line(peer, rows, runs))
        ranked.sort()
        lines += [line for _, line in ranked]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def line(self, peer: Peer, rows: int, runs: list[Run]) -> tuple[float, list[str]]:
        """What it is ranked by, and the cells."""
        cells = [peer.title, FILES[peer.file]]
        if failed := sum(run.failure is not None for run in runs):
            return float("inf"), [*cells, f"failed in {failed} of {len(runs)}", "", "", "", "", ""]
        seconds = {run.round: run.seconds for run in runs}
        floor = {run.round: run.seconds for run in self.runs if run.peer == lineup.FLOOR.name and run.rows == rows}
        ratios = [seconds[n] / floor[n] for n in seconds if floor[n]]
        memory = max(run.peak_memory_bytes or 0 for run in runs)
        median = statistics.median(seconds.values())
        return median, [
            *cells,
            spread(list(seconds.values())),
            f"**{spread(ratios)}**" if ratios else "",
            f"{rows / median:,.0f}",
            f"{memory / 2**20:,.0f}" if memory else "",
            # The worst of the rounds.
            f"{max(run.lost for run in runs):,}",
            f"{max(sum(run.wrong.values()) for run in runs):,}",
        ]

    def remarks(self, rows: int) -> list[str]:
        lines = []
        for peer in self.peers:
            runs = [run for run in self.runs if run.peer == peer.name and run.rows == rows]
            wrong: dict[str, int] = defaultdict(int)
            for run in runs:
                for kind, count in run.wrong.items():
                    wrong[kind] = max(wrong[kind], count)
            if wrong:
                told = ", ".join(f"{kind} {count:,}" for kind, count in wrong.items())
                lines.append(f"- {peer.title} took in bad rows: {told}")
            lines += [f"- {peer.title} failed: {run.failure}" for run in runs if run.failure]
        return ["\n".join(lines)] if lines else []


def spread(values: list[float]) -> str:
    """The median, with the quartiles in brackets."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return f"{median:.2f} ({q1:.2f} to {q3:.2f})"


def packages() -> list[str]:
    lines = REQUIREMENTS.read_text().splitlines()
    return [line.replace("==", " ") for line in lines if "==" in line]
