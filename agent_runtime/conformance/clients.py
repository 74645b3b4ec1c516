"""A process of clients that are killed in the middle: `python clients.py HOST PORT`, without the product's code.

Each line of its input is one client's request in hexadecimal: it is sent on a connection of its own, and nothing is
read. A line on its output says that all are sent; then it waits to be killed.
"""

from __future__ import annotations

import socket
import sys
import time


def main(host: str, port: int) -> None:
    """Opens them all and waits."""
    opened = []
    for line in sys.stdin:
        client = socket.create_connection((host, port))
        client.sendall(bytes.fromhex(line))
        opened.append(client)
    sys.stdout.write(f"{len(opened)}\n")
    sys.stdout.flush()
    while True:
        time.sleep(60)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
