"""Makes SeaweedFS sync objects before it acknowledges them: see `main`.

By default an acknowledged object lives in the page cache only, and a power cut loses it. The setting is kept by
SeaweedFS, so it is made once.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

_DONE: Final = "durable"
_COMMAND: Final = "fs.configure -locationPrefix=/buckets/ -fsync -apply\n"


def main() -> None:
    """Arguments: WEED DIRECTORY MASTER FILER. Set it, and believe it only when the server repeats it."""
    weed, directory, master, filer = sys.argv[1:]
    mark = Path(directory) / _DONE
    if mark.exists():
        return
    command = (weed, f"-config_dir={directory}", "shell", f"-master={master}", f"-filer={filer}")
    answer = subprocess.run(command, input=_COMMAND, text=True, check=False, capture_output=True)
    print(answer.stdout, answer.stderr, sep="\n")  # noqa: T201 - this is the log
    text = answer.stdout
    try:
        locations = json.loads(text[text.index("{") : text.rindex("}") + 1])["locations"]
    except (ValueError, KeyError):
        sys.exit("SeaweedFS did not answer with its configuration")
    if not any(place["locationPrefix"] == "/buckets/" and place["fsync"] for place in locations):
        sys.exit("SeaweedFS did not take the setting")
    mark.touch()


if __name__ == "__main__":
    main()
