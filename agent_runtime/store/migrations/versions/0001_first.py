"""The first schema.

A released migration is never edited: this one is written out from the tables of its day, and a test holds the sum of
all migrations to `agent_runtime.store.schema`.

Revision ID: 0001
"""

from alembic import op

from agent_runtime.store.schema import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
