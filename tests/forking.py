"""Scripts that fork, in processes of their own: pytest's has threads."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

# What each process has sent, or the error it met, is printed as one line of JSON.
BEFORE = """
import asyncio, json, os, sys, threading, time, traceback
from settle_client import *

UPDATE = {"id": "ev_1", "status": "completed"}
url = sys.argv[1]

def report(**what):
    print(json.dumps(what), flush=True)

def in_child(work):
    if child := os.fork():
        status = os.waitpid(child, 0)[1]
        assert status == 0, status
        return
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
"""


def run(script: str, url: str) -> list[Any]:
    """Run a script in a process that has no threads but its own, and return its reports."""
    ended = subprocess.run(
        [sys.executable, "-c", BEFORE + script, url],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


SEND_IN_BOTH = """
producer = Producer(url)
def send():
    report(sent=[producer.send(UPDATE) for _ in range(100)])
    producer.flush()
send()
def child():
    send()
    producer.close()
in_child(child)
send()
producer.close()
"""
