"""What every service answers operators, and what services could not take in."""

from typing import Final

from libs.contracts import discovery, effective, letters, subjects
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
_PROCESSES: Final = tuple(
    Entry(
        subject=subjects.process_call(service, "<instance>", operation),
        message=None,
        payload=f"`{request.__name__}`; answered with a Reply, whose result is a `{answer.__name__}`",
        said_by=("gateway",),
        heard_by=(service,),
    )
    for service in discovery.SERVICES
    for operation, (request, answer) in effective.PROCESS_OPERATIONS.items()
)
_WORKERS: Final = Entry(
    subject=subjects.service_call("inference", "<operation>"),
    message=None,
    payload="the operation's request; answered with a Reply (see Operators operations)",
    said_by=("gateway",),
    heard_by=("inference",),
)

OPERATORS: Final = Chapter(
    owner="operators",
    operations={**effective.OPERATIONS, **effective.PROCESS_OPERATIONS, **letters.OPERATIONS},
    entries=(*_LETTERS, _WORKERS, *_PROCESSES),
    structs=(
        *structs_of(effective.OPERATIONS),
        effective.Setting,
        *structs_of(effective.PROCESS_OPERATIONS),
        *structs_of(letters.OPERATIONS),
        letters.Death,
    ),
)
