"""What `./llmos doctor` looked at."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; a remedy where it is not well."""

    well: bool
    what: str
    remedy: str = ""
