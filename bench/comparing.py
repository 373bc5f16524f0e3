"""How two contenders are compared: round by round, and against a target."""

from __future__ import annotations


def ratios(ones: list[float], others: list[float]) -> list[float]:
    """Return how many times as much the one had, in each round that both finished."""
    return [one / other for one, other in zip(ones, others, strict=False)]


def verdict(met: bool) -> str:
    """Say in Markdown whether a target was met."""
    return "met" if met else "**not met**"
