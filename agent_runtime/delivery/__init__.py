"""Delivery: what the outbox holds is shown somewhere, and the proof of it kept."""
