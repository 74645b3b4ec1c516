"""`python -m bot.scripted_model`: serve the sample agents' scripts until standard input ends."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import threading

from aiohttp import web

from bot.scripted_model.scripts import scripted_reply
from bot.scripted_model.server import chat_app

log = logging.getLogger(__name__)


def main() -> int:
    """Parse the command line and serve. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bot.scripted_model", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", type=int, default=0, help="the port to listen on (default 0: any free one)")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="scripted model: %(message)s")
    try:
        asyncio.run(serve(options.host, options.port))
    except OSError as error:
        log.error("cannot listen on %s:%s: %s", options.host, options.port, error.strerror)
        return 1
    return 0


async def serve(host: str, port: int) -> None:
    """Listen, say so on standard output, and stop at the end of standard input, SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(chat_app(scripted_reply), access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(json.dumps({"event": "ready", "url": f"http://{shown}:{bound}"}) + "\n")
        sys.stdout.flush()
        threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), daemon=True).start()
        await stop.wait()
    finally:
        await runner.cleanup()


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """The parent holds the other end of the pipe: it ends with the parent, however that dies."""
    # Not sys.stdin: a daemon thread inside its lock would abort the interpreter's shutdown.
    while os.read(0, 4096):
        pass
    if not loop.is_closed():
        loop.call_soon_threadsafe(stop.set)


if __name__ == "__main__":
    sys.exit(main())
