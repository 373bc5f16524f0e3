"""A network that takes its time: `python -m bench.link PORT SECONDS`.

Listens on a port that it prints, and passes everything on to another, in both
directions, that many seconds late.
"""

from __future__ import annotations

import socket
import sys
import threading
import time

AT_ONCE_BYTES = 2**20


def pass_on(source: socket.socket, target: socket.socket, seconds: float) -> None:
    """Pass on what comes, late, until either side closes."""
    try:
        while data := source.recv(AT_ONCE_BYTES):
            time.sleep(seconds)
            target.sendall(data)
    except OSError:
        pass
    finally:
        for end in (source, target):
            end.close()


def main(port: int, seconds: float) -> None:
    """Serve for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        sys.stdout.write(f"{server.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", port))
            for end in (here, there):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for ends in ((here, there), (there, here)):
                threading.Thread(target=pass_on, args=(*ends, seconds), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
