"""The forms of Prefect's UI as a person fills them in: the block's, created and edited, and the deployment's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.browser.conftest import PrefectUI, aside
from tests.conftest import WriteDocuments
from tests.prefect_server import eventually
from tests.scripted_server import steps
from tests.scripted_server.client import ScriptedServer

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page
    from prefect.client.schemas.objects import FlowRun

KEY = "sk-typed-into-the-form"
RUN_S = 120.0
TRY_MS = 8_000


@pytest.fixture(scope="module")
def deployment_id(prefect_ui: PrefectUI) -> str:
    """A deployment of `batch_inference`, and the block type."""
    from prefect.types.entrypoint import EntrypointType

    from prefect_llm import LLMProvider, batch_inference

    def deployed() -> str:
        LLMProvider.register_type_and_schema()
        deployment: Any = batch_inference.to_deployment("form", entrypoint_type=EntrypointType.MODULE_PATH)
        return str(deployment.apply())

    return aside(deployed)


def save_block(server: ScriptedServer) -> None:
    from prefect_llm import LLMProvider

    block = LLMProvider(base_url=server.base_url, model="m", max_attempts=2)
    aside(lambda: block.save("production", overwrite=True))


def newest_flow_run() -> FlowRun:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.sorting import FlowRunSort

    newest = FlowRunSort.EXPECTED_START_TIME_DESC
    (flow_run,) = aside(lambda: get_client(sync_client=True).read_flow_runs(sort=newest, limit=1))
    return flow_run


@contextmanager
def executing(flow_run: FlowRun, ui: PrefectUI, cwd: Path) -> Iterator[None]:
    """A process carries the flow run out, and has ended after the block; it is ended where the block fails."""
    command = [sys.executable, "-m", "prefect", "flow-run", "execute", str(flow_run.id)]
    with subprocess.Popen(
        command, cwd=cwd, env=ui.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            yield
            said, _ = process.communicate(timeout=RUN_S)
        finally:
            process.kill()
    assert process.returncode == 0, said


def field(page: Page, title: str) -> Locator:
    """The box under the title."""
    box = f'(//label[starts-with(normalize-space(.),"{title}")]/following::*[self::input or self::textarea])[1]'
    return page.locator(f"xpath={box}")


def opened(page: Page, ui: PrefectUI, path: str, title: str) -> None:
    """The page, once it shows the field."""
    page.goto(ui.url + path)
    field(page, title).wait_for()


def _opened(picker: Locator, option: Locator) -> bool:
    """Whether the option shows, after a key that opens the list; it opens only once the saved blocks have come."""
    picker.press("ArrowDown")
    return option.is_visible()


def pressed(page: Page, button: str, leads_to: str) -> None:
    """Until the page is there: a form ignores its button while it checks a value, or still has an error of before."""
    from playwright.sync_api import TimeoutError as NothingHappened

    def led() -> bool:
        with suppress(NothingHappened):  # an earlier press may have led away only now
            page.get_by_role("button", name=button, exact=True).click(timeout=TRY_MS)
        try:
            page.wait_for_url(leads_to, timeout=TRY_MS)
        except NothingHappened:
            return False
        return True

    eventually(led, bool, timeout_s=RUN_S)


@pytest.mark.parametrize(
    ("pages", "named", "button"), [("", "Block Name", "Create"), ("/v2", "Name", "Save")], ids=["V1", "V2"]
)
def test_a_block_is_created_and_edited_in_the_form_of_either_ui(
    pages: str,
    named: str,
    button: str,
    prefect_ui: PrefectUI,
    deployment_id: str,
    page: Page,
    scripted_server: ScriptedServer,
) -> None:
    from prefect_llm.blocks import load_block

    name = f"created-by-{button.lower()}"
    opened(page, prefect_ui, f"{pages}/blocks/catalog/llm-provider/create", "Base URL")
    field(page, named).fill(name)
    field(page, "Base URL").fill(scripted_server.base_url)
    field(page, "API key").fill(KEY)
    field(page, "Default model").fill("m")
    field(page, "Timeout (s)").fill("7")
    pressed(page, button, f"**{pages}/blocks/block/*")
    created = aside(lambda: load_block(name))
    assert (created.timeout, created.api_key.get_secret_value(), created.model) == (7, KEY, "m")
    assert (created.concurrency, created.max_attempts, created.prices) == (None, 5, {})

    opened(page, prefect_ui, f"{pages}/blocks/block/{page.url.rsplit('/', 1)[1]}/edit", "Requests per minute")
    field(page, "API key").fill(KEY)
    field(page, "Timeout (s)").fill("")
    field(page, "Attempts").fill("3")
    field(page, "Requests per minute").fill("60")
    pressed(page, "Save", f"**{pages}/blocks/block/*")
    edited = aside(lambda: load_block(name))
    assert (edited.timeout, edited.max_attempts, edited.requests_per_minute) == (120, 3, 60)
    assert (edited.api_key.get_secret_value(), edited.base_url) == (KEY, scripted_server.base_url)


def test_in_the_newer_ui_too_a_run_is_refused_for_wrong_values_and_carried_out_for_right_ones_once_approved(
    prefect_ui: PrefectUI,
    deployment_id: str,
    page: Page,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    """The form opens with the saved blocks, lists have values to choose from, and an approval left as it is asks."""
    save_block(scripted_server)
    page.goto(f"{prefect_ui.url}/v2/deployments/deployment/{deployment_id}/run")
    page.get_by_text("Select a block").click()
    page.get_by_role("option", name="production").click()
    field(page, "Input").fill(Path(write_documents(20)).name)
    field(page, "Output").fill(str(tmp_path / "answers"))
    field(page, "Prompt").fill("Say: {{ text }}")
    page.get_by_role("tab", name="API", exact=True).click()
    field(page, "Temperature").fill("9")
    page.get_by_role("button", name="Submit").click()
    assert field(page, "Temperature").evaluate("box => box.matches(':focus') && box.validity.rangeOverflow")
    field(page, "Temperature").fill("0.5")
    field(page, "Currency").fill("eur")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("'eur' does not match").first.wait_for()

    field(page, "Currency").fill("")
    page.get_by_role("tab", name="Batch", exact=True).click()
    page.get_by_label("Select One of").first.click()
    page.get_by_role("option", name="used").click()
    page.get_by_role("tab", name="Approval", exact=True).click()
    pressed(page, "Submit", f"**/v2/deployments/deployment/{deployment_id}?*")
    flow_run = newest_flow_run()
    given = {name: {key for key, value in flow_run.parameters[name].items() if value} for name in ("api", "batch")}
    assert given == {"api": {"temperature"}, "batch": {"token_accounting"}}, "a default of the form counts as given"
    with executing(flow_run, prefect_ui, tmp_path):
        """It ends as soon as the run is suspended."""
    assert newest_flow_run().state_name == "Suspended"
    assert scripted_server.stats().requests == 0
    page.goto(f"{prefect_ui.url}/v2/runs/flow-run/{flow_run.id}")
    page.locator("button[aria-haspopup=menu]").last.click()
    page.get_by_role("menuitem", name="Resume").click()
    page.get_by_text("20 requests for 20 documents").first.wait_for()
    page.get_by_label("Select Decision").click()
    page.get_by_role("option", name="approve").click()
    page.get_by_role("button", name="Resume").click()
    eventually(lambda: newest_flow_run().state_name, lambda name: name != "Suspended", timeout_s=RUN_S)
    with executing(flow_run, prefect_ui, tmp_path):
        """As a worker does with a run that is scheduled again."""
    assert newest_flow_run().state_name == "Completed"
    assert scripted_server.stats().requests == 20


def test_a_run_is_refused_for_wrong_values_and_carried_out_for_right_ones(
    prefect_ui: PrefectUI,
    deployment_id: str,
    page: Page,
    scripted_server: ScriptedServer,
    write_documents: WriteDocuments,
    tmp_path: Path,
) -> None:
    from prefect.client.orchestration import get_client

    save_block(scripted_server)
    opened(page, prefect_ui, f"/deployments/deployment/{deployment_id}/run", "Input")
    field(page, "Input").fill(Path(write_documents(20)).name)
    field(page, "Output").fill(str(tmp_path / "answers"))
    picker = page.locator('xpath=//button[normalize-space(.)="Add"]/preceding::button[1]')
    option = page.locator(".p-select-option", has_text="production").first
    eventually(lambda: _opened(picker, option), bool)
    option.click()
    field(page, "Prompt").fill("Say: {{ text }}")
    page.get_by_text("production", exact=True).first.wait_for()
    page.get_by_role("button", name="API", exact=True).click()
    field(page, "Temperature").fill("9")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("9 is greater than the maximum of 2").first.wait_for()

    field(page, "Temperature").fill("")
    field(page, "Output limit").fill("50")
    pressed(page, "Submit", f"**/deployments/deployment/{deployment_id}")
    flow_run = newest_flow_run()
    scripted_server.script({"doc-7": steps.hang()})
    with executing(flow_run, prefect_ui, tmp_path):
        scripted_server.wait_for(answered=19, in_flight=1, timeout_s=RUN_S)
        page.goto(f"{prefect_ui.url}/runs/flow-run/{flow_run.id}")
        page.get_by_text("Running").first.wait_for()
        page.get_by_text("Beginning flow run").first.wait_for()
        page.get_by_text("Task Runs", exact=True).first.click()
        page.get_by_text("infer-chunk-0").first.wait_for()
        scripted_server.release()
    assert newest_flow_run().state_name == "Completed"
    given = {name for name, value in flow_run.parameters["api"].items() if value is not None}
    switches = {"fail_truncated", "lenient_json", "keep_reasoning"}
    assert given <= {"max_output_tokens", "param", *switches}, "a default of the form counts as given"
    assert {received.body["max_tokens"] for received in scripted_server.log()} == {50}
    page.goto(f"{prefect_ui.url}/runs/flow-run/{flow_run.id}")
    page.get_by_text("Completed").first.wait_for()
    page.get_by_role("link", name="Artifacts").last.or_(page.get_by_text("Artifacts").last).first.click()
    artifacts = aside(lambda: get_client(sync_client=True).read_artifacts())
    report = next(each for each in artifacts if each.type == "markdown")
    page.goto(f"{prefect_ui.url}/artifacts/artifact/{report.id}")
    page.get_by_text("Totals").or_(page.get_by_text("documents")).first.wait_for()
