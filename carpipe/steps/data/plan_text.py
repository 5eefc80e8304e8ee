"""A plan as text: a table of the stages, what they will cost, and where the time of earlier results went."""

from collections.abc import Mapping, Sequence

from carpipe.config import CostConfig
from carpipe.steps.data.cost import describe_money
from carpipe.steps.data.plan import Forecast

HEAD = f"{'stage':<8} {'partitions':>10} {'photos':>11} {'reused':>11} {'to read':>10} {'minutes':>9}"


def render_plan(forecast: Sequence[Forecast], prices: CostConfig) -> str:
    """The forecast as a table of text; with a column of costs where the settings have prices."""
    costs = [row.cost for row in forecast if row.cost is not None]
    lines = [HEAD + (f" {'cost':>10}" if costs else "")]
    for row in forecast:
        minutes = f"{row.minutes:.1f}" + ("" if row.measured or not row.photos else " (guess)")
        photos = f"{row.photos:>11,} {row.reused_photos:>11,}"
        size = _size(row.bytes) if row.bytes_measured or not row.photos else "unknown"
        cost = "" if row.cost is None else f" {row.cost:>10,.2f}"
        lines.append(f"{row.stage:<8} {row.partitions:>10,} {photos} {size:>10} {minutes:>9}{cost}")
    if costs:
        lines.append(f"All of it costs {describe_money(sum(costs), prices)}.")
    spent = [f"{row.stage:<8} {_describe_spent(row.spent)}" for row in forecast if row.spent]
    return "\n".join([*lines, *(["", "Where the time of earlier results went:", *spent] if spent else [])])


def _describe_spent(seconds: Mapping[str, float]) -> str:
    """Shares of seconds by what they were spent on, the largest first."""
    total = sum(seconds.values())
    largest = sorted(seconds.items(), key=lambda item: -item[1])
    return ", ".join(f"{100 * part / total:.0f} % {what}" for what, part in largest if part)


def _size(number: int) -> str:
    amount = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
