"""Organisations: who projects belong to."""

from libs.contracts.identity import CreateOrganisation, FindOrganisations, Organisation, OrganisationPage
from libs.kit import clock
from libs.kit.errors import ServiceError
from libs.kit.serving import Operation
from services.identity.domain.checks import check_slug, check_text
from services.identity.ground import Ground
from services.identity.repository import tenants
from services.identity.service.paging import check_limit, fitting


class Organising:
    """Makes and lists organisations."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def operations(self) -> dict[str, Operation]:
        """One call per verb."""
        return {"organisation_create": self.create, "organisation_list": self.list}

    async def create(self, request: CreateOrganisation) -> Organisation:
        """Make one; whoever asks again for the same gets the same.

        Raises:
            ServiceError: `invalid_value`; `conflict`, there is another one of that name; or `storage_unavailable`.
        """
        check_slug(request.name, "name")
        check_text(request.title, "title")
        wanted = Organisation(name=request.name, title=request.title, created_ms=clock.unix_ms())
        async with self._ground.database.begin() as connection:
            await tenants.add_organisation(connection, wanted)
            found = await tenants.find_organisation(connection, request.name)
        if found is None or found.title != wanted.title:
            raise ServiceError("conflict", f"There is an organisation `{request.name}` already.", param="name")
        return found

    async def list(self, request: FindOrganisations) -> OrganisationPage:
        """One page, by name.

        Raises:
            ServiceError: `invalid_value` or `storage_unavailable`.
        """
        limit = check_limit(request.limit)
        check_text(request.after, "after")
        async with self._ground.database.begin() as connection:
            found = await tenants.organisation_page(
                connection, tenant=request.tenant, after=request.after, limit=limit + 1
            )
        shown = found[: min(limit, fitting(found))]
        return OrganisationPage(tuple(shown), next=shown[-1].name if len(shown) < len(found) else "")
