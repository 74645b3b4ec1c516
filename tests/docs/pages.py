"""The programs and files in the documentation, taken from the pages as they stand.

A fenced block whose first line is `# NAME.EXT` is the file NAME.EXT; every block of Python or TOML is one. The blocks
of `docs/from-agentspan.md` are run by `tests/docs/test_from_agentspan.py`, those of the README by `test_readme.py`;
`test_every_program.py` finds what is run nowhere. What a program leaves to its reader is supplied by the test.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]

_BLOCK = re.compile(r"^```(python|toml)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_NAME = re.compile(r"# ([\w.-]+\.\w+)\n")


@dataclass(frozen=True)
class Page:
    """A page by its path in the repository, such as "docs/testing.md"."""

    path: str

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text()

    @property
    def blocks(self) -> list[str]:
        """Every block of Python or TOML."""
        return [found[2] for found in _BLOCK.finditer(self.text)]

    @cached_property
    def files(self) -> Mapping[str, str]:
        """The named blocks, by name."""
        named = [(found[1], block) for block in self.blocks if (found := _NAME.match(block))]
        assert len(dict(named)) == len(named), f"{self.path}: two blocks have one name"
        return dict(named)

    @property
    def tests(self) -> str:
        """The module of `tests/docs` that runs its blocks."""
        return f"test_{Path(self.path).stem.lower().replace('-', '_')}"

    def run(self, name: str, **supplied: Any) -> dict[str, Any]:
        """Runs the program `name`, with `supplied` in place of what it leaves undefined; its names afterwards."""
        names = {"__name__": name.removesuffix(".py"), **supplied}
        exec(compile(self.files[name], f"{self.path}:{name}", "exec"), names)
        return names

    def write(self, folder: Path, *names: str) -> None:
        """Writes these blocks into a folder, each as the file that it is."""
        for name in names:
            (folder / name).write_text(self.files[name])


def pages() -> list[Page]:
    """The README and everything in docs/."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    return [Page(str(path.relative_to(ROOT))) for path in found]
