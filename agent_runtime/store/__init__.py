"""The store: the only code that knows SQL. Statements, writers that own transactions, readers, migrations."""
