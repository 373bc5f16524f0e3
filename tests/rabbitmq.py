"""A RabbitMQ node of the tests' own, on loopback, with everything it writes in one folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil

from cli.embedded import ServerUnavailable, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

# Debian's own wrapper changes the user, who then could not write to the folder.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
START_SECONDS = 90
TICKS_SECONDS = 0.5
# What docs/guarantees.md has people type where a crashed node has left a queue without a leader.
ELECT = (
    "[ra:trigger_election({N, node()}) || {N, _} <- ra_directory:list_registered(quorum_queues), "
    "ets:lookup(ra_state, N) =:= [{N, follower}], nodes() =:= []]."
)
# For how long, about, nodes of a cluster wait for one that says nothing.
NET_TICK_SECONDS = 5


class RabbitMQ:
    """A node that keeps its data over a restart."""

    def __init__(
        self, folder: Path, *, joins: RabbitMQ | None = None, managed: bool = False
    ) -> None:
        """Prepare a node.

        Args:
            folder: Where it writes.
            joins: One whose cluster it becomes a part of.
            managed: Whether it has the management plugin.

        Raises:
            ServerUnavailable: RabbitMQ is not installed here.
        """
        if not (SCRIPTS / "rabbitmq-server").exists() or not shutil.which("erl"):
            raise ServerUnavailable("no RabbitMQ: install Debian's rabbitmq-server")
        self.folder = folder
        self.port = free_port()
        self.name = f"settle{self.port}@localhost"
        self._distribution_port = free_port()
        self._epmd_port: int = joins._epmd_port if joins else free_port()
        # The cookie of Erlang is there.
        self._home: Path = joins._home if joins else folder
        self._joins = joins
        self._management_port = free_port() if managed else 0
        self._crashed = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Return where clients connect."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    @property
    def management_url(self) -> str:
        """Return where its management plugin listens."""
        return f"http://guest:guest@127.0.0.1:{self._management_port}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what its commands need."""
        return {
            "PATH": f"{SCRIPTS}:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self._home),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            # Everything else runs on the same processors: see docs/rabbitmq.md.
            "RABBITMQ_SCHEDULER_BIND_TYPE": "u",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -rabbit quorum_tick_interval 100",
        }

    def control(self, *command: str) -> str:
        """Run `rabbitmqctl` and return what it prints."""
        return subprocess.run(
            [SCRIPTS / "rabbitmqctl", "--quiet", "--node", self.name, *command],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        ).stdout

    def start(self) -> Self:
        """Start the node and wait until it serves.

        Raises:
            ServerUnavailable: It does not.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configure()
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [SCRIPTS / "rabbitmq-server"],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                self.control("await_startup", "--timeout", "60")
            except subprocess.CalledProcessError:
                time.sleep(0.2)
            else:
                self._join()
                self._elect()
                return self
        words = (self.folder / "output").read_text(errors="replace")[-500:]
        self.stop(immediate=True)
        raise ServerUnavailable(f"RabbitMQ did not start: {words}")

    def _configure(self) -> None:
        lines = [f"net_ticktime = {NET_TICK_SECONDS}"]
        if self._management_port:
            lines += [
                f"management.tcp.port = {self._management_port}",
                "management.tcp.ip = 127.0.0.1",
                # What the plugin tells is as old as the last look at it.
                "collect_statistics_interval = 500",
            ]
            (self.folder / "plugins").write_text("[rabbitmq_management].\n")
        (self.folder / "rabbitmq.conf").write_text("\n".join([*lines, ""]))

    def _join(self) -> None:
        joins, self._joins = self._joins, None
        if joins is not None:
            self.control("stop_app")
            self.control("join_cluster", joins.name)
            self.control("start_app")

    def _elect(self) -> None:
        if self._crashed:
            self.control("eval", ELECT)
            self._crashed = False

    @property
    def pid(self) -> int | None:
        """Return the process of its virtual machine, None while it does not run."""
        if self._process is None:
            return None
        tree = [psutil.Process(self._process.pid)]
        tree += tree[0].children(recursive=True)
        return next((one.pid for one in tree if one.name() == "beam.smp"), None)

    def stop(self, *, immediate: bool = False) -> None:
        """Stop the node, in order or as in a crash."""
        process, self._process = self._process, None
        if process is None:
            return
        self._crashed = immediate
        if immediate:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
        else:
            process.terminate()
        process.wait(START_SECONDS)

    def waiting_or_held(self) -> int:
        """Return how many messages the queues have, delivered or not."""
        # What the node tells is as old as its last tick.
        time.sleep(TICKS_SECONDS)
        return self.total("list_queues", "messages")

    def total(self, command: str, column: str) -> int:
        """Return the sum of a column of what a command of `rabbitmqctl` lists."""
        lines = self.control(command, column, "--no-table-headers").split()
        return sum(int(count) for count in lines if count.isdigit())

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop(immediate=True)
        epmd = ("epmd", "-port", str(self._epmd_port), "-kill")
        subprocess.run(epmd, check=False, capture_output=True)
