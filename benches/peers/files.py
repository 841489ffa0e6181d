"""Makes the delivered file, and tells its good rows from its bad ones.

The kinds of bad rows are those of `bursar bench load` (src/cli/bench/generate.rs); the numbers are others.
"""

import random
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HEADER = b"customer_number,customer_rating,customer_rating_limit,customer_status\r\n"

# None is null.
Reading = tuple[int | None, int | None, int | None, str | None]

LONG = "a status of more than twenty-five characters"


@dataclass(frozen=True)
class Spoil:
    """A kind of bad row: how it is written, of number, rating and limit, and what a lenient loader may make of it."""

    name: str
    write: Callable[[int, int, int], bytes]
    readings: Callable[[int, int, int], list[Reading]]


def text(form: str) -> Callable[[int, int, int], bytes]:
    return lambda n, r, lim: form.format(n=n, r=r, lim=lim).encode()


SPOILS = [
    Spoil("letter in a number", text("z{n},{r},{lim},low-value"), lambda n, r, lim: [(None, r, lim, "low-value")]),
    Spoil(
        "number out of range",
        text("9{n}00,{r},{lim},low-value"),
        lambda n, r, lim: [(None, r, lim, "low-value"), (int(f"9{n}00"), r, lim, "low-value")],
    ),
    Spoil("blank number", text(",{r},{lim},high-value"), lambda n, r, lim: [(None, r, lim, "high-value")]),
    Spoil("missing fields", text("{n},{r}"), lambda n, r, lim: [(n, r, None, None)]),
    Spoil("a field too many", text("{n},{r},{lim},low-value,more"), lambda n, r, lim: [(n, r, lim, "low-value")]),
    Spoil(
        "fraction",
        text("{n},{r}.5,{lim},low-value"),
        lambda n, r, lim: [(n, r, lim, "low-value"), (n, r + 1, lim, "low-value"), (n, None, lim, "low-value")],
    ),
    Spoil(
        "text too long",
        text(f"{{n}},{{r}},{{lim}},{LONG}"),
        lambda n, r, lim: [(n, r, lim, LONG), (n, r, lim, LONG[:25])],
    ),
    Spoil(
        "stray quote",
        text('{n},{r},{lim},low"value'),
        lambda n, r, lim: [(n, r, lim, 'low"value'), (n, r, lim, "lowvalue")],
    ),
    Spoil(
        "invalid UTF-8",
        lambda n, r, lim: f"{n},{r},{lim},low-".encode() + b"\xffvalue",
        lambda n, r, lim: [(n, r, lim, "low-\N{REPLACEMENT CHARACTER}value"), (n, r, lim, "low-value")],
    ),
]
# A reader that refuses a whole file for one of these gets one without them.
UNREADABLE = {"stray quote", "invalid UTF-8"}


@dataclass(frozen=True)
class Files:
    """The files of one size, and what is in them."""

    rows: int
    good_rows: int
    # As delivered.
    dirty: Path
    # Its good rows only.
    clean: Path
    # Without the bad rows that some readers refuse the whole file for.
    mild: Path
    # What a lenient loader may make of the bad rows: kind, then the four values, as COPY's text format.
    readings: Path
    # The good rows as COPY's binary format; written by the server, where it is asked for.
    binary: Path

    @property
    def bad_rows(self) -> int:
        return self.rows - self.good_rows


def write(folder: Path, rows: int, bad_percent: float, seed: int) -> Files:
    """Writes them all.

    The clean rows are found by reading the delivered file again, by rules that know nothing of how it was written.
    """
    folder.mkdir()
    dirty, clean, mild, readings = (folder / name for name in ("dirty.csv", "clean.csv", "mild.csv", "readings.tsv"))
    bad = write_dirty(dirty, mild, readings, rows, bad_percent, seed)
    good = write_clean(dirty, clean)
    if good + bad != rows:
        raise AssertionError(f"{bad} rows were written as bad, {rows - good} found to be bad")
    return Files(rows, good, dirty, clean, mild, readings, folder / "clean.binary")


def write_dirty(dirty: Path, mild: Path, readings: Path, rows: int, bad_percent: float, seed: int) -> int:
    chance = random.Random(seed)
    uniform = chance.random
    bad = 0
    with dirty.open("wb", 1 << 20) as all_lines, mild.open("wb", 1 << 20) as some_lines, readings.open("w") as told:
        all_lines.write(HEADER)
        some_lines.write(HEADER)
        for _ in range(rows):
            limit = 200_000 + int(uniform() * 500_000)
            number = 1_111_000_000 + int(uniform() * 1_000_000)
            rating = 20_000 + int(uniform() * (limit - 20_000))
            if uniform() * 100 < bad_percent:
                bad += 1
                spoil = chance.choice(SPOILS)
                line = spoil.write(number, rating, limit) + b"\r\n"
                told.writelines(copy_line(spoil.name, r) for r in spoil.readings(number, rating, limit))
                is_mild = spoil.name not in UNREADABLE
            else:
                status = b"high-value" if uniform() < 0.25 else b"low-value"
                line = b"%d,%d,%d,%s\r\n" % (number, rating, limit, status)
                is_mild = True
            all_lines.write(line)
            if is_mild:
                some_lines.write(line)
    return bad


def copy_line(name: str, reading: Reading) -> str:
    values: Iterable[str] = (r"\N" if value is None else str(value) for value in reading)
    return "\t".join([name, *values]) + "\n"


BARE_ROW = re.compile(rb'([+-]?[0-9]+),([+-]?[0-9]+),([+-]?[0-9]+),([^",\r\n]+)\r?\n')


def write_clean(dirty: Path, clean: Path) -> int:
    good = 0
    with dirty.open("rb", 1 << 20) as lines, clean.open("wb", 1 << 20) as kept:
        kept.write(next(lines))
        for line in lines:
            if is_good(line):
                good += 1
                kept.write(line)
    return good


def is_good(line: bytes) -> bool:
    """The dataset's rules (customer_rating.toml): three whole numbers of 32 bits, a text of 1 to 25 characters."""
    row = BARE_ROW.fullmatch(line)
    if row is None:
        if line.startswith(b'"') or b',"' in line:
            raise AssertionError(f"a quoted field, which these rules don't know: {line!r}")
        return False
    number, rating, limit, status = row.groups()
    return is_integer(number) and is_integer(rating) and is_integer(limit) and is_status(status)


def is_integer(digits: bytes) -> bool:
    return -(2**31) <= int(digits) < 2**31


def is_status(status: bytes) -> bool:
    if status.isascii():
        return len(status) <= 25
    try:
        return len(status.decode()) <= 25
    except UnicodeDecodeError:
        return False
