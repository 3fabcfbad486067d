"""`lighter report`: one page of many runs, looked at in a real browser too."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from PIL import Image

from lighter.cli import main
from lighter.runs.record.run_file import Best, Devices
from made_runs import LOSS, commit, make_run, write_epochs
from workspace import workspace  # noqa: F401 - a fixture

HEAVY = ("torch", "pytorch_lightning", "numpy", "rich", "loguru", "sparkwheel")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
VOID = {"meta", "input"}
HOSTILE = "</script><script>window.pwned = 1</script><img src=x onerror='window.pwned = 2'>\"'&"

in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium on the path")
Ask: TypeAlias = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    return tmp_path


@pytest.fixture
def three(here: Path) -> None:
    make_run("logs/a", "vars::lr=0.5", losses=[4.0, 2.0, 1.0], git=commit("a", dirty=True))
    make_run("logs/b", losses=[2.0, 0.1, 0.01], devices=Devices("cuda", 2, 1, "DDP", "A card"))
    make_run("logs/c", "vars::lr=0.5", losses=[], status="failed", error="RuntimeError: it broke")
    for name, values in {"a": [0.5, 0.6, 0.7], "b": [0.8, 0.9, 0.85]}.items():
        losses = [4.0, 2.0, 1.0] if name == "a" else [2.0, 0.1, 0.01]
        Path(f"logs/{name}/epochs.csv").unlink()
        rows = zip(losses, values, strict=True)
        write_epochs(Path("logs", name), [{LOSS: loss, "train/acc": value} for loss, value in rows])


def report(capsys: pytest.CaptureFixture[str], *arguments: str, out: str = "report.html") -> str:
    assert main(["report", *arguments]) == 0
    assert capsys.readouterr().err == ""
    return Path(out).read_text(encoding="utf-8")


class Tables(HTMLParser):
    """Collects the rows of tables, and sees that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.count: Counter[str] = Counter()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] += 1
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def parsed(page: str) -> Tables:
    tables = Tables()
    tables.feed(page.removeprefix("<!DOCTYPE html>\n"))
    assert tables.open == []
    return tables


# --- what is on the page


@pytest.mark.usefixtures("three")
def test_the_page_has_curves_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    page = report(capsys, "logs/a", "logs/b", "logs/c")
    tables = parsed(page)
    assert tables.rows == [
        ["run", "status", "stage", "started", "took", "epochs", "steps", "device", "commit"],
        ["a", "completed", "fit", "2026-01-01 00:00", "12.5s", "3", "30", "1 x cpu", "aaaaaaaaaa with changes"],
        ["b", "completed", "fit", "2026-01-01 00:00", "12.5s", "3", "30", "2 x A card", ""],
        ["c", "failed", "fit", "2026-01-01 00:00", "12.5s", "0", "0", "1 x cpu", ""],
        ["", "val/loss, min", "val/loss (best), min"],
        ["a", "1", "1"],
        ["b", "0.01", "0.01"],
        ["c", "-", "-"],
        ["", "vars::lr"],
        ["a", "0.5"],
        ["b", "0.1"],
        ["c", "0.5"],
        ["", "a", "b", "c"],
        ["accelerator", "cpu", "cuda", "cpu"],
        ["devices", "1", "2", "1"],
        ["strategy", "SingleDevice", "DDP", "SingleDevice"],
        ["device", "-", "A card", "-"],
    ]
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page) == ["val/loss", "train/acc"]
    assert "<pre>c: RuntimeError: it broke</pre>" in page
    assert "<pre>a: lighter fit config.yaml vars::lr=0.5</pre>" in page
    assert re.search(r"The same in all runs: \d+</summary><p>host .*, numpy 2.0.0, torch 2.9.0</p>", page)
    assert '<td class="number best">0.01</td>' in page
    assert "<span>a lr=0.5</span>" in page
    assert page.count('<td class="number best">') == 2


@pytest.mark.usefixtures("three")
def test_the_page_needs_nothing_but_itself(capsys: pytest.CaptureFixture[str]) -> None:
    page = report(capsys, "logs")
    assert "://" not in page
    assert not re.search(r"\b(?:src|href|srcset|action)=|url\(|@import|fetch\(|XMLHttpRequest|import\(", page)
    assert parsed(page).count["link"] == 0


@pytest.mark.usefixtures("workspace")
def test_a_page_of_real_runs(capsys: pytest.CaptureFixture[str]) -> None:
    quiet = ["trainer::enable_progress_bar=false", "trainer::enable_model_summary=false"]
    for lr in ("0.1", "0.5"):
        assert main(["fit", "config.yaml", *quiet, f"system::optimizer::lr={lr}"]) == 0
    capsys.readouterr()
    page = report(capsys, "logs", "--out", "all.html", out="all.html")
    rows = parsed(page).rows
    assert ["version_0", "0.1"] in rows
    assert ["version_1", "0.5"] in rows
    assert re.findall(r"<figcaption>(.*?)</figcaption>", page)[:2] == ["val/loss", "val/metrics/MulticlassAccuracy"]


def test_a_run_without_epochs_has_tables_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run("a", losses=[], stage="test", metrics={"test/loss/epoch": 0.5})
    page = report(capsys, "a")
    assert parsed(page).count["figure"] == 0
    assert "<h1>a</h1>" in page
    assert ["test/loss", "0.5"] in parsed(page).rows


def test_what_strangers_wrote_stays_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = HOSTILE.replace("/", "\N{DIVISION SLASH}")
    hostile: dict[str, Any] = dict.fromkeys(("error", "command", "status", "python"), HOSTILE)
    hostile |= {"packages": {HOSTILE: HOSTILE}, "config": {HOSTILE: HOSTILE}, "sources": (HOSTILE,)}
    make_run(name, metrics={HOSTILE: 1.0}, best=(Best(HOSTILE, HOSTILE, 1.0, ""),), **hostile)
    write_epochs(Path(name), [{HOSTILE: 1.0}])
    make_run("b", stage=HOSTILE)
    page = report(capsys, ".")
    assert page.count("<script") == page.count("</script>") == 2
    assert "<img" not in page
    assert html.escape(HOSTILE) in page
    parsed(page)


def test_many_runs_are_folded_and_long_curves_thinned_out(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run("run_0", losses=[])
    lines = [f"{epoch},{epoch},{epoch},{1 / (epoch + 1)}" for epoch in range(3000)]
    Path("run_0/epochs.csv").write_text("\n".join([f"epoch,step,seconds,{LOSS}", *lines, ""]))
    page = report(capsys, "run_0")
    assert "Curves are thinned out to 2,000 points." in page
    assert len(page) < 2000 * 40 + 40_000
    monkeypatch.setattr("lighter.runs.compare.page.document.ALL_POINTS", 3000)
    for number in range(1, 30):
        shutil.copytree("run_0", f"run_{number}")
    page = report(capsys, ".")
    assert "<details><summary>30 runs</summary>" in page
    assert "Curves are thinned out to 100 points." in page
    assert len(page) < 3000 * 40 + 60_000


# --- the file


def test_a_report_is_replaced_and_nothing_else_is(three: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert report(capsys, "logs/a") != report(capsys, "logs/b")
    Path("mine.html").write_text("<html>mine</html>")
    assert main(["report", "logs", "--out", "mine.html"]) == 2
    said = capsys.readouterr().err
    assert said == "error: 'mine.html' is there, and is no report\n  name another: --out FILE\n"
    assert Path("mine.html").read_text() == "<html>mine</html>"


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "error: name at least one run\n"),
        (["nowhere"], "error: there is no folder 'nowhere'\n"),
        (["empty"], "error: there are no runs in 'empty'\n"),
        (["logs", "--out", "no/such/folder.html"], "error: 'no/such/folder.html' cannot be written: No such file"),
        (["logs", "--out", "empty"], "error: 'empty' cannot be written: Is a directory\n"),
        (["logs", "--out"], "error: --out needs a value\n"),
    ],
)
def test_a_mistake_is_told_and_nothing_written(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    assert main(["report", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert told in captured.err
    assert not list(Path().glob("*.html"))


@pytest.mark.usefixtures("three")
def test_a_broken_record_is_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs/a/run.json").write_text("{")
    assert main(["report", "logs"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "report.html: 2 runs\n"
    assert captured.err.startswith("warning: 'logs/a/run.json' is not the record of a run")


@pytest.mark.usefixtures("three")
def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from lighter.cli import main; main(sys.argv[1:]);"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, "report", "logs"], capture_output=True, text=True, check=True)
    assert done.stdout == "report.html: 3 runs\n[]\n"


# --- in a browser


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Return a function that opens a page as wide as asked for, runs a script in it, and returns what that returns."""

    def ask(page: str, script: str, width: int = 1000) -> Any:
        text = json.dumps(page).replace("<", "\\u003c")
        outer = tmp_path / "outer.html"
        outer.write_text(
            f'<iframe id="inner" style="width: {width}px; height: 900px; border: 0"></iframe><pre id="answer"></pre>'
            "<script>const inner = document.getElementById('inner');"
            "inner.onload = () => { const view = inner.contentWindow, page = inner.contentDocument;"
            f"document.getElementById('answer').textContent = JSON.stringify((() => {{ {script} }})()) }};"
            f"inner.srcdoc = {text};</script>",
            encoding="utf-8",
        )
        dom = browse(outer, "--virtual-time-budget=5000", "--dump-dom").decode()
        answer = re.search(r'<pre id="answer">(.*?)</pre>', dom, re.DOTALL)
        assert answer is not None, dom[-2000:]
        return json.loads(html.unescape(answer[1]))

    return ask


def browse(page: Path, *flags: str) -> bytes:
    assert CHROMIUM is not None
    own = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={page.parent}/browser"]
    command = [CHROMIUM, *own, *flags, page.as_uri()]
    return subprocess.run(command, capture_output=True, check=True, timeout=120).stdout


POINT = """
const plot = page.querySelector('.chart:not([hidden]) .plot');
const box = plot.getBoundingClientRect();
const point = (x, y) => {
  const where = {clientX: box.left + x * box.width, clientY: box.top + y * box.height, bubbles: true};
  plot.dispatchEvent(new view.PointerEvent('pointermove', where));
  const tip = plot.querySelector('.tip');
  const rows = [...tip.querySelectorAll('div')].map((row) => row.textContent.trim());
  const near = plot.querySelector('path.near');
  return tip.hidden ? null : {rows, near: near && near.dataset.run};
};
"""


@in_a_browser
@pytest.mark.usefixtures("three")
def test_the_values_under_the_pointer_are_shown(capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    page = report(capsys, "logs")
    told = ask(page, f"{POINT} return [point(0.5, 0.6), point(0.52, 0.9), point(0, 0)]")
    assert told == [
        {"rows": ["epoch 1", "a2", "b0.1"], "near": "0"},
        {"rows": ["epoch 1", "a2", "b0.1"], "near": "1"},
        {"rows": ["epoch 0", "a4", "b2"], "near": "0"},
    ]


@in_a_browser
@pytest.mark.usefixtures("three")
def test_a_run_can_be_hidden_and_one_metric_chosen(capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    page = report(capsys, "logs")
    script = f"""
    page.querySelector('.legend input[data-run="0"]').click();
    const choice = page.getElementById('metric');
    choice.value = 'train/acc';
    choice.dispatchEvent(new view.Event('change'));
    {POINT}
    const shown = [...page.querySelectorAll('path[data-run]')].filter((line) => line.getBoundingClientRect().width);
    return [[...page.querySelectorAll('.chart')].map((chart) => chart.offsetHeight > 0),
            shown.map((line) => line.dataset.run), point(1, 0.5)]
    """
    told = ask(page, script)
    assert told == [[False, True], ["1"], {"rows": ["epoch 2", "b0.85"], "near": "1"}]


@in_a_browser
@pytest.mark.usefixtures("three")
def test_the_axis_can_be_one_of_powers(capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    script = f"""
    const ticks = () => [...page.querySelector('.plot').querySelectorAll('.y')]
      .filter((tick) => tick.offsetHeight).map((tick) => tick.textContent);
    const before = ticks();
    page.getElementById('log').click();
    {POINT}
    return [before, ticks(), point(0.5, 0.6)]
    """
    before, after, told = ask(report(capsys, "logs"), script)
    assert before == ["0", "1", "2", "3", "4"]
    assert after == ["0.01", "0.1", "1"]
    assert told["near"] == "1"  # which is far below on the other axis


@in_a_browser
def test_what_strangers_wrote_does_nothing(here: Path, capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    test_what_strangers_wrote_stays_text(here, capsys)
    page = Path("report.html").read_text(encoding="utf-8")
    page = page.replace("<head>", "<head><script>failures = []; onerror = (text) => failures.push(text)</script>", 1)
    told = ask(page, f"{POINT} point(0.5, 0.5); return [view.pwned === undefined, view.failures]")
    assert told == [True, []]


@in_a_browser
@pytest.mark.usefixtures("three")
def test_the_page_fits_a_phone(capsys: pytest.CaptureFixture[str], ask: Ask) -> None:
    script = """
    const wide = [...page.querySelectorAll('figure, .bar, .legend, h1, .scroll')];
    const small = [...page.querySelectorAll('.plot span, td, th, label')];
    return [page.documentElement.scrollWidth, Math.max(...wide.map((item) => item.getBoundingClientRect().right)),
            Math.min(...small.map((item) => parseFloat(view.getComputedStyle(item).fontSize)))]
    """
    across, right, text = ask(report(capsys, "logs"), script, width=360)
    assert across <= 360
    assert right <= 360
    assert text >= 12


@in_a_browser
@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("scheme", [0, 1], ids=["dark", "light"])
def test_curves_are_drawn_without_a_script_in_both_schemes(
    scheme: int, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    page = report(capsys, "logs")
    still, shot = tmp_path / "still.html", tmp_path / "shot.png"
    still.write_text(re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL), encoding="utf-8")
    settings = f"--blink-settings=preferredColorScheme={scheme}"
    browse(still, settings, f"--screenshot={shot}", "--window-size=1000,1200")
    image = Image.open(shot).convert("RGB").tobytes()
    pixels = Counter(f"#{image[start : start + 3].hex()}" for start in range(0, len(image), 3))
    colours = [re.findall(rf"--{name}: (#\w{{6}});", page)[1 - scheme] for name in ("page", "c0", "c1", "c2")]
    assert pixels.most_common(1)[0][0] == colours[0]
    of_legends = pixels[colours[3]]  # that run has no epochs
    assert of_legends > 0
    assert pixels[colours[1]] > 2 * of_legends
    assert pixels[colours[2]] > 2 * of_legends
