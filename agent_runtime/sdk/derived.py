"""Values whose parts are worked out when somebody first looks at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar

S = TypeVar("S")
Parts = Mapping[str, Callable[[S], Any]]
"""How each field of a value is worked out from what it is derived from."""


class Derived:
    """Base of frozen dataclasses with slots that may be derived from a source that does not change.

    One that its constructor made is as any other. Of one that `derived` made each part is worked out from the source
    when it is first looked at, and kept; equality, repr, `replace`, `asdict` and pickle look at all of them.
    """

    __slots__ = ("_parts", "_source")

    _parts: Parts[Any]
    _source: Any

    @classmethod
    def derived(cls, source: S, parts: Parts[S]) -> Self:
        """The value whose parts are what `parts`, one function a field, give of `source`."""
        made = cls.__new__(cls)
        object.__setattr__(made, "_source", source)
        object.__setattr__(made, "_parts", parts)
        return made

    if not TYPE_CHECKING:  # a type checker would take any name for an attribute's

        def __getattr__(self, name: str) -> Any:
            """Called where a slot is empty yet, and for names that there are not."""
            part = None if name in Derived.__slots__ else getattr(self, "_parts", {}).get(name)
            if part is None:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            value = part(self._source)
            object.__setattr__(self, name, value)
            return value
