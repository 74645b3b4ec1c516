"""docs/slack.md says what the code says."""

from __future__ import annotations

import re

from bot.manifest import SCOPES
from tests.cli.command import REPOSITORY

PAGE = (REPOSITORY / "docs" / "slack.md").read_text()


def test_each_scope_is_explained_in_the_manifests_words() -> None:
    assert dict(re.findall(r"^\| `([\w.:]+)` \| (.+) \|$", section("What the app may do"), re.MULTILINE)) == SCOPES


def test_every_message_of_the_doctors_is_one_of_his() -> None:
    explained = re.findall(r"^\| `(.+?)` \|", section("When something does not work"), re.MULTILINE)
    sources = [*REPOSITORY.glob("bot/checks/*.py"), *REPOSITORY.glob("bot/slack/*.py"), REPOSITORY / "bot/settings.py"]
    code = "\n".join(path.read_text() for path in sources)
    assert len(explained) > 10
    assert [words for words in explained if words not in code] == []


def test_every_setting_that_it_names_is_one() -> None:
    from bot.checks.settings import names

    named = set(re.findall(r"\b(?:COUNTERSIGN|SLACK|OPENAI|ANTHROPIC)_[A-Z_]+\b", PAGE))
    assert named <= set(names())


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]
