"""``deploy/supervisord.conf`` keeps what its comments promise; ``tests/service/test_supervisor.py`` runs it."""

import re
from configparser import RawConfigParser
from datetime import timedelta

from latigo.cli.exits import Exit
from latigo.service import CLOSING
from latigo.settings import ExecutorSettings
from tests.support.process import ROOT

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "supervisord.conf").read_text(encoding="utf-8")
PROGRAMS = ("program:scheduler", "program:executor")


def conf() -> RawConfigParser:
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(TEXT)
    return parser


def test_programs_have_the_time_to_drain_and_come_back() -> None:
    for program in PROGRAMS:
        section = conf()[program]
        assert section["stopsignal"] == "TERM"
        assert timedelta(seconds=int(section["stopwaitsecs"])) > ExecutorSettings().grace + CLOSING
        # Whatever the exit code, but for the one of a configuration that cannot be used.
        assert (section["autorestart"], section.getint("exitcodes")) == ("unexpected", Exit.CONFIGURATION)


def test_there_is_one_scheduler_and_several_executors() -> None:
    commands = {program: conf()[program]["command"] for program in PROGRAMS}

    assert commands == {
        "program:scheduler": "latigo serve --role scheduler",
        "program:executor": "latigo serve --role executor",
    }
    assert conf()["program:executor"].getint("numprocs") == 2
    assert "numprocs" not in conf()["program:scheduler"]


def test_it_is_controlled_by_a_socket_and_no_port() -> None:
    assert "inet_http_server" not in conf()
    assert conf()["unix_http_server"]["chmod"] == "0700"
    assert conf()["supervisorctl"]["serverurl"] == f"unix://{conf()['unix_http_server']['file']}"


def test_what_it_takes_from_the_environment_is_told_and_in_the_example() -> None:
    taken = set(re.findall(r"%\(ENV_(\w+)\)s", TEXT)) | {"PATH", "LATIGO_CONFIG"}
    told = set(re.findall(r"^; {3}([A-Z_]+) {2,}", TEXT, re.MULTILINE))
    example = (DEPLOY / "supervisord.env.example").read_text(encoding="utf-8")

    assert told == taken
    assert set(re.findall(r"^(\w+)=", example, re.MULTILINE)) == taken
