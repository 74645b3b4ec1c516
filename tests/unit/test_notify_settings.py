"""The settings of outbound webhooks are checked at the start, and their secrets are never repeated."""

from __future__ import annotations

import pytest

from agent_runtime.errors import InvalidSetting
from agent_runtime.settings import Settings, load
from bot.checks.finding import Level
from bot.checks.receivers import check_receivers

SECRET = "a secret of sufficient length"
URL = "https://hooks.example.com/T000/secret-path"


def test_several_receivers_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_NOTIFY_URLS", f"{URL}, http://10.0.0.7:9000/in,{URL}")
    monkeypatch.setenv("COUNTERSIGN_NOTIFY_SECRET", SECRET)
    monkeypatch.setenv("COUNTERSIGN_CALLBACK_HOSTS", "Hooks.Internal,[::1]")
    settings: Settings = load()
    assert settings.notify_urls == (URL, "http://10.0.0.7:9000/in")
    assert settings.callback_hosts == ("hooks.internal", "::1")
    assert SECRET not in repr(settings)


def test_empty_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("URLS", "SECRET"):
        monkeypatch.setenv(f"COUNTERSIGN_NOTIFY_{name}", "")
    monkeypatch.setenv("COUNTERSIGN_CALLBACK_HOSTS", "")
    settings: Settings = load()
    assert (settings.notify_urls, settings.notify_secret, settings.callback_hosts) == ((), None, ())


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"notify_urls": URL}, "COUNTERSIGN_NOTIFY_SECRET is missing"),
        (
            {"notify_urls": f"{URL},ftp://x/secret-path", "notify_secret": SECRET},
            "COUNTERSIGN_NOTIFY_URLS: address 2 of 2",
        ),
        ({"notify_urls": "https://u:secret-path@x/", "notify_secret": SECRET}, "COUNTERSIGN_NOTIFY_URLS: address 1"),
        ({"notify_secret": "fifteen bytes.."}, "COUNTERSIGN_NOTIFY_SECRET: has 15 bytes"),
        ({"notify_secret": "whsec_c2hvcnQ="}, "COUNTERSIGN_NOTIFY_SECRET: what follows whsec_ has 5 bytes"),
        ({"notify_secret": "whsec_not base64!"}, "COUNTERSIGN_NOTIFY_SECRET: what follows whsec_ is no base64"),
        ({"notify_give_up_hours": 0}, "COUNTERSIGN_NOTIFY_GIVE_UP_HOURS"),
        ({"callback_hosts": "https://hooks.internal/"}, "COUNTERSIGN_CALLBACK_HOSTS"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_refused_without_its_secrets(given: dict[str, str], named: str) -> None:
    with pytest.raises(InvalidSetting) as told:
        load(**given)
    assert named in str(told.value)
    assert "secret-path" not in str(told.value)


async def test_the_doctor_names_a_host_without_an_address() -> None:
    settings: Settings = load(
        notify_urls="https://nowhere.invalid/secret-path,http://127.0.0.1:1/", notify_secret=SECRET
    )
    (found,) = await check_receivers(settings)
    assert (found.level, found.text.split()[0]) == (Level.bad, "nowhere.invalid")
    assert "secret-path" not in found.text
    (off,) = await check_receivers(Settings())
    assert (off.level, off.text.split()[0]) == (Level.good, "off")
