"""Reasoners on replicas of the test's own process; the fixtures that open those are the engine tests'."""

from tests.engine.conftest import live_database, open_replica

__all__ = ["live_database", "open_replica"]
