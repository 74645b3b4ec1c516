"""How a bug is put into the product and taken out again: a function or a statement replaced wherever it is used."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from unittest import mock

from sqlalchemy import BinaryExpression, BindParameter, true
from sqlalchemy.sql import visitors

from agent_runtime.store import executions, steps
from agent_runtime.store.statement import Q

WHERE = ("agent_runtime.", "tests.chaos.")
"""Packages whose modules hold what is replaced."""


@dataclass(frozen=True)
class Mutant:
    """`breaks` is what may be said where it is found: promises, by whichever of them it shows first."""

    name: str
    breaks: tuple[str, ...]
    plant: Callable[[ExitStack], None]

    @contextlib.contextmanager
    def planted(self) -> Iterator[None]:
        with ExitStack() as planting:
            self.plant(planting)
            yield


def patch(planting: ExitStack, where: Any, name: str, what: Any) -> None:
    """One name of one module or class."""
    planting.enter_context(mock.patch.object(where, name, what))


def replace_everywhere(planting: ExitStack, what: Any, by: Any) -> None:
    """A function or a statement, in every module that has imported it under whatever name."""
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(WHERE):
            for name in [name for name, value in vars(module).items() if value is what]:
                patch(planting, module, name, by)


def rewritten(q: Q[Any], replace: Callable[[Any], Any]) -> Q[Any]:
    """The statement with what `replace` returns in place of an element; None leaves that as it is."""
    statement: Any = q.statement
    changed = visitors.replacement_traverse(statement, {}, lambda element, **_: replace(element))
    return Q(changed, q.row, columns=q.columns or (), serialised_by=q.serialised_by, quick=q.quick)


def fenced_statements() -> dict[str, Q[Any]]:
    """By their names, the statements that look at the fence."""
    found = {**vars(executions), **vars(steps)}
    return {name: q for name, q in found.items() if isinstance(q, Q) and _looks_at_the_fence(q)}


def without_fence(q: Q[Any]) -> Q[Any]:
    """The same statement for whoever comes."""
    return rewritten(q, lambda element: true() if _is_the_fence(element) else None)


def _looks_at_the_fence(q: Q[Any]) -> bool:
    statement: Any = q.statement
    return any(_is_the_fence(element) for element in visitors.iterate(statement))


def _is_the_fence(element: Any) -> bool:
    """A comparison with the fence of the claim; that of a new row or value is none."""
    return (
        isinstance(element, BinaryExpression)
        and isinstance(element.right, BindParameter)
        and element.right.key == "b_fence"
    )
