"""What people install: the wheel holds the tree and nothing else, runs anywhere, and starts light."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest
from support.repository import ROOT

import agentkit

FOLDERS = {  # where a folder of the tree ends up in the wheel
    "agentkit": "agentkit",
    "tools": "agentkit/tools",
    "memory": "agentkit/memory",
    "examples": "agentkit/examples",
    "cassettes/test_examples": "agentkit/examples/cassettes",
}
NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")

needs_examples = pytest.mark.skipif(
    not (ROOT / "examples" / "api_requests.py").is_file(), reason="examples/ holds no example yet"
)


def run(*command: object, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, out: Path, *what: str) -> Path:
    # In this environment and with its setuptools: a build must not need the network.
    run(sys.executable, "-m", "build", "--no-isolation", *what, "--outdir", out, source, cwd=out)
    (made,) = out.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of the tree, so that nothing built earlier can leak into a wheel."""
    copy = tmp_path_factory.mktemp("tree")
    for name in FOLDERS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=NOT_SOURCE)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return build(source, tmp_path_factory.mktemp("wheel"), "--wheel")


def contents(wheel_file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel_file) as archive:
        return {name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name}


def tree(root: Path) -> dict[str, bytes]:
    files = {}
    for folder, place in FOLDERS.items():
        for path in (root / folder).rglob("*"):
            inside = path.relative_to(root / folder)
            linked = any((root / folder / part).is_symlink() for part in [inside, *inside.parents])
            if path.is_file() and not linked and "__pycache__" not in path.parts:
                files[f"{place}/{inside.as_posix()}"] = path.read_bytes()
    return files


def test_the_wheel_holds_exactly_the_tree(wheel, source):
    assert contents(wheel) == tree(source)


def test_a_wheel_built_from_the_sdist_is_the_same(source, tmp_path):
    # Told nothing, build makes the sdist and then the wheel from it.
    assert contents(build(source, tmp_path)) == tree(source)


def test_the_wheel_installs_no_module_but_agentkit(wheel):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"agentkit", f"agentkit_cohere-{agentkit.__version__}.dist-info"}


def test_the_wheel_is_typed_and_carries_its_licence(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "agentkit/py.typed" in names
    assert f"agentkit_cohere-{agentkit.__version__}.dist-info/licenses/LICENSE" in names


@needs_examples
def test_the_wheel_carries_the_examples_their_data_and_their_cassettes(wheel):
    names = set(contents(wheel))
    assert {"agentkit/examples/api_requests.py", "agentkit/examples/short_term_memory.py"} <= names
    assert "agentkit/examples/product_codes.toml" in names
    assert any(name.startswith("agentkit/examples/") and name.endswith(".csv") for name in names)
    assert any(name.startswith("agentkit/examples/cassettes/") and name.endswith(".yaml") for name in names)


def test_every_folder_of_python_files_is_a_listed_package():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {name.rpartition("/")[0].replace("/", ".") for name in tree(ROOT) if name.endswith(".py")}
    assert folders <= set(listed)


def test_the_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == agentkit.__version__


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """The commands of an environment that has the wheel, and the dependencies of this one."""
    home = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=home)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip()
    # A path in a .pth file does not run the .pth files of that path: the editable install stays out of sight.
    Path(site, "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python.parent


def away_from_home(folder: Path) -> dict[str, str]:
    """No key, no PYTHONPATH, an empty HOME, and a network that answers nobody."""
    nowhere = "http://127.0.0.1:9"
    return {
        "HOME": str(folder),
        "COHERE_API_KEY": "",
        "CO_API_URL": "",
        "PYTHONPATH": "",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "ALL_PROXY": nowhere,
    }


def test_an_installed_agentkit_is_not_the_checkout(installed, tmp_path):
    code = "import agentkit, agentkit.tools, agentkit.memory as m; print(agentkit.__file__, m.__file__)"
    files = run(installed / "python", "-c", code, cwd=tmp_path, **away_from_home(tmp_path))
    assert files.count(str(installed.parent)) == 2
    listed = run(installed / "agentkit", "--help", cwd=tmp_path, **away_from_home(tmp_path))
    assert listed == run(installed / "python", "-m", "agentkit", "--help", cwd=tmp_path, **away_from_home(tmp_path))


@needs_examples
def test_the_demo_runs_from_a_wheel_in_an_empty_folder(installed, tmp_path):
    home, folder = tmp_path / "home", tmp_path / "empty"
    home.mkdir()
    folder.mkdir()
    printed = run(installed / "agentkit", "demo", cwd=folder, **away_from_home(home))
    assert "scripted" in printed
    assert (
        "[{'urn': ['urn:75f2b737-06dd-4399-9206-a6c11b65138e'], "
        "'objref': ['GLCMS004AGTCAMIS', 'GLCHL000CGUCHALE'], 'nmgs': ['0000234GLCMS0100ANORAKCAA']}]\n"
    ) in printed
    assert "[{'taxonomies': ['SPORT']}]\n" in printed
    assert (
        "[{'objref': ['GLBRL0000GACHALE'], 'nmgs': ['0000234GLCZD0000GUREDTOAA']}, {'taxonomies': ['CARS']}]\n"
    ) in printed
    assert "[objects] Its y axis runs from 0 to 1000.\n" in printed
    assert (folder / "objects_revenue_plot.png").read_bytes().startswith(b"\x89PNG")


HEAVY = {"cohere", "langchain_cohere", "pandas", "numpy", "matplotlib", "sqlalchemy", "vcr"}
MEDIUM = {"langchain_core", "pydantic", "rich", "re2", "httpx", "asyncio"}


@pytest.mark.parametrize(
    ("start", "absent"),
    [
        ("import agentkit", HEAVY | MEDIUM),
        ("from agentkit.cli.app import main\ntry: main(['--help'])\nexcept SystemExit: pass", HEAVY | MEDIUM),
        ("from agentkit import Turn, Step", HEAVY | {"langchain_core", "httpx"}),
        ("from agentkit import Agent", HEAVY),
    ],
)
def test_a_start_loads_nothing_it_does_not_use(start, absent, tmp_path):
    code = f"{start}\nimport sys\nprint('loaded', *sorted({absent!r} & set(sys.modules)))"
    loaded = run(sys.executable, "-c", code, cwd=tmp_path).splitlines()[-1].split()
    assert loaded == ["loaded"]
