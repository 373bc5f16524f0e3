"""Whether updates can be settled in the database, and what to do if not.

Asked again and again, by workers and gateways while nothing else shows it: as long as
all is well, by settling nothing. Only then, and at the beginning, is it looked at with
the checks of `settle doctor`, which know the fix. Judges nothing by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from db import DatabaseError, TransientDatabaseError
from service import database_checks
from service.finding import Verdict

if TYPE_CHECKING:
    from db import Database
    from service.finding import Finding

# A failure of one of them keeps updates from being settled, or makes it unsafe.
NEEDED = (
    database_checks.server,
    database_checks.commits,
    # Before the migration, which is not found either by whom the search path misleads.
    database_checks.table,
    database_checks.migration,
    database_checks.privileges,
)


class Obstacle(NamedTuple):
    """What keeps updates from being settled, and what to do about it."""

    found: str
    fix: str
    # Whether the database does not answer at all.
    is_away: bool = False


class Fitness:
    """Of one database, as one process sees it."""

    def __init__(self, database: Database, url: str) -> None:
        """Ask nothing yet.

        Args:
            database: Through which updates are settled.
            url: Its address.
        """
        self._database, self._url = database, url
        self._was_good = False
        # Of the latest look in full: what each check found.
        self.findings: tuple[Finding, ...] = ()

    @property
    def found(self) -> str:
        """Return what the database is like."""
        return "; ".join(finding.found for finding in self.findings)

    @property
    def remarks(self) -> tuple[Finding, ...]:
        """Return what is not as it should be, though updates can be settled."""
        return tuple(each for each in self.findings if each.verdict is not Verdict.OK)

    def look(self) -> Obstacle | None:
        """Look once, and return what is in the way, if anything is."""
        if self._was_good and not self._refusal():
            return None
        obstacle = self._examine()
        self._was_good = obstacle is None
        return obstacle

    def _examine(self) -> Obstacle | None:
        try:
            with database_checks.reach_database(self._url, sessions_wanted=0) as reached:
                findings = []
                for check in NEEDED:
                    findings.append(finding := check(reached))
                    if finding.verdict is Verdict.FAILURE:
                        return Obstacle(finding.found, finding.fix)
                self.findings = tuple(findings)
        except TransientDatabaseError as error:
            return Obstacle(str(error), database_checks.START, is_away=True)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is known to be good
            return Obstacle(f"{type(error).__name__}: {error}", database_checks.ASK_DOCTOR)
        refusal = self._refusal()
        return Obstacle(refusal, database_checks.ASK_DOCTOR) if refusal else None

    def _refusal(self) -> str:
        try:
            self._database.check()
        except DatabaseError as error:
            return str(error)
        return ""
