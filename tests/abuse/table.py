"""The table of cases by level, in Markdown: ``PYTHONPATH=tests:. python -m abuse.table``.

It is made from what the cases declare, which the tests hold them to.
"""

from __future__ import annotations

from itertools import groupby

from abuse.case import LEVELS, Case
from abuse.cases import CASES


def table() -> str:
    """One row for each number."""
    lines = [f"| case | tried | {' | '.join(LEVELS)} |", f"|---|---|{'---|' * len(LEVELS)}"]
    reasons: dict[str, int] = {}
    totals = dict.fromkeys(LEVELS, 0)
    numbers = 0
    for number, group in groupby(CASES, key=lambda case: case.number):
        cases = list(group)
        numbers += 1
        cells = [_cell(cases, level, reasons) for level in LEVELS]
        for level, cell in zip(LEVELS, cells, strict=True):
            totals[level] += cell == "holds"
        lines.append(f"| {number} | {'; '.join(case.name for case in cases)} | {' | '.join(cells)} |")
    lines.append(f"| {numbers} | hold | {' | '.join(str(totals[level]) for level in LEVELS)} |")
    notes = [f"{mark}. {reason[0].upper()}{reason[1:]}." for reason, mark in reasons.items()]
    return "\n".join([*lines, "", *notes])


def _cell(cases: list[Case], level: str, reasons: dict[str, int]) -> str:
    gaps = [case.gaps[level].reason for case in cases if level in case.gaps]
    if not gaps:
        return "holds"
    marks = sorted({reasons.setdefault(reason, len(reasons) + 1) for reason in gaps})
    part = "" if len(gaps) == len(cases) else f" ({len(gaps)} of {len(cases)})"
    return f"gap{part} {', '.join(f'[{mark}]' for mark in marks)}"


if __name__ == "__main__":
    print(table())
