"""Charts as inline SVG, drawn on this machine: Altair describes them, vl-convert renders, no browser, no network.

They come with the extra `report`. Text and rules take the page's own colour, so that a chart reads on light and dark.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import altair

PALETTE = ("#3b82c4", "#d9822b", "#2f9e73", "#c2557f", "#8a6fc4", "#a08a1f")
"""Each has a contrast of 3 or more against white and against near-black."""
_NUMBERS = (
    "datum.value >= 1000 ? replace(format(datum.value, '~s'), 'G', 'B') : format(datum.value, '~g')"  # 1B, not 1G
)
_INK = "#010203"  # replaced by the page's colour once drawn
_WIDTH, _HEIGHT = 560, 260

Row = Mapping[str, Any]


def charts_available() -> bool:
    """Whether the extra `report` is installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("altair", "vl_convert"))


def bars(rows: Sequence[Row], *, x: str, y: str, title: str, log: bool = False) -> str:
    """One horizontal bar per row: `y` names it, `x` is its number. The SVG."""
    import altair as alt

    scale = alt.Scale(type="log") if log else alt.Scale()
    chart = alt.Chart(_data(rows)).encode(alt.Y(f"{y}:N", sort=None, title=None))
    drawn = chart.mark_bar(color=PALETTE[0]).encode(alt.X(f"{x}:Q", title=x, scale=scale))
    return _svg(drawn, title, height=max(28 * len(rows), 60))


def spans(rows: Sequence[Row], *, low: str, high: str, y: str, title: str, log: bool = False) -> str:
    """One horizontal bar per row from `low` to `high`. The SVG."""
    import altair as alt

    scale = alt.Scale(type="log" if log else "linear", zero=False)
    chart = alt.Chart(_data(rows)).mark_bar(color=PALETTE[0], size=14)
    drawn = chart.encode(
        alt.X(f"{low}:Q", title=f"{low} to {high}", scale=scale), alt.X2(high), alt.Y(f"{y}:N", sort=None, title=None)
    )
    return _svg(drawn, title, height=max(28 * len(rows), 60))


def lines(rows: Sequence[Row], *, x: str, y: str, series: str, title: str, log: bool = False) -> str:
    """One line for each value of `series`, `y` over `x`; both logarithmic with `log`. The SVG."""
    import altair as alt

    scale = alt.Scale(type="log" if log else "linear", zero=False)
    names = list(dict.fromkeys(str(row[series]) for row in rows))
    colours = alt.Scale(domain=names, range=[PALETTE[number % len(PALETTE)] for number in range(len(names))])
    chart = alt.Chart(_data(rows)).mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=28))
    drawn = chart.encode(
        alt.X(f"{x}:Q", title=x, scale=scale),
        alt.Y(f"{y}:Q", title=y, scale=scale),
        alt.Color(f"{series}:N", title=None, scale=colours, sort=None),
    )
    return _svg(drawn, title, height=_HEIGHT)


def stacked(rows: Sequence[Row], *, x: str, y: str, series: str, title: str) -> str:
    """One horizontal bar for each value of `y`, made of one piece for each of `series`. The SVG."""
    import altair as alt

    chart = alt.Chart(_data(rows)).mark_bar().encode(alt.X(f"{x}:Q", title=x), alt.Y(f"{y}:N", sort=None, title=None))
    drawn = chart.encode(_coloured(rows, series))
    return _svg(drawn, title, height=max(28 * len({row[y] for row in rows}), 60))


def histogram(
    rows: Sequence[Row], *, low: str, high: str, y: str, title: str, x_title: str, series: str | None = None
) -> str:
    """Columns from `low` to `high` on a logarithmic axis, `y` high, stacked by `series`. The SVG."""
    import altair as alt

    chart = alt.Chart(_data(rows)).mark_bar(color=PALETTE[0], binSpacing=1)
    ticks = round_numbers(min(row[low] for row in rows), max(row[high] for row in rows))
    axis: Any = {"grid": False, "labelOverlap": "greedy", "labelSeparation": 12}
    axis |= {"values": ticks} if len(ticks) > 1 else {"tickCount": 6}
    drawn = chart.encode(
        alt.X(f"{low}:Q", title=x_title, scale=alt.Scale(type="log", nice=False), axis=axis, bin="binned"),
        alt.X2(high),
        alt.Y(f"{y}:Q", title=y, stack="zero"),
    )
    return _svg(drawn if series is None else drawn.encode(_coloured(rows, series)), title, height=_HEIGHT)


def round_numbers(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten between the two: a logarithmic axis has no room for more."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    numbers = (float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5))
    return [number for number in numbers if low <= number <= high]


def over_time(rows: Sequence[Row], *, x: str, y: str, series: str, title: str, area: bool = False) -> str:
    """`y` over the instant `x` (ISO 8601, UTC): a line for each value of `series`, or with `area` one on the other.

    A gap in a line is a row whose `y` is `None`. The SVG.
    """
    import altair as alt

    chart = alt.Chart(_data(rows))
    marked = chart.mark_area(interpolate="step-after") if area else chart.mark_line(strokeWidth=2)
    drawn = marked.encode(
        alt.X(f"{x}:T", title="time (UTC)", scale=alt.Scale(type="utc"), axis=alt.Axis(labelOverlap=True)),
        alt.Y(f"{y}:Q", title=y, stack="zero" if area else None),
        _coloured(rows, series),
    )
    return _svg(drawn, title, height=_HEIGHT)


def _coloured(rows: Sequence[Row], series: str) -> Any:
    """A colour for each value of `series`, in the order of the rows; no legend for a single one."""
    import altair as alt

    names = list(dict.fromkeys(str(row[series]) for row in rows))
    colours = alt.Scale(domain=names, range=[PALETTE[number % len(PALETTE)] for number in range(len(names))])
    legend = alt.Legend() if len(names) > 1 else None
    return alt.Color(f"{series}:N", title=None, scale=colours, sort=None, legend=legend)


def _data(rows: Sequence[Row]) -> altair.InlineData:
    import altair as alt

    return alt.InlineData(values=[dict(row) for row in rows])


def _svg(chart: Any, title: str, *, height: int) -> str:
    import vl_convert

    described = chart.properties(title=title, width=_WIDTH, height=height).configure(
        background="transparent",
        font="sans-serif",
        axisQuantitative={"labelExpr": _NUMBERS},
        axis={
            "labelColor": _INK,
            "titleColor": _INK,
            "domainColor": _INK,
            "tickColor": _INK,
            "gridColor": _INK,
            "gridOpacity": 0.15,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "labelLimit": 160,
        },
        legend={"labelColor": _INK, "titleColor": _INK, "orient": "bottom", "labelFontSize": 12, "labelLimit": 240},
        title={"color": _INK, "anchor": "start", "fontSize": 15},
        view={"stroke": "transparent"},
    )
    svg = vl_convert.vegalite_to_svg(described.to_dict(), allowed_base_urls=[])
    return re.sub(_INK, "currentColor", svg)
