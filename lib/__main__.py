"""The command line: ``python -m lib list | verify | mutate | approximate | train | robustness |
bench``.
"""

import argparse
import re
import sys
import time

from lib.errors import InputError, integer, require
from lib.experiments import check_file, write_json


def _bar(quiet):
    from tqdm import tqdm

    return lambda items, total=None: tqdm(
        items, total=total, file=sys.stderr, disable=quiet or None
    )


def _list(arguments):
    from lib.claims import select

    for claim in select():
        print(
            f"{claim.id:18} chapter {claim.chapter:02}  {claim.evidence.kind:9} {len(claim.grid):4}"
            f" points  {claim.source}"
        )
    return 0


def _verify(arguments):
    from lib.claims import select, verify, worst
    from lib.convresnet import threads

    claims = select(arguments.ids)
    start = time.perf_counter()
    jobs = min(threads(), len(claims))
    report = verify(claims, _bar(arguments.quiet), arguments.full, jobs)
    head = f"{'bound':>11} {'measured':>11} {'ratio':>7}  result"
    print(f"{'claim':18} {'evidence':9} {'norm':5} {head}")
    for row in report["claims"]:
        result = (
            f"  {'passed' if row['passed'] else 'FAILED'} ({len(row['points'])} points,"
            f" {row['seconds']:.1f} s)"
        )
        for norm, p in worst(row["points"]).items():
            ratio = f"{p['measured'] / p['bound']:7.3f}" if p["bound"] > 0 else "      -"
            print(
                f"{row['id']:18} {row['evidence']:9} {norm or '':5} {p['bound']:11.3e}"
                f" {p['measured']:11.3e} {ratio}{result}"
            )
            result = ""  # once
    print(f"{len(claims)} claims in {time.perf_counter() - start:.0f} s, processes: {jobs}")
    if arguments.json is not None:
        write_json(arguments.json, report)
    return 0 if all(row["passed"] for row in report["claims"]) else 1


def _mutate(arguments):
    from lib.claims import mutation_run
    from lib.convresnet import threads

    integer("--count", arguments.count, 1)
    integer("--seed", arguments.seed, 0)
    found = mutation_run(arguments.seed, arguments.count, _bar(arguments.quiet), threads())
    for row in found["mutants"]:
        if arguments.list or row["outcome"] == "survived":
            place = f"block {row['block']:2} layer {row['layer']:2} row {row['row']:4}"
            print(
                f"{row['number']:4} {row['network']:12} {row['kind']:26} {place}  {row['outcome']}:"
                f" {row['by']}"
            )
    outcomes = [row["outcome"] for row in found["mutants"]]
    print(
        f"seed {arguments.seed}: {len(outcomes)} mutants, "
        + ", ".join(f"{outcomes.count(o)} {o}" for o in ("caught", "harmless", "survived"))
        + f"; score {100 * found['score']:.1f} %"
    )
    if arguments.json is not None:
        write_json(arguments.json, found)
    return 0 if found["score"] == 1 else 1


def _approximate(arguments):
    from lib.approximation import run

    report = run(arguments, _bar(arguments.quiet))
    if arguments.json is not None:
        write_json(arguments.json, report)
    return 0 if report["passed"] else 1


def _train(arguments):
    from lib.convresnet import threads
    from lib.experiments import study

    if arguments.steps is not None:
        integer("--steps", arguments.steps, 1)
    rows = study(arguments.folder, threads(), _bar(arguments.quiet), arguments.steps)
    names = ("value", "slope", "mean_value", "mean_slope")
    print(f"{'start':12} {'trained on':17} " + " ".join(f"{name:>18}" for name in names))
    for (kind, slopes), row in rows.items():
        numbers = " ".join(f"{row[name][0]:9.3g} +- {row[name][1]:5.2g}" for name in names)
        print(f"{kind:12} {'value and slope' if slopes else 'value':17} {numbers}")
    return 0


def _robustness(arguments):
    from lib.convresnet import threads
    from lib.experiments import sweep

    require(all(e >= 1 for e in arguments.epochs), "--epochs", arguments.epochs, "positive")
    rows = sweep(
        arguments.folder,
        threads(),
        _bar(arguments.quiet),
        arguments.scheduler,
        arguments.data,
        tuple(arguments.epochs),
    )
    names = ("clean", "robust", "relative_slope", "slope", "lipschitz")
    print(
        f"{'training':9} {'epochs':>6} {'J':>3} {'M':>3} "
        + " ".join(f"{name:>16}" for name in names)
    )
    for (method, epochs, width, blocks), row in rows.items():
        numbers = " ".join(f"{row[name][0]:8.3g} +- {row[name][1]:4.1g}" for name in names)
        print(f"{method:9} {epochs:6} {width:3} {blocks:3} {numbers}")
    return 0


def _bench(arguments):
    from lib.experiments import BENCHMARKS, benchmark, machine

    for label in arguments.ids:
        require(label in BENCHMARKS, "row", label, f"one of {', '.join(BENCHMARKS)}")
    require(arguments.training > 0, "--training", arguments.training, "positive")
    print(", ".join(f"{name} {value}" for name, value in machine().items()))
    print(f"{'ratio':>9} {'ours':>11} {'other':>11}  row, case, unit", flush=True)

    def report(row):
        print(
            f"{row.ratio:9.3g} {row.ours:11.4g} {row.other:11.4g}  {row.id}: {row.case}"
            f" [{row.unit}]",
            flush=True,
        )

    found = benchmark(arguments.ids, arguments.training, report)
    for label, meaning in found["meaning"].items():
        print(f"{label:12} {meaning}")
    if arguments.json is not None:
        write_json(arguments.json, found)
    return 0


class _Parser(argparse.ArgumentParser):
    """One line and exit code 2 for a bad call."""

    def error(self, message):
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def version():
    import lib

    return lib.__version__


def _name(text):
    if not text:
        raise argparse.ArgumentTypeError("an empty name")
    return text


def _parser():
    parser = _Parser(prog="python -m lib", description=__doc__)
    parser.add_argument("--version", action="version", version=f"%(prog)s {version()}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser(
        "list", help="the claims, where they stand in the book, their evidence"
    ).set_defaults(run=_list)
    verify = commands.add_parser("verify", help="check claims; exit code 1 if one fails")
    verify.add_argument("ids", nargs="*", metavar="ID", help="claims to check (all by default)")
    verify.add_argument("--full", action="store_true", help="also the larger grid points")
    verify.add_argument("--json", type=_name, metavar="FILE", help="write the report")
    verify.add_argument("--quiet", action="store_true", help="no progress bar")
    verify.set_defaults(run=_verify)
    mutate = commands.add_parser(
        "mutate", help="change networks in one place each; exit code 1 if one survives"
    )
    mutate.add_argument("--seed", type=int, default=0)
    mutate.add_argument("--count", type=int, default=240)
    mutate.add_argument("--list", action="store_true", help="print every mutant")
    mutate.add_argument("--json", type=_name, metavar="FILE", help="write the list")
    mutate.add_argument("--quiet", action="store_true", help="no progress bar")
    mutate.set_defaults(run=_mutate)
    build = commands.add_parser(
        "approximate", help="build, check and save the network of a formula"
    )
    build.add_argument("formula")
    build.add_argument("--dim", type=int)
    build.add_argument(
        "--on",
        metavar="MANIFOLD",
        help="instead of the cube: circle, ellipse, trefoil, sphere, ellipsoid, torus, peanut, so3,"
        ' or formulas of a level set, as "(x1-1/2)**2 + (x2-1/2)**2 - 1/9"; the formula is in the'
        " coordinates of the space around it",
    )
    build.add_argument("--order", type=int, default=4)
    build.add_argument("--cells", type=int)
    build.add_argument("--budget", type=int, help="instead: at most so many terms")
    build.add_argument("--tolerance", type=float)
    build.add_argument("--kernel-size", type=int, default=2)
    build.add_argument("--blocks", type=int)
    build.add_argument("--terms-per-block", type=int)
    build.add_argument("--points", type=int, default=1 << 14)
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--out", type=_name, metavar="FOLDER", help="save the network there")
    build.add_argument("--json", type=_name, metavar="FILE", help="write the report")
    build.add_argument(
        "--certify", action="store_true", help="enclose both errors over the whole domain"
    )
    build.add_argument("--quiet", action="store_true", help="no progress bar")
    build.set_defaults(run=_approximate)
    train = commands.add_parser(
        "train", help="the built network against the same architecture trained, a record a run"
    )
    train.add_argument("folder", help="where records are; runs that have one are not repeated")
    train.add_argument("--steps", type=int, help="fewer steps than the book takes, for a trial")
    train.add_argument("--quiet", action="store_true", help="no progress bar")
    train.set_defaults(run=_train)
    robustness = commands.add_parser(
        "robustness", help="width x depth x training of image classifiers, a record a run"
    )
    robustness.add_argument("folder", help="where records are; runs that have one are not repeated")
    robustness.add_argument("--data", default="mnist5k", help="mnist5k (extra `images`) or digits")
    robustness.add_argument(
        "--epochs", type=int, nargs="+", default=[10, 40], help="training budgets"
    )
    robustness.add_argument(
        "--scheduler", metavar="tcp://HOST:PORT", help="run on a Dask cluster (extra `cluster`)"
    )
    robustness.add_argument("--quiet", action="store_true", help="no progress bar")
    robustness.set_defaults(run=_robustness)
    bench = commands.add_parser("bench", help="what it costs: ratios, each measured in this run")
    bench.add_argument("ids", nargs="*", metavar="ROW", help="rows to measure (all by default)")
    bench.add_argument(
        "--training", type=float, default=60.0, metavar="SECONDS", help="for each trained network"
    )
    bench.add_argument("--json", type=_name, metavar="FILE", help="write the report")
    bench.set_defaults(run=_bench)
    return parser


def main(argv=None):
    """Run the command line; returns the exit code (0 passed, 1 a check failed, 2 bad input)."""
    words = sys.argv[1:] if argv is None else argv
    # a formula that begins with a minus sign is no option: those begin with two, or are -h
    arguments = _parser().parse_args([f" {w}" if re.match(r"-(?!-|h$)", w) else w for w in words])
    try:
        if getattr(arguments, "json", None) is not None:
            check_file(arguments.json, "--json")
        return arguments.run(arguments)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
