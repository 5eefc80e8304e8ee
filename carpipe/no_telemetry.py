"""Keep libraries from calling home. Called before they are imported; loads nothing itself."""

import sys


def silence_openvino() -> None:
    """Keep `import openvino` from reporting to its maker.

    OpenVINO 2026.4 sends an event over the network when it is imported, unless its user has opted out in a file
    below the home folder (`openvino/tools/ovc/__init__.py`). Where its telemetry package cannot be imported it uses a
    stub of its own, and that is what this brings about. Without effect where OpenVINO was imported before.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: importing it fails
