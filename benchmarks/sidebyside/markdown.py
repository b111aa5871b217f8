"""A run as Markdown: whether the targets were reached, and a table a scene."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from .record import Record, Spread
from .scenes import GROUPS, METRICS, SCENES
from .servers import SERVERS
from .session import BASE, NOISE
from .targets import Verdict, judge

__all__ = ["markdown"]

COMPARED = {BASE: "to the raw loop", "twisted": "to Twisted", "uvloop": "to uvloop"}
LIMITED = 0.95  # of a processor: from there on the load may be what is measured
NOTHING = "\u2013"


def row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> Iterator[str]:
    """The first columns are words, the others are numbers."""
    yield row(head)
    yield row(["---"] * words + ["---:"] * (len(head) - words))
    yield from map(row, rows)
    yield ""


def ratio(value: float) -> str:
    return f"{value:.2f}"


def verdicts(found: Sequence[Verdict]) -> Iterator[str]:
    yield from table(
        ["", "scene", "bound", "median (lowest\u2013highest)", "reached"],
        [
            [
                verdict.target.title,
                verdict.where,
                f"{'at most' if verdict.target.most else 'at least'} {verdict.write(verdict.target.bound)}",
                verdict.spread.format(verdict.write) if verdict.spread is not None else "not measured",
                ("yes" if verdict.reached else "**no**") if verdict.spread is not None else NOTHING,
            ]
            for verdict in found
        ],
        words=2,
    )


def overview(record: Record, group: str) -> Iterator[str]:
    """The ratios to the base of all scenes of a group in one table."""
    scenes = [name for name in SCENES if SCENES[name].group == group and name in record.measured]
    compared = [name for name in scenes if record.of(name, BASE) and SCENES[name].way == "load"]
    if len(compared) < 2:
        return
    yield f"Ratios to the {SERVERS[BASE].title}, by {' or '.join(dict.fromkeys(title(name) for name in compared))}:"
    yield ""
    servers = [name for name in SERVERS if name != BASE and any(record.of(scene, name) for scene in compared)]
    rows = []
    for server in servers:
        cells = [SERVERS[server].title]
        for scene in compared:
            metric = SCENES[scene].metrics[0]
            found = Spread.of(record.ratios(scene, server, BASE, metric, METRICS[metric].lower))
            cells.append(NOTHING if found is None else found.format(ratio))
        rows.append(cells)
    yield from table(["", *(SCENES[scene].title for scene in compared)], rows)


def title(scene: str) -> str:
    return METRICS[SCENES[scene].metrics[0]].title


def details(record: Record, name: str) -> Iterator[str]:
    """One scene: what was measured, and the ratios by its first metric."""
    scene = SCENES[name]
    servers = [server for server in SERVERS if record.of(name, server)]
    first = METRICS[scene.metrics[0]]
    # A value that is the same for all, or nearly nothing, says nothing as a ratio.
    bases = [base for base in COMPARED if base in servers] if scene.way == "load" else []
    head = [f"{SCENES[name].title} (`{name}`)"]
    head += [f"{METRICS[metric].title}, {METRICS[metric].unit}".rstrip(", ") for metric in scene.metrics]
    head += [COMPARED[base] for base in bases]
    if scene.way == "calls":
        head.append("which")
    rows = []
    for server in servers:
        cells = [f"**{SERVERS[server].title}**" if SERVERS[server].ours else SERVERS[server].title]
        for metric in scene.metrics:
            found = Spread.of(record.values(name, server, metric))
            cells.append(NOTHING if found is None else found.format(METRICS[metric].write))
        for base in bases:
            found = Spread.of(record.ratios(name, server, base, scene.metrics[0], first.lower))
            cells.append(NOTHING if found is None else "1" if base == server else found.format(ratio))
        if scene.way == "calls":
            cells.append(calls(record, name, server))
        rows.append(cells)
    yield from table(head, rows)
    limited = [server for server in servers if median(record, name, server, "load") > LIMITED]
    if limited:
        yield f"The load worked all the time, and may be what limits: {', '.join(SERVERS[s].title for s in limited)}."
        yield ""


def calls(record: Record, scene: str, server: str) -> str:
    """Which system calls a message takes, most of them first."""
    values = record.of(scene, server)[-1].values
    each = {name.removeprefix("call "): value for name, value in values.items() if name.startswith("call ")}
    return ", ".join(f"{name} {each[name]:.2f}" for name in sorted(each, key=lambda name: -each[name]))


def median(record: Record, scene: str, server: str, name: str) -> float:
    found = Spread.of(record.values(scene, server, name))
    return 0.0 if found is None else found.median


def circumstances(record: Record) -> Iterator[str]:
    yield "; ".join(f"{name} {value}" for name, value in record.machine.items()) + "."
    yield ""
    for line in record.conditions:
        yield f"- {line}."
    others = [m.values["others"] for servers in record.measured.values() for each in servers.values() for m in each]
    noise = Spread.of(others)
    if noise is not None:
        noisy = sum(value > NOISE for value in others)
        yield (
            f"- what else the machine did used {100 * noise.median:.0f} % of a processor in the median, "
            f"{100 * noise.highest:.0f} % at most; more than {100 * NOISE:.0f} % beside {noisy} of {len(others)} "
            "measurements."
        )
    yield "- a cell is the median over the rounds and, in brackets, the lowest and the highest. A ratio is between two"
    yield "  measurements of one round, the nearest in time; more than 1 is better, whatever is measured."
    for name, why in record.leftOut.items():
        what = SERVERS[name].title if name in SERVERS else name
        yield f"- left out: {what}: {why}."
    for failure in record.failures:
        yield f"- **failed**: {failure}."
    yield ""


def markdown(record: Record) -> str:
    """The whole report."""
    lines = ["# Side by side", "", *circumstances(record)]
    found = judge(record)
    if found:
        measured = [verdict for verdict in found if verdict.spread is not None]
        reached = sum(verdict.reached for verdict in measured)
        lines += ["## Targets", "", f"{reached} of {len(measured)} reached.", "", *verdicts(found)]
    for group, heading in GROUPS.items():
        scenes = [name for name in SCENES if SCENES[name].group == group and name in record.measured]
        if scenes:
            lines += [f"## {heading}", "", *overview(record, group)]
            for name in scenes:
                lines += details(record, name)
    return "\n".join(lines).rstrip() + "\n"
