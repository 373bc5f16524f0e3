"""A file of entries in TOML that is read again when it changes: keys, endpoints.

What stands in it may be a secret, so an error says where something is wrong and what it
should be, and never what it says.
"""

from __future__ import annotations

import logging
import re
import tomllib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from service.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

logger = logging.getLogger(__name__)

Entry = TypeVar("Entry")


class TomlFile(Generic[Entry]):
    """The entries of a file, as they stand in it at any time."""

    def __init__(
        self,
        path: Path,
        understand: Callable[[dict[str, Any]], Sequence[Entry]],
        *,
        setting: str,
        what: str,
        command: str,
    ) -> None:
        """Read them.

        Args:
            path: Of the file.
            understand: Gives the entries of a document, or raises pydantic's ValidationError.
            setting: The variable that names the file.
            what: What its entries are called.
            command: What writes one.

        Raises:
            SettingsError: The file cannot be read, what it says cannot be meant, or it has none.
        """
        self._path, self._understand = path, understand
        self._setting, self._what, self._command = setting, what, command
        self._seen = self._said = _version(path)
        self._entries = self._read()
        if not self._entries:
            raise SettingsError(f"{setting}: {path} has no {what}: see {command}")

    def entries(self) -> Sequence[Entry]:
        """Return the entries; while the file cannot be understood, those from before."""
        version = _version(self._path)
        if version != self._seen:
            self._read_again(version)
        self._said = version
        return self._entries

    def _read_again(self, version: tuple[int, ...] | None) -> None:
        try:
            self._entries = self._read()
        except SettingsError as error:
            # What cannot be read is tried each time and said once, for it may be mended without
            # a change of the file, as by its mode. What it says wrongly is understood once.
            if not isinstance(error.__cause__, OSError):
                self._seen = version
            if version != self._said:
                logger.error(  # noqa: TRY400 - the error is the text
                    f"{self._what} not read again",  # noqa: G004 - static for each file
                    extra={"error": str(error)},
                )
        else:
            self._seen = version
            count = {self._what: len(self._entries)}
            logger.info(f"{self._what} read again", extra=count)  # noqa: G004 - the same

    def _read(self) -> Sequence[Entry]:
        path = self._path
        try:
            return self._understand(tomllib.loads(path.read_text("utf-8")))
        except FileNotFoundError as error:
            raise self._error(f"{path} is not there: see {self._command}") from error
        except OSError as error:
            raise self._error(f"{path}: {error.strerror or error}") from error
        except tomllib.TOMLDecodeError as error:
            # Where it goes wrong, and not what stands there.
            place = re.search(r"at (line \d+, column \d+|end of document)", str(error))
            reason = f"{path} is not TOML: see {place[1] if place else 'it'}"
        except UnicodeDecodeError:
            reason = f"{path} is not UTF-8"
        except ValidationError as error:
            reason = f"{path}: {_explain(error)}"
        # Without its cause, which quotes what stands there.
        raise self._error(reason)

    def _error(self, reason: str) -> SettingsError:
        return SettingsError(f"{self._setting}: {reason}")


def _version(path: Path) -> tuple[int, ...] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    # With the size, for a file that is written in two steps may have one time for both.
    return status.st_mtime_ns, status.st_ino, status.st_size


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(_place(problem["loc"]) + _words(problem) for problem in problems)


def _words(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is required"
    if problem["type"] == "extra_forbidden":
        return "is not known here: take it out, or correct its name"
    text: str = problem["msg"].removeprefix("Value error, ")
    return text.replace("Input should be", "must be").replace("String should", "must")


def _place(location: Sequence[int | str]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    place = "".join(parts).removeprefix(".")
    # Of the file as a whole, which is named before.
    return f"{place}: " if place else ""
