"""The dashboards as the files that Grafana reads: `python -m deploy.grafana` writes them."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from deploy.grafana.boards import BOARDS
from deploy.grafana.panels import Board, Panel

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"
_WIDTH: Final = 24
_ACROSS: Final = 4
_HEIGHTS: Final = {"stat": 4, "timeseries": 8}
_SOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
_SCHEMA: Final = 39
_LINK: Final[Mapping[str, Any]] = {
    "title": "llmos", "type": "dashboards", "tags": ["llmos"], "icon": "external link",
    "tooltip": "The other dashboards", "asDropdown": True, "includeVars": False, "keepTime": True, "targetBlank": False,
}  # fmt: skip
_OPTIONS: Final[Mapping[str, Any]] = {
    "timeseries": {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "textMode": "value_and_name",
        "colorMode": "value",
        "graphMode": "area",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
    },
}


def main() -> None:
    """Write every file."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in files().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def files() -> dict[str, str]:
    """The text of each file, by its name."""
    return {f"{board.uid}.json": json.dumps(_rendered(board), indent=1) + "\n" for board in BOARDS}


def _rendered(board: Board) -> dict[str, Any]:
    return {
        "uid": board.uid,
        "title": board.title,
        "tags": ["llmos"],
        "editable": False,
        "schemaVersion": _SCHEMA,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [_LINK],
        "panels": [{"id": number, **panel} for number, panel in enumerate(_panels(board), 1)],
    }


def _panels(board: Board) -> Iterator[dict[str, Any]]:
    top = 0
    for title, panels in board.rows.items():
        yield {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": _at(0, top, _WIDTH, 1)}
        top += 1
        for first in range(0, len(panels), _ACROSS):
            line = panels[first : first + _ACROSS]
            width, height = _WIDTH // len(line), max(_HEIGHTS[panel.kind] for panel in line)
            for place, panel in enumerate(line):
                yield _panel(panel, _at(place * width, top, width, height))
            top += height


def _at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "expr": expr, "legendFormat": legend, "datasource": _SOURCE}
        for number, (legend, expr) in enumerate(panel.queries.items())
    ]
    return {
        "type": panel.kind,
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _OPTIONS[panel.kind],
    }


if __name__ == "__main__":
    main()
