"""The page as a browser lays it out: nothing sticks out sideways, and the picture is there, wide and narrow."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from planner.report.html import render_html
from planner.workflows.plan import make_plan

SCENARIOS = Path(__file__).parents[2] / "scenarios"
WIDTHS = (390, 768, 1280)
NAMES = ("steady-high-volume", "air-gapped")

# A page of frames that measures each of them once all are loaded, and writes what it found into itself.
FRAMES = """<!doctype html><body>%s<script>
window.onload = () => {
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement, picture = page.querySelector("img");
    return [frame.className, root.scrollWidth - root.clientWidth, picture.complete ? picture.naturalWidth : 0,
            page.querySelector(".answer h2").getBoundingClientRect().top];
  });
  document.body.innerHTML = "<pre>" + JSON.stringify(found) + "</pre>";
};
</script></body>"""


@pytest.fixture(scope="module")
def browser() -> str:
    """Chromium, under whatever name it is installed."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("needs chromium: apt-get install chromium")
    return found


def test_pages_fit_every_width(browser: str, tmp_path: Path) -> None:
    frames = []
    for name in NAMES:
        (tmp_path / f"{name}.html").write_text(render_html(make_plan(SCENARIOS / f"{name}.yaml")), encoding="utf-8")
        frames += [
            f'<iframe class="{name} {width}" src="{name}.html" style="width:{width}px;height:900px"></iframe>'
            for width in WIDTHS
        ]
    page = tmp_path / "frames.html"
    page.write_text(FRAMES % "".join(frames), encoding="utf-8")
    switches = ("--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files")
    command = [
        browser,
        *switches,
        f"--user-data-dir={tmp_path / 'profile'}",
        "--virtual-time-budget=20000",
        "--dump-dom",
    ]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True, timeout=60)
    found = json.loads(done.stdout.partition("<pre>")[2].partition("</pre>")[0])
    assert len(found) == len(NAMES) * len(WIDTHS)
    for frame, too_wide, picture_width, answer_top in found:
        assert too_wide <= 0, frame
        assert picture_width > 0, frame
        assert answer_top < 200, f"{frame}: the answer comes first"
