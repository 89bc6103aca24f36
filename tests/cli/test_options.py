from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclopts import App, CycloptsError
from rich.console import Console

from prefect_llm.cli.options import add_resume, add_run
from prefect_llm.settings import RunSettings, options
from prefect_llm.values.errors import InvalidInput

Ran = list[tuple[RunSettings, bool]]
Call = Callable[..., Ran]

COMPLETE = ["in.csv", "--output", "out", "--base-url", "https://h/v1", "--model", "m"]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """Runs the command; returns the settings and whether Prefect was asked for."""
    for option in options().values():
        monkeypatch.delenv(option.variable, raising=False)

    def run(*arguments: str) -> Ran:
        ran: Ran = []
        app = _app(ran)
        assert app(["run", *arguments], exit_on_error=False, print_error=False, result_action="return_value") == 3
        return ran

    return run


@pytest.fixture(scope="module")
def help_text() -> str:
    written = io.StringIO()
    app = _app([])
    app.help_print(["run"], console=Console(file=written, width=100, force_terminal=False))
    return written.getvalue()


def test_the_help_of_resume_shows_its_directory_and_exactly_what_is_free() -> None:
    written = io.StringIO()
    app = App(name="prefect-llm")
    add_resume(app, lambda settings, directory: 0)
    app.help_print(["resume"], console=Console(file=written, width=100, force_terminal=False))
    free = {option.flag for option in options().values() if option.is_free}
    assert set(re.findall(r"(?<![\w-])--[\w-]+", written.getvalue())) == free | {"--config"}
    assert "DIR  The run's directory, local or a URL. [required]" in written.getvalue()
    assert {"--base-url", "--concurrency", "--price-input", "--json"} < free


def _app(ran: Ran) -> App:
    app = App(name="prefect-llm")

    def body(settings: RunSettings, prefect: bool) -> int:
        """Ask about every document."""
        ran.append((settings, prefect))
        return 3

    add_run(app, body)
    return app


def test_options_reach_the_body_as_checked_settings(call: Call) -> None:
    ((settings, prefect),) = call(*COMPLETE, "--keep-raw", "--json", "--param", "a=1", "--param", 'b="x"')
    assert settings.documents.input == "in.csv"
    assert settings.api.param == {"a": 1, "b": "x"}
    assert (settings.output.keep_raw, settings.output.json_summary, settings.output.quiet) == (True, True, False)
    assert settings.batch.model_fields_set == set()
    assert not prefect


def test_prefect_is_a_switch_of_its_own(call: Call) -> None:
    assert call(*COMPLETE, "--prefect")[0][1]


def test_a_flag_beats_the_environment_and_that_the_file(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("batch:\n  concurrency: 2\n  chunk_rows: 20\nlogging:\n  log_level: ERROR\n")
    monkeypatch.setenv("PREFECT_LLM_CONCURRENCY", "3")
    monkeypatch.setenv("PREFECT_LLM_CHUNK_ROWS", "30")
    ((settings, _),) = call(*COMPLETE, "--config", str(config), "--concurrency", "4")
    assert (settings.batch.concurrency, settings.batch.chunk_rows, settings.logging.log_level) == (4, 30, "ERROR")


@pytest.mark.parametrize("word", ["none", "None", "null", "true", "-1"])
def test_words_that_mean_something_elsewhere_stay_text(call: Call, word: str) -> None:
    assert call(*COMPLETE, f"--null-as={word}")[0][0].documents.null_as == word


def test_keep_none_reaches_the_settings_as_a_word(call: Call) -> None:
    assert call(*COMPLETE, "--keep", "none")[0][0].documents.keep == "none"


def test_a_template_may_begin_with_a_hyphen(call: Call) -> None:
    assert call(*COMPLETE, "--prompt=- {{ text }}")[0][0].prompt.prompt == "- {{ text }}"


def test_wrong_values_are_worded_by_the_settings(call: Call) -> None:
    with pytest.raises(InvalidInput) as caught:
        call(*COMPLETE, "--concurrency", "many", "--temperature", "-1", "--param", "stop=END")
    assert caught.value.message == (
        "--param stop=END: not JSON; write --param 'stop=\"END\"'\n"
        "--temperature: expected a number from 0 to 2, got '-1'\n"
        "--concurrency: expected auto or a whole number from 1 to 4096, got 'many'"
    )


def test_what_is_missing_is_refused_before_the_body_runs(call: Call) -> None:
    with pytest.raises(InvalidInput, match=r"^no output: give --output, output.output in the config or PREFECT_LLM_"):
        call("in.csv", "--base-url", "https://h/v1", "--model", "m")


@pytest.mark.parametrize("argument", ["--no-keep-raw", "--keep_raws", "--max-costs=1", "--reuse", "second.csv"])
def test_an_unknown_argument_is_refused(call: Call, argument: str) -> None:
    with pytest.raises(CycloptsError):
        call(*COMPLETE, argument)


@pytest.mark.parametrize("flag", [option.flag for option in options().values()] + ["--config", "--prefect"])
def test_help_shows_each_option_exactly_once(help_text: str, flag: str) -> None:
    assert len(re.findall(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", _options(help_text))) == 1


def test_help_shows_the_options_of_the_settings_and_no_others(help_text: str) -> None:
    known = {option.flag for option in options().values()} | {"--config", "--prefect"}
    assert set(re.findall(r"(?<![\w-])--[\w-]+", help_text)) == known - {"INPUT"}


def test_help_explains_every_option_and_shows_its_default(help_text: str) -> None:
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", help_text).split())
    for option in options().values():
        assert " ".join(option.description.split()) in text, option
    for default in ("auto", "1024", "120", "5", "300", "USD", "0.05", "0.5", "INFO", "60"):
        assert f"[default: {default}]" in text


def test_help_is_grouped_by_section_and_fits_a_terminal(help_text: str) -> None:
    assert re.findall("╭─ (\\w+) ", help_text) == [
        "Documents", "Prompt", "API", "Batch", "Output", "Logging", "Monitoring", "Run",
    ]  # fmt: skip
    assert max(map(len, help_text.splitlines())) <= 100


def test_help_takes_less_than_a_second_of_cpu() -> None:
    code = (
        "import time\n"
        "from cyclopts import App\n"
        "from prefect_llm.cli.options import add_run\n"
        "app = App(name='prefect-llm')\n"
        "add_run(app, lambda settings, prefect: 0)\n"
        "app(['run', '--help'], result_action='return_value')\n"
        "print(time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout.split()[-1]) < 1.0


def _options(help_text: str) -> str:
    return help_text[help_text.index("╭") : help_text.rindex("╯")]
