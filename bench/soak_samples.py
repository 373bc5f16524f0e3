"""What a service under lasting load is like, every few seconds: by its servers and processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import psutil
import psycopg

from bench.accounting import listens
from settle_client.names import QUEUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.rig import Rig

TABLE = """
SELECT n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count,
  pg_table_size(relid) / 1e6, pg_indexes_size(relid) / 1e6, pg_current_wal_lsn() - '0/0'::pg_lsn,
  (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')
FROM pg_stat_user_tables WHERE relname = 'events'
"""


class Sample(NamedTuple):
    """One look; what counts up does so from the beginning.

    Attributes:
        seconds: Since the beginning.
        outcomes: Published.
        queued: Messages that wait.
        updated: Rows updated.
        hot: Of these, without a write to an index.
        dead: Rows that vacuum has to clean.
        vacuums: How often autovacuum was through.
        table_mb: Size of the table.
        index_mb: Size of its indexes.
        wal_mb: Written to the log.
        connections: To PostgreSQL.
        worker_mb: Memory of the workers and their children.
        postgres_mb: Memory of PostgreSQL that is no other process's too.
        redis_mb: Memory of Redis.
        files: Open files and sockets of the workers and their children.
        is_held: Whether an old snapshot is held.
    """

    seconds: float
    outcomes: int
    queued: int
    updated: int
    hot: int
    dead: int
    vacuums: int
    table_mb: float
    index_mb: float
    wal_mb: float
    connections: int
    worker_mb: float
    postgres_mb: float
    redis_mb: float
    files: int
    is_held: bool


class Sampler:
    """Looks at a rig and its workers."""

    def __init__(self, rig: Rig, workers: Sequence[int]) -> None:
        self._rig = rig
        self._database = psycopg.connect(rig.database_url, autocommit=True)
        self._workers = [psutil.Process(pid) for pid in workers]
        (self._postgres,) = [psutil.Process(pid) for pid in listens(rig.database_url)]
        self._began = time.monotonic()
        self._wal_mb = 0.0
        self._wal_mb = self.look(is_held=False).wal_mb

    def look(self, *, is_held: bool) -> Sample:
        """Take a sample."""
        self._database.execute("SELECT pg_stat_clear_snapshot()")
        row = self._database.execute(TABLE).fetchone()
        assert row is not None  # noqa: S101 - the table is there
        updated, hot, dead, vacuums, table_mb, index_mb, wal, connections = row
        workers = [*self._workers]
        for worker in self._workers:
            workers += worker.children(recursive=True)
        backends = [self._postgres, *self._postgres.children()]
        return Sample(
            time.monotonic() - self._began,
            self._rig.published(),
            self._rig.redis.llen(QUEUE),
            *(updated, hot, dead, vacuums, float(table_mb), float(index_mb)),
            float(wal) / 1e6 - self._wal_mb,
            connections,
            sum(worker.memory_info().rss for worker in workers) / 1e6,
            sum(_own_mb(backend) for backend in backends),
            self._rig.redis.info("memory")["used_memory"] / 1e6,
            sum(worker.num_fds() for worker in workers),
            is_held,
        )

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _own_mb(process: psutil.Process) -> float:
    try:
        return float(process.memory_full_info().uss) / 1e6
    except psutil.NoSuchProcess:
        return 0.0
