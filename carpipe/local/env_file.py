"""`make env`: the `.env` that Docker Compose reads, with secrets of its own, readable by its owner only.

    python -m carpipe.local.env_file [--gpu] [--bind ADDRESS] [--store s3://bucket/prefix]
    python -m carpipe.local.env_file --worker-of ADDRESS --worker-host ADDRESS

The first makes `.env` out of `.env.example`, and `config/carpipe.toml` where there is none. The second makes
`.env.worker` out of that `.env`: for a machine that only runs workers, without the secrets that workers do not need.
"""

import argparse
import base64
import ipaddress
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from carpipe.errors import CarpipeError, InputError
from carpipe.local import state

EXAMPLE, ENV, WORKER_ENV = Path(".env.example"), Path(".env"), Path(".env.worker")
# Letters, digits, - and _ only: some of them stand inside URLs.
SECRETS: Mapping[str, Callable[[], str]] = {
    "CARPIPE_ACCESS_KEY_ID": lambda: secrets.token_hex(10).upper(),
    "CARPIPE_SECRET_ACCESS_KEY": lambda: secrets.token_hex(20),
    "CARPIPE_API_SECRET_KEY": lambda: secrets.token_urlsafe(32),
    "CARPIPE_FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "CARPIPE_JWT_SECRET": lambda: secrets.token_urlsafe(48),
    "CARPIPE_PASSWORD": lambda: secrets.token_urlsafe(15),
    "CARPIPE_POSTGRES_PASSWORD": lambda: secrets.token_hex(20),
    "CARPIPE_REDIS_PASSWORD": lambda: secrets.token_hex(20),
}
ABOUT = "# What `docker compose` reads"  # the example's own first line
NOT_FOR_WORKERS = (
    "CARPIPE_FERNET_KEY",
    "CARPIPE_JWT_SECRET",
    "CARPIPE_PASSWORD",
    "CARPIPE_POSTGRES_PASSWORD",
    "CARPIPE_SERVE_SECRET_ACCESS_KEY",
)
# What shells have for other things, by its name in `.env`: Compose prefers a variable of the shell to that file. Before
# 0.2.0 `.env` had the names on the left.
RENAMED: Mapping[str, str] = {
    "AWS_ACCESS_KEY_ID": "CARPIPE_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "CARPIPE_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL": "CARPIPE_ENDPOINT_URL",
    "AWS_REGION": "CARPIPE_REGION",
    "CARPIPE_STORE": "CARPIPE_BUCKET",
    "CARPIPE_CONFIG": "CARPIPE_CONFIG_FILE",
    "POSTGRES_PASSWORD": "CARPIPE_POSTGRES_PASSWORD",
    "REDIS_PASSWORD": "CARPIPE_REDIS_PASSWORD",
    "AIRFLOW_CONN_AWS_DEFAULT": "CARPIPE_CONN_AWS_DEFAULT",
    "AIRFLOW_CONN_SMTP_DEFAULT": "CARPIPE_CONN_SMTP_DEFAULT",
    "AIRFLOW__METRICS__STATSD_ON": "CARPIPE_METRICS_STATSD_ON",
    "AIRFLOW__METRICS__STATSD_HOST": "CARPIPE_METRICS_STATSD_HOST",
    "AIRFLOW__METRICS__STATSD_PORT": "CARPIPE_METRICS_STATSD_PORT",
    "AIRFLOW__METRICS__STATSD_PREFIX": "CARPIPE_METRICS_STATSD_PREFIX",
}
SETTINGS = """# Settings of carpipe; `carpipe config` lists them all. The detector is found beside this file.
[crop]
weights = "yolov5mu.pt"
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.worker_of:
            print(_write_worker_env(options.worker_of, options.worker_host))
        else:
            print(_write_env(options))
    except CarpipeError as error:
        print(f"carpipe: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m carpipe.local.env_file", description="the .env of Docker Compose")
    parser.add_argument("--gpu", action="store_true", help="this machine's NVIDIA GPU takes the queue gpu")
    parser.add_argument("--bind", default="", help="address in the private network that other machines' workers use")
    parser.add_argument("--store", default="", help="s3://bucket/prefix of your own; AWS_* come from the environment")
    parser.add_argument("--worker-of", default="", help="write .env.worker: address of the machine that runs the rest")
    parser.add_argument("--worker-host", default="", help="address at which that machine reaches the workers' machine")
    return parser


def make_env(example: str, changes: Mapping[str, str]) -> str:
    """The text of a new `.env`: the example's, with changes made and every empty secret drawn."""
    values = {**{name: draw() for name, draw in SECRETS.items()}, **changes}
    return "".join(f"{_changed(line, values)}\n" for line in example.splitlines())


def make_worker_env(env: str, *, main: str, host: str) -> str:
    """The text for a machine with workers only: it knows the queue and the bucket, not the database.

    Args:
        env: text of the first machine's file.
        main: that machine's address.
        host: address at which that machine reaches the new one, for logs of running tasks.

    Raises:
        InputError: the first machine opens no ports at that address, or does not look for logs in the bucket; or its
            file has names of an earlier version.
    """
    _check_names(env)
    known = read_env(env)
    needed = {"CARPIPE_BIND": main, "CARPIPE_REMOTE_LOGS": "true"}
    if wrong := [f"{name}={value}" for name, value in needed.items() if known.get(name) != value]:
        raise InputError(
            f"Other machines reach this one by {main}, and the page finds the logs of their tasks in the bucket: set "
            f"{' and '.join(wrong)} in .env (and CARPIPE_URL to the address people use), and up again, first."
        )
    changes = {
        **{name: f"not-for-workers-{secrets.token_urlsafe()}" for name in NOT_FOR_WORKERS},
        "COMPOSE_PROFILES": "gpu",
        "CARPIPE_BIND": host,
        "CARPIPE_ENDPOINT_URL": known["CARPIPE_ENDPOINT_URL"].replace("//seaweedfs:", f"//{main}:"),
    }
    lines = (_changed(line, changes) for line in env.splitlines() if not line.startswith(ABOUT))
    text = "\n".join(
        [f"# Workers for {main} on {host}, made from its .env: change it there, and make this anew.", *lines]
    )
    return f"{text}\nCARPIPE_MAIN_HOST={main}\nCARPIPE_WORKER_HOST={host}\n"


def read_env(text: str) -> dict[str, str]:
    """The variables of an env file; what stands in single quotes is taken as it is."""
    pairs = (line.partition("=") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: value[1:-1] if re.fullmatch("'.*'", value) else value for name, _, value in pairs}


def _changed(line: str, values: Mapping[str, str]) -> str:
    name, separator, _ = line.partition("=")
    return f"{name}={_quoted(name, values[name])}" if separator and name in values else line


def _quoted(name: str, value: str) -> str:
    """Compose would read more than a word otherwise: a `$` as a variable, what follows a `#` as a comment."""
    if re.fullmatch(r"[\w./:,@+=-]*", value, flags=re.ASCII):
        return value
    if not value.isprintable() or "'" in value or "\\" in value:
        raise InputError(f"{name} holds a quote, a backslash, or what is not printable: no value for a .env.")
    return f"'{value}'"


def renamed(env: str) -> str:
    """An `.env` of an earlier version with the names of this one."""
    # What is commented out, too: it may be put in force later.
    return re.sub(r"(?<=^# )\w+(?==)|^\w+(?==)", lambda found: RENAMED.get(found[0], found[0]), env, flags=re.M)


def _old_names(env: str) -> list[str]:
    return sorted(RENAMED.keys() & read_env(env).keys())


def _check_names(env: str) -> None:
    if old := _old_names(env):
        raise InputError(f"This .env has names of an earlier version, {', '.join(old)}: say `make env` alone first.")


def _write_env(options: argparse.Namespace) -> str:
    if ENV.exists():
        before = ENV.read_text(encoding="utf-8")
        if (old := _old_names(before)) and not (options.gpu or options.bind or options.store):
            state.secret_file(ENV, renamed(before))
            return f"Renamed {', '.join(old)} in .env: the same names in a shell no longer take their place."
        _check_names(before)
        raise InputError("There is already a .env here, with the passwords of running services: change it by hand.")
    text = make_env(EXAMPLE.read_text(encoding="utf-8"), _asked_for(options))
    state.secret_file(ENV, text)
    settings = Path("config/carpipe.toml")
    if not settings.exists():
        settings.parent.mkdir(exist_ok=True)
        settings.write_text(SETTINGS, encoding="utf-8")
        # Containers read it under an account of their own, whatever this shell's umask is.
        settings.parent.chmod(0o755)
        settings.chmod(0o644)
    made = read_env(text)
    return (
        f"Wrote .env: profiles {made['COMPOSE_PROFILES']}, ports on {made['CARPIPE_BIND']}, {made['CARPIPE_BUCKET']}.\n"
        "The password of the page is CARPIPE_PASSWORD in it; settings and detector belong in config/."
    )


def _asked_for(options: argparse.Namespace) -> dict[str, str]:
    who = "gpu" if options.gpu else "cpu"
    changes = {"COMPOSE_PROFILES": who if options.store else f"s3,{who}"}
    if options.bind:
        address = _address(options.bind)
        changes |= {"CARPIPE_BIND": address, "CARPIPE_URL": f"http://{address}:8080", "CARPIPE_REMOTE_LOGS": "true"}
    if options.store:
        scheme, _, place = options.store.rstrip("/").partition("://")
        bucket = place.partition("/")[0]
        if scheme != "s3" or not bucket:
            raise InputError(f"A bucket of your own is named s3://bucket/prefix, not {options.store!r}.")
        logs = f"s3://{bucket}/airflow-logs"
        changes |= {"CARPIPE_BUCKET": f"s3://{place}", "CARPIPE_REMOTE_LOG_FOLDER": logs, **_bucket()}
    return changes


def _bucket() -> dict[str, str]:
    needed = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION")
    missing = [name for name in needed if not os.environ.get(name)]
    if missing:
        raise InputError(f"A bucket of your own needs {', '.join(missing)} in the environment.")
    if os.environ.get("AWS_SESSION_TOKEN"):
        raise InputError(
            "AWS_SESSION_TOKEN is set: temporary keys would end while the services run. "
            "Export the lasting keys of a user that may read and write the bucket, without a token."
        )
    found = {name: os.environ[name] for name in needed}
    aws = f"https://s3.{found['AWS_REGION']}.amazonaws.com"
    found["AWS_ENDPOINT_URL"] = os.environ.get("AWS_ENDPOINT_URL") or aws
    return {RENAMED[name]: value for name, value in found.items()}


def _write_worker_env(main: str, host: str) -> str:
    if not ENV.exists():
        raise InputError("There is no .env here: run this on the machine that runs the rest, after make env.")
    if not host:
        raise InputError("Name the address of the workers' machine too: make env WORKER_OF=<this> WORKER_HOST=<that>.")
    text = make_worker_env(ENV.read_text(encoding="utf-8"), main=_address(main), host=_address(host))
    state.secret_file(WORKER_ENV, text)
    return f"Wrote {WORKER_ENV}: copy it to {host} as .env, with config/."


def _address(text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InputError(f"Expected an IPv4 address of this network, got {text!r}.") from None
    if address.is_unspecified or address.is_loopback:
        raise InputError(f"{text} is no address at which other machines reach this one.")
    return str(address)


if __name__ == "__main__":
    sys.exit(main())
