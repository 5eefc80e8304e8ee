"""Small libraries in the place of CUDA's: what is linked against CUDA can be loaded, and is told that it fails."""

import shutil
import subprocess
import sys

import pytest

from tests.deploy.test_compose import ROOT

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("gcc", "readelf", "as", "ld"))), reason="gcc and binutils are not here"
)
USER = """
extern int cublasCreate_v2(void *);
extern int ncclGetVersion(int *);
int ask_cublas(void) { return cublasCreate_v2(0); }
int ask_nccl(void) { int version; return ncclGetVersion(&version); }
"""


def gcc(folder, *arguments):
    subprocess.run(["gcc", "-shared", "-fPIC", *arguments], cwd=folder, check=True)


@pytest.fixture
def site(tmp_path):
    """Packages with a library that is linked against two of CUDA's, of which none is there any more."""
    libraries = tmp_path / "torch" / "lib"
    libraries.mkdir(parents=True)
    (libraries / "cublas.c").write_text("int cublasCreate_v2(void *at) { return 0; }")
    (libraries / "cublas.map").write_text("libcublas.so.12 { global: *; };")
    (libraries / "nccl.c").write_text("int ncclGetVersion(int *at) { return 0; }")
    (libraries / "user.c").write_text(USER)
    named = ["-Wl,-soname,libcublas.so.12", "-Wl,--version-script,cublas.map"]
    gcc(libraries, "-o", "libcublas.so.12", *named, "cublas.c")
    gcc(libraries, "-o", "libnccl.so.2", "-Wl,-soname,libnccl.so.2", "nccl.c")
    linked = ["-L.", "-l:libcublas.so.12", "-l:libnccl.so.2", "-Wl,-rpath,$ORIGIN", "-Wl,-z,lazy"]
    gcc(libraries, "-o", "libtorch_cuda.so", "user.c", *linked)
    for name in ("libcublas.so.12", "libnccl.so.2"):
        (libraries / name).unlink()
    return tmp_path


def thin(site):
    command = [sys.executable, ROOT / "tools" / "thin_cuda.py", site]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def asked(user):
    """What the library answers, in a process of its own: this one may have loaded CUDA's before."""
    code = "import ctypes, sys; l = ctypes.CDLL(sys.argv[1]); print(l.ask_cublas(), l.ask_nccl())"
    done = subprocess.run([sys.executable, "-c", code, user], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_what_is_linked_against_cuda_can_be_loaded_and_is_told_that_it_fails(site):
    user = site / "torch" / "lib" / "libtorch_cuda.so"
    assert "libcublas.so.12: cannot open shared object file" in asked(user)

    assert thin(site).splitlines() == [
        "libcublas.so.12: 1 functions that are never called",
        "libnccl.so.2: 1 functions that are never called",
    ]

    assert asked(user) == "1 1\n"


def test_a_library_that_is_there_stays(site):
    real = site / "nvidia" / "nccl" / "lib" / "libnccl.so.2"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"the real one")

    assert "libnccl" not in thin(site)
    assert not (site / "torch" / "lib" / "libnccl.so.2").exists()
