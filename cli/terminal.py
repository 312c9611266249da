"""What every command does at the terminal: progress, one-line errors, exit codes, and JSON for scripts."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, TextIO

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ..embedder.errors import MaskclsError

FAILED = 1
INTERRUPTED = 130
EVERY = 30.0
"""Seconds between two lines of progress where there is no terminal to draw a bar on."""

Update = Callable[[str, int, int], None]


@dataclass
class _Job:
    """A command that runs: its output for scripts, and where that goes."""

    command: str = ""
    as_json: bool = False
    quiet: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    stdout: TextIO | None = None
    reported: bool = False

    def send(self, exit_code: int) -> None:
        if self.as_json and not self.reported:
            content = {"command": self.command, "exit_code": exit_code, "error": None} | self.facts
            typer.echo(json.dumps(_plain(content), allow_nan=False), file=self.stdout)
            self.reported = True


_job: ContextVar[_Job | None] = ContextVar("job", default=None)


@contextmanager
def job(command: str, *, as_json: bool, quiet: bool) -> Iterator[None]:
    """Run a command as the options that all commands share want it.

    With ``as_json`` standard output holds one JSON object, also where the command fails, and what is written for people
    goes to standard error; with ``quiet`` that is not written at all, but for warnings and errors.
    """
    running = _Job(command, as_json, quiet, stdout=sys.stdout)
    before = _job.set(running)
    try:
        with ExitStack() as stack:
            if quiet:
                stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
            elif as_json:
                stack.enter_context(redirect_stdout(sys.stderr))
            yield
        running.send(0)
    except typer.Exit as end:
        running.send(end.exit_code)
        raise
    except Exception as error:
        tell(error=f"{type(error).__name__}: {error}")
        running.send(getattr(error, "exit_code", FAILED))
        raise
    finally:
        _job.reset(before)


def tell(**facts: Any) -> None:
    """Add to what a script gets from ``--json``: plain values, dataclasses, paths, numpy's numbers; NaN becomes
    null."""
    if running := _job.get():
        running.facts |= facts


def announce(line: str, **facts: Any) -> None:
    """Say what nobody can do without while the command goes on, ``--quiet`` or not; scripts get their object now."""
    tell(**facts)
    running = _job.get()
    if running and running.as_json:
        typer.echo(line, err=True)
        running.send(0)
    else:
        typer.echo(line, file=running.stdout if running else None)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Print a user's mistake as one line and exit 1; exit 130 on Ctrl-C."""
    try:
        yield
    except MaskclsError as error:
        raise _failed(str(error)) from None
    except KeyboardInterrupt:
        raise _failed("interrupted; run the same command again to go on", INTERRUPTED) from None
    except BrokenPipeError:  # whoever read the output has seen enough
        raise
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise _failed(f"{where}{error.strerror or error}") from None


def _failed(line: str, exit_code: int = FAILED) -> typer.Exit:
    tell(error=line)
    typer.echo(f"maskcls: {line}", err=True)
    return typer.Exit(exit_code)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress_bar() -> Iterator[Update]:
    """Progress on standard error; yields ``update(what, done, total)``.

    A bar with rate and time left on a terminal, hidden once a part such as "fold 1: training mask" is done; elsewhere,
    such as in the log of a batch job, a line every half minute.
    """
    running = _job.get()
    if running and running.quiet:
        yield lambda what, done, total: None
    elif sys.stderr.isatty():
        yield from _bar()
    else:
        yield _lines()


def _bar() -> Iterator[Update]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=60) as bar:
        tasks: dict[str, TaskID] = {}

        def update(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            is_over = done >= total and ": " in what
            bar.update(tasks[what], completed=done, total=total, visible=not is_over)

        yield update


def _lines() -> Update:
    began, shown_at = time.monotonic(), time.monotonic()

    def update(what: str, done: int, total: int) -> None:
        nonlocal shown_at
        now = time.monotonic()
        if now - shown_at >= EVERY:
            shown_at = now
            typer.echo(f"{what}: {done} of {total} after {now - began:.0f} s", err=True)

    return update


def figure_lines(overall: Mapping[str, Any]) -> list[str]:
    """Figures with their intervals as a table; there is no interval where all faces are of one person."""
    lines = [f"{'':32} {'value':>7}   95 % interval      faces"]
    for name, found in overall.items():
        if found["value"] is None:
            lines.append(f"{name:32} {'n/a':>7}")
        else:
            ends = "one person" if found["low"] is None else f"{found['low']:.3f} to {found['high']:.3f}"
            lines.append(f"{name:32} {found['value']:7.3f}   {ends:^14}   {found['faces']:7d}")
    return lines


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if hasattr(value, "to_json"):  # a table
        return json.loads(value.to_json(orient="records"))
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        from ..embedder.photo import stored

        return stored(value)
    if isinstance(value, Sequence | set | frozenset):
        return [_plain(one) for one in value]
    return _plain(value.item() if hasattr(value, "item") else str(value))
