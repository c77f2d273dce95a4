"""What every service answers operators, and what services could not take in."""

from typing import Final

from libs.contracts import effective, letters, subjects
from libs.contracts.catalogue.chapter import Chapter, Entry, structs_of
from libs.contracts.topology import DEAD_LETTERS

_LETTERS: Final = tuple(
    Entry(
        subject=subjects.dead_letter(service, "<consumer>"),
        message=None,
        payload=f"a message as it came, which could not be taken in; header `{letters.DEAD_HEADER}`: Death",
        said_by=(service,),
        heard_by=(service,),
        stream=stream,
    )
    for service, stream in DEAD_LETTERS.items()
)

OPERATORS: Final = Chapter(
    owner="operators",
    operations={**effective.OPERATIONS, **letters.OPERATIONS},
    entries=_LETTERS,
    structs=(
        *structs_of(effective.OPERATIONS),
        effective.Setting,
        *structs_of(letters.OPERATIONS),
        letters.Death,
    ),
)
