"""Shows the connection to the bus."""

from libs.kit.bus import BusClient
from libs.kit.metrics.parts import CONNECTED, RECONNECTS
from libs.kit.page import Page


def show_bus(page: Page, bus: BusClient) -> None:
    """Whether the connection stands, and how often it was made again."""
    page.see(CONNECTED, lambda: float(bus.connected))
    page.see(RECONNECTS, lambda: bus.reconnects)
