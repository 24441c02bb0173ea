"""Compile the formal proofs and see what they rest on (``formal/README.md``).

1. No proof is left out: words such as ``Admitted`` and ``Axiom`` are refused.
2. Every file compiles, under a time limit.
3. Every theorem of ``formal/Statements.v`` rests on the axioms of `ALLOWED` at most.
4. Every mutant is rejected: a definition or a statement changed in one place, close to the honest
   one, with which some file no longer compiles.

Usage::

    python scripts/prove.py [--json FILE]

Needs Coq and Coquelicot (Debian: ``coq``, ``libcoq-coquelicot``); nothing else but Python.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

FORMAL = Path(__file__).resolve().parent.parent / "formal"
STATEMENTS = "Statements.v"
SECONDS = 300  # for a file
# of the classical reals, and that functions with equal values are equal
ALLOWED = {
    "ClassicalDedekindReals.sig_forall_dec",
    "ClassicalDedekindReals.sig_not_dec",
    "Classical_Prop.classic",
    "FunctionalExtensionality.functional_extensionality_dep",
}
FORBIDDEN = (
    "Abort Admitted admit Axiom Axioms Conjecture Conjectures Parameter Parameters bypass_check"
    " give_up native_cast_no_check vm_cast_no_check"
).split()


class Mutant(NamedTuple):
    """A change with which the proofs must not compile: in a file, a text that occurs once, what
    takes its place.
    """

    file: str
    old: str
    new: str


MUTANTS = [
    Mutant("Definitions.v", "<= L * Rabs (x - y)", "< L * Rabs (x - y)"),
    Mutant("Definitions.v", "relu (t : R) := Rmax 0 t", "relu (t : R) := Rmax (-1) t"),
    Mutant("Definitions.v", "4 * relu (t - /2)", "3 * relu (t - /2)"),
    Mutant("Definitions.v", "(/4)^(S k) * sawtooth (S k) z", "(/4)^(S k) * sawtooth k z"),
    Mutant("Definitions.v", "epsilon (n : nat) := (/4)^(S n)", "epsilon (n : nat) := (/5)^(S n)"),
    Mutant("Definitions.v", "delta (n : nat) := (/2)^n", "delta (n : nat) := (/2)^(S n)"),
    Mutant("Definitions.v", "sq n (Rabs (a - b) / 2)", "sq n ((a - b) / 2)"),
    Mutant(
        "Definitions.v", "| xI k => mu n z (sq n (power n k z))", "| xI k => sq n (power n k z)"
    ),
    Mutant(
        "Definitions.v", "power_error n k + epsilon n) + epsilon n", "power_error n k + epsilon n)"
    ),
    Mutant("Definitions.v", "(2 * IPR k + 1) * delta n", "(2 * IPR k) * delta n"),
    Mutant(STATEMENTS, "if Nat.even j then t else 1 - t", "if Nat.even j then 1 - t else t"),
    Mutant(STATEMENTS, "forall k j t, (j < 2^k)%nat -> unit", "forall k j t, unit"),
    Mutant(STATEMENTS, "0 <= sq n z - z^2 <= epsilon n)", "0 <= sq n z - z^2 <= epsilon (S n))"),
    Mutant(
        STATEMENTS, "Lip unit_interval (delta n) (fun z", "Lip unit_interval (delta (S n)) (fun z"
    ),
    Mutant(STATEMENTS, "-> delta n <= L)", "-> delta n < L)"),
    Mutant(STATEMENTS, "(forall z, unit_interval z -> sq n z <= z)", "(forall z, sq n z <= z)"),
    Mutant(STATEMENTS, "<= 2 * (y - x)", "<= y - x"),
    Mutant(STATEMENTS, "sq n z + 1 - 2 * z)", "sq n z + 1 - z)"),
    Mutant(
        STATEMENTS, "Rabs (mu n a b - a * b) <= epsilon n", "Rabs (mu n a b - a * b) < epsilon n"
    ),
    Mutant(STATEMENTS, "<= a' - a)", "< a' - a)"),
    Mutant(STATEMENTS, "mu n a b <= Rmin a b", "mu n a b <= a * b"),
    Mutant(STATEMENTS, "0 <= power n k z <= z)", "0 <= power n k z <= z^2)"),
    Mutant(STATEMENTS, "close unit_interval (power_error n k)", "close unit_interval (epsilon n)"),
]


def files() -> list[str]:
    """The files of ``_CoqProject``, each after those it needs."""
    lines = (FORMAL / "_CoqProject").read_text().splitlines()
    return [line for line in lines if line.endswith(".v")]


def without_comments(text: str) -> str:
    """Coq's text without its comments, which may be nested."""
    kept, depth = [], 0
    for part in re.split(r"(\(\*|\*\))", text):
        if part == "(*":
            depth += 1
        elif part == "*)":
            depth -= 1
        elif depth == 0:
            kept.append(part)
    return "".join(kept)


def left_out() -> list[str]:
    """Words by which a proof could be left out, with the files they stand in."""
    found = []
    for name in files():
        words = set(re.findall(r"[A-Za-z_']+", without_comments((FORMAL / name).read_text())))
        found += [f"{name}: {word}" for word in FORBIDDEN if word in words]
    return found


def theorems() -> list[str]:
    """The names of the theorems of ``Statements.v``, in their order."""
    text = without_comments((FORMAL / STATEMENTS).read_text())
    return re.findall(r"^Theorem (\w+)", text, re.MULTILINE)


def compiled(folder: Path, name: str) -> subprocess.CompletedProcess:
    """The result of compiling a file of a folder, whose other files are compiled where it needs
    them.
    """
    command = ["coqc", "-R", ".", "Formal", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)


def axioms(folder: Path, name: str) -> list[str]:
    """What a theorem of the compiled ``Statements.v`` rests on."""
    query = folder / "Query.v"
    query.write_text(f"From Formal Require Statements.\nPrint Assumptions Statements.{name}.\n")
    answer = compiled(folder, query.name).stdout
    if answer.startswith("Closed under the global context"):
        return []
    assert answer.startswith("Axioms:"), answer
    return re.findall(r"^([\w.]+)\s*:", answer.removeprefix("Axioms:"), re.MULTILINE)


def survives(folder: Path, mutant: Mutant) -> bool:
    """Whether everything compiles with a mutant in place, in a folder of compiled files."""
    honest = (folder / mutant.file).read_text()
    assert honest.count(mutant.old) == 1, mutant
    names = files()
    try:
        (folder / mutant.file).write_text(honest.replace(mutant.old, mutant.new))
        affected = names[names.index(mutant.file) :]
        return all(compiled(folder, name).returncode == 0 for name in affected)
    finally:
        (folder / mutant.file).write_text(honest)


def prove(folder: Path) -> dict:
    """Everything, in a folder of its own; the record says what was found."""
    record: dict = {"left_out": left_out(), "seconds": {}, "axioms": {}, "mutants": []}
    for name in files():
        shutil.copy(FORMAL / name, folder)
        start = time.perf_counter()
        result = compiled(folder, name)
        record["seconds"][name] = round(time.perf_counter() - start, 1)
        if result.returncode:
            raise SystemExit(f"{name} does not compile:\n{result.stderr}")
    record["axioms"] = {name: axioms(folder, name) for name in theorems()}
    for number, mutant in enumerate(MUTANTS):
        scratch = folder / f"mutant{number}"
        shutil.copytree(folder, scratch, ignore=shutil.ignore_patterns("mutant*"))
        record["mutants"].append({**mutant._asdict(), "survived": survives(scratch, mutant)})
        shutil.rmtree(scratch)
    record["passed"] = (
        not record["left_out"]
        and all(set(found) <= ALLOWED for found in record["axioms"].values())
        and not any(m["survived"] for m in record["mutants"])
    )
    return record


def main(arguments: list[str] | None = None) -> int:
    """Print the record; 0 if everything is proved and every mutant rejected."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the record")
    options = parser.parse_args(arguments)
    if shutil.which("coqc") is None:
        print("error: coqc is not installed (Debian: coq, libcoq-coquelicot)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        record = prove(Path(folder))
    for name, found in record["axioms"].items():
        print(f"{name:16} rests on {', '.join(sorted(found)) or 'nothing'}")
    for word in record["left_out"]:
        print(f"FAILED: {word}")
    rejected = sum(not m["survived"] for m in record["mutants"])
    print(f"{rejected} of {len(record['mutants'])} mutants rejected")
    for mutant in record["mutants"]:
        if mutant["survived"]:
            print(f"FAILED: {mutant['file']} compiles with {mutant['new']}")
    seconds = sum(record["seconds"].values())
    print(f"{len(record['seconds'])} files in {seconds:.0f} s")
    if options.json is not None:
        Path(options.json).write_text(json.dumps(record, indent=1) + "\n")
    return 0 if record["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
