"""Alembic's entry: migrations run on the connection that `agent_runtime.store.migrate` hands over."""

from alembic import context

from agent_runtime.store.indexes import metadata
from agent_runtime.store.revision import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=False,
)
context.run_migrations()
