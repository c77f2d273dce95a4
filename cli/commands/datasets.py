"""`./llmos datasets`: data sets from judged interactions; status 1 when it could not be done."""

from typing import Final

from cli.datasets import build, look

VERBS: Final = {
    "build": build.build,
    "list": look.list_jobs,
    "show": look.show_one,
    "diff": look.diff,
    "export": look.export,
    "cancel": build.cancel,
}
