"""Publishing a directory as a version: read and hash it, send what the registry lacks, make it visible."""

from libs.kit.publish.manifest import Description, Progress, Scan, scan
from libs.kit.publish.upload import Options, publish

__all__ = ["Description", "Options", "Progress", "Scan", "publish", "scan"]
