"""The arrows of the architecture, held by the import linter, and the promises that a reader can check by looking."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_dependencies_run_one_way(tmp_path: Path) -> None:
    """The contracts are in pyproject.toml."""
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--cache-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert linted.returncode == 0, linted.stdout[-3000:] + linted.stderr[-1000:]


@functools.cache
def modules() -> dict[str, ast.Module]:
    """Every module of the runtime by its path below agent_runtime/."""
    package = ROOT / "agent_runtime"
    return {path.relative_to(package).as_posix(): ast.parse(path.read_text()) for path in package.rglob("*.py")}


def users_of(name: str) -> set[str]:
    """The modules that mention a name, or an attribute of that name."""
    return {
        path
        for path, module in modules().items()
        for node in ast.walk(module)
        if (isinstance(node, ast.Name) and node.id == name)
        or (isinstance(node, ast.Attribute) and node.attr == name)
        or (isinstance(node, ast.alias) and node.name == name)
    }


def attributes(module: ast.Module) -> set[str]:
    return {node.attr for node in ast.walk(module) if isinstance(node, ast.Attribute)}


def functions_with(path: str, attribute: str) -> set[str]:
    """The functions of a module in which an attribute is reached."""
    return {
        function.name
        for function in ast.walk(modules()[path])
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and node.attr == attribute
    }


def test_one_function_alone_reaches_gated_tools() -> None:
    # tools.py and reasoner.py define what is callable; a reasoner's own code is gated by nobody; mock_run runs no
    # gated tool, and has no store.
    definitions = {"tools.py", "reasoner.py", "engine/reasoning.py", "testing/mock.py"}
    reaching = {path for path, module in modules().items() if "function" in attributes(module)}
    assert reaching - definitions == {"engine/calls.py"}
    assert functions_with("engine/calls.py", "function") == {"_perform"}
    assert functions_with("engine/calls.py", "_perform") == {"run", "_start_and_perform"}


def test_it_reaches_them_only_through_the_commit_that_they_have_started() -> None:
    assert users_of("start_call") == {"engine/starting.py"}
    assert users_of("START_STEP") == {"store/steps.py", "operations/calls.py"}
    # an outsider's call runs elsewhere: what it consumes its approval for is a permit
    assert users_of("CONSUME_APPROVAL") == {"store/approvals.py", "operations/calls.py", "operations/consume.py"}


def test_what_decides_reads_no_clock_and_draws_no_lots() -> None:
    """The core is given `now`; only the minting of ids draws random bits."""
    impure = {"time", "random", "secrets", "asyncio", "os", "socket", "threading", "subprocess", "pathlib"}
    for path, module in modules().items():
        if not path.startswith("core/"):
            continue
        imported = {
            name.split(".")[0]
            for node in ast.walk(module)
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        assert imported & impure <= ({"secrets"} if path == "core/ids.py" else set()), path
        assert "now" not in attributes(module), path


def test_operations_are_plain_functions_of_a_transaction() -> None:
    """No effects outside `tx`: an operation may run twice."""
    for path, module in modules().items():
        if not path.startswith("operations/"):
            continue
        assert not [node for node in ast.walk(module) if isinstance(node, ast.AsyncFunctionDef | ast.Await)], path
        names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
        assert not names & {"open", "print", "time", "datetime", "asyncio"}, path
