"""Keys of the advisory locks that registry processes share."""

from typing import Final

BLOBS: Final = 0x6C6C_6D02
"""Shared by whoever comes to rely on blobs, exclusive for whoever deletes any."""

LEADER: Final = 0x6C6C_6D03
"""Held by the one process that sends events and looks after deployments."""
