"""The real projects from crates.io that the benchmarks use."""

import os
import pathlib
import shutil
import subprocess

PROJECTS = {"mdbook": "0.5.4", "ripgrep": "15.2.0", "git-delta": "0.20.1"}


def cargo_home():
    return pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))


def fetch(project, work):
    """Unpacks a project's source. A package that depends on it makes cargo download it."""
    carrier = work / "carrier"
    (carrier / "src").mkdir(parents=True)
    (carrier / "src/lib.rs").write_text("")
    (carrier / "Cargo.toml").write_text(
        '[package]\nname = "carrier"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n'
        f'[dependencies]\n{project} = "={PROJECTS[project]}"\n'
    )
    command = ["cargo", "fetch", "--quiet", "--manifest-path"]
    subprocess.run([*command, carrier / "Cargo.toml"], check=True)
    (source,) = cargo_home().glob(f"registry/src/*/{project}-{PROJECTS[project]}")
    checkout = work / project
    shutil.copytree(source, checkout)
    subprocess.run([*command, checkout / "Cargo.toml", "--locked"], check=True)
    return checkout
