"""The demo in one picture: how many thumbs were up, for each version, while one followed the other."""

from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

from cli.mission.ledger import Ledger, Span, shares

WINDOW_S: Final = 4.0
FEWEST: Final = 4
"""Thumbs in a window; with fewer a point says nothing."""
_WIDTH: Final = 960
_HEIGHT: Final = 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 64, 84
_COLOURS: Final = ("#8a8f98", "#1a7f37", "#cf222e", "#8250df", "#9a6700")
_BANDS: Final = ("#f6f8fa", "#eaeef2")


def draw(ledger: Ledger, names: Mapping[str, str]) -> str:
    """An SVG image; `names` says what a version is called, in the order of the legend."""
    end_s = max([one.at_s for one in ledger.thumbs] + [one.to_s for one in ledger.spans] + [1.0])
    lines = shares(ledger.thumbs, WINDOW_S, FEWEST)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" font-family="sans-serif">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="15">Thumbs up of live customers, by the version that answered</text>',
        *_bands(ledger.spans, end_s),
        *_axes(end_s),
    ]
    for number, (version, name) in enumerate(names.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        parts.append(_legend(number, name, colour))
        parts += _line(lines.get(version, []), end_s, colour)
    return "\n".join([*parts, "</svg>\n"])


def _x(at_s: float, end_s: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * at_s / end_s


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)


def _bands(spans: Sequence[Span], end_s: float) -> list[str]:
    parts = []
    for number, one in enumerate(spans):
        left, right = _x(one.from_s, end_s), _x(one.to_s, end_s)
        middle, foot = (left + right) / 2, _y(0)
        parts += [
            (
                f'<rect x="{left:.1f}" y="{_TOP}" width="{right - left:.1f}" height="{foot - _TOP}" '
                f'fill="{_BANDS[number % len(_BANDS)]}"/>'
            ),
            (
                f'<text x="{middle:.1f}" y="{foot + 36}" font-size="11" text-anchor="end" '
                f'transform="rotate(-25 {middle:.1f} {foot + 36})">{escape(one.title)}</text>'
            ),
        ]
    return parts


def _axes(end_s: float) -> list[str]:
    parts = []
    for percent in range(0, 101, 25):
        y = _y(percent / 100)
        parts += [
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>',
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{percent} %</text>',
        ]
    every_s = 60 if end_s > 180 else 30
    for at_s in range(0, int(end_s) + 1, every_s):
        parts.append(
            f'<text x="{_x(at_s, end_s):.1f}" y="{_y(0) + 16}" font-size="11" text-anchor="middle">{at_s} s</text>'
        )
    return parts


def _legend(number: int, name: str, colour: str) -> str:
    x = _LEFT + number * 220
    return (
        f'<circle cx="{x + 5}" cy="42" r="5" fill="{colour}"/>'
        f'<text x="{x + 16}" y="46" font-size="12">{escape(name)}</text>'
    )


def _line(points: Sequence[tuple[float, float]], end_s: float, colour: str) -> list[str]:
    at = [f"{_x(second, end_s):.1f},{_y(share):.1f}" for second, share in points]
    dots = [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in (one.split(",") for one in at)]
    return [f'<polyline points="{" ".join(at)}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]
