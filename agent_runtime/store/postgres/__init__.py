"""PostgreSQL: writer connections with group commit, a pool of readers, LISTEN/NOTIFY. asyncpg is imported here only."""
