"""Shared shapes of statements: every column of a table bound by name, and rows built straight into dataclasses."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Table, literal

from agent_runtime.core.approval import ApprovalRequest, arguments_to_run
from agent_runtime.core.canonical import parsed
from agent_runtime.core.policy import Policy


def among(column: ColumnElement[str], values: Iterable[str]) -> ColumnElement[bool]:
    """`column IN (…)` with a bind a value, so that the statement compiles once."""
    return column.in_([literal(value) for value in values])


def column_names(table: Table) -> list[str]:
    """The columns that an insert binds."""
    return [column.key for column in table.columns if column.autoincrement is not True]


def binds_of(row: NamedTuple) -> dict[str, Any]:
    """A row as binds."""
    return row._asdict()


_POLICY = ApprovalRequest._fields.index("policy")
_RESOLUTION = ApprovalRequest._fields.index("resolution")


def approval_request(*row: Any) -> ApprovalRequest:
    """A row of `approvals`."""
    values = list(row)
    values[_POLICY] = _policy(values[_POLICY])
    values[_RESOLUTION] = None if values[_RESOLUTION] is None else parsed(values[_RESOLUTION])
    return ApprovalRequest(*values)


class Touched(NamedTuple):
    """What is asked of an approval that is shown afresh."""

    version: int
    policy: Policy
    supersedes: str | None
    arguments: str
    run_arguments: str


def touched(version: int, policy: str, supersedes: str | None, arguments: str, resolution: str | None) -> Touched:
    """A row of such."""
    runs = arguments if resolution is None else arguments_to_run(arguments, parsed(resolution))
    return Touched(version, _policy(policy), supersedes, arguments, runs)


@functools.lru_cache(maxsize=256)
def _policy(text: str) -> Policy:
    """Few policies are behind many approvals."""
    return Policy.from_json(parsed(text))
