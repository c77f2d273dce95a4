"""The composition root of the local stack: which parts there are."""

from pathlib import Path

from deploy.local import ports
from deploy.local.home import Home
from deploy.local.options import StackOptions
from deploy.local.part import Part
from deploy.local.parts import nats, objects, postgres, services
from deploy.local.site import Site


def build_site(options: StackOptions) -> Site:
    """Prepare the home and choose the ports."""
    home = Home(Path(options.home))
    home.prepare()
    return Site(home=home, options=options, ports=ports.choose(home, options.ports, options.workers))


def build_parts(site: Site) -> tuple[Part, ...]:
    """Every process of the stack, in the order in which people read them."""
    return (*nats.parts(site), *postgres.parts(site), *objects.parts(site), *services.parts(site))
