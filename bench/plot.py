"""Plots as SVG. Text and lines follow the reader's light or dark colour scheme."""

import math
from dataclasses import dataclass
from html import escape

COLOURS = ("#2f7ed8", "#e8743b", "#19a979", "#945ecf", "#d1495b", "#8d6e63", "#6c8893", "#bfa53a")
STYLE = """
text { font: 12px system-ui, sans-serif; fill: #222 } .axis { stroke: #888 } .grid { stroke: #8884 }
.title { font-weight: 600; font-size: 14px } .small { font-size: 11px; fill: #666 }
@media (prefers-color-scheme: dark) { text { fill: #ddd } .small { fill: #aaa } }
"""
WIDTH = 760


@dataclass(frozen=True)
class Bar:
    """One bar, with a thin line from `low` to `high` across its end."""

    label: str
    value: float
    low: float
    high: float
    colour: int  # an index of COLOURS


def _svg(height: int, title: str, parts: list[str]) -> str:
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
        f"<title>{escape(title)}</title><style>{STYLE}</style>"
    )
    return "\n".join([start, _text(10, 20, title, "title"), *parts, "</svg>\n"])


def _text(x: float, y: float, text: str, css: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{css}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{css}"/>'


def bar_chart(title: str, unit: str, bars: list[Bar]) -> str:
    """Horizontal bars, starting at 0."""
    left, row, right = 290, 26, 90
    scale = (WIDTH - left - right) / max(bar.high for bar in bars)
    parts = []
    for number, bar in enumerate(bars):
        y = 36 + number * row
        parts += [
            _text(left - 8, y + 14, bar.label, anchor="end"),
            f'<rect x="{left}" y="{y}" width="{bar.value * scale:.1f}" height="18" fill="{COLOURS[bar.colour]}"/>',
            _line(left + bar.low * scale, y + 9, left + bar.high * scale, y + 9, "axis"),
            _text(left + bar.high * scale + 6, y + 14, f"{bar.value:.0f} {unit}"),
        ]
    return _svg(36 + len(bars) * row + 10, title, parts)


def _ticks(high: float) -> list[float]:
    """0 and about five round numbers that cover `high`."""
    step = 10 ** math.floor(math.log10(high / 2))
    step *= next(factor for factor in (1, 2, 5) if high / step / factor <= 6)
    return [number * step for number in range(math.ceil(high / step) + 1)]


Series = dict[str, list[tuple[float, float]]]  # (x, y) by name


def line_chart(title: str, x_name: str, y_name: str, series: Series) -> str:
    """One line for each series of (x, y). The values of x that occur are evenly spaced on the x axis."""
    left, top, right, bottom, legend = 64, 52, WIDTH - 20, 300, 20
    x_values = sorted({x for points in series.values() for x, _ in points})
    ticks = _ticks(max(y for points in series.values() for _, y in points))

    def at_x(x):
        return left + x_values.index(x) / max(len(x_values) - 1, 1) * (right - left)

    def at_y(y):
        return bottom - y / ticks[-1] * (bottom - top)

    parts = [_text(10, 40, y_name, "small"), _text(right, bottom + 34, x_name, "small", "end")]
    for tick in ticks:
        y = at_y(tick)
        parts += [_line(left, y, right, y, "grid"), _text(left - 6, y + 4, f"{tick:g}", "", "end")]
    parts += [_text(at_x(x), bottom + 18, f"{x:g}", "", "middle") for x in x_values]
    for number, (name, points) in enumerate(series.items()):
        path = " ".join(f"{at_x(x):.1f},{at_y(y):.1f}" for x, y in points)
        y = bottom + 52 + number // 3 * legend
        x = left + number % 3 * 225
        parts += [
            f'<polyline points="{path}" fill="none" stroke="{COLOURS[number]}" stroke-width="2"/>',
            f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[number]}"/>',
            _text(x + 16, y, name),
        ]
    return _svg(bottom + 60 + math.ceil(len(series) / 3) * legend, title, parts)
