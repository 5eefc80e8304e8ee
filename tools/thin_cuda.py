"""Small libraries in the place of CUDA's, so that PyTorch's wheel can be imported on a machine without a GPU.

    python tools/thin_cuda.py <site-packages>

The wheel of PyPI is linked against 4 GB of CUDA libraries, and cannot be imported without them, though nothing of them
is ever called where there is no GPU. This writes libraries of the same names into PyTorch's own folder, where the
loader looks first. Each holds the functions that PyTorch names, and each function returns 1: of those that say how it
went, which are asked first, that is an error. What tells whether there is a GPU (`libcudart`) is not among them: that
one stays real.

Needs `readelf`, `as` and `ld` (binutils), and does nothing for a library that is there.
"""

import argparse
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

# What the functions of a library begin with.
PREFIXES = {
    "libcublas.so.12": "cublas",
    "libcublasLt.so.12": "cublasLt",
    "libcudnn.so.9": "cudnn",
    "libcufft.so.11": "cufft",
    "libcurand.so.10": "curand",
    "libcusolver.so.11": "cusolver",
    "libcusparse.so.12": "cusparse",
    "libcusparseLt.so.0": "cusparseLt",
    "libnccl.so.2": "nccl",
    "libnvshmem_host.so.3": "nvshmem",
}
_LINE = re.compile(r"\s*\d+:\s+\S+\s+\S+\s+\S+\s+\S+\s+\S+\s+UND\s+(?P<name>\w+)(?:@(?P<version>[\w.]+))?")
_NEEDED = re.compile(r"\(NEEDED\).*\[(.+)\]")


def main() -> None:
    """Write those that are missing; print what they are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("site", type=Path, metavar="site-packages")
    site = parser.parse_args().site
    libraries = site / "torch" / "lib"
    users = sorted(libraries.glob("*.so"))
    there = {path.name for path in (*libraries.glob("*.so*"), *site.glob("nvidia/*/lib/*.so*"))}
    symbols = set(undefined(users))
    for name in sorted(needed(users) & PREFIXES.keys() - there):
        mine = {(symbol, version) for symbol, version in symbols if owner(symbol) == name}
        write(libraries / name, mine)
        print(f"{name}: {len(mine)} functions that are never called")


def needed(users: Iterable[Path]) -> set[str]:
    """Names of the libraries that some are linked against."""
    return {name for user in users for name in _NEEDED.findall(_readelf("--dynamic", user))}


def undefined(users: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(function, version) that some take from elsewhere; an empty version where it has none."""
    for user in users:
        for line in _readelf("--dyn-syms", user).splitlines():
            if found := _LINE.match(line):
                yield found["name"], found["version"] or ""


def owner(symbol: str) -> str:
    """The library of a function, by the longest beginning that fits; empty: none of these."""
    fitting = [name for name, prefix in PREFIXES.items() if symbol.startswith(prefix)]
    return max(fitting, key=lambda name: len(PREFIXES[name]), default="")


def write(target: Path, symbols: set[tuple[str, str]]) -> None:
    """A shared library with those functions."""
    names = sorted({name for name, _ in symbols})
    code = [f".globl {name}\n.type {name},@function\n{name}: movl $1, %eax\nret" for name in names]
    versions: dict[str, list[str]] = {}
    for name, version in sorted(symbols):
        versions.setdefault(version, []).append(name)
    script = "".join(f"{version} {{ {'; '.join(mine)}; }};\n" for version, mine in versions.items() if version)
    with tempfile.TemporaryDirectory() as folder:
        source, made, exported = (Path(folder) / name for name in ("thin.s", "thin.o", "thin.map"))
        source.write_text(".text\n" + "\n".join(code) + '\n.section .note.GNU-stack,"",@progbits\n', encoding="ascii")
        exported.write_text(script, encoding="ascii")
        subprocess.run(["as", "-o", made, source], check=True)  # noqa: S607  # binutils of the image
        named = ["--version-script", str(exported)] if script else []
        subprocess.run(["ld", "-shared", "-soname", target.name, *named, "-o", str(target), str(made)], check=True)  # noqa: S607


def _readelf(what: str, file: Path) -> str:
    return subprocess.run(
        ["readelf", "--wide", what, file],  # noqa: S607
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    main()
