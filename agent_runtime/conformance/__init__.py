"""Shows on a real database that the promises hold, with figures: the engine of `countersign conformance`.

Server processes are forked, killed, paused and raced; what they did is compared with a ledger of effects outside the
database. Nothing here is needed to run agents.
"""
