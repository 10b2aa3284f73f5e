"""The workflow for continuous deployment: well formed, and made of targets that exist."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "deploy.yml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def commands(job):
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def named(job):
    return {step["name"]: step for step in WORKFLOW["jobs"][job]["steps"] if "name" in step}


def test_every_command_is_a_target_that_exists():
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for job in WORKFLOW["jobs"]:
        for command in commands(job):
            assert re.match(r"make ([a-z]+)", command)[1] in targets, command


def test_what_it_checks_before_it_deploys():
    said = " ".join(commands("check"))
    for target in ("lint", "types", "layers", "test", "synth", "templates", "package"):
        assert f"make {target}" in said
    assert "git diff --exit-code deploy/templates" in said
    assert WORKFLOW["jobs"]["deploy"]["needs"] == "check"


def test_diff_deployment_smoke_test_and_the_way_back_are_in_order():
    names = list(named("deploy"))
    assert names == ["what would change", "deploy", "smoke test", "the package before"]
    back = named("deploy")["the package before"]
    assert "failure()" in back["if"]
    assert "--rollback" in back["run"]


def test_it_signs_in_by_oidc_and_stores_no_key():
    job = WORKFLOW["jobs"]["deploy"]
    assert job["permissions"] == {"contents": "read", "id-token": "write"}
    assert "pull_request" in job["if"]
    text = str(WORKFLOW)
    assert "role-to-assume" in text
    assert "secrets." not in text
    assert "ACCESS_KEY" not in text


def test_the_makefile_has_a_line_of_help_for_what_operators_use():
    for target in ("synth", "package", "account", "deploy", "costs", "templates"):
        assert re.search(rf"^{target}: setup ## .+\n\t@[^\n]+\n(\n|$)", MAKEFILE, re.MULTILINE), (
            target
        )


def test_links_of_the_handbook_exist():
    for page in (ROOT / "deploy" / "README.md", ROOT / "docs" / "operations.md"):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_commands_of_the_handbook_exist():
    text = (ROOT / "deploy" / "README.md").read_text()
    targets = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
    for module in re.findall(r"python -m ([\w.]+)", text):
        assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module
    for target in re.findall(r"^make ([a-z]+)", text, re.MULTILINE):
        assert target in targets, target
