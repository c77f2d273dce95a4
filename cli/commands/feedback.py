"""`./llmos feedback`: how answers were judged; status 1 when it could not be done, or when rows were refused."""

from typing import Final

from cli.feedback import erase, give, importing, look

VERBS: Final = {
    "give": give.give,
    "import": importing.import_file,
    "list": look.list_interactions,
    "show": look.show_interaction,
    "stats": look.statistics,
    "dead": look.dead_letters,
    "erase": erase.erase,
}
