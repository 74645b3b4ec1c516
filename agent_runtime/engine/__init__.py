"""The engine: claims executions and moves them along."""
