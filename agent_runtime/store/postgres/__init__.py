"""PostgreSQL: writers with group commit, connections for reads, LISTEN/NOTIFY. asyncpg is imported here only."""
