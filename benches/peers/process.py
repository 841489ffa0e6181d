"""Runs a loader as a process of its own and measures it from its start to its end."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SAMPLE_S = 0.05


@dataclass(frozen=True)
class Taken:
    """What a process took: wall-clock time, and the most memory that it and its descendants held together."""

    seconds: float
    # None where there is no /proc.
    peak_memory_bytes: int | None


class LoaderError(Exception):
    """A loader that failed, with the end of what it said."""


def run(command: list[str], env: dict[str, str], folder: Path, timeout_s: float) -> Taken:
    """Raises LoaderError where it fails or takes longer; nothing of it is left running in any case."""
    log = folder / "log.txt"
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        watch = Watch(process.pid, start + timeout_s)
        try:
            code = process.wait()
            seconds = time.perf_counter() - start
        finally:
            watch.stop()
            kill_group(process.pid)
            process.wait()
    if watch.timed_out:
        raise LoaderError(f"took longer than {timeout_s:g} s")
    if code != 0:
        said = log.read_text(errors="replace").strip().splitlines()
        raise LoaderError(f"exit code {code}: {' / '.join(said[-3:])[-300:]}")
    return Taken(seconds, watch.peak_bytes or None)


def kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class Watch(threading.Thread):
    """Adds up the memory of a process tree twenty times a second, and ends it at the deadline."""

    def __init__(self, pid: int, deadline: float) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.deadline = deadline
        self.peak_bytes = 0
        self.timed_out = False
        self.over = threading.Event()
        self.start()

    def run(self) -> None:
        self.sample()
        while not self.over.wait(SAMPLE_S):
            self.sample()
            if time.perf_counter() > self.deadline:
                self.timed_out = True
                kill_group(self.pid)
                return

    def sample(self) -> None:
        memory = [memory_of(pid) for pid in tree(self.pid)]
        now = sum(resident for resident, _ in memory)
        # The peak of one process is known to the byte; that of several together is what the samples saw.
        alone = max((peak for _, peak in memory), default=0)
        self.peak_bytes = max(self.peak_bytes, now, alone)

    def stop(self) -> None:
        self.over.set()
        self.join()


def tree(pid: int) -> Iterator[int]:
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return
    for thread in threads:
        try:
            children = Path(f"/proc/{pid}/task/{thread}/children").read_text()
        except OSError:
            continue
        for child in children.split():
            yield from tree(int(child))


def memory_of(pid: int) -> tuple[int, int]:
    """Resident now, and the most it ever was, in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0, 0
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in status.splitlines() if line.startswith("Vm")}
    # A process that has just ended has none.
    return kilobytes.get("VmRSS", 0) * 1024, kilobytes.get("VmHWM", 0) * 1024
