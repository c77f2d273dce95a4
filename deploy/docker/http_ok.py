"""Whether a GET of an address answers 200: `python -S http_ok.py URL`; for health checks, so it must start fast."""

import sys
import urllib.request

if __name__ == "__main__":
    urllib.request.urlopen(sys.argv[1], timeout=3)  # noqa: S310 - the address is ours; anything but 2xx raises
