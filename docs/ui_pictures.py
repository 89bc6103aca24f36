"""Makes docs/images: `python docs/ui_pictures.py`, where /srv/llm may be made and Chromium is there; ten minutes.

Pages of Prefect's UI (V2, its default), without the menu, while the deployments of deployments/prefect.yaml run, and
a run's own page. What they show has happened, but for the times of the earlier nights; see ui_stage.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright
from ui_stage import MANUAL, SRV, Stage, create_automations, run_nights, staged, until, write_tickets

IMAGES = Path(__file__).with_name("images")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTH, WIDE, MENU_WIDTH, MARGIN = 1_180, 1_500, 256, 12
"""WIDE where a table has more columns, or has details beside it."""
SETTLED_MS = 2_500
PARTS_DONE, RUN_S = 3, 900
ASKED: dict[str, Any] = {
    "input": "/srv/llm/inbox/tickets.parquet",
    "output": "/srv/llm/answers/inbox",
    "provider": "production",
    "prompt": "Summarise in one sentence: {{ text }}",
    "row_params": "ask",
    "api": {"max_output_tokens": 200, "temperature": 0},
}


def main() -> None:
    """All of them."""
    with opened_page() as page, staged() as stage:
        block_form(stage, page)
        stage.save_block()
        nights = run_nights(stage)
        write_tickets(SRV / "inbox/tickets.parquet", MANUAL, 900_000)
        run_forms(stage, page)
        running = stage.started("manual", ASKED)
        in_progress(stage, page, running)
        stage.ended(running)
        afterwards(stage, page, running, nights[-1])
        approval(stage, page)
        lists(stage, page)


@contextmanager
def opened_page() -> Iterator[Page]:
    """A page of a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": 1_000}, color_scheme="light")
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def block_form(stage: Stage, page: Page) -> None:
    """The block as it is filled in."""
    page.goto(f"{stage.url}/v2/blocks/catalog/llm-provider/create")
    _field(page, "Name").fill("production")
    _field(page, "Base URL").fill("https://api.openai.com/v1")
    _field(page, "API key").fill("sk-" + 40 * "x")
    _field(page, "Default model").fill("gpt-4.1-mini")
    taken(page, "block-form", _bottom(_field(page, "Timeout")))


def run_forms(stage: Stage, page: Page) -> None:
    """A run as it is filled in, and refused."""
    page.goto(f"{stage.url}/v2/deployments/deployment/{stage.deployment('manual')}/run")
    page.get_by_text("Select a block").click()
    page.get_by_role("option", name=ASKED["provider"]).click()
    for title in ("Input", "Output", "Prompt"):
        _field(page, title).fill(ASKED[title.lower()])
    taken(page, "run-form", _bottom(_field(page, "Prompt")))
    page.get_by_role("tab", name="API", exact=True).click()
    _field(page, "Temperature").fill("0.5")
    _field(page, "Currency").fill("eur")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("'eur' does not match").first.wait_for()
    taken(page, "run-form-refused", 420, from_there=page.locator("label", has_text="Output price"))


def in_progress(stage: Stage, page: Page, flow_run: str) -> None:
    """A run, and its table of chunks, when some chunks are done and others are not."""
    until(lambda: len(list((SRV / "answers/inbox/results").glob("part-0*.parquet"))) >= PARTS_DONE, RUN_S)
    page.goto(f"{stage.url}/v2/runs/flow-run/{flow_run}")
    page.get_by_role("tab", name="Task Runs").click()
    page.get_by_role("link", name="infer-chunk-0").first.wait_for()
    taken(page, "run-in-progress", _bottom(page.get_by_role("link", name="infer-chunk-1").first) + 3 * MARGIN)
    shown(stage, page, flow_run, "llm-chunks", "chunks", "table", width=WIDE)


def afterwards(stage: Stage, page: Page, flow_run: str, night: str) -> None:
    """What a run leaves."""
    page.goto(f"{stage.url}/v2/runs/flow-run/{flow_run}")
    page.get_by_text("Completed").first.wait_for()
    page.get_by_role("tab", name="Artifacts").click()
    taken(page, "artifacts", _bottom(page.get_by_text("llm-cost", exact=True).last) + 8 * MARGIN)
    shown(stage, page, flow_run, "llm-report", "report", "table >> nth=2")
    shown(stage, page, night, "llm-cost", "cost", "table >> nth=1")
    report_page(page)


def report_page(page: Page) -> None:
    """A run's own page: its beginning, and the charts of its speed."""
    page.goto(f"file://{SRV}/answers/inbox/_run/report.html")
    height = _bottom(page.locator("#cost ~ .wide").first)
    page.screenshot(
        path=IMAGES / "report-page.png", full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}
    )
    page.locator("section", has=page.locator("#speed")).screenshot(path=IMAGES / "report-charts.png")


def approval(stage: Stage, page: Page) -> None:
    """A run that waits for a person."""
    asked = ASKED | {"output": "/srv/llm/answers/approved", "approval": {"above": 0.5, "sample": 40}}
    waiting = stage.started("manual", asked)
    until(lambda: stage.state(waiting) == "PAUSED", RUN_S)
    page.goto(f"{stage.url}/v2/runs/flow-run/{waiting}")
    page.locator("button[aria-haspopup=menu]").last.click()
    page.get_by_role("menuitem", name="Resume").click()
    page.get_by_text("Decision").first.wait_for()
    page.set_viewport_size({"width": WIDTH, "height": 1_200})
    page.wait_for_timeout(SETTLED_MS)
    page.get_by_role("dialog").screenshot(path=IMAGES / "approval.png", animations="disabled")
    stage.cancelled(waiting)


def lists(stage: Stage, page: Page) -> None:
    """Deployments with their schedules, and automations."""
    create_automations()
    page.goto(f"{stage.url}/v2/automations")
    page.get_by_text("notify when").first.wait_for()
    taken(page, "automations", 1_250)
    stage.keep_schedules("resume")
    page.goto(f"{stage.url}/v2/deployments")
    taken(page, "deployments", _bottom(page.get_by_text("redrive").first) + 3 * MARGIN)
    stage.keep_schedules("pause")


def shown(stage: Stage, page: Page, flow_run: str, key: str, name: str, last: str, *, width: int = WIDTH) -> None:
    """A picture of an artifact, down to the last thing to be seen."""
    page.set_viewport_size({"width": width, "height": 1_000})
    page.goto(f"{stage.url}/v2/artifacts/artifact/{stage.artifacts(flow_run)[key]}")
    taken(page, name, _bottom(page.locator(last)), width=width)


TO_TOP = "document.querySelectorAll('*').forEach(each => { each.scrollTop = 0 })"


def taken(page: Page, name: str, height: int, *, from_there: Locator | None = None, width: int = WIDTH) -> None:
    """A picture of so much of the page, from its top or from there on."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(SETTLED_MS)
    if from_there is None:
        page.evaluate(TO_TOP)
    else:
        from_there.evaluate("element => element.scrollIntoView()")
    page.screenshot(
        path=IMAGES / f"{name}.png",
        animations="disabled",
        clip={"x": MENU_WIDTH, "y": 0, "width": width - MENU_WIDTH, "height": height},
    )
    page.set_viewport_size({"width": WIDTH, "height": 1_000})


def _bottom(last: Locator) -> int:
    """Where it ends, with a margin."""
    while (box := last.bounding_box()) is None:  # it may be drawn anew at this moment
        last.wait_for()
    return round(box["y"] + box["height"] + MARGIN)


def _field(page: Page, title: str) -> Locator:
    """The box under the title."""
    box = f'(//label[starts-with(normalize-space(.),"{title}")]/following::*[self::input or self::textarea])[1]'
    found = page.locator(f"xpath={box}")
    found.wait_for()
    return found


if __name__ == "__main__":
    main()
