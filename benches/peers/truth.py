"""Compares a loaded table with the good rows of the file that it was loaded from, as multisets, by the server."""

from dataclasses import dataclass, field

from files import Files
from server import Psql

DEFINITIONS = "customer_number {0}, customer_rating {0}, customer_rating_limit {0}, customer_status text"
# Whatever types a loader has made.
COLUMNS = "customer_number::bigint, customer_rating::bigint, customer_rating_limit::bigint, customer_status::text"

YESTERDAYS_ROW = "0, 0, 0, 'yesterday'"


@dataclass(frozen=True)
class Verdict:
    """Good rows that are not in the table, and rows of the table that are no good rows, by what they were made from."""

    lost: int = 0
    wrong: dict[str, int] = field(default_factory=dict)

    @property
    def wrong_rows(self) -> int:
        return sum(self.wrong.values())


class Truth:
    """The good rows of one size, in a table of their own."""

    def __init__(self, psql: Psql, files: Files) -> None:
        self.psql = psql
        self.table = f"truth_{files.rows}"
        self.readings = f"readings_{files.rows}"
        self.files = files
        self.verdicts: dict[tuple[str, str], Verdict] = {}

    def load(self) -> None:
        self.psql.ask(
            f"create table {self.table} ({DEFINITIONS.format('integer')})",
            f"create table {self.readings} (kind text, {DEFINITIONS.format('bigint')})",
            f"\\copy {self.table} from '{self.files.clean}' with (format csv, header)",
            f"\\copy {self.readings} from '{self.files.readings}'",
            f"insert into {self.readings} values ('a row of before', {YESTERDAYS_ROW})",
        )
        self.fingerprint = self.fingerprint_of(self.table)
        if int(self.fingerprint.split()[0]) != self.files.good_rows:
            raise AssertionError(f"the server has {self.fingerprint} of {self.files.good_rows} good rows")

    def fingerprint_of(self, table: str) -> str:
        """The count and the sum of the rows' hashes: the same for the same rows in any order."""
        return self.psql.ask(
            f"select count(*) || ' ' || coalesce(sum(hash_record_extended(row({COLUMNS}), 0)), 0) from {table}"
        )

    def prepare(self, table: str) -> None:
        """Who loads nothing and says nothing would leave somebody else's rows, which may be the right ones."""
        self.psql.ask(f"insert into {table} values ({YESTERDAYS_ROW})")

    def judge(self, peer: str, table: str) -> Verdict:
        fingerprint = self.fingerprint_of(table)
        if fingerprint == self.fingerprint:
            return Verdict()
        # A loader makes the same of the same file in each round, as a rule.
        key = (peer, fingerprint)
        if key not in self.verdicts:
            self.verdicts[key] = self.compare(table)
        return self.verdicts[key]

    def compare(self, table: str) -> Verdict:
        told = self.psql.ask(
            "set local work_mem = '512MB'",
            f"""create temporary table difference as
                select row({COLUMNS})::text as reading, sum(weight) as surplus
                  from (select {COLUMNS}, 1 as weight from {table}
                        union all
                        select {COLUMNS}, -1 from {self.table}) as both_sides
                 group by customer_number, customer_rating, customer_rating_limit, customer_status
                having sum(weight) <> 0""",
            f"""select 'lost', -coalesce(sum(surplus), 0) from difference where surplus < 0
                union all
                select coalesce(kind, 'other'), sum(surplus)
                  from difference
                  left join (select row({COLUMNS})::text as reading, min(kind) as kind
                               from {self.readings} group by 1) as readings using (reading)
                 where surplus > 0
                 group by 1
                 order by 2 desc""",
        )
        counts = {name: int(count) for name, count in (line.split("|") for line in told.splitlines())}
        return Verdict(counts.pop("lost"), counts)
