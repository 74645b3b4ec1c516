"""Block Kit: which blocks and elements exist, their limits, and what a person has filled in."""
