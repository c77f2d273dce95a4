"""The endpoint that tells who is there."""

from typing import Final

from libs.contracts.discovery import ListServices
from libs.contracts.permissions import Permission
from services.gateway.routes.endpoints import Endpoint

ENDPOINTS: Final = (
    Endpoint(
        service="presence",
        method="GET",
        path="/services",
        permission=Permission.WORKERS_READ,
        operation="service_list",
        summary="Every service: which processes of it answer, what each lacks, and what has come of its calls.",
        call=lambda _: ListServices(),
    ),
)
