"""What makes a function a command: shared options, and one place where errors become exits.

A parameter annotated with a `Group` is replaced by the group's options, so that the same words
mean the same everywhere and are written once. No error leaves a command as a traceback: expected
ones show their sentence and hint; a bug of ours leaves a report file and exit code 1.
"""

from __future__ import annotations

import functools
import inspect
import sys
import time
from contextvars import ContextVar
from dataclasses import MISSING, fields
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    ParamSpec,
    get_args,
    get_origin,
    get_type_hints,
)

import typer
from typer.models import ArgumentInfo, OptionInfo

from outagekit.cli.render import Screen, named_state
from outagekit.errors import OutagekitError, frames_of
from outagekit.run.signals import signals_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

P = ParamSpec("P")

_CONTEXT = "context"
_VALUES: Final[Mapping[type, str]] = {str: "TEXT", Path: "PATH", int: "NUMBER", float: "NUMBER"}
INTERRUPTED = {"SIGHUP": 129, "SIGTERM": 143}
"""Exit codes after a signal outside of a run, as shells expect them; all others are a Ctrl-C's."""
CTRL_C = 130


_FROM_ENVIRONMENT: ContextVar[frozenset[str]] = ContextVar("from_environment", default=frozenset())


def came_from_environment(name: str) -> bool:
    """Return whether the running command's option of this name was set by its variable.

    A variable is set once for every command: unlike a flag it does not mean this one.
    """
    return name in _FROM_ENVIRONMENT.get()


class Group:
    """Base of option groups: a dataclass whose fields are annotated with Typer options."""


def command(function: Callable[P, None]) -> Callable[..., None]:
    """Return the function as Typer wants it: groups taken apart, errors caught."""
    signature = inspect.signature(function, eval_str=True)
    groups = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if inspect.isclass(parameter.annotation) and issubclass(parameter.annotation, Group)
    }
    flat = _flatten(signature, groups)
    for parameter in flat:
        _say_plainly(parameter.annotation)
    flat.append(
        inspect.Parameter(_CONTEXT, inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
    )

    @functools.wraps(function)
    def run(**given: Any) -> None:
        _FROM_ENVIRONMENT.set(_set_by_variables(given.pop(_CONTEXT), given))
        typed = not came_from_environment("state_dir")
        former = named_state.set(given.get("state_dir") if typed else None)
        try:
            with _Guard(given):
                function(**_gather(given, groups))  # type: ignore[call-arg]  # Typer checks them
        finally:
            named_state.reset(former)

    run.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    del run.__wrapped__  # or Typer reads the original's options
    return run


def _set_by_variables(context: typer.Context, names: Iterable[str]) -> frozenset[str]:
    sources = {name: context.get_parameter_source(name) for name in names}
    return frozenset(name for name, by in sources.items() if by and by.name == "ENVIRONMENT")


def _flatten(
    signature: inspect.Signature, groups: Mapping[str, type[Group]]
) -> list[inspect.Parameter]:
    flat: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name in groups:
            flat.extend(_options(groups[name]))
        else:
            flat.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return flat


def _say_plainly(annotation: Any) -> None:
    """Let help say what a value is in words for people, where it would name a type of Python.

    A flag takes no value, so nothing is said of one.
    """
    if get_origin(annotation) is not Annotated:
        return
    of, *told = get_args(annotation)
    kinds = {of, *get_args(of)}
    kinds |= {each for kind in kinds for each in get_args(kind)}
    for info in told:
        if not isinstance(info, OptionInfo | ArgumentInfo) or info.metavar is not None:
            continue
        if bool in kinds or getattr(info, "count", False):
            info.metavar = ""
        else:
            info.metavar = next((word for kind, word in _VALUES.items() if kind in kinds), None)


def _options(group: type[Group]) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)  # type: ignore[arg-type]  # every group is a dataclass
    ]


def _gather(given: dict[str, Any], groups: Mapping[str, type[Group]]) -> dict[str, Any]:
    gathered = dict(given)
    for name, group in groups.items():
        names = [field.name for field in fields(group)]  # type: ignore[arg-type]
        gathered[name] = group(**{each: gathered.pop(each) for each in names})
    return gathered


class _Guard:
    """Turns whatever ends a command early into its exit code."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._screen = Screen(
            plain=bool(given.get("plain")),
            json=bool(given.get("json")),
            quiet=bool(given.get("quiet")),
            verbose=int(given.get("verbose") or 0),
        )

    def __enter__(self) -> None:
        self._leaving = False
        self._signals = signals_to(self._interrupt)
        self._signals.__enter__()

    def __exit__(self, _kind: object, error: BaseException | None, _place: object) -> None:
        self._leaving = True
        try:
            self._end(error)
        finally:
            self._signals.__exit__(None, None, None)

    def _interrupt(self, word: str) -> None:
        """Leave the command where it is; what cleans up behind it is not interrupted again."""
        if not self._leaving:
            self._leaving = True
            raise KeyboardInterrupt(word)

    def _end(self, error: BaseException | None) -> None:
        if error is None or isinstance(error, SystemExit | typer.Exit):
            return
        if isinstance(error, OutagekitError):
            self._screen.error(error)
            raise typer.Exit(error.exit_code) from None
        if isinstance(error, KeyboardInterrupt):
            self._screen.say("stopped")
            raise typer.Exit(INTERRUPTED.get(str(error), CTRL_C)) from None
        if isinstance(error, Exception):
            self._screen.error(bug(error))
            raise typer.Exit(OutagekitError.exit_code) from None


def bug(error: Exception) -> OutagekitError:
    """Keep what happened in a file that can be handed in, and say where it is."""
    name = f"bug-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.txt"
    return OutagekitError(
        f"internal error ({type(error).__name__}); {_kept(name, frames_of(error))}",
        hint="this is a bug of outagekit, not of your playbook; please report it with that file",
    )


def _kept(name: str, report: str) -> str:
    """Write a report where only the person can read it and return a phrase that says where."""
    import platformdirs

    try:
        path = Path(platformdirs.user_state_dir("outagekit", appauthor=False)).absolute() / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
        text = f"outagekit {' '.join(sys.argv[1:2])}\n{report}"
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except (OSError, RuntimeError):  # the latter: this user has no home folder
        return "the details could not be saved"
    return f"the details are in {path}"
