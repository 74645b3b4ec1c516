"""What a driver's error means for the work at hand. Adapters raise these and nothing of the driver's own."""

from __future__ import annotations

from agent_runtime.errors import Conflict, StoreUnavailable


class Collision(Conflict):
    """Another write was first; look again before trying once more."""


class Contended(StoreUnavailable):
    """Other writers hold what this needs; nothing was written. Try again in a moment."""


class ConnectionLost(StoreUnavailable):
    """The connection to the database was lost before COMMIT; nothing was written."""


class Entangled(Exception):
    """Requests that ran side by side cannot share a transaction without savepoints; nothing of it may be committed."""


class OutcomeUnknown(ConnectionLost):
    """The connection to the database was lost during COMMIT: the change may or may not be there; look before trying
    again.
    """
