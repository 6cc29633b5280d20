"""Findings as a test reads them."""

from collections.abc import Iterable

from imaged.planning.doctor.finding import Finding


def said(findings: Iterable[Finding]) -> list[str]:
    """``error where: what (what to do)``."""
    return [f"{each.level.value} {each}{f' ({each.todo})' if each.todo else ''}" for each in findings]
