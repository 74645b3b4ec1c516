"""The audit trail outside the hot path: sealing, export, verification, signed heads."""
