"""`countersign new`: a small agent project that works at once."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

_PLACES = {
    "agents.py.template": "{name}.py",
    "test_agents.py.template": "test_{name}.py",
    "pyproject.toml.template": "pyproject.toml",
    "checkpoints.toml.template": "checkpoints.toml",
    "env.example.template": ".env.example",
    "gitignore.template": ".gitignore",
    "README.md.template": "README.md",
}
"""What is in `bot/template`, and what becomes of it in the project."""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The project, its folder, module and agent.")],
) -> None:
    """Make a small working agent project in the folder NAME: an agent with a gated tool, its tests, its settings."""
    folder = _checked(name)
    folder.mkdir(exist_ok=True)
    for template, place in _PLACES.items():
        text = (files("bot") / "template" / template).read_text(encoding="utf-8")
        text = text.replace("NEW_PROJECT", name).replace("VERSION", version("countersign"))
        (folder / place.format(name=name)).write_text(text, encoding="utf-8")
    typer.echo(
        f"{name}: an agent with one gated tool, its tests and its settings. Next:\n\n"
        f"  cd {name}\n"
        f"  pytest\n"
        f"  countersign serve --agents {name}:agents\n\n"
        "README.md there says how to give it a model and how to decide."
    )


def _checked(name: str) -> Path:
    """The folder to fill. Raises InvalidRequest for what cannot be a module, Conflict where something is there."""
    from agent_runtime.errors import Conflict, InvalidRequest

    if not _NAME.fullmatch(name):
        raise InvalidRequest(
            f"NAME: {name!r} is to be a Python module too: small letters, digits and _, beginning with a letter"
        )
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise Conflict(f"there is a file called {name} here already; take another name, or another folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise Conflict(f"the folder {name} is not empty; nothing was written. Take another name, or empty it first")
    if keyword.iskeyword(name) or _is_taken(name):
        raise InvalidRequest(f"NAME: {name!r} would hide the Python module or word of that name; take another one")
    return folder


def _is_taken(name: str) -> bool:
    """Whether an installed module has that name; a folder here is none."""
    found = importlib.util.find_spec(name)
    return found is not None and found.origin is not None
