"""An agent of somebody else's, whose tool executor asks as the guide says: check the pattern, call /pending, poll."""

import json
import logging
import re
import time
import tomllib
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger("own_executor")


class CollaborationError(Exception):
    pass


class Executor:
    def __init__(self, url, checkpoints, status_of, *, poll_seconds=5, timeout_seconds=30):
        self.url = url
        self.checkpoints = tomllib.loads(Path(checkpoints).read_text())["checkpoint"]
        self.status_of = status_of
        self.poll_seconds = poll_seconds
        self.timeout_seconds = timeout_seconds

    def run(self, tool, request_id, state, **arguments):
        for checkpoint in self.checkpoints:
            if re.match(checkpoint["action_pattern"], tool.__name__):
                self.ask(checkpoint, request_id, state, arguments)
        return tool(**arguments)

    def ask(self, checkpoint, request_id, state, arguments):
        body = {
            "request_id": request_id,
            "action_description": checkpoint["description_template"].format(**arguments),
            "agent_context": state,
            "timestamp": datetime.now(UTC).isoformat(),
        }
        request = urllib.request.Request(
            f"{self.url}/pending", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201
        log.info("paused for %s", request_id)
        until = time.monotonic() + self.timeout_seconds
        while (status := self.status_of(request_id)) == "waiting":
            if time.monotonic() > until:
                raise TimeoutError(f"nobody decided on {request_id} in time")
            time.sleep(self.poll_seconds)
        if status != "approved":
            log.error("CollaborationError: %s", status)
            raise CollaborationError(status)
