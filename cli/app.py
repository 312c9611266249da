"""A Typer app whose commands all have ``--json`` and ``--quiet``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Annotated, Any, NamedTuple, get_args

import typer
from typer.models import OptionInfo

from .terminal import job

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts; the rest to stderr.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print warnings and errors only.")]
_SHARED = {"_json": JsonOption, "_quiet": QuietOption}


class _Wanted(NamedTuple):
    json: bool = False
    quiet: bool = False


_before_command: ContextVar[_Wanted | None] = ContextVar("before_command", default=None)


class App(typer.Typer):
    """Adds the shared options to every command that does not have one of that name itself."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Any], Any]:
        """See :meth:`typer.Typer.command`."""
        register = super().command(name, **settings)

        def add(function: Callable[..., None]) -> Callable[..., None]:
            parts = (self.info.name, name or function.__name__.replace("_", "-"))
            register(_shared(function, " ".join(part for part in parts if isinstance(part, str))))
            return function

        return add


def before_command(as_json: JsonOption = False, quiet: QuietOption = False) -> None:
    """Take the shared options before the command's name too: `maskcls --json COMMAND`."""
    _before_command.set(_Wanted(as_json, quiet))


def _shared(function: Callable[..., None], name: str) -> Callable[..., None]:
    signature = inspect.signature(function, eval_str=True)
    taken = {declared for one in signature.parameters.values() for declared in _declared(one.annotation)}
    extra = [
        inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=annotation)
        for option, annotation in _SHARED.items()
        if not taken & _declared(annotation)
    ]

    @wraps(function)
    def run(**arguments: Any) -> None:
        as_json, quiet = (arguments.pop(option, False) for option in _SHARED)
        first = _before_command.get() or _Wanted()
        with job(name, as_json=as_json or first.json, quiet=quiet or first.quiet):
            function(**arguments)

    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *extra])  # type: ignore[attr-defined]
    return run


def _declared(annotation: Any) -> set[str]:
    """The names of an option, such as ``--json``."""
    return {
        name
        for info in get_args(annotation)[1:]
        if isinstance(info, OptionInfo)
        for name in (info.default, *(info.param_decls or ()))  # typer takes the first name for a default at first
        if isinstance(name, str)
    }
