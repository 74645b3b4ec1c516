# ruff: noqa
# fmt: off
from agent_runtime import Agent, tool


@tool
def delete_records(table: str, where: str) -> str:
    """Deletes rows."""
    return records_db.delete(table, where)


app = Agent("cleanup", tools=[delete_records], instructions="Keep the database clean.")
