"""The folder listing is the architecture: imports go one way, and nobody imports in circles."""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import outagekit

SOURCE = Path(outagekit.__file__).parent
ROOMS = (
    "errors text events",
    "redaction credentials source",
    "playbook inventory",
    "plan",
    "transports evidence log",
    "run",
    "incident review report notify vendors lab",
    "cli",
    "__main__",
)
RANK = {room: rank for rank, rooms in enumerate(ROOMS) for room in rooms.split()}
NO_ROOM = {"__init__", "testing"}
"""The package itself holds its version; `testing` may import anything."""
EXECUTING = "run.executing."
"""Of `run`, only what carries out orders reaches transports; the others know their values."""
ENGINE = "run.engine."
"""The pure core: no clock, no thread, no chance, and nothing of the run around it."""
IMPURE = frozenset(
    ["time", "datetime", "threading", "queue", "random", "secrets", "os", "socket", "pathlib"]
)
_HEAVY = "paramiko winrm httpx pydantic jinja2 keyring rich typer yaml cryptography requests"
HEAVY = frozenset(_HEAVY.split())


def modules_of(folder: Path) -> dict[str, Path]:
    """Dotted name below the package -> file; a package's own file has the package's name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


class Imports(ast.NodeVisitor):
    """Collects what a module imports at run time, wherever in it; not under TYPE_CHECKING."""

    def __init__(self, package: str, parent: list[str], known: set[str]) -> None:
        self.package = package
        self.parent = parent
        self.known = known
        self.found: set[str] = set()

    def visit_If(self, node: ast.If) -> None:
        names = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
        names |= {n.attr for n in ast.walk(node.test) if isinstance(n, ast.Attribute)}
        for child in node.orelse if "TYPE_CHECKING" in names else [*node.body, *node.orelse]:
            self.visit(child)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self.add(alias.name.split("."))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        start = (node.module or "").split(".") if node.module else []
        if node.level:
            up = len(self.parent) - (node.level - 1)
            start = [self.package, *self.parent[:up], *start]
        for alias in node.names:
            self.add([*start, alias.name])

    def add(self, parts: list[str]) -> None:
        if parts[0] != self.package:
            return
        while parts[1:] and ".".join(parts[1:]) not in self.known:
            parts = parts[:-1]
        self.found.add(".".join(parts[1:]) or "__init__")


def imports_of(folder: Path, package: str = "outagekit") -> dict[str, set[str]]:
    modules = modules_of(folder)
    graph = {}
    for name, path in modules.items():
        parts = [] if name == "__init__" else name.split(".")
        parent = parts if path.name == "__init__.py" else parts[:-1]
        walker = Imports(package, parent, set(modules))
        walker.visit(ast.parse(path.read_text(encoding="utf-8"), str(path)))
        graph[name] = walker.found - {name}
    return graph


def allowed(importer: str, imported: str) -> bool:
    room, other = (name.partition(".")[0] for name in (importer, imported))
    if room in {"testing", other} or other == "__init__":
        return allowed_within(importer, imported)
    if {room, other} & {"testing", "__init__"} or RANK.get(other, 99) >= RANK.get(room, 99):
        return False
    if room == "review" and other == "run":
        return imported == "run.engine.state"
    if room == "run" and other == "transports":
        return imported == "transports.protocol" or importer.startswith(EXECUTING)
    return True


def allowed_within(importer: str, imported: str) -> bool:
    """Inside a room everything goes, but the engine knows no more than itself and messages."""
    if not importer.startswith(ENGINE) or not imported.startswith("run."):
        return True
    return imported.startswith(ENGINE) or imported in {"run.orders", "run.wishes"}


def forbidden_edges(graph: dict[str, set[str]]) -> list[str]:
    return [
        f"{importer} -> {imported}"
        for importer in sorted(graph)
        for imported in sorted(graph[importer])
        if not allowed(importer, imported)
    ]


def first_cycle(graph: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_a_rank():
    rooms = {name.split(".")[0] for name in modules_of(SOURCE)}
    assert rooms - set(RANK) - NO_ROOM == set()


def test_imports_go_one_way():
    assert forbidden_edges(imports_of(SOURCE)) == []


def test_no_modules_import_each_other_in_a_circle():
    assert first_cycle(imports_of(SOURCE)) == []


@pytest.fixture
def tree(tmp_path):
    """Returns a function that writes files and says which edges are wrong and which turn round."""

    def judge(**files: str) -> tuple[list[str], list[str]]:
        for name in (
            "text",
            "events",
            "plan.model",
            "run.engine.state",
            "run.executing.lanes",
            "transports.ssh",
        ):
            files.setdefault(name, "")
        for name, content in files.items():
            path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.parent.joinpath("__init__.py").touch()
            path.write_text(content)
        graph = imports_of(tmp_path)
        return forbidden_edges(graph), first_cycle(graph)

    return judge


@pytest.mark.parametrize(
    ("importer", "line", "imported"),
    [
        ("text", "import outagekit.events", "events"),
        ("text", "from outagekit import events", "events"),
        ("text", "def f():\n    from outagekit.plan.model import X", "plan.model"),
        (
            "text",
            "try:\n    import outagekit.plan.model as m\nexcept ImportError: ...",
            "plan.model",
        ),
        ("text", "if a:\n    ...\nelse:\n    import outagekit.events", "events"),
        ("plan.build", "from ..run.engine import state", "run.engine.state"),
        ("plan.build", "from outagekit.testing.clock import FakeClock", "testing.clock"),
        ("review.query", "from outagekit.run.executing import lanes", "run.executing.lanes"),
        ("run.engine.decide", "from outagekit.transports import ssh", "transports.ssh"),
        ("log.reader", "from outagekit.transports.ssh import X", "transports.ssh"),
        ("lab.fleet", "import outagekit.cli.app", "cli.app"),
    ],
)
def test_a_forbidden_import_is_found(tree, importer, line, imported):
    files = {"testing.clock": "", "cli.app": "", importer: line}
    assert tree(**files)[0] == [f"{importer} -> {imported}"]


@pytest.mark.parametrize(
    ("importer", "line"),
    [
        ("plan.build", "from outagekit.plan.model import X\nfrom . import model\nimport outagekit"),
        ("plan.build", "from outagekit import text, __version__\nfrom ..text import visible"),
        ("review.query", "from outagekit.run.engine.state import fold"),
        ("run.executing.lanes", "from outagekit.transports import ssh"),
        ("run.engine.decide", "from outagekit.transports.protocol import Failure"),
        (
            "text",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import outagekit.plan.model",
        ),
        ("text", "import typing\nif typing.TYPE_CHECKING:\n    import outagekit.plan.model"),
        ("testing.fleet", "from outagekit.run import lanes\nimport outagekit.plan.model"),
        ("cli.app", "import outagekit.run.executing.lanes"),
    ],
)
def test_an_import_that_goes_the_right_way_is_accepted(tree, importer, line):
    assert tree(**{"transports.protocol": "", importer: line}) == ([], [])


def test_a_circle_within_a_room_is_found(tree):
    edges, cycle = tree(
        **{
            "plan.a": "from outagekit.plan import b",
            "plan.b": "def f():\n    from .c import X",
            "plan.c": "import outagekit.plan.a",
        }
    )
    assert edges == []
    assert set(cycle) == {"plan.a", "plan.b", "plan.c"}


def loaded_by(*modules: str) -> set[str]:
    code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split()) & HEAVY


@pytest.mark.parametrize("module", ["errors", "events", "text", "credentials", "redaction"])
def test_what_everybody_imports_is_light(module):
    assert loaded_by(f"outagekit.{module}") == set()


def test_entering_a_room_loads_nothing_heavy():
    rooms = [
        f"outagekit.{name}"
        for name, path in modules_of(SOURCE).items()
        if path.name == "__init__.py" and name != "__init__"
    ]
    assert loaded_by("outagekit", *rooms) == set()


@pytest.mark.skipif("cli.app" not in modules_of(SOURCE), reason="there is no command line yet")
def test_the_command_line_starts_without_what_only_some_commands_need():
    late = loaded_by("outagekit.cli.app") - {"rich", "typer"}
    assert late == set()


def test_the_check_of_loaded_modules_can_fail():
    assert loaded_by("outagekit", "yaml") == {"yaml"}


@pytest.mark.parametrize(
    "path", sorted((SOURCE / "run" / "engine").glob("*.py")), ids=lambda path: path.stem
)
def test_the_engine_has_no_clock_no_threads_and_no_chance(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    assert not found & IMPURE
