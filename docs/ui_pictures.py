"""Makes docs/images: `python docs/ui_pictures.py`, where /srv/llm may be made and Chromium is installed; ten minutes.

Pages of Prefect's UI while deployments of deployments/prefect.yaml run, and a run's own report.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, sync_playwright
from ui_stage import MANUAL, SRV, Stage, run_nights, staged, until, write_tickets

IMAGES = Path(__file__).with_name("images")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
WIDTH, HEIGHT, FORM_HEIGHT = 1180, 900, 1_300
SETTLED_MS = 2_500
PROMPT = "Summarise in one sentence: {{ text }}"


def main() -> None:
    """All of them."""
    with staged() as stage, opened_page() as page:
        nights = run_nights(stage)
        write_tickets(SRV / "inbox/tickets.parquet", MANUAL, 900_000)
        forms(stage, page)
        running = stage.started(
            "manual",
            input="/srv/llm/inbox/tickets.parquet",
            output="/srv/llm/answers/inbox",
            provider="production",
            prompt=PROMPT,
            row_params="ask",
            api={"max_output_tokens": 200, "temperature": 0},
        )
        in_progress(stage, page, running)
        stage.ended(running)
        afterwards(stage, page, running, nights[-1])


@contextmanager
def opened_page() -> Iterator[Page]:
    """A page of a browser without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(30_000)
        yield page
        browser.close()


def forms(stage: Stage, page: Page) -> None:
    """What is filled in: a block, a run."""
    shown(page, f"{stage.url}/deployments", "on-new-files", "deployments", height=620)
    page.goto(f"{stage.url}/blocks/catalog/llm-provider/create")
    _field(page, "Base URL").fill("https://api.openai.com/v1")
    _field(page, "Block Name").fill("openai")
    _field(page, "Default model").fill("gpt-4.1-mini")
    taken(page, "block-form", FORM_HEIGHT)
    page.goto(f"{stage.url}/deployments/deployment/{stage.deployment('manual')}/run")
    _field(page, "Input").fill("/srv/llm/inbox/tickets.parquet")
    _field(page, "Output").fill("/srv/llm/answers/inbox")
    _pick(page, "production")
    _field(page, "Prompt").fill(PROMPT)
    taken(page, "run-form", FORM_HEIGHT)
    page.get_by_role("button", name="API", exact=True).click()
    _field(page, "Temperature").fill("9")
    page.get_by_role("button", name="Submit").click()
    page.get_by_text("9 is greater than the maximum of 2").first.wait_for()
    _field(page, "Temperature").scroll_into_view_if_needed()
    taken(page, "run-form-refused")


def in_progress(stage: Stage, page: Page, flow_run: str) -> None:
    """A run, and its table of chunks, when some chunks are done and others are not."""
    until(lambda: any((SRV / "answers/inbox/results").glob("part-0000[1-7].parquet")), 600)
    page.goto(f"{stage.url}/runs/flow-run/{flow_run}")
    page.get_by_text("Task Runs", exact=True).first.click()
    page.get_by_text("infer-chunk-0").first.wait_for()
    taken(page, "run-in-progress")
    found = stage.artifacts(flow_run)
    shown(page, f"{stage.url}/artifacts/artifact/{found['llm-chunks']}", "documents", "chunks", height=700)


def afterwards(stage: Stage, page: Page, flow_run: str, night: str) -> None:
    """What a run leaves."""
    page.goto(f"{stage.url}/runs/flow-run/{flow_run}")
    page.get_by_text("Completed").first.wait_for()
    page.get_by_role("link", name="Artifacts").last.or_(page.get_by_text("Artifacts").last).first.click()
    taken(page, "artifacts")
    found = stage.artifacts(flow_run)
    shown(page, f"{stage.url}/artifacts/artifact/{found['llm-report']}", "Documents", "report")
    shown(page, f"{stage.url}/artifacts/key/llm-cost", "llm-cost", "cost-history", height=620)
    shown(page, f"file://{SRV}/answers/inbox/_run/report.html", "documents", "report-html", height=1_400)


def shown(page: Page, url: str, text: str, name: str, height: int = HEIGHT) -> None:
    """A picture of the page, once it shows the text."""
    page.goto(url)
    page.get_by_text(text).first.wait_for()
    taken(page, name, height)


def taken(page: Page, name: str, height: int = HEIGHT) -> None:
    """A picture of what is seen."""
    page.set_viewport_size({"width": WIDTH, "height": height})
    if height == FORM_HEIGHT:
        page.mouse.move(WIDTH / 2, height / 2)
        page.mouse.wheel(0, -10_000)
    page.wait_for_timeout(SETTLED_MS)
    page.screenshot(path=IMAGES / f"{name}.png", animations="disabled")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})


def _pick(page: Page, block: str) -> None:
    """The list opens only once the saved blocks have come."""
    picker = page.locator('xpath=//button[normalize-space(.)="Add"]/preceding::button[1]')
    option = page.locator(".p-select-option", has_text=block).first
    while not option.is_visible():
        picker.press("ArrowDown")
        page.wait_for_timeout(200)
    option.click()


def _field(page: Page, title: str) -> Locator:
    """The box under the title."""
    box = f'(//label[starts-with(normalize-space(.),"{title}")]/following::*[self::input or self::textarea])[1]'
    found = page.locator(f"xpath={box}")
    found.wait_for()
    return found


if __name__ == "__main__":
    main()
