"""Ids: their form, and that they sort by creation and do not repeat."""

from __future__ import annotations

import re
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_runtime.core.ids import APPROVAL_REQUEST_ID, approval_request_id, execution_id
from tests.samples import NOW


@given(st.integers(0, 2**48 * 1000 - 1))
def test_minted_ids_are_uuids_of_version_7(now: int) -> None:
    for minted, prefix in ((execution_id(now), "exe_"), (approval_request_id(now), "apr_")):
        assert minted.startswith(prefix)
        uuid = UUID(minted.removeprefix(prefix))
        assert (uuid.version, uuid.variant) == (7, RFC_4122)
        assert uuid.int >> 80 == now // 1000
        assert APPROVAL_REQUEST_ID.fullmatch(minted)


def test_they_sort_by_creation() -> None:
    minted = [execution_id(NOW + millisecond * 1000) for millisecond in range(100)]
    assert sorted(minted) == minted


def test_they_do_not_repeat_within_a_millisecond() -> None:
    assert len({approval_request_id(NOW) for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("chosen", ["a", "exp-1", "order:8821~refund.v2_b", "x" * 200, "0"])
def test_ids_that_callers_may_choose(chosen: str) -> None:
    assert APPROVAL_REQUEST_ID.fullmatch(chosen)


@pytest.mark.parametrize("chosen", ["", "x" * 201, "a b", "a/b", "ä", "a\n", "a%20", "<b>", "a'b", "٣"])
def test_ids_that_they_may_not(chosen: str) -> None:
    assert not APPROVAL_REQUEST_ID.fullmatch(chosen)
    assert re.fullmatch(APPROVAL_REQUEST_ID, chosen) is None


@pytest.mark.parametrize("text", ["a", "...", ".a", "r.1:~-_", "x" * 200])
def test_what_callers_may_choose(text: str) -> None:
    assert APPROVAL_REQUEST_ID.fullmatch(text)


@pytest.mark.parametrize("text", [".", "..", "", "x" * 201, "a/b", "ä", "a\n"])
def test_what_callers_may_not_choose(text: str) -> None:
    assert APPROVAL_REQUEST_ID.fullmatch(text) is None
