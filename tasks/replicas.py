"""A script whose writes replicas have by the time it returns.

Redis answers before its replicas have anything, and a primary that is lost then takes with it
what it has answered. It can be asked to wait for them, by the connection that has written:
so that is sent together with the script. It undoes nothing: what has not reached enough
replicas in time is there, and may reach them later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis

if TYPE_CHECKING:
    from collections.abc import Sequence

# Less than any command may take. Replicas that are there need a round trip.
WAIT_SECONDS = 2.0


class TooFewReplicasError(redis.RedisError):
    """Too few replicas have it."""


def wait_command(min_replicas: int) -> tuple[str | int, ...]:
    """Return what is sent behind what is written, over the same connection."""
    return "WAIT", min_replicas, int(WAIT_SECONDS * 1_000)


def check_reached(reached: int, min_replicas: int) -> None:
    """Check what that has answered.

    Raises:
        TooFewReplicasError: Too few replicas have said that they have what was written.
    """
    if reached < min_replicas:
        raise TooFewReplicasError(f"{reached} of {min_replicas} replicas have it")


class ReplicatedScript:
    """Called as a script of redis-py is."""

    def __init__(self, client: redis.Redis, script: Any, min_replicas: int) -> None:
        """Run a script through a client.

        Args:
            client: For one server, or for the primary of several.
            script: As `register_script` returns it.
            min_replicas: How many must have what it writes; 0 to wait for none.
        """
        self._client, self._script, self._min_replicas = client, script, min_replicas

    def __call__(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        """Run it.

        Raises:
            TooFewReplicasError: It was run, and too few replicas have said that they have that.
            redis.RedisError: It was refused, or the server is away.
        """
        if not self._min_replicas:
            return self._script(keys=keys, args=args)
        try:
            return self._run(keys, args)
        except redis.exceptions.NoScriptError:
            self._client.script_load(self._script.script)
            return self._run(keys, args)

    def _run(self, keys: Sequence[str], args: Sequence[Any]) -> Any:
        pipe: Any
        with self._client.pipeline(transaction=False) as pipe:
            pipe.evalsha(self._script.sha, len(keys), *keys, *args)
            pipe.execute_command(*wait_command(self._min_replicas))
            # redis-py would put the outcomes into the error.
            answer, reached = pipe.execute(raise_on_error=False)
        for each in (answer, reached):
            if isinstance(each, Exception):
                raise each
        check_reached(reached, self._min_replicas)
        return answer
