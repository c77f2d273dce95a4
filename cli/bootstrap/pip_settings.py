"""Translates what pip has been told about packages (variables, pip.conf) into what uv must be told."""

import ast
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

TORCH_INDEX: Final = "LLMOS_TORCH_INDEX"
_SECTIONS: Final = ("global", "install", ":env:")
"""Where `pip config list` finds a setting; a later one wins."""
_YES: Final = ("1", "true", "yes", "on")


def read(python: Path) -> dict[str, str]:
    """The settings as pip itself sees them, by their long option name."""
    listed = subprocess.run((python, "-m", "pip", "config", "list"), check=False, capture_output=True, text=True)
    return parse(listed.stdout)


def parse(listing: str) -> dict[str, str]:
    """The settings in the output of `pip config list`."""
    found: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for line in listing.splitlines():
        name, separator, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if separator and section in found:
            found[section][key] = str(ast.literal_eval(value))
    return {key: value for section in _SECTIONS for key, value in found[section].items()}


def uv_environment(settings: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that make uv look where pip would; what is set for uv already is left alone.

    Args:
        settings: of pip, by long option name.
        environment: of whoever called; `LLMOS_TORCH_INDEX` adds an index for the CPU build of torch.
    """
    torch = environment.get(TORCH_INDEX, "").split()
    known = environment.get("UV_INDEX", environment.get("UV_EXTRA_INDEX_URL", settings.get("extra-index-url", "")))
    indexes = known.split() + torch
    wanted = {
        "UV_DEFAULT_INDEX": settings.get("index-url", ""),
        # pip takes the best version of all indexes; uv by default stops at the first index that knows the name.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if indexes else "",
        "UV_FIND_LINKS": ",".join(map(_expand, settings.get("find-links", "").split())),
        "UV_NO_INDEX": "1" if settings.get("no-index", "").lower() in _YES else "",
        "UV_INSECURE_HOST": " ".join(settings.get("trusted-host", "").split()),
        "UV_HTTP_TIMEOUT": settings.get("timeout", settings.get("default-timeout", "")),
        "SSL_CERT_FILE": settings.get("cert", ""),
        "HTTPS_PROXY": settings.get("proxy", ""),
        "HTTP_PROXY": settings.get("proxy", ""),
    }
    set_already = {*environment, *(("UV_DEFAULT_INDEX",) if "UV_INDEX_URL" in environment else ())}
    chosen = {name: value for name, value in wanted.items() if value and name not in set_already}
    return chosen | ({"UV_INDEX": " ".join(indexes)} if indexes else {})


def _expand(place: str) -> str:
    """A path under `~` in full; an address as it is."""
    return str(Path(place).expanduser()) if place.startswith("~") else place
