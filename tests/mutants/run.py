"""Do the tests bite? `python tests/mutants/run.py [WORD]`: every mutation of mutants.yaml must make one of its tests fail.

The mutations are made in a temporary copy of the files that git knows. Exits with 1 and names those that survive; WORD chooses
those whose file or reason contains it.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

ROOT = Path(__file__).parents[2]
AT_ONCE = 2


class Mutation(BaseModel):
    """One line made wrong."""

    model_config = ConfigDict(extra="forbid")
    file: str
    old: str
    """What is replaced; it occurs once in the file, or `nth` says which."""
    new: str
    nth: int | None = None
    why: str
    """What the mutation would mean."""
    tests: list[str]

    def applied(self, copy: Path) -> tuple[Path, str]:
        """The file and its mutated text; raises ValueError where the line is not the only one."""
        path = copy / self.file
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        count = text.count(self.old)
        if not count or (count != 1 and self.nth is None):
            raise ValueError(f"{self.file}: {self.old!r} occurs {count} times")
        parts = text.split(self.old)
        nth = self.nth or 1
        return path, self.old.join(parts[:nth]) + self.new + self.old.join(parts[nth:])


def main() -> int:
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    listed = yaml.safe_load((Path(__file__).parent / "mutants.yaml").read_text(encoding="utf-8"))
    mutations = [one for one in map(Mutation.model_validate, listed) if word in f"{one.file} {one.why}"]
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zerostart-mutants-") as folder:
        copies = [copied(Path(folder) / str(number)) for number in range(AT_ONCE)]
        if failed := run_tests(copies[0], sorted({test for one in mutations for test in one.tests})):
            print(f"without a mutation the tests fail already:\n{failed}")
            return 1
        with ThreadPoolExecutor(AT_ONCE) as pool:
            survived = list(pool.map(lambda one: survives(one, copies), mutations))
    print(f"{len(mutations)} mutations, {len(mutations) - sum(survived)} caught, in {time.monotonic() - started:.0f} s")
    return int(any(survived))


def copied(folder: Path) -> Path:
    """A copy of what git knows, as it lies there."""
    done = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True)
    for name in done.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def survives(mutation: Mutation, copies: list[Path]) -> bool:
    """Whether the tests pass in spite of it, or it cannot be made."""
    copy = copies.pop()
    try:
        path, mutated = mutation.applied(copy)
        original = path.read_text(encoding="utf-8")
        path.write_text(mutated, encoding="utf-8")
        caught = bool(run_tests(copy, mutation.tests))
        path.write_text(original, encoding="utf-8")
    except ValueError as error:
        print(f"SURVIVED {error}", flush=True)
        return True
    finally:
        copies.append(copy)
    print(f"{'caught  ' if caught else 'SURVIVED'} {mutation.file}: {mutation.why}", flush=True)
    return not caught


def run_tests(copy: Path, tests: list[str]) -> str:
    """What pytest says if a test fails, or nothing; raises RuntimeError when it cannot run them at all."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{' '.join(command)} ends with {done.returncode}:\n{done.stdout[-3000:]}")
    return done.stdout[-3000:] if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main())
