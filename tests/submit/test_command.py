"""`lighter submit`: what it writes, asks SLURM for, says, and refuses."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lighter.cli import main
from lighter.config import compose
from lighter.submit.limit import seconds_of, shown
from workspace import workspace  # noqa: F401 - a fixture

from .cluster import FIRST_JOB, Cluster, cluster  # noqa: F401 - a fixture
from .stand_in import options_of

pytestmark = pytest.mark.usefixtures("workspace")

SHAPE = ("--nodes", "2", "--gpus", "4", "--time", "1-00:00:00")
FOLDER = Path("lighter_jobs/train_0")


def submit(*arguments: str, name: str = "train") -> int:
    return main(["submit", "config.yaml", *arguments, "--name", name])


def previewed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """Return the options of the script that is shown."""
    capsys.readouterr()
    assert submit(*arguments, "--dry-run") == 0
    return options_of(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 2) -> str:
    """Return what is said of a command that must change nothing."""
    before = sorted(Path().rglob("*"))
    assert main(["submit", *arguments]) == status
    assert [path for path in sorted(Path().rglob("*")) if path not in before and "__pycache__" not in path.parts] == []
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err


# --- what is submitted


def test_the_trainer_gets_what_the_job_asks_for(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert submit(*SHAPE, "system::optimizer::lr=0.5") == 0
    assert capsys.readouterr().out == (
        "lighter submit\n"
        f"  job         {FIRST_JOB}: 2 nodes with 4 GPUs each, for 1-00:00:00 at a stretch\n"
        "  folder      lighter_jobs/train_0\n"
        f"  queue       squeue --jobs {FIRST_JOB}\n"
        f"  follow      tail -F lighter_jobs/train_0/slurm-{FIRST_JOB}.log\n"
        f"  cancel      scancel {FIRST_JOB}\n"
        "  go on       sbatch lighter_jobs/train_0/job.sh\n"
    )
    assert cluster.options(FIRST_JOB) == {
        "job-name": "train",
        "output": f"{FOLDER.resolve()}/slurm-%j.log",
        "nodes": "2",
        "ntasks-per-node": "4",
        "gpus-per-node": "4",
        "time": "1-00:00:00",
        "signal": "USR1@300",
        "requeue": "",
        "open-mode": "append",
    }
    config = compose(FOLDER / "config.yaml")
    names = ("num_nodes", "devices", "accelerator", "max_epochs")
    assert [config.plain(f"trainer::{name}") for name in names] == [2, 4, "gpu", 2]
    assert config.plain("system::optimizer::lr") == 0.5
    assert config.plain("project") == str(Path("proj").resolve())


def test_each_submission_has_a_folder_of_its_own(cluster: Cluster) -> None:  # noqa: F811
    assert [submit("--no-check") for _ in range(2)] == [0, 0]
    assert sorted(path.name for path in FOLDER.parent.iterdir()) == ["train_0", "train_1"]
    fits = [
        line for line in (cluster.jobs / f"{FIRST_JOB + 1}/script").read_text().splitlines() if line.startswith("srun")
    ]
    assert "lighter fit lighter_jobs/train_1/config.yaml --resume --no-check" in fits[0]


def test_the_folder_of_a_run_can_be_submitted(cluster: Cluster) -> None:  # noqa: F811
    assert main(["fit", "config.yaml", "trainer::max_epochs=1"]) == 0
    assert main(["submit", "logs/lightning_logs/version_0", "trainer::max_epochs=7"]) == 0
    config = compose("lighter_jobs/version_0_0/config.yaml")
    assert (config.plain("trainer::max_epochs"), config.plain("trainer::devices")) == (7, 1)


def test_a_config_with_a_secret_is_for_its_owner_alone(cluster: Cluster) -> None:  # noqa: F811
    assert submit("--no-check") == 0
    assert submit("--no-check", "vars={api_key: abcdefgh}") == 0
    modes = [stat.S_IMODE((FOLDER.with_name(name) / "config.yaml").stat().st_mode) for name in ("train_0", "train_1")]
    assert modes == [0o666 & ~current_umask(), 0o600]
    assert compose("lighter_jobs/train_1/config.yaml").plain("vars::api_key") == "abcdefgh"
    assert "abcdefgh" not in (FOLDER.with_name("train_1") / "job.sh").read_text()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_the_environment_of_another_job_is_not_handed_on(
    cluster: Cluster,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "MINE": "yes",
        "SLURM_CONF": "/etc/slurm.conf",
        "SLURM_JOB_ID": "99",
        "SLURM_PROCID": "3",
        "SBATCH_ACCOUNT": "me",
        "SBATCH_NO_REQUEUE": "1",
        "SBATCH_PARTITION": "slow",
        "SBATCH_TIMELIMIT": "1",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert submit("--no-check", "--partition", "fast") == 0
    kept = {name for name in given if name in cluster.environment(FIRST_JOB)}
    assert kept == {"SLURM_CONF", "MINE", "SBATCH_ACCOUNT"}


# --- the script


def test_a_dry_run_shows_the_script_and_the_command_and_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert submit(*SHAPE, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "#!/bin/bash"
    command = f"{sys.executable} -m lighter fit lighter_jobs/train_0/config.yaml --resume"
    assert f"srun --kill-on-bad-exit=1 --export=ALL {command}" in lines
    assert lines[-1] == "# sbatch --parsable lighter_jobs/train_0/job.sh"
    assert not Path("lighter_jobs").exists()
    assert subprocess.run(["bash", "-n"], input="\n".join(lines), text=True, check=False).returncode == 0


@pytest.mark.parametrize(
    ("flags", "options"),
    [
        ([], {"nodes": "1", "ntasks-per-node": "1", "gpus-per-node": "1"}),
        (["--gpus", "a100:8"], {"ntasks-per-node": "8", "gpus-per-node": "a100:8"}),
        (["--gpus", "0", "--nodes", "3"], {"nodes": "3", "ntasks-per-node": "1", "gpus-per-node": None}),
        (["--gpus=2", "--sbatch", "gres=gpu:2"], {"ntasks-per-node": "2", "gpus-per-node": None, "gres": "gpu:2"}),
        (["--cpus-per-task", "12", "--mem=64G"], {"cpus-per-task": "12", "mem": "64G"}),
        (["--partition", "a,b", "--account=x", "--qos", "high"], {"partition": "a,b", "account": "x", "qos": "high"}),
        (["--constraint", "a100&nvme"], {"constraint": "a100&nvme"}),
        (["--sbatch=--exclusive --comment='a # b'"], {"exclusive": "", "comment": "a # b"}),
        (["--sbatch", "signal=USR2@600 no-requeue"], {"signal": "USR2@600", "no-requeue": "", "requeue": None}),
        (["--time", "30"], {"time": "30", "signal": "USR1@180"}),
        (["--time", "unlimited"], {"time": "unlimited", "signal": "USR1@300"}),
    ],
)
def test_flags_become_options_of_sbatch(
    flags: list[str], options: dict[str, str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    found = previewed(capsys, *flags, "--no-check")
    assert {name: found.get(name) for name in options} == options


def test_an_accelerator_that_is_asked_for_stays(cluster: Cluster) -> None:  # noqa: F811
    assert submit("trainer::accelerator=cuda", "trainer::devices=4", "--gpus", "4") == 0
    assert compose(FOLDER / "config.yaml").plain("trainer::accelerator") == "cuda"


def test_a_line_break_in_an_override_stays_in_its_comment(capsys: pytest.CaptureFixture[str]) -> None:
    assert submit("vars={a: 'b\n\n  touch broken'}", "--no-check", "--dry-run") == 0
    assert "\n  touch" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("config.yaml", "proj"),
        ("more stuff.yaml", "more-stuff"),
        ("bash.yaml", "bash-run"),
        ("epoch=1-step=2.yaml", "epoch-1-step-2"),
        ("größe.yaml", "gr-e"),
    ],
)
def test_a_job_is_called_as_its_config(
    path: str, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("proj")
    Path(path).write_text(Path("../config.yaml").read_text())
    assert main(["submit", f"./{path}", "~project", "--no-check", "--dry-run"]) == 0
    assert options_of(capsys.readouterr().out)["job-name"] == name


@pytest.mark.parametrize(
    ("text", "seconds", "form"),
    [
        ("90", 5400, "01:30:00"),
        ("1:30", 90, "00:01:30"),
        ("1:30:00", 5400, "01:30:00"),
        ("2-12", 216000, "2-12:00:00"),
        ("2-12:30", 217800, "2-12:30:00"),
        ("2-12:30:05", 217805, "2-12:30:05"),
        ("INFINITE", None, "unlimited time"),
    ],
)
def test_a_time_is_read_as_slurm_reads_it(text: str, seconds: int | None, form: str) -> None:
    assert (seconds_of(text), shown(seconds)) == (seconds, form)


# --- what is refused


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--nodes", "0"], "--nodes takes a whole number from 1, not '0'"),
        (["--nodes=-1"], "--nodes takes a whole number from 1, not '-1'"),
        (["--gpus", "two"], "--gpus takes a whole number from 0, not 'two'"),
        (["--gpus", "a100:"], "--gpus takes a whole number from 0, not ''"),
        (["--cpus-per-task", "1.5"], "--cpus-per-task takes a whole number from 1, not '1.5'"),
        (["--time", "24h"], "'24h' is not a time of SLURM's\n  it is minutes, minutes:seconds, hours:minutes:seconds"),
        (["--time", "1:2:3:4"], "is not a time of SLURM's"),
        (["--time", "0:00"], "--time 0:00 is no time to run in"),
        (["--mem", "1G\n#SBATCH --uid=0"], "--mem has a character that cannot be written into a script"),
        (["--setup", "a\nb\n#SBATCH"], "--setup takes one line"),
        (["--sbatch", "time=3"], "--sbatch cannot set 'time'\n  say it with --time"),
        (["--sbatch", "array=1-3"], "--sbatch cannot set 'array'\n  it follows from the other flags"),
        (["--sbatch=-C a100"], "'-C' is not an option of sbatch by its long name"),
        (["--sbatch", "comment='a"], "--sbatch cannot be read: no closing quotation"),
        (["--name", "a/b"], "'a/b' is no name for a job"),
        (["--name", "a" * 101], "at most 100 letters"),
        (["--name", "bash"], "a job named 'bash' is an interactive one to Lightning"),
        (["--nodse", "2"], "did you mean '--nodes'?"),
        (["trainer::devices=2"], "'trainer::devices=2' contradicts --gpus, which makes it 1\n  leave it out"),
        (
            ["--gpus", "0", "trainer::accelerator=gpu"],
            "'trainer::accelerator=gpu' contradicts --gpus, which makes it cpu",
        ),
        (["trainer::num_nodes=2"], "'trainer::num_nodes=2' contradicts --nodes, which makes it 1"),
        (["trainer::fast_dev_run=true"], "a trial run (fast_dev_run) leaves nothing that a job could go on with"),
        (["trainer::max_epoch=2", "system::model::in_feature=4"], "2 problems"),
        (["trainer::max_epoch=2"], "did you mean 'max_epochs'?"),
        (["~trainer", "--no-check"], "trainer"),
    ],
)
@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_what_cannot_be_right_is_told_and_nothing_is_written(
    flags: list[str],
    said: str,
    dry: list[str],
    cluster: Cluster,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert said in refused(capsys, "config.yaml", *flags, *dry)


def test_a_value_that_a_run_has_kept_secret_has_to_be_given_again(
    cluster: Cluster,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["fit", "config.yaml", "trainer::max_epochs=1", "vars={api_key: abcdefgh}"]) == 0
    capsys.readouterr()
    run = "logs/lightning_logs/version_0"
    assert "vars::api_key: is a secret, which the run did not keep" in refused(capsys, run, "--no-check")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo 'sbatch: error: invalid partition' >&2; exit 1", "(status 1):\n  sbatch: error: invalid partition\n"),
        ("exit 3", "sbatch did not take the job (status 3):\n  it said nothing\n"),
    ],
)
def test_what_sbatch_does_not_take_leaves_nothing(
    program: str,
    said: str,
    cluster: Cluster,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.program("sbatch", program)
    assert said in refused(capsys, "config.yaml", "--no-check", status=1)


def test_a_job_whose_number_is_not_known_is_kept(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    cluster.program("sbatch", "echo welcome to the cluster")
    assert submit("--no-check") == 1
    assert "did not say which job it made of 'lighter_jobs/train_0/job.sh':\n  welcome" in capsys.readouterr().err
    assert (FOLDER / "config.yaml").is_file()


@pytest.mark.parametrize("answer", ["4711;far", "welcome, 5 of 7\n4711", "Submitted batch job 4711"])
def test_the_number_is_found_in_what_sbatch_says(
    answer: str,
    cluster: Cluster,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster.program("sbatch", f"echo '{answer}'")
    assert submit("--no-check") == 0
    assert "job         4711: " in capsys.readouterr().out


def test_without_slurm_it_says_where_to_go(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refused(capsys, "config.yaml", "--no-check", status=1)
    assert said.startswith("error: there is no sbatch on the PATH\n  submit from a machine of the cluster")


def test_a_file_in_the_way_of_the_folder_is_told(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    Path("lighter_jobs").write_text("mine")
    assert "'lighter_jobs' is not a folder" in refused(capsys, "config.yaml", "--no-check", status=1)


def test_what_is_not_checked_needs_no_torch() -> None:
    code = "import sys; from lighter.cli import main; main(sys.argv[1:]); print('torch' in sys.modules)"
    command = [sys.executable, "-c", code, "submit", "config.yaml", "--no-check", "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False", done.stderr
