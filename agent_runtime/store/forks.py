"""A fork waits for the transactions of its process.

SQLite keeps, beside each file's own locks, a record of who of this process holds them. A child inherits the record but
not the holder: with one of a transaction that was open, no connection of the child's could ever write.
"""

from __future__ import annotations

import os
import threading

PATIENCE = 2.0
"""Seconds that a fork waits. One made on the event loop itself waits in vain: that loop is to end the transaction."""

_changed = threading.Condition()
_open = 0
_forking = False


class transaction:
    """A context that begins after a fork that is under way; one that comes meanwhile waits for the end."""

    def __enter__(self) -> None:
        global _open
        with _changed:
            while _forking:
                _changed.wait()
            _open += 1

    def __exit__(self, *error: object) -> None:
        global _open
        with _changed:
            _open -= 1
            if _forking:
                _changed.notify_all()


def _before() -> None:
    global _forking
    _changed.acquire()
    _forking = True
    _changed.wait_for(lambda: _open == 0, PATIENCE)


def _after() -> None:
    global _forking
    _forking = False
    _changed.notify_all()
    _changed.release()


def _in_child() -> None:
    """Nobody else is there."""
    global _changed, _open, _forking
    _changed, _open, _forking = threading.Condition(), 0, False


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_in_child)
