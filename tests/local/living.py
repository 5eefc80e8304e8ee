"""Which programs still work in a folder."""

from pathlib import Path


def living(*homes: Path) -> list[str]:
    """Names of the processes whose working folder is there, whatever has become of the environment that marks them."""
    found = [home.resolve() for home in homes]
    processes = (path for path in Path("/proc").iterdir() if path.name.isdecimal())
    return [_name(path) for path in processes if any(_working_folder(path).is_relative_to(home) for home in found)]


def _working_folder(process: Path) -> Path:
    try:
        return (process / "cwd").readlink()
    except OSError:  # ended meanwhile
        return Path()


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "ended"
