"""Run something that may take too long, or too much memory, and see how far it came."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def run(command: Sequence[str], seconds: float, gigabytes: float) -> tuple[list[str], str]:
    """The lines that a command printed, and what ended it: "" where it ended itself with success.

    Args:
        command: Program and arguments.
        seconds: From its start; nothing of what it began is left behind.
        gigabytes: Resident memory of it and everything that it began, a browser among them.
    """
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    selector = selectors.DefaultSelector()
    selector.register(process.stdout, selectors.EVENT_READ)
    began, lines, problem = time.monotonic(), [], ""
    known = {process.pid: _stat(process.pid)[1]}
    try:
        while True:
            known = descendants(known)
            if selector.select(timeout=0.2):
                line = process.stdout.readline()
                if not line:
                    break
                lines.append(line.rstrip("\n"))
            if resident(known) > gigabytes * 1e9:
                problem = f"more than {gigabytes:g} GB"
                break
            if time.monotonic() - began > seconds:
                problem = f"more than {seconds:g} s"
                break
        if not problem and process.wait(timeout=10):
            problem = f"ended with {process.returncode}"
    finally:
        stop(descendants(known))
        process.stdout.close()
        process.wait()
    return lines, problem


def stop(known: dict[int, str]) -> None:
    """End those that still run; a number that another program has by now is left alone."""
    for pid, started in known.items():
        if _stat(pid)[1:] == (started,):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def descendants(known: dict[int, str]) -> dict[int, str]:
    """Every process that these began, and those began, with the time of its start. One whose parent has ended stays known."""
    running = {int(folder.name): _stat(int(folder.name)) for folder in Path("/proc").iterdir() if folder.name.isdigit()}
    found = dict(known)
    while more := {pid: s[1] for pid, s in running.items() if s and int(s[0]) in found and pid not in found}:
        found |= more
    return found


def _stat(pid: int) -> tuple[str, ...]:
    """Parent and start of a process; nothing where it has ended."""
    try:
        # The name of a program may hold spaces and parentheses: what follows does not.
        fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ()
    return fields[1], fields[19]


def resident(pids: Iterable[int]) -> int:
    """Bytes, without pages that several share."""
    total = 0
    for pid in pids:
        try:
            pages = (Path("/proc") / str(pid) / "statm").read_text().split()
        except OSError:
            continue
        total += (int(pages[1]) - int(pages[2])) * PAGE
    return total
