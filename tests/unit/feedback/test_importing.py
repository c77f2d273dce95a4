"""What a feedback process loads when it starts."""

import subprocess
import sys

_HEAVY = ("datasketch", "numpy", "pyarrow", "scipy")


def test_a_service_does_not_load_what_only_its_builder_needs() -> None:
    """It is a second and 85 MiB of every start, also of the one that follows a crash."""
    program = f"import sys, services.feedback.app; print(sorted(set({_HEAVY}) & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
