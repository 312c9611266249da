from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from maskcls.cli import terminal
from maskcls.cli.app import App, before_command
from maskcls.cli.terminal import announce, figure_lines, one_line_errors, progress_bar, tell
from maskcls.embedder.errors import MaskclsError

MAIN = [sys.executable, "-c", "from maskcls.cli.main import main; main()"]


def small_app() -> App:
    """An app of three commands."""
    app = App()
    app.callback()(before_command)

    @app.command("work")
    def work(fail: bool = False, crash: bool = False, interrupt: bool = False) -> None:
        with one_line_errors():
            with progress_bar() as progress:
                for done in range(3):
                    progress("working", done, 2)
            typer.echo("for the eye")
            typer.echo("a warning", err=True)
            tell(done=2, rate=float("nan"))
            if fail:
                raise MaskclsError("it does not work")
            if interrupt:
                raise KeyboardInterrupt
            if crash:
                raise ValueError("a bug")

    @app.command("wait")
    def wait() -> None:
        with one_line_errors():
            announce("http://here", url="http://here")
            typer.echo("ended")

    @app.command("own")
    def own(file: Annotated[str, typer.Option("--json")] = "") -> None:
        typer.echo(file)

    return app


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(small_app(), arguments)
    return result.exit_code, result.stdout, result.stderr


def test_for_people() -> None:
    assert run("work") == (0, "for the eye\n", "a warning\n")


@pytest.mark.parametrize("arguments", [("work", "--json"), ("--json", "work")], ids=" ".join)
def test_json(arguments: tuple[str, ...]) -> None:
    code, stdout, stderr = run(*arguments)
    assert json.loads(stdout) == {"command": "work", "exit_code": 0, "error": None, "done": 2, "rate": None}
    assert (code, stderr) == (0, "for the eye\na warning\n")


@pytest.mark.parametrize(
    ("flag", "code", "error"),
    [
        ("--fail", 1, "it does not work"),
        ("--interrupt", 130, "interrupted; run the same command again to go on"),
        ("--crash", 1, "ValueError: a bug"),
    ],
)
def test_json_of_what_fails(flag: str, code: int, error: str) -> None:
    found, stdout, _ = run("work", "--json", "--quiet", flag)
    assert found == code
    printed = json.loads(stdout)
    assert (printed["exit_code"], printed["error"], printed["done"]) == (code, error, 2)


def test_quiet() -> None:
    assert run("work", "-q") == (0, "", "a warning\n")
    assert run("--quiet", "work", "--fail") == (1, "", "a warning\nmaskcls: it does not work\n")


def test_scripts_get_the_address_of_a_server_at_once() -> None:
    assert run("wait") == (0, "http://here\nended\n", "")
    assert run("wait", "--quiet") == (0, "http://here\n", "")
    _, stdout, stderr = run("wait", "--json")
    assert json.loads(stdout)["url"] == "http://here"
    assert stderr == "http://here\nended\n"


def test_an_option_of_the_same_name_stays_the_commands_own() -> None:
    assert run("own", "--json", "figures.json")[1] == "figures.json\n"


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "EVERY", 0.0)
    assert run("work")[2].splitlines()[:3] == [f"working: {done} of 2 after 0 s" for done in range(3)]
    assert run("work", "--quiet")[2] == "a warning\n"


def test_no_color() -> None:
    environment = os.environ | {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "xterm-256color"}
    colours = ("\x1b[3", "\x1b[9", "\x1b[1;3", "\x1b[1;9", "\x1b[38")
    for arguments in (["--help"], ["split", "--folds", "many"]):
        shown = subprocess.run([*MAIN, *arguments], capture_output=True, text=True, env=environment, check=False)
        assert not any(colour in shown.stdout + shown.stderr for colour in colours)
    del environment["NO_COLOR"]
    shown = subprocess.run([*MAIN, "--help"], capture_output=True, text=True, env=environment, check=True)
    assert any(colour in shown.stdout for colour in colours)


@pytest.mark.parametrize(
    ("words", "expected"),
    [("maskcls bu", ["build-index"]), ("maskcls index fo", ["forget"]), ("maskcls embed --lab", ["--labels"])],
)
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, words: str, expected: list[str]) -> None:
    complete = {
        "_MASKCLS_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_TYPER_COMPLETE_ARGS": words,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_WORD_TO_COMPLETE": words.split()[-1],
    }
    code = "import sys; sys.argv[0] = 'maskcls'; from maskcls.cli.main import app; app(prog_name='maskcls')"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | complete, check=False
    )
    assert [word for word in expected if word in shown.stdout] == expected, shown.stderr
    assert "evaluate" not in shown.stdout


def test_a_reader_that_has_seen_enough() -> None:
    process = subprocess.Popen([*MAIN, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    process.wait(timeout=60)


def test_figures_without_an_interval_or_a_value() -> None:
    some = {"value": 0.5, "low": 0.25, "high": 0.75, "faces": 9}
    one = {"value": 1.0, "low": None, "high": None, "faces": 1}
    none = {"value": None, "low": None, "high": None, "faces": 0}
    lines = figure_lines({"some": some, "of one person": one, "none": none})
    assert [line.split() for line in lines[1:]] == [
        ["some", "0.500", "0.250", "to", "0.750", "9"],
        ["of", "one", "person", "1.000", "one", "person", "1"],
        ["none", "n/a"],
    ]
    assert len({len(line) for line in lines[1:3]}) == 1
