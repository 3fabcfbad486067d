from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lighter import cli, commands
from lighter.cli import main
from workspace import workspace  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("workspace")

PROGRAM = [sys.executable, "-m", "lighter"]
ONE_EPOCH = "trainer::max_epochs=1"

NO_SOURCE = "error: name at least one source\n  such as config.yaml, the folder of a run, or a checkpoint\n"


def lighter(*arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=timeout, check=False)


def failed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """Run a command that must fail, and return what it says."""
    assert main(arguments) == status
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    assert len(captured.err.splitlines()) < 25
    return captured.err


# --- help, version, usage


def test_help_is_on_stdout_and_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert text == cli.overview()
    for name in commands.NAMES:
        assert re.search(rf"^  {name} ", text, re.MULTILINE)


@pytest.mark.parametrize("name", commands.NAMES)
def test_the_help_of_a_command_runs_nothing_and_ends_with_examples(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, "config.yaml", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: lighter {name}")
    assert text.rstrip().splitlines()[-1].startswith(f"  lighter {name} ")
    assert all(len(line) <= 110 for line in text.splitlines())
    assert not Path("logs").exists()


def test_no_command_shows_the_help_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    captured = capsys.readouterr()
    assert captured.err == cli.overview()
    assert captured.out == ""


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"lighter \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fti", "config.yaml"], "error: 'fti' is not a command\n  did you mean 'fit'?\n"),
        (["fit"], NO_SOURCE),
        (["fit", "trainer::max_epochs=1"], NO_SOURCE),
        (["fit", "confg.yaml"], "error: there is no file 'confg.yaml'\n  did you mean 'config.yaml'?\n"),
        (["fit", "config.yaml", "--cpkt"], "error: '--cpkt' is not a flag of lighter fit\n  did you mean '--ckpt'?\n"),
        (["fit", "config.yaml", "--ckpt"], "error: --ckpt needs a value\n  --ckpt PATH|best|last\n"),
        (
            ["fit", "config.yaml", "seed"],
            "error: 'seed' is neither a file, a folder nor an override\n  an override is written seed=VALUE\n",
        ),
        (
            ["fit", "config.yaml", "seed 3"],
            "error: 'seed 3' is neither a file, a folder nor an override\n  did you mean seed=3?\n",
        ),
        (
            ["fit", "config.yaml", ""],
            "error: '' is neither a file, a folder nor an override\n"
            "  the argument is empty: was a variable of the shell not set?\n",
        ),
        (["check", "config.yaml", "--stage", "fit", "--stage=test"], "error: --stage is given twice\n"),
        (
            ["fit", "proj"],
            "error: 'proj' is a folder, but not of a run\n"
            "  a source is a YAML file, the folder of a run, or a checkpoint\n",
        ),
        (
            ["fit", "config.yaml", "config"],
            "error: 'config' is neither a file, a folder nor an override\n  did you mean 'config.yaml'?\n",
        ),
        (["test", "config.yaml", "--ckpt", "no.ckpt"], "error: there is no checkpoint 'no.ckpt'\n"),
    ],
)
def test_a_usage_error_is_one_line_and_its_mend(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failed(capsys, *arguments) == said


def test_binding_a_command_runs_nothing_and_keeps_text_as_typed() -> None:
    from lighter.commands import fit

    job = cli._bind("fit", fit, ["a=1e-3", "b=[1,2]", "config.yaml", "~c", "--ckpt", "1e5"])
    assert isinstance(job, commands.Job)
    assert job.run.args == ("fit", ["config.yaml"], ["a=1e-3", "b=[1,2]", "~c"], "1e5", True, False)  # type: ignore[attr-defined]
    job = cli._bind("fit", fit, ["--no-check", "config.yaml"])
    assert job.run.args == ("fit", ["config.yaml"], [], None, False, False)  # type: ignore[attr-defined]


# --- what is imported


@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"], ["--version"], ["fitt"], ["fit", "--wrong"]])
def test_what_needs_no_torch_does_not_import_it(arguments: list[str]) -> None:
    code = (
        "import sys; from lighter.cli import main; main(sys.argv[1:]);"
        "print([name for name in ('torch', 'fire', 'yaml', 'rich', 'loguru') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_file_that_cannot_be_read_is_told_of_before_torch_is_imported() -> None:
    code = "import sys; from lighter.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    Path("broken.yaml").write_text("trainer: [\n")
    done = subprocess.run(
        [sys.executable, "-c", code, "fit", "broken.yaml"], capture_output=True, text=True, check=True
    )
    assert "broken.yaml:2:1: not valid YAML" in done.stderr
    assert done.stdout == "False\n"


def test_the_program_ends_though_a_pool_of_threads_waits_for_work() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor; from lighter.cli import entry; pool = ThreadPoolExecutor();"
        "pool.submit(print, 'pool').result(); entry()"
    )
    command = [sys.executable, "-c", code, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("pool\nlighter ")


@pytest.mark.parametrize(
    "arguments", [["check", "config.yaml", "--no-import"], ["show", "config.yaml"], ["show", "config.yaml", "--origin"]]
)
def test_what_only_reads_does_not_import_torch(arguments: list[str]) -> None:
    code = (
        "import sys; from lighter.cli import main; main(sys.argv[1:]);"
        "print([name for name in ('torch', 'numpy', 'rich', 'loguru', 'project') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["show", "config.yaml"]])
def test_a_reader_that_has_gone_ends_what_only_prints_without_a_word(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*PROGRAM, *arguments], stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


# --- checking


def test_check_lists_every_problem_and_ends_with_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config.yaml"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "no problems"
    assert main(["check", "config.yaml", "trainer::max_epoch=1", "system::optimizer::lr='1'"]) == 2
    out = capsys.readouterr().out
    assert "override 'trainer::max_epoch=1': trainer::max_epoch: pytorch_lightning.Trainer takes no argument" in out
    assert "override \"system::optimizer::lr='1'\"" in out
    assert out.splitlines()[-1] == "2 problems"


def test_check_tells_which_stages_can_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config.yaml", "~system::optimizer", "~system::dataloaders::test"]) == 0
    assert capsys.readouterr().out == (
        "no problems\n"
        "  fit       needs an optimizer\n"
        "  validate  can run\n"
        "  test      needs a dataloader for 'test'\n"
        "  predict   can run\n"
    )


def test_check_looks_at_one_stage_alone(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "system::dataloaders::test::batch_sise=8"
    assert main(["check", "config.yaml", wrong, "--stage", "fit"]) == 0
    assert capsys.readouterr().out == "no problems\n"
    assert main(["check", "config.yaml", wrong, "--stage", "test"]) == 2
    assert "did you mean 'batch_size'?" in capsys.readouterr().out
    assert main(["check", "config.yaml", "--stage", "tset"]) == 2
    assert "did you mean 'test'?" in capsys.readouterr().err


def test_check_gives_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"problems": []}
    Path("more.yaml").write_text("trainer:\n  max_epoch: 3\n")
    assert main(["check", "config.yaml", "more.yaml", "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["file"], problem["line"], problem["column"]) == ("more.yaml", 2, 3)
    assert problem["path"] == "trainer::max_epoch"
    assert problem["value"] == "max_epoch"
    assert problem["override"] is None
    assert problem["suggestion"].startswith("did you mean 'max_epochs'?")


def test_numbers_that_json_lacks_are_text_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config.yaml", "trainer::max_epochs=.nan", "trainer::max_steps=[.inf]", "--json"]) == 2

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    problems = json.loads(capsys.readouterr().out, parse_constant=refuse)["problems"]
    assert [problem["value"] for problem in problems] == ["nan", ["inf"]]


def test_what_modules_print_is_no_part_of_the_json(capfd: pytest.CaptureFixture[str]) -> None:
    Path("proj/loud.py").write_text("print('hello')\nclass Loss:\n    def __call__(self, pred, target): ...\n")
    assert main(["check", "config.yaml", "system::criterion::_target_=project.loud.Loss", "--json"]) == 0
    said = capfd.readouterr()
    assert json.loads(said.out) == {"problems": []}
    assert "hello" in said.err


@pytest.mark.parametrize("flags", [["--json=yes"], ["--no-import=1"]])
def test_a_switch_takes_no_value(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "config.yaml", *flags]) == 2
    assert "takes no value" in capsys.readouterr().err


def test_a_stage_tells_of_everything_before_it_builds_anything(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = ["trainer::max_epoch=1", "system::model::in_feature=4", "system::dataloaders::train::dataset::fial=true"]
    assert main(["fit", "config.yaml", *wrong]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert all(f"override {text!r}" in said.err for text in wrong)
    assert said.err.splitlines()[-1] == "3 problems"
    assert sys.modules["parts"].BUILT == []
    assert not Path("logs").exists()


def test_no_check_begins_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "config.yaml", "--no-check", "system::optimizer::lrr=1", ONE_EPOCH]) == 2
    assert sys.modules["parts"].BUILT != []


# --- running


def test_fit_test_and_predict_run_from_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", ONE_EPOCH, "config.yaml"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^  results +logs/lightning_logs/version_0$", out, re.MULTILINE)
    assert re.search(r"^val/metrics/MulticlassAccuracy/epoch +\d\.\d{4}$", out, re.MULTILINE)
    command = re.search(r"test it +lighter (.*)$", out, re.MULTILINE)
    assert command is not None
    assert main(command[1].split()) == 0
    assert re.search(r"weights +logs/lightning_logs/version_0/checkpoints/epoch=0-step=4.ckpt", capsys.readouterr().out)
    assert main(["predict", "config.yaml", "--ckpt=best"]) == 0
    assert re.search(r"results +nowhere: no callback of the config writes predictions", capsys.readouterr().out)
    table = "trainer::callbacks=[{_target_: lighter.callbacks.TableWriter, path: table.csv}]"
    assert main(["predict", "config.yaml", "--ckpt=best", table]) == 0
    assert re.search(r"results +table.csv\n", capsys.readouterr().out)
    assert len(Path("table.csv").read_text().splitlines()) == 33


def test_each_message_is_shown_once_and_nothing_but_text_when_piped_with_a_line_an_epoch() -> None:
    done = lighter("fit", "config.yaml", "trainer::log_every_n_steps=50")
    assert done.returncode == 0, done.stderr
    warnings = [line for line in done.stderr.splitlines() if "smaller than the logging interval" in line]
    assert len(warnings) == 1
    assert re.match(r"\d\d:\d\d:\d\d WARNING ", warnings[0])
    assert "\x1b" not in done.stdout + done.stderr
    assert "GPU available" not in done.stderr
    assert "Tip" not in done.stderr
    lines = [line.split("INFO")[1].split() for line in done.stderr.splitlines() if " epoch " in line]
    assert [line[:3] for line in lines] == [["epoch", "1/2", "train/loss"], ["epoch", "2/2", "train/loss"]]
    assert "val/metrics/MulticlassAccuracy" in lines[0]


def test_a_terminal_gets_a_progress_bar() -> None:
    chunks: list[bytes] = []

    def read(descriptor: int) -> bytes:
        chunks.append(os.read(descriptor, 4096))
        return chunks[-1]

    status = pty.spawn([*PROGRAM, "fit", "config.yaml", ONE_EPOCH], read, lambda _: b"")
    text = b"".join(chunks).decode()
    assert os.waitstatus_to_exitcode(status) == 0, text
    assert "Epoch 0/0" in text
    assert "\x1b[" in text


def test_a_config_that_names_a_progress_bar_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    bar = "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.TQDMProgressBar}]"
    assert main(["fit", "config.yaml", ONE_EPOCH, bar]) == 0
    assert "Epoch 0: 100%" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("override", "status", "said"),
    [
        ("trainer::max_epoch=1", 2, "override 'trainer::max_epoch=1': trainer::max_epoch: pytorch_lightning.Trainer"),
        ("system::dataloaders::train::dataset::fail=true", 2, "caused by OSError: the disk is gone"),
        ("system::model::_target_=torch.nn.Liner", 2, "did you mean 'torch.nn.Linear'?"),
        ("system::model::out_features=1", 1, "CrossEntropyLoss received 0 (pred): float32[8, 1], 1 (target): int64[8]"),
        (
            "system::dataloaders::train::collate_fn=$__import__('parts').broken_collate",
            1,
            "error: the run failed: RuntimeError: the collate function broke\n  at ",
        ),
    ],
)
def test_a_mistake_ends_in_one_screen_and_its_status(
    override: str, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in failed(capsys, "fit", "config.yaml", override, status=status)


@pytest.mark.filterwarnings("ignore:the record of this run cannot be written")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a disk")
def test_a_run_whose_logs_cannot_be_written_is_told_where_to_turn(
    workspace: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    (workspace / "logs").mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", workspace / "logs"], check=False).returncode:
        pytest.skip("only root can mount a disk")
    try:
        assert main(["fit", "config.yaml"]) == 1
    finally:
        subprocess.run(["umount", "--lazy", workspace / "logs"], check=True)
    told = capsys.readouterr().err
    assert "Read-only file system" in told
    assert "save_dir" in told
    assert "Traceback" not in told


def test_a_failed_run_points_at_the_users_line(capsys: pytest.CaptureFixture[str]) -> None:
    override = "system::dataloaders::train::collate_fn=$__import__('parts').broken_collate"
    said = failed(capsys, "fit", "config.yaml", override, status=1)
    assert re.search(r"at .*proj/parts\.py:\d+ in broken_collate: raise RuntimeError", " ".join(said.split()))


def test_an_error_in_a_worker_reads_like_one_in_the_main_process(capsys: pytest.CaptureFixture[str]) -> None:
    source = Path("proj/parts.py").read_text().replace("return self.x[index], ", "return self.x[index + 99], ")
    Path("proj/parts.py").write_text(source)
    said = failed(capsys, "fit", "config.yaml", "system::dataloaders::train::num_workers=1", status=1)
    assert re.match(r"error: the run failed: IndexError: index \d+ is out of bounds", said)
    assert re.search(r" at .*proj/parts\.py:\d+ in __getitem__: return self", " ".join(said.split()))


@pytest.mark.parametrize(("rank", "tells"), [("0", True), ("1", False)])
def test_a_mistake_is_told_by_the_first_rank_of_a_node_only(
    rank: str, tells: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["fit", "config.yaml", "trainr::x=1"]) == 2
    assert ("did you mean" in capsys.readouterr().err) == tells


def test_debug_adds_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "config.yaml", "trainer::max_epoch=1", "--debug"]) == 2
    said = capsys.readouterr().err
    assert "Traceback (most recent call last)" in said
    assert "did you mean 'max_epochs'?" in said


def test_ctrl_c_stops_cleanly_with_status_130() -> None:
    slow = ["system::model::_target_=project.parts.Slow", "trainer::max_epochs=100"]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have switched off
    command = [*PROGRAM, "fit", "config.yaml", *slow]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as program:
        try:
            assert program.stdout is not None
            while "training" not in (line := program.stdout.readline()):
                assert line, program.communicate(timeout=60)[1]
            program.send_signal(signal.SIGINT)
            out, err = program.communicate(timeout=60)
        finally:
            program.kill()
    assert program.returncode == 130, err
    assert "interrupted" in out
    assert "Traceback" not in err


def test_workers_that_start_afresh_can_import_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    loader = "system::dataloaders::train"
    done = lighter(
        "fit", "config.yaml", ONE_EPOCH, f"{loader}::num_workers=1", f"{loader}::multiprocessing_context=spawn"
    )
    assert done.returncode == 0, done.stderr


def test_two_processes_train_from_the_console(workspace: Path) -> None:  # noqa: F811
    done = lighter("fit", "config.yaml", ONE_EPOCH, "trainer::devices=2", "trainer::strategy=ddp")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("lighter fit") == 1
    assert re.search(r"device +2 x cpu \(DDP\)", done.stdout)
    assert [path.name for path in (workspace / "logs" / "lightning_logs").iterdir()] == ["version_0"]


# --- the tail


def tail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["fit", "config.yaml", *arguments]) == 0
    return capsys.readouterr().out


def test_the_tail_counts_epochs_and_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"^  done +\d+\.\d s, 2 epochs, 8 steps$", tail(capsys), re.MULTILINE)
    assert re.search(r"^  done +\d+\.\d s, 1 epoch, 4 steps$", tail(capsys, ONE_EPOCH), re.MULTILINE)


def test_the_tail_says_that_a_run_stopped_early_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    stop = (
        "trainer::callbacks=[{_target_: pytorch_lightning.callbacks.EarlyStopping, monitor: val/loss/epoch,"
        " patience: 1, mode: max}]"
    )
    out = tail(capsys, stop, "trainer::max_epochs=9")
    assert re.search(r"done .* 2 epochs, 8 steps, stopped early on val/loss/epoch$", out, re.MULTILINE)


def test_the_tail_says_that_there_was_nothing_left_to_train(capsys: pytest.CaptureFixture[str]) -> None:
    tail(capsys)
    assert re.search(
        r"done .* nothing to train: it had reached epoch 2 of 2$", tail(capsys, "--ckpt=last"), re.MULTILINE
    )


def test_the_tail_warns_of_what_is_not_finite(capsys: pytest.CaptureFixture[str]) -> None:
    out = tail(capsys, "=system::criterion=$lambda pred, target: pred.sum() * float('nan')", ONE_EPOCH)
    assert re.search(r"^  warning +val/loss/epoch is nan$", out, re.MULTILINE)


def test_a_trial_run_has_no_results(capsys: pytest.CaptureFixture[str]) -> None:
    assert re.search(r"results +nowhere: this is a trial run\n", tail(capsys, "trainer::fast_dev_run=true"))


def test_the_numbers_of_any_lightning_module_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    Path("proj/lit.py").write_text(
        "import pytorch_lightning as pl, torch\n"
        "from parts import Points\n"
        "class Module(pl.LightningModule):\n"
        "    def test_step(self, batch, batch_idx):\n"
        "        self.log('my_loss', 0.25)\n"
        "    def test_dataloader(self):\n"
        "        return torch.utils.data.DataLoader(Points(), batch_size=8)\n"
    )
    assert main(["test", "config.yaml", "=system={_target_: lit.Module}"]) == 0
    assert re.search(r"^my_loss +0.2500$", capsys.readouterr().out, re.MULTILINE)
