"""`./llmos models`: a command of several verbs; status 1 when it could not be done, 3 when somebody was faster."""

from typing import Final

from cli.models import change, look, transfer

VERBS: Final = {
    "push": transfer.push,
    "pull": transfer.pull,
    "list": look.list_versions,
    "show": look.show_version,
    "alias": change.move_alias,
    "aliases": look.list_aliases,
    "verify": look.verify,
    "delete": change.delete,
    "gc": change.collect_garbage,
    "deploy": change.deploy,
    "adjust": change.adjust,
    "deployments": look.list_deployments,
}
