"""Reading the Compose file as Compose does."""

import pytest

from carpipe.errors import InputError
from carpipe.local.compose import fill_in, read_services

SMALL = """
x-common: &common {PASSWORD: "${SECRET:?run make env first}"}
services:
  one:
    entrypoint: [run]
    command: [sh, "echo $$HOME ${PORT:-80}"]
    environment: {<<: *common, PORT: "${PORT:-80}"}
    healthcheck: {test: [CMD-SHELL, "ping | grep PONG"]}
  two: {command: [once]}
"""


def test_variables_defaults_and_dollars():
    assert fill_in(["${A}-${B:-b}", {"x": "$$A ${A:?m}"}, 3], {"A": "1", "B": ""}) == ["1-b", {"x": "$A 1"}, 3]
    assert fill_in("${A:-${B:?m}}/${C:-${B:?m}}.", {"A": "1", "B": "2"}) == "1/2."


def test_a_service_is_command_environment_and_check():
    one, two = read_services(SMALL, {"SECRET": "s", "PORT": "81"}).values()
    assert one.command == ("run", "sh", "echo $HOME 81")
    assert one.environment == {"PASSWORD": "s", "PORT": "81"}
    assert one.check == ("sh", "-c", "ping | grep PONG")
    assert (two.command, two.environment, two.check) == (("once",), {}, ())


@pytest.mark.parametrize("variables", [{}, {"SECRET": ""}])
def test_a_missing_secret_stops_it_with_the_files_own_message(variables):
    with pytest.raises(InputError, match="needs SECRET: run make env first"):
        read_services(SMALL, variables)


def test_a_lone_dollar_is_refused():
    with pytest.raises(InputError, match=r"write \$\$"):
        fill_in("$HOME", {})
