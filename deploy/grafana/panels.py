"""What a dashboard is made of: rows of panels, each with its unit and its questions to Prometheus."""

from dataclasses import dataclass
from typing import Final, Literal

S: Final = "s"
BYTES: Final = "bytes"
COUNT: Final = "short"
RATE: Final = "reqps"
PER_S: Final = "ops"
TOKENS: Final = "suffix: tokens/s"
PART: Final = "percentunit"
MS: Final = "ms"


@dataclass(frozen=True)
class Panel:
    """One picture: `queries` are PromQL by what their line is called."""

    title: str
    unit: str
    queries: dict[str, str]
    kind: Literal["timeseries", "stat"] = "timeseries"


@dataclass(frozen=True)
class Board:
    """One dashboard: rows of panels."""

    uid: str
    title: str
    rows: dict[str, tuple[Panel, ...]]


def rate(name: str, by: str = "", where: str = "") -> str:
    """How fast a counter grows, together or told apart."""
    grouped = f"sum by ({by}) " if by else "sum"
    return (
        f"{grouped}(rate({name}{{{where}}}[$__rate_interval]))"
        if where
        else f"{grouped}(rate({name}[$__rate_interval]))"
    )


def quantiles(name: str, by: str = "") -> dict[str, str]:
    """The middle, the slowest twentieth and the slowest hundredth of a histogram."""
    labels, legend = (f"le, {by}", f" {{{{{by}}}}}") if by else ("le", "")
    return {
        f"p{percent}{legend}": (
            f"histogram_quantile({percent / 100:g}, sum by ({labels}) (rate({name}_bucket[$__rate_interval])))"
        )
        for percent in (50, 95, 99)
    }
