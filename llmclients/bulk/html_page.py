"""A run's report as one HTML page, with plots as inline SVG: nothing comes from outside, not even a font."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from llmclients.bulk.stats import bucket_seconds, cost_text

if TYPE_CHECKING:
    from llmclients.bulk.bulk_report import BulkReport

__all__ = ["html_page"]

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 720, 180, 64, 24, 8
_TICKS = 4

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 46em; margin: 2em auto; padding: 0 1em;
  color: #1d2129; background: #fff }}
h1 {{ font-size: 1.4em }} h2 {{ font-size: 1.05em; margin: 1.8em 0 .3em }}
table {{ border-collapse: collapse }} td, th {{ text-align: left; padding: .15em 1.4em .15em 0; font-weight: normal }}
td {{ font-variant-numeric: tabular-nums }} th {{ color: #667 }}
svg {{ width: 100%; height: auto }} text {{ font-size: 11px; fill: #667 }}
rect {{ fill: #3b6fb6 }} .errors rect {{ fill: #c2503c }} .second {{ fill: #9db9dd }} line {{ stroke: #dde }}
@media (prefers-color-scheme: dark) {{ body {{ color: #dde; background: #16181d }} line {{ stroke: #334 }}
  th, text {{ color: #99a; fill: #99a }} }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def html_page(report: BulkReport) -> str:
    """The page."""
    stats = report.stats
    slots, seconds = stats.slots, stats.slot_seconds
    span = len(slots) * seconds
    parts = [_table(_facts(report))]
    if slots:
        times = [_time(share * span / _TICKS) for share in range(_TICKS + 1)]
        parts += [
            _plot("Throughput, rows/s", [[slot.rows / seconds for slot in slots]], times),
            _plot("Errors, rows/s", [[slot.errors / seconds for slot in slots]], times, "errors"),
            _plot(
                "Tokens/s: of requests, and above them of answers",
                [
                    [slot.input_tokens / seconds for slot in slots],
                    [slot.output_tokens / seconds for slot in slots],
                ],
                times,
            ),
        ]
    if any(stats.latencies):
        parts.append(_latencies(stats.latencies))
    if report.errors:
        parts.append("<h2>Errors</h2>\n" + _table([(name, f"{count:,}") for name, count in report.errors.items()]))
    return _PAGE.format(title=escape(f"Bulk run: {report.out}"), body="\n".join(parts))


def _facts(report: BulkReport) -> list[tuple[str, str]]:
    facts = [
        ("rows of the output", f"{report.rows:,}: {report.answered:,} answered, {report.failed:,} failed"),
        ("kept from earlier runs", f"{report.kept:,}"),
        ("from a cache", f"{report.cached:,}"),
        ("asked", f"{report.asked:,}, with {report.attempts:,} requests"),
        ("time", f"{_time(report.seconds)}, {report.rows_per_second:,.1f} rows/s"),
    ]
    quantiles = [(share, report.latency(share)) for share in (0.5, 0.9, 0.99, 1.0)]
    reached = [f"{seconds:.3g} s at p{share * 100:g}" for share, seconds in quantiles if seconds is not None]
    if reached:
        facts.append(("latency", ", ".join(reached)))
    if report.usage is not None:
        facts.append(
            ("tokens", f"{report.usage.input_tokens:,} of requests, {report.usage.output_tokens:,} of answers")
        )
    if report.cost is not None:
        facts.append(("cost", cost_text(report.cost)))
    if report.damaged:
        facts.append(("damaged lines in the journal", f"{report.damaged:,}"))
    return [*facts, ("journal", report.journal)]


def _table(rows: Sequence[tuple[str, str]]) -> str:
    lines = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _latencies(counts: Sequence[int]) -> str:
    first = next(index for index, count in enumerate(counts) if count)
    last = max(index for index, count in enumerate(counts) if count)
    first, last = max(first - 1, 0), last + 1
    shown = [float(count) for count in counts[first : last + 1]]
    edges = [first + share * (last + 1 - first) / _TICKS for share in range(_TICKS + 1)]
    labels = [f"{bucket_seconds(0) * 1.2 ** (edge - 1):.2g} s" for edge in edges]
    return _plot("Latency, rows by seconds (a logarithmic scale)", [shown], labels)


def _plot(title: str, layers: Sequence[Sequence[float]], labels: Sequence[str], kind: str = "") -> str:
    """Bars, layer upon layer, with labels below at even distances."""
    heights = [sum(values) for values in zip(*layers, strict=True)]
    highest = max(heights) or 1.0
    wide, high = _WIDTH - _LEFT, _HEIGHT - _BOTTOM - _TOP
    step = wide / len(heights)
    marks = []
    for share in (0.0, 0.5, 1.0):
        y = _TOP + high * (1 - share)
        marks.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(highest * share)}</text>')
    for index, label in enumerate(labels):
        anchor = "start" if index == 0 else "end" if index == len(labels) - 1 else "middle"
        x = _LEFT + wide * index / (len(labels) - 1)
        marks.append(f'<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="{anchor}">{escape(label)}</text>')
    base = [0.0] * len(heights)
    for number, layer in enumerate(layers):
        style = ' class="second"' if number else ""
        for index, value in enumerate(layer):
            if value:
                top = high * (base[index] + value) / highest
                marks.append(
                    f'<rect{style} x="{_LEFT + index * step:.2f}" y="{_TOP + high - top:.2f}" '
                    f'width="{max(step - 0.5, 0.5):.2f}" height="{high * value / highest:.2f}"/>'
                )
            base[index] += value
    body = "\n".join(marks)
    name = escape(title)
    return (
        f'<h2>{name}</h2>\n<svg class="{kind}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{name}">\n'
        f"{body}\n</svg>"
    )


def _short(value: float) -> str:
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:.3g}{letter}"
    return f"{value:.3g}"


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
