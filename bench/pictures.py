"""The picture in the README, of a real run: `uv run python -m bench.pictures`, with Chromium.

The end of `settle demo`, `settle top` while two workers are kept busy, and what Flower
shows of that. Their texts are drawn by the browser, with a font of this machine's.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from bench.event_ids import event_id
from bench.processes import listening, process
from bench.rig import rig
from cli.embedded import free_port, temporary_folder
from settle_client.producer import Producer

if TYPE_CHECKING:
    from bench.rig import Rig

PICTURE = Path(__file__).parents[1] / "docs" / "images" / "settle.png"
EVENTS, PER_SECOND, WORKERS = 60_000, 2_000, 2
COLUMNS = 78
WARM_UP_SECONDS = 8.0
CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--no-first-run", "--virtual-time-budget=10000"),
)
FRAME = """
<style>
body {{ margin: 0; padding: 14px; background: #eef1f4; width: 1284px;
    display: grid; grid-template-columns: 1fr 1fr; gap: 14px; font: 13px sans-serif }}
figure {{ margin: 0; border-radius: 8px; overflow: hidden; background: #16181d; color: #d5dae1 }}
figcaption {{ padding: 7px 12px; background: #2a2e36; font: bold 12px monospace }}
pre {{ margin: 0; padding: 12px; white-space: pre-wrap;
    font: 12.2px/1.32 "DejaVu Sans Mono", monospace }}
.wide {{ grid-column: 1 / 3 }}
img {{ display: block; width: 100%; height: 344px; object-fit: cover; object-position: bottom }}
</style>
<figure><figcaption>$ settle demo</figcaption><pre>{demo}</pre></figure>
<figure><figcaption>$ settle top</figcaption><pre>{top}</pre></figure>
<figure class="wide"><figcaption>$ celery -A worker flower</figcaption><img src="{flower}"></figure>
"""


def printed(*command: str, environment: dict[str, str]) -> str:
    """Return what a command of ours prints, in a terminal as wide as the picture's."""
    ended = subprocess.run(
        [sys.executable, "-m", "cli", *command],
        env={**environment, "COLUMNS": str(COLUMNS)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return ended.stdout


def screenshot(url: str, path: Path, *, width: int, height: int, scale: float = 1) -> None:
    """Let Chromium draw a page into a file."""
    options = (f"--window-size={width},{height}", f"--force-device-scale-factor={scale}")
    with temporary_folder() as profile:
        command = [*CHROMIUM, *options, f"--user-data-dir={profile}", f"--screenshot={path}", url]
        subprocess.run(command, check=True, capture_output=True)


def keep_busy(running: Rig, stopped: threading.Event) -> None:
    """Send at a steady rate; some updates come twice, or name no event."""
    with Producer(running.broker_url) as producer:
        for number in range(EVENTS):
            if stopped.is_set():
                return
            which = number if number % 50 else number - 1 if number % 100 else EVENTS + number
            producer.send({"id": event_id(which), "status": "completed"})
            if number % (PER_SECOND // 20) == 0:
                time.sleep(1 / 20)


def under_load(folder: Path) -> tuple[str, Path]:
    """Return what `settle top` and Flower show of workers that are kept busy."""
    with ExitStack() as stack:
        running = stack.enter_context(rig())
        running.reset(EVENTS)
        environment = {
            **os.environ,
            "CELERY_BROKER_URL": running.broker_url,
            "DATABASE_URL": running.database_url,
            "C_FORCE_ROOT": "1",
        }
        celery = [sys.executable, "-m", "celery", "-A", "worker"]
        for number in range(WORKERS):
            stack.enter_context(
                process([*celery, "worker", f"--hostname=w{number}@demo"], environment)
            )
        port = free_port()
        flower = [*celery, "flower", f"--port={port}", "--address=127.0.0.1", "--max-tasks=500"]
        stack.enter_context(listening(flower, environment, port))
        stopped = threading.Event()
        load = threading.Thread(target=keep_busy, args=(running, stopped), daemon=True)
        time.sleep(WARM_UP_SECONDS)
        load.start()
        time.sleep(WARM_UP_SECONDS)
        top = printed("top", "--once", environment=environment)
        stopped.set()
        load.join()
        page = folder / "flower.png"
        screenshot(f"http://127.0.0.1:{port}/tasks", page, width=1284, height=634)
        return top, page


def main() -> None:
    """Draw the picture."""
    with temporary_folder() as folder:
        demo = printed("demo", environment=dict(os.environ))
        top, flower = under_load(folder)
        shown = base64.b64encode(flower.read_bytes()).decode()
        page = folder / "page.html"
        page.write_text(
            '<meta charset="utf-8">'
            + FRAME.format(
                demo=escape(demo[demo.index("   ") :].strip("\n")),
                top=escape(top.strip("\n")),
                flower=f"data:image/png;base64,{shown}",
            ),
            encoding="utf-8",
        )
        screenshot(page.as_uri(), PICTURE, width=1312, height=836, scale=1.5)
    print(PICTURE)  # noqa: T201 - that is what it is for


if __name__ == "__main__":
    main()
