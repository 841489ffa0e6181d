"""The PostgreSQL server that is measured on: the one DATABASE_URL names, or a private one for as long as the run."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from process import kill_group

# What loads leave behind is not to be tidied while another is measured.
SETTINGS = ["-c", "listen_addresses=", "-c", "autovacuum=off"]


class ServerError(Exception):
    """There is no server to be had, or it says no."""


class Private:
    """A cluster with PostgreSQL's defaults, reached by a socket that only its owner (and root) may enter."""

    def __init__(self, folder: Path) -> None:
        if not shutil.which("initdb"):
            raise ServerError("no initdb found: install PostgreSQL's server, or set DATABASE_URL")
        self.account = "postgres" if os.geteuid() == 0 else None
        self.folder = folder / "cluster"
        # A socket's path must be short.
        self.socket_folder = Path(tempfile.mkdtemp(prefix="peers-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql:///postgres?host={quote(str(self.socket_folder), safe='')}&user=postgres"

    def start(self) -> None:
        self.folder.mkdir(mode=0o700)
        if self.account:
            for folder in (self.folder, self.socket_folder):
                shutil.chown(folder, self.account)
        options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", f"--pgdata={self.folder}"]
        made = self.spawn("initdb", options, subprocess.PIPE)
        try:
            output, _ = made.communicate()
        finally:
            kill_group(made.pid)
            made.wait()
        if made.returncode:
            raise ServerError(f"initdb failed: {output.decode(errors='replace').strip()}")
        places = ["-D", str(self.folder), "-k", str(self.socket_folder)]
        with (self.folder.parent / "server.log").open("wb") as log:
            self.process = self.spawn("postgres", [*places, *SETTINGS], log.fileno())
        self.wait_until_ready()

    def spawn(self, program: str, options: list[str], output: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [program, *options],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the runner, which stops the server last.
            start_new_session=True,
            user=self.account,
            group=self.account,
            extra_groups=[] if self.account else None,
        )

    def wait_until_ready(self) -> None:
        assert self.process is not None
        for _ in range(300):
            if self.process.poll() is not None:
                raise ServerError(f"the server did not start: {(self.folder.parent / 'server.log').read_text()}")
            if subprocess.run(["psql", "-X", "-d", self.url, "-c", ""], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise ServerError("the server did not start within 30 seconds")

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait()
        shutil.rmtree(self.socket_folder, ignore_errors=True)


def find_programs() -> None:
    """Puts PostgreSQL's own programs before those of PATH, which are a script around them on Debian."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/psql"), *Path("/usr").glob("pgsql-*/bin/psql")]
    if found:
        newest = max(found, key=lambda path: float("".join(c for c in path.parts[-3] if c in "0123456789.")))
        os.environ["PATH"] = f"{newest.parent}{os.pathsep}{os.environ['PATH']}"


def with_database(url: str, name: str) -> str:
    parts = urlsplit(url)
    # A server that is reached by a socket has no host before the name: postgresql:///NAME?host=/FOLDER.
    return f"postgresql://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


def environment(url: str) -> dict[str, str]:
    """The address as each loader wants it: whole, in libpq's variables, and as pgloader writes it."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    host = parts.hostname or query.pop("host", "localhost")
    port = str(parts.port or query.pop("port", 5432))
    user = parts.username or query.pop("user", os.environ.get("USER", "postgres"))
    password = parts.password or query.pop("password", "")
    database = parts.path.lstrip("/")
    place = f"unix:{host}" if host.startswith("/") else host
    options = f"?{urlencode(query)}" if query else ""
    return {
        "DATABASE_URL": url,
        "PGHOST": host,
        "PGPORT": port,
        "PGUSER": unquote(user),
        "PGPASSWORD": unquote(password),
        "PGDATABASE": database,
        # It takes the account from the variables above.
        "PEER_PGLOADER_URL": f"pgsql://{place}:{port}/{database}{options}",
    }


class Psql:
    """Statements for a database, by psql."""

    def __init__(self, url: str) -> None:
        self.url = url

    def command(self, *statements: str) -> list[str]:
        """One transaction of them; what begins with a backslash is psql's own."""
        given = [part for statement in statements for part in ("-c", statement)]
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url]
        return ["psql", *options, *(["--single-transaction"] if len(statements) > 1 else []), *given]

    def ask(self, *statements: str) -> str:
        done = subprocess.run(self.command(*statements), capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()
