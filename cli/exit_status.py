"""What a command ends with, for scripts: the numbers, and what each means."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
FAILED: Final = 1
BAD_INPUT: Final = 2
NOT_UPDATED: Final = 3
NO_OUTCOME: Final = 4
INTERRUPTED: Final = 130
STOPPED: Final = 143

EVERY_COMMAND: Final = "every command"
# A status, whose it is, what it means.
MEANINGS: Final = (
    (DONE, EVERY_COMMAND, "done"),
    (DONE, "publish --wait", "every update was `updated`"),
    (DONE, "demo", "every outcome was as planned"),
    (DONE, "doctor", "no check failed; there may be warnings, and what could not be found out"),
    (DONE, "health", "it is live, or ready"),
    (DONE, "retention", "what may go is gone; groups for which more is kept are named on stderr"),
    (DONE, "top, outcomes", "also when ended with Ctrl-C"),
    (DONE, "gateway, page", "it was told to stop, and has answered what it had taken"),
    (
        FAILED,
        EVERY_COMMAND,
        (
            "not done, for the reason on stderr: a server is away or refuses, a setting cannot "
            "work, a file cannot be read, stdout is not taken (a full disk, a closed pipe), "
            "or a question was answered with no"
        ),
    ),
    (FAILED, "demo", "an outcome was not as planned"),
    (FAILED, "doctor", "a check failed"),
    (FAILED, "health", "it is not, or there is no such worker here"),
    (BAD_INPUT, EVERY_COMMAND, "the command line is not understood; nothing was done"),
    (
        BAD_INPUT,
        "events load",
        "some events are refused; all others are there",
    ),
    (BAD_INPUT, "publish", "some updates are not valid; all others were sent"),
    (BAD_INPUT, "dead show, drop", "there is no such dead letter; others that were named are gone"),
    (BAD_INPUT, "dead replay", "some were not found, or are still not valid and are kept"),
    (
        NOT_UPDATED,
        "publish --wait",
        "every update has an outcome, and one at least was not `updated`",
    ),
    (NO_OUTCOME, "publish --wait", "an update has no outcome after `--timeout`, whatever else"),
    (INTERRUPTED, EVERY_COMMAND, "Ctrl-C; `publish` says first what was sent"),
    (STOPPED, EVERY_COMMAND, "SIGTERM; the demo's servers are stopped"),
)
