"""Checks of the action and the recipes that no linter covers: their shell code, buildspec.yml, Jenkinsfile.

Prints the problems, and exits with 1 if there are any.
"""

import subprocess
import sys
from pathlib import Path

import dekobon_tree_sitter_groovy
import tree_sitter
from ruamel.yaml import YAML

RECIPES = Path("book/src/ci")
# The names in CodeBuild's reference for version 0.2.
PHASES = {"install", "pre_build", "build", "post_build"}
SECTIONS = {"version", "run-as", "env", "proxy", "batch", "phases", "reports", "artifacts", "cache"}
PHASE = {"run-as", "on-failure", "runtime-versions", "commands", "finally"}

problems = []


def problem(path, text):
    problems.append(f"{path}: {text}")


def load(path):
    return YAML(typ="safe").load(path.read_text())


def check_shell(path, shell, script):
    """Runs shellcheck. All services stop at the first command that fails."""
    if "${{" in script:
        problem(path, f"an expression in a script, which a branch name can inject into: {script!r}")
    script = "set -e\n" + script
    checked = subprocess.run(["shellcheck", f"--shell={shell}", "-"], input=script, text=True, capture_output=True)
    if checked.returncode != 0:
        problem(path, checked.stdout + checked.stderr)


def scripts_of_steps(path, steps):
    for step in steps:
        script = step.get("run")
        if script is None:
            continue
        shell = step.get("shell", "bash")
        if path.name == "action.yml" and path.parent == Path(".") and not script.startswith("set -euo pipefail\n"):
            problem(path, f"a script that continues after an error: {step.get('name')}")
        yield shell, script


def scripts(path):
    """Yields each script with the shell that runs it."""
    content = load(path)
    if "runs" in content:
        yield from scripts_of_steps(path, content["runs"].get("steps", []))
    elif "jobs" in content:
        for job in content["jobs"].values():
            yield from scripts_of_steps(path, job["steps"])
    elif "phases" in content:
        for phase in content["phases"].values():
            yield "sh", "\n".join(phase["commands"])
    else:
        for job in content.values():
            parts = [job.get(part, []) for part in ("before_script", "script", "after_script")]
            yield "bash", "\n".join(line for part in parts for line in part)


def check_buildspec(path):
    spec = load(path)
    if spec.get("version") != 0.2:
        problem(path, "its version is not 0.2")
    for name, known in [("sections", SECTIONS.issuperset(spec)), ("phases", PHASES.issuperset(spec["phases"]))]:
        if not known:
            problem(path, f"CodeBuild does not know all of its {name}")
    for name, phase in spec["phases"].items():
        if not PHASE.issuperset(phase) or not all(isinstance(command, str) for command in phase["commands"]):
            problem(path, f"CodeBuild does not know a part of {name}")
    for name, value in spec["env"]["variables"].items():
        if not isinstance(value, str):
            problem(path, f"the variable {name} is not a string")


def check_jenkinsfile(path):
    language = tree_sitter.Language(dekobon_tree_sitter_groovy.language())
    source = path.read_bytes()
    pending = [tree_sitter.Parser(language).parse(source).root_node]
    found = set()
    while pending:
        node = pending.pop()
        if node.is_error or node.is_missing:
            problem(path, f"line {node.start_point.row + 1} is not Groovy: {node.text.decode()!r}")
        found.add(node.text.decode() if node.type == "identifier" else node.type)
        pending.extend(node.children)
    for part in ("pipeline_statement", "agent", "stages", "steps"):
        if part not in found:
            problem(path, f"a declarative pipeline must have {part}")
    for line in source.decode().splitlines():
        if line.strip().startswith("sh '"):
            check_shell(path, "sh", line.strip()[len("sh '") : -1])


for file in [Path("action.yml"), *sorted(Path("tests/ci").glob("*/action.yml")), *sorted(RECIPES.glob("*.yml"))]:
    for shell, script in scripts(file):
        check_shell(file, shell, script)
check_buildspec(RECIPES / "buildspec.yml")
check_jenkinsfile(RECIPES / "Jenkinsfile")
print("\n".join(problems) or "the recipes are valid")
sys.exit(bool(problems))
