"""The demo in one picture: for each rollout, how many of the last thumbs were up, by the version that answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from cli.mission.ledger import Act, Ledger, Span, Thumb, rolling

LAST: Final = 40
"""Thumbs of which a point is the share."""
LAST_OF_TOPIC: Final = 12
_WIDTH: Final = 900
_PANEL: Final = 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 62, 34
_COLOURS: Final = ("#8a8f98", "#1a7f37", "#cf222e", "#8250df")
_BANDS: Final = ("#f6f8fa", "#e6eaef")
_LETTER: Final = 5.6
"""Width of one in a band's title."""


@dataclass(frozen=True)
class _Frame:
    """Where a rollout is drawn, and which time is its width."""

    top: float
    from_s: float
    to_s: float

    def x(self, at_s: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at_s - self.from_s) / max(self.to_s - self.from_s, 1e-9)

    def y(self, share: float) -> float:
        return self.top + _TOP + (_PANEL - _TOP - _BOTTOM) * (1 - share)


def draw(ledger: Ledger) -> str:
    """An SVG image with one panel for each rollout."""
    height = _PANEL * max(1, len(ledger.acts))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" font-family="sans-serif">',
        f'<rect x="0" y="0" width="{_WIDTH}" height="{height}" fill="white"/>',
    ]
    colours: dict[str, str] = {}
    for number, act in enumerate(ledger.acts):
        for version in act.versions:
            colours.setdefault(version, _COLOURS[len(colours) % len(_COLOURS)])
        parts += _panel(act, ledger.thumbs, _PANEL * number, colours)
    return "\n".join([*parts, "</svg>\n"])


def _panel(act: Act, thumbs: Sequence[Thumb], top: float, colours: dict[str, str]) -> list[str]:
    from_s = act.spans[0].from_s if act.spans else 0.0
    frame = _Frame(top, from_s, act.spans[-1].to_s if act.spans else 1.0)
    during = [one for one in thumbs if frame.from_s <= one.at_s <= frame.to_s]
    parts = [f'<text x="{_LEFT}" y="{top + 20}" font-size="14">{escape(act.title)}</text>']
    parts += [*_bands(act.spans, frame), *_axes(frame)]
    lines = [(name, colours[version], _of(during, version), LAST, "") for version, name in act.versions.items()]
    if act.watched and act.versions:
        version, name = list(act.versions.items())[-1]
        about = [one for one in _of(during, version) if one.topic == act.watched]
        lines.append((f"{name}, on {act.watched} alone", colours[version], about, LAST_OF_TOPIC, "4 3"))
    for number, (name, colour, own, last, dashes) in enumerate(lines):
        parts += [*_legend(number, name, colour, top), *_line(rolling(own, last, last // 4), frame, colour, dashes)]
    return parts


def _of(thumbs: Sequence[Thumb], version: str) -> list[Thumb]:
    return [one for one in thumbs if one.version == version]


def _bands(spans: Sequence[Span], frame: _Frame) -> list[str]:
    """One for each step, named where its name has room."""
    parts = []
    for number, one in enumerate(spans):
        left, right, head = frame.x(one.from_s), frame.x(one.to_s), frame.y(1)
        size = f'width="{right - left:.1f}" height="{frame.y(0) - head:.1f}"'
        parts.append(f'<rect x="{left:.1f}" y="{head:.1f}" {size} fill="{_BANDS[number % len(_BANDS)]}"/>')
        if right - left > _LETTER * len(one.title):
            where = f'x="{(left + right) / 2:.1f}" y="{head - 4:.1f}"'
            parts.append(f'<text {where} font-size="10" text-anchor="middle">{escape(one.title)}</text>')
    return parts


def _axes(frame: _Frame) -> list[str]:
    parts = []
    for percent in range(0, 101, 25):
        y = frame.y(percent / 100)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#d0d7de"/>')
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" font-size="11" text-anchor="end">{percent} %</text>',
        )
    lasted_s = frame.to_s - frame.from_s
    every_s = 20 if lasted_s < 200 else 60
    for at_s in range(0, int(lasted_s) + 1, every_s):
        where = f'x="{frame.x(frame.from_s + at_s):.1f}" y="{frame.y(0) + 16:.1f}"'
        parts.append(f'<text {where} font-size="11" text-anchor="middle">{at_s} s</text>')
    return parts


def _legend(number: int, name: str, colour: str, top: float) -> list[str]:
    x, y = _LEFT + 5 + number * 210, top + 40
    text = f'<text x="{x + 11}" y="{y + 4}" font-size="12">{escape(name)}</text>'
    return [f'<circle cx="{x}" cy="{y}" r="5" fill="{colour}"/>', text]


def _line(points: Sequence[tuple[float, float]], frame: _Frame, colour: str, dashes: str) -> list[str]:
    at = " ".join(f"{frame.x(second):.1f},{frame.y(share):.1f}" for second, share in points)
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return [f'<polyline points="{at}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>']
