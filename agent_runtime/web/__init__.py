"""The HTTP API: one small file a resource. It parses, asks one operation, and answers; it decides nothing itself."""
