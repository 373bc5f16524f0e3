"""How far clocks may be apart.

Leases go by Redis's clock and timestamps by PostgreSQL's, so that neither minds.
`eta` and `expires` of a message go by the producer's and the worker's.
"""

from __future__ import annotations

from service.finding import Finding, failure, ok, warning

WARNING_SECONDS = 1.0
# As long as messages commonly have before they expire.
FAILURE_SECONDS = 30.0


def judge_clock(ahead_seconds: float) -> Finding:
    """Judge by how much a server's clock is ahead of this machine's."""
    apart = abs(ahead_seconds)
    found = f"{apart:.1f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine's"
    fix = "synchronise the clocks of all machines (NTP)"
    if apart >= FAILURE_SECONDS:
        return failure(f"{found}: messages with eta or expires wait too long or are dropped", fix)
    if apart >= WARNING_SECONDS:
        return warning(found, fix)
    return ok("agrees with this machine's")
