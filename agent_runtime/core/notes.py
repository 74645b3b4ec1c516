"""What a reasoner says for the record: each note once, also where the code that says it runs again. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that was said."""

    message: str
    tags: tuple[str, ...] = ()


class Notes:
    """Notes that wait for the next durable record, which is written together with them.

    A replay says again what was said before. It is dropped where a note of the same words is `written`, or where the
    same branch of the code then comes to something that is recorded: then its words have changed ("took 3 s").
    """

    def __init__(self, written: Iterable[Note] = ()) -> None:
        self._written = Counter(written)
        self._said: list[tuple[Note, object]] = []

    def say(self, note: Note, branch: object = None) -> None:
        """Keeps `note`, said by `branch` (the asyncio task that runs), unless it is written."""
        if self._written[note] > 0:
            self._written[note] -= 1
        else:
            self._said.append((note, branch))

    def came_to_a_record(self, branch: object = None) -> None:
        """What `branch` has said so far was written, at the latest, with the record that it has come to."""
        if self._said:
            self._said = [said for said in self._said if said[1] is not branch]

    def take(self) -> Sequence[Note]:
        """The notes that are to be written now."""
        taken, self._said = [note for note, _ in self._said], []
        return taken

    def put_back(self, notes: Sequence[Note]) -> None:
        """The write of what was taken did not land."""
        self._said[:0] = [(note, None) for note in notes]
