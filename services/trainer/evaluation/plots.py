"""Drawings for the report, by hand, so that they follow the page's colours and need no library to show."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

_WIDTH: Final = 860
_LABEL_WIDTH: Final = 330
_VALUE_WIDTH: Final = 190
_ROW_HEIGHT: Final = 24
_TOP: Final = 8
_AXIS_HEIGHT: Final = 26
_TICKS: Final = 5


@dataclass(frozen=True)
class Bar:
    """A number with its interval."""

    label: str
    value: float
    low: float
    high: float
    text: str
    kind: str = ""
    """`good`, `bad` or nothing: its colour."""


def forest(bars: Sequence[Bar], *, zero: float = 0.0, unit: str = "") -> Markup:
    """Intervals under one another, with a line at `zero`."""
    if not bars:
        return Markup("")
    lowest = min(zero, *(bar.low for bar in bars))
    highest = max(zero, *(bar.high for bar in bars))
    room = 0.04 * (highest - lowest) or 1.0
    lowest, highest = lowest - room, highest + room
    height = _TOP + _ROW_HEIGHT * len(bars) + _AXIS_HEIGHT
    plot_width = _WIDTH - _LABEL_WIDTH - _VALUE_WIDTH

    def x(value: float) -> str:
        return f"{_LABEL_WIDTH + plot_width * (value - lowest) / (highest - lowest):.1f}"

    bottom = height - _AXIS_HEIGHT
    lines = [
        Markup('<line class="zero" stroke="currentColor" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
            x(zero), _TOP, bottom
        ),
        *(
            Markup('<text class="tick" text-anchor="middle" font-size="11" x="{}" y="{}">{:.4g}{}</text>').format(
                x(tick), height - 8, tick, unit
            )
            for tick in _ticks(lowest, highest)
        ),
        *(
            _row(bar, _TOP + _ROW_HEIGHT * (at + 0.5), x(bar.low), x(bar.high), x(bar.value))
            for at, bar in enumerate(bars)
        ),
    ]
    return Markup('<svg viewBox="0 0 {} {}" role="img" fill="currentColor" font-family="sans-serif">{}</svg>').format(
        _WIDTH, height, Markup("").join(lines)
    )


def _row(bar: Bar, y: float, low: str, high: str, value: str) -> Markup:
    return Markup(
        '<g class="{kind}"><title>{label}: {text}</title>'
        '<text x="{label_x}" y="{text_y:.1f}" class="label" text-anchor="end" font-size="13">{short}</text>'
        '<line class="interval" stroke="currentColor" x1="{low}" x2="{high}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<circle cx="{value}" cy="{y:.1f}" r="4"/>'
        '<text x="{value_x}" y="{text_y:.1f}" class="number" font-size="13">{text}</text></g>'
    ).format(
        kind=bar.kind,
        label=bar.label,
        short=bar.label if len(bar.label) <= 48 else bar.label[:47] + "…",
        text=bar.text,
        label_x=_LABEL_WIDTH - 12,
        value_x=_WIDTH - _VALUE_WIDTH + 12,
        low=low,
        high=high,
        value=value,
        y=y,
        text_y=y + 4,
    )


def _ticks(lowest: float, highest: float) -> list[float]:
    """Round numbers between the ends."""
    span = highest - lowest
    rough = span / _TICKS
    power = 10.0 ** _floor_log10(rough)
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    first = int(lowest / step) - 1
    found = [(first + at) * step for at in range(2 * _TICKS + 4)]
    return [tick for tick in found if lowest <= tick <= highest]


def _floor_log10(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
