"""action.yml from preflight to gate, step by step as the runner does it."""

from __future__ import annotations

import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from cmarkgfm import Options, github_flavored_markdown_to_html
from support import reports
from support.composite import ActionRun, commands
from support.projects import Project, write_onnx

from parity.registry import REPORTERS
from parity.reports import results


def verdict(run: ActionRun) -> tuple[str, int | None]:
    return run.outputs["status"], run.steps["gate"].status


class Page(HTMLParser):
    """The tags of a page, and its text outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.prose = ""
        self._code = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        self._code += tag in ("code", "pre")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("code", "pre")

    def handle_data(self, data: str) -> None:
        self.prose += "" if self._code else data


def rendered(markdown: str) -> Page:
    """As GitHub renders it before it removes what is dangerous."""
    page = Page()
    page.feed(github_flavored_markdown_to_html(markdown, Options.CMARK_OPT_UNSAFE))
    return page


def test_a_sound_model_passes(bench) -> None:
    run = bench.action().run(report_dir="out/reports", comment="off")
    assert verdict(run) == ("passed", 0), run.log
    assert run.passed
    assert (run.outputs["passed"], run.outputs["failed"], run.outputs["errors"]) == ("1", "0", "0")
    files = {"junit": "junit.xml", "json": "results.json", "summary": "summary.md", "html": "report.html"}
    for name, file in files.items():
        path = run.outputs[f"{name}-path"]
        assert path == (f"out/reports/{file}" if file in REPORTERS else "")
        assert (bench.project.root / path).exists()
    assert "within tolerance" in run.steps["report"].summary
    assert run.outputs["comment-id"] == ""


def test_a_fault_fails_the_gate_and_no_other_step(bench) -> None:
    write_onnx(bench.project.root / "model.onnx", bias_shift=0.5)
    run = bench.action().run(comment="off")
    assert verdict(run) == ("failed", 1), run.log
    assert [name for name, step in run.steps.items() if step.outcome == "failure"] == ["gate"]
    assert run.outputs["worst-output"]
    assert float(run.outputs["worst-ratio"]) > 1
    assert any(line.startswith("::error file=parity.yml,line=") for line in commands(run.log))


def test_the_failed_case_is_kept_and_runs_in_the_workspace(bench) -> None:
    write_onnx(bench.project.root / "model.onnx", bias_shift=0.01)
    bench.action().run(comment="off")
    (script,) = (bench.project.root / "parity-report" / "repro").glob("*/repro.py")
    done = subprocess.run(
        [sys.executable, "-I", script], cwd=bench.project.root, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[1]) == pytest.approx(0.01, rel=1e-3)


def test_fail_on_never_lets_a_difference_pass_but_not_what_was_not_judged(bench, results_file) -> None:
    given = results_file(results.render(reports.red()))
    action = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="1")
    assert verdict(action.run(fail_on="never", comment="off")) == ("failed", 0)

    mixed = reports.replaced(
        reports.errors(), cases=(*reports.red().cases, *reports.errors().cases), exit_code=1
    )
    given.write_text(results.render(mixed))
    assert verdict(action.run(fail_on="never", comment="off")) == ("failed", 3)


@pytest.mark.parametrize("status", ["137", "125", "4", "1"])
def test_a_verify_step_without_results_fails(bench, status: str) -> None:
    run = bench.action(FAKE_DOCKER_STATUS=status).run(comment="off")
    shown, gate = verdict(run)
    assert shown == "error"
    assert gate not in (0, None)
    assert run.steps["verify"].outcome == ("success" if status in "1234" else "failure")
    assert "could not be judged" in run.steps["report"].summary
    assert (bench.project.root / run.outputs["junit-path"]).is_file()


def test_a_forged_exit_status_does_not_outweigh_the_results(bench, results_file) -> None:
    given = results_file(results.render(reports.red()))
    run = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0").run(comment="off")
    assert verdict(run) == ("failed", 1)


def test_good_results_do_not_outweigh_the_exit_status(bench, results_file) -> None:
    given = results_file(results.render(reports.green()))
    run = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="1").run(comment="off")
    assert verdict(run)[1] not in (0, None)


def _wrong_schema() -> bytes:
    return json.dumps({"schema_version": 1, "exit_code": 0, "cases": "none"}).encode()


def _forged_pass() -> bytes:
    forged = json.loads(results.render(reports.red()))
    return json.dumps({**forged, "exit_code": 0, "cases": []}).encode()


HOSTILE_FILES = {
    "100 MB": lambda: b'{"schema_version": 1, "tool_version": "' + b"x" * 100_000_000 + b'"}',
    "wrong schema": _wrong_schema,
    "other version": lambda: b'{"schema_version": 99, "tool_version": "::error::x"}',
    "no JSON": lambda: b"\x00\xff{",
    "deep": lambda: b"[" * 200_000,
    "empty": lambda: b"",
    "nothing compared": _forged_pass,
}


@pytest.mark.parametrize("kind", HOSTILE_FILES)
def test_a_hostile_results_file_never_passes(bench, tmp_path: Path, kind: str) -> None:
    given = tmp_path / "given.json"
    given.write_bytes(HOSTILE_FILES[kind]())
    run = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0").run(comment="off")
    shown, gate = verdict(run)
    assert shown == "error", run.log
    assert gate not in (0, None)


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_results_that_are_no_file_are_not_followed(bench, tmp_path: Path, kind: str) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text(results.render(reports.green()))
    given = tmp_path / "given"
    given.symlink_to(secret) if kind == "link" else given.mkdir()
    run = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0").run(comment="off")
    assert verdict(run)[0] == "error"
    assert not (bench.project.root / "parity-report" / "results.json").exists()


def test_hostile_names_reach_no_command_output_or_markup(bench, results_file) -> None:
    given = results_file(results.render(reports.hostile()))
    run = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="1").run(comment="off")
    assert verdict(run)[1] == 1, run.log
    for line in commands(run.log):
        assert line.startswith(
            ("::error ", "::warning ", "::notice ", "::group::", "::endgroup::", "::stop-")
        ), line
        assert "from the model" not in line
        assert "::hijacked" not in line.replace("%3A", ":").split("::", 2)[1]
    assert not any("\x1b" in text or "\u202e" in text for text in (run.log, run.steps["report"].summary))
    page = rendered(run.steps["report"].summary)
    assert not {"img", "script"} & page.tags
    assert "@octocat" not in page.prose
    known = bench.action().definition["outputs"].keys() | {"verdict"}
    assert run.steps["report"].outputs.keys() <= known


def test_every_level_of_trust_gets_what_it_needs_and_no_more(bench, results_file) -> None:
    """The token goes to the report alone, the workspace to verify alone, and neither runs with rights."""
    (bench.project.root / ".git").mkdir()
    given = results_file(results.render(reports.green()))
    action = bench.action(
        FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0", ACTIONS_RUNTIME_TOKEN="runtime"
    )
    action.contexts["matrix"] = {"model": "detector"}
    run = action.run(network="none", comment="always")
    assert verdict(run) == ("passed", 0), run.log
    (verify,) = bench.docker_calls("run", "--workdir", "/workspace")
    (report,) = bench.docker_calls("run", "publish")
    for call in (verify, report):
        line = " ".join(call["arguments"])
        for option in ("--rm", "--init", "--cap-drop ALL", "--security-opt no-new-privileges", "--user "):
            assert option in line
        for absent in ("docker.sock", "--privileged", "ghs_secret", "runtime", "ACTIONS_"):
            assert absent not in line
    workspace = str(bench.project.root)
    (mount,) = [word for word in verify["arguments"] if workspace in word]
    assert "readonly" in mount
    assert "type=tmpfs,dst=/workspace/.git,tmpfs-size=4096,tmpfs-mode=0555" in verify["arguments"]
    assert verify["token"] == ""
    assert "none" in verify["arguments"]
    assert report["token"] == "ghs_secret"
    matrix = report["arguments"][report["arguments"].index("--matrix") + 1]
    assert json.loads(matrix) == {"model": "detector"}
    assert "GITHUB_TOKEN" in report["arguments"]
    assert not any(workspace in word for word in report["arguments"])


def test_without_a_comment_the_report_has_neither_token_nor_network(bench, results_file) -> None:
    given = results_file(results.render(reports.green()))
    bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0").run(comment="off")
    (report,) = bench.docker_calls("run", "publish")
    assert "GITHUB_TOKEN" not in report["arguments"]
    assert report["arguments"][report["arguments"].index("--network") + 1] == "none"


def test_inputs_and_names_are_words_of_a_command_and_never_code(bench, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    attack = f'x"; touch {trap}; $(touch {trap}) `touch {trap}`'
    for name in ("devices", "image", "comment_key", "baseline", "gpus"):
        run = bench.action(FAKE_DOCKER_STATUS="0").run(**{name: attack, "comment": "off"})
        assert verdict(run)[1] not in (0, None)
    assert not trap.exists()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"spec": "missing.yml"}, "matches no file"),
        ({"spec": "../outside.yml"}, "inside of the workspace"),
        ({"spec": " "}, "is empty"),
        ({"mode": "vm"}, "`mode` is 'vm'"),
        ({"fail_on": "nothing"}, "`fail-on` is 'nothing'"),
        ({"extra_args": "--report-d /elsewhere"}, "`extra-args`"),
        ({"extra_args": "--"}, "`extra-args`"),
        ({"extra_args": "'"}, "`extra-args`"),
        ({"report_dir": "/etc"}, "`report-dir`"),
        ({"requirements": "missing.txt"}, "there is no file 'missing.txt'"),
        ({"network": "--privileged"}, "`network`"),
        ({"image": "org/missing:1"}, "could not be pulled"),
    ],
)
def test_a_wrong_input_ends_in_preflight_with_its_reason(bench, inputs: dict[str, str], said: str) -> None:
    run = bench.action().run(**inputs, comment="off")
    assert run.steps["preflight"].outcome == "failure"
    assert run.steps["verify"].outcome == "skipped"
    assert said in run.steps["preflight"].log
    assert verdict(run)[0] == "error"
    assert verdict(run)[1] in (2, 3)
    assert not bench.docker_calls("run", "publish")


@pytest.mark.parametrize(("gpu", "said"), [("none", "no GPU runtime"), ("old", "driver is too old")])
def test_a_missing_gpu_runtime_is_told_from_an_old_driver(bench, gpu: str, said: str) -> None:
    image = "ghcr.io/org/onnx-parity-action:gpu"
    run = bench.action(FAKE_DOCKER_GPU=gpu, FAKE_DOCKER_IMAGES=image).run(gpus="all")
    assert said in run.steps["preflight"].log
    assert verdict(run) == ("error", 3)


def test_gpus_that_are_there_are_handed_over(bench, results_file) -> None:
    given = results_file(results.render(reports.green()))
    environ = {"FAKE_DOCKER_GPU": "there", "FAKE_DOCKER_IMAGES": "ghcr.io/org/onnx-parity-action:gpu"}
    action = bench.action(FAKE_DOCKER_RESULTS=str(given), FAKE_DOCKER_STATUS="0", **environ)
    run = action.run(gpus="0,1", comment="off")
    assert verdict(run) == ("passed", 0), run.log
    (verify,) = bench.docker_calls("run", "--workdir", "/workspace")
    assert '"device=0,1"' in verify["arguments"]
    assert "PARITY_GPUS=0,1" in verify["arguments"]
    (report,) = bench.docker_calls("run", "publish")
    assert "--gpus" not in report["arguments"]


def test_in_a_job_container_it_runs_in_place_and_says_that_nothing_is_isolated(bench) -> None:
    on_build = "import json; open('seen.json', 'w').write(json.dumps(dict(os.environ)))"
    Project(bench.project.root, on_build=on_build).write_spec()
    action = bench.action(job={"container": {"id": "abc"}}, ACTIONS_RUNTIME_TOKEN="runtime")
    run = action.run(comment="off")
    assert verdict(run) == ("passed", 0), run.log
    assert not bench.docker_calls()
    assert "not in a container of its own" in run.steps["preflight"].log
    seen = json.loads((bench.project.root / "seen.json").read_text())
    assert "ghs_secret" not in seen.values()
    assert not {"GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "GITHUB_ENV", "GITHUB_OUTPUT"} & seen.keys()


def test_growth_since_the_baseline_warns_and_fails_when_asked(bench) -> None:
    """The real gate in the place of the container, on a fault that the tolerance lets pass."""
    root = bench.project.root
    exact = {"name": "y", "max_abs": 0.0}
    known = {"schema_version": 1, "cases": [{"id": "small/cpu/sample=0/model", "outputs": [exact]}]}
    (root / "baseline.json").write_text(json.dumps(known))
    bench.project.write_spec(tolerances={"*": {"atol": 1e-2}}, diagnose="never")
    write_onnx(root / "model.onnx", bias_shift=1e-3)
    run = bench.action().run(baseline="baseline.json", comment="off")
    assert verdict(run) == ("passed", 0), run.log
    assert run.outputs["grown"] == "1"
    assert any(line.startswith("::warning file=parity.yml,line=") for line in commands(run.log))
    assert "### Grown since the baseline" in run.steps["report"].summary
    for fail_on in ("growth", "difference,growth"):
        run = bench.action().run(baseline="baseline.json", fail_on=fail_on, comment="off")
        assert verdict(run) == ("failed", 1), run.log
    (root / "baseline.json").write_text("{}")
    run = bench.action().run(baseline="baseline.json", comment="off")
    assert verdict(run) == ("error", 2), run.log
    assert "is no baseline" in run.steps["verify"].log


def test_the_baseline_may_be_the_specifications_and_growth_alone_may_fail(bench) -> None:
    run = bench.action().run(fail_on="growth", comment="off")
    assert verdict(run) == ("error", 2), run.log
    assert "there is no baseline" in run.steps["verify"].log
    write_onnx(bench.project.root / "model.onnx", bias_shift=0.5)
    new = {"name": "y", "max_abs": 1.0}
    known = {"schema_version": 1, "cases": [{"id": "small/cpu/sample=0/model", "outputs": [new]}]}
    (bench.project.root / "own.json").write_text(json.dumps(known))
    bench.project.write_spec(baseline="own.json", diagnose="never")
    run = bench.action().run(fail_on="growth", comment="off")
    assert verdict(run) == ("failed", 0), run.log  # beyond tolerance, which is let pass, and not grown
    assert run.outputs["grown"] == "0"
