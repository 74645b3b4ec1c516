"""Benchmarks: ratios against the raw driver, taken in the same run. `make bench` runs them; nothing here is a test."""
