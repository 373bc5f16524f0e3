"""A page in Chromium, used as a person does: over its debugging protocol, by pipes.

Nothing is installed for it but Chromium: the protocol is JSON, with a NUL behind each message.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from cli.embedded import dies_with_parent, temporary_folder
from tests.service import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

# No look-ups of its own in the background, and no sandbox, which root has not.
CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--hide-scrollbars", "--remote-debugging-pipe"),
)
# It reads from 3 and writes to 4.
JOINED = "import os, sys; os.dup2({0}, 3); os.dup2({1}, 4); os.execvp(sys.argv[1], sys.argv[1:])"
KEYS = {"Tab": 9, "Enter": 13, "Escape": 27}


class Browser:
    """One page of a running Chromium."""

    def __init__(self, reading: FileIO, writing: FileIO) -> None:
        """Open a page.

        Args:
            reading: Where Chromium's messages come from.
            writing: Where it takes ours.
        """
        self._from, self._to = reading, writing
        self._number, self._session, self._rest = 0, "", b""
        self.said: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Send a command and return what it is answered with."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            self.said.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, url: str) -> None:
        """Open a page, and wait until it is there."""
        self.send("Page.navigate", url=url)
        eventually(lambda: self.run("document.readyState") == "complete")

    def run(self, expression: str) -> Any:
        """Return what a JavaScript expression gives; a promise is waited for."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.send("Runtime.evaluate", expression=expression, **options)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """Return what a person reads in a part of the page."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_for(self, text: str, selector: str = "body") -> None:
        """Wait until a part of the page says something."""
        eventually(lambda: text in self.text(selector), lambda: self.text(selector))

    def press(self, key: str) -> None:
        """Press a key, and let go of it."""
        options = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **options, **text)
        self.send("Input.dispatchKeyEvent", type="keyUp", **options)

    def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        self.send("Input.insertText", text=text)

    def tab_to(self, text: str) -> None:
        """Press Tab until what has the focus says something."""
        for _ in range(60):
            self.press("Tab")
            if text in str(self.run("document.activeElement.innerText")):
                return
        pytest.fail(f"{text!r} is not reached with Tab")

    def look(self, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Look at the page in a window of a size, by day or by night."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1}
        self.send("Emulation.setDeviceMetricsOverride", mobile=width < 600, **metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path) -> None:
        """Draw all of the page into a file."""
        drawn = self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(drawn["data"]))

    def heard(self, method: str) -> list[dict[str, Any]]:
        """Return what Chromium has reported of a kind."""
        return [one["params"] for one in self.said if one.get("method") == method]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            piece = self._from.read(65_536)
            assert piece, "Chromium is gone"
            self._rest += piece
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed


@contextmanager
def browser() -> Iterator[Browser]:
    """Run Chromium while the `with` block lasts."""
    if not shutil.which("chromium"):
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    # Far from the two numbers that they become.
    theirs = [fcntl.fcntl(one, fcntl.F_DUPFD, 20) for one in (theirs_in, theirs_out)]
    with temporary_folder() as folder:
        process = subprocess.Popen(
            [
                *(*dies_with_parent("KILL"), sys.executable, "-c", JOINED.format(*theirs)),
                *(*CHROMIUM, f"--user-data-dir={folder}"),
            ],
            pass_fds=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for one in (theirs_in, theirs_out, *theirs):
            os.close(one)
        with os.fdopen(ours_in, "rb", 0) as reading, os.fdopen(ours_out, "wb", 0) as writing:
            try:
                yield Browser(reading, writing)
            finally:
                process.kill()
                process.wait()
