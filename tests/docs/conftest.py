"""`page`: the page whose blocks a module runs; beside it what the tests of reasoners and of the SDK stand on."""

from __future__ import annotations

import pytest

from tests.docs.pages import Page, pages
from tests.engine.conftest import open_replica
from tests.sdk.conftest import environment, model, runtime, serve_model

__all__ = ["environment", "model", "open_replica", "runtime", "serve_model"]


@pytest.fixture(scope="module")
def page(request: pytest.FixtureRequest) -> Page:
    """The page that this module is about, by the module's name."""
    module = request.node.name.removesuffix(".py").rpartition("/")[2]
    return next(page for page in pages() if page.tests == module)
