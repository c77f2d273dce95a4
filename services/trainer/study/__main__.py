"""Commands of the study: `python -m services.trainer.study --help`."""

import argparse
import asyncio
from pathlib import Path
from typing import Final

import msgspec
import torch

from libs.contracts.training import Recipe
from services.trainer.corpus.heldout import DEV, TEST
from services.trainer.progress import Progress
from services.trainer.study.chosen import EARLY, HABITS, RECIPE, chosen
from services.trainer.study.contest import contest
from services.trainer.study.customers import Habits
from services.trainer.study.exam import exam_rows
from services.trainer.study.learning import write_rows
from services.trainer.study.loop import Loop, Result, Trial
from services.trainer.study.planted import bad, good
from services.trainer.study.served import Served
from services.trainer.study.table import likeness_table, read_answers, shares_table, trials_table

BASE: Final = Path("deploy/starter/helpdesk")
KEYS: Final = (
    "polite/all@0.0",
    "polite/all@0.7",
    "right/changed prices@0.0",
    "right/changed prices@0.7",
    "right/facts@0.0",
    "right/facts@0.7",
    "right/shop questions@0.7",
    "right/unknown products@0.7",
    "right/small talk@0.7",
    "right/follow-ups@0.7",
)


def main() -> None:
    """Reads the command line and carries the command out."""
    given = _parser().parse_args()
    torch.set_num_threads(given.threads)
    given.do(given, Progress())


def try_one(given: argparse.Namespace, progress: Progress) -> None:
    """One trial, graded on development questions."""
    trial = Trial(
        name=given.name,
        seed=given.seed,
        habits=msgspec.convert(msgspec.to_builtins(HABITS) | _json(given.habits), Habits),
        recipe=msgspec.convert(msgspec.to_builtins(RECIPE) | _json(given.recipe), Recipe),
        early=() if given.one_round else EARLY,
        replay_groups=tuple(given.replay),
    )
    result = Loop(given.base, given.out, progress.note).run(trial)
    progress.note(trials_table([result], KEYS))


def three_seeds(given: argparse.Namespace, progress: Progress) -> None:
    """The chosen recipe on several seeds: a table of before and after."""
    loop = Loop(given.base, given.out, progress.note)
    suite = "test" if given.test else "dev"
    before = loop.base_figures(suite)
    trials = [chosen(f"good-{seed}", seed) for seed in given.seeds]
    after = [loop.run(trial, suite) for trial in trials]
    progress.note(f"{suite} questions, seeds {given.seeds}\n")
    progress.note(_tables(given.out, suite, before, after))


def plant(given: argparse.Namespace, progress: Progress) -> None:
    """Bad and good adapters with their recorded answers on the development questions."""
    loop = Loop(given.base, given.out, progress.note)
    loop.base_figures("dev")
    kinds = {"bad": bad, "good": good}
    for trial, mischief in kinds[given.kind]():
        if not given.only or trial.name in given.only:
            progress.note(trials_table([loop.run(trial, "dev", mischief)], KEYS))


def compete(given: argparse.Namespace, progress: Progress) -> None:
    """SFT, DPO and KTO against one another on development questions."""
    loop = Loop(given.base, given.out, progress.note)
    for trial in contest(given.seed):
        progress.note(trials_table([loop.run(trial)], KEYS))


def serve_loop(given: argparse.Namespace, progress: Progress) -> None:
    """The same turn through the public API of a running platform."""
    exam = write_rows(given.out / "exam.jsonl", exam_rows(TEST if given.test else DEV)).resolve()
    served = Served(given.url, (given.key, given.admin_key), given.model, progress.note)
    asyncio.run(served.turn(given.tenant, given.name, given.seed, exam))


def show(given: argparse.Namespace, progress: Progress) -> None:
    """Every trial so far."""
    lines = (given.out / "results.jsonl").read_bytes().splitlines()
    progress.note(trials_table([msgspec.json.decode(line, type=Result) for line in lines], KEYS))


def _tables(out: Path, suite: str, before: dict[str, float], after: list[Result]) -> str:
    base = read_answers(out / "base" / f"{suite}.jsonl")
    learned = [read_answers(out / one.trial.name / f"{suite}.jsonl") for one in after if not one.error]
    temperatures = sorted({one.temperature for one in base})
    parts = [shares_table(base, learned, temperature) for temperature in temperatures]
    return "\n\n".join([*parts, likeness_table(before, [one for one in after if not one.error])])


def _json(text: str) -> dict[str, object]:
    fields: dict[str, object] = msgspec.json.decode(text)
    return fields


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.trainer.study", description=__doc__)
    parser.add_argument("--base", type=Path, default=BASE)
    parser.add_argument("--out", type=Path, required=True, help="folder for ratings, adapters, answers and results")
    parser.add_argument("--threads", type=int, default=1)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("try", help="one trial on development questions")
    one.add_argument("name")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--habits", default="{}", help="JSON, over the chosen habits")
    one.add_argument("--recipe", default="{}", help="JSON, over the chosen recipe")
    one.add_argument("--one-round", action="store_true", help="only the base is asked")
    one.add_argument("--replay", nargs="*", default=[], help="groups whose good answers are replayed")
    one.set_defaults(do=try_one)
    seeds = commands.add_parser("seeds", help="the chosen recipe, several seeds, before and after")
    seeds.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds.add_argument("--test", action="store_true", help="on test questions: at the very end, and counted in LOG.md")
    seeds.set_defaults(do=three_seeds)
    planted = commands.add_parser("plant", help="bad and good adapters for the gate, with recorded answers")
    planted.add_argument("kind", choices=("bad", "good"))
    planted.add_argument("--only", nargs="*", default=[])
    planted.set_defaults(do=plant)
    methods = commands.add_parser("contest", help="SFT, DPO and KTO, several settings of each, one round")
    methods.add_argument("--seed", type=int, default=0)
    methods.set_defaults(do=compete)
    commands.add_parser("show", help="every trial so far").set_defaults(do=show)
    served = commands.add_parser("serve-loop", help="one turn through a running platform's public API")
    served.add_argument("--url", required=True, help="the gateway's root, without /v1")
    served.add_argument("--key", required=True)
    served.add_argument("--admin-key", required=True)
    served.add_argument("--model", default="helpdesk")
    served.add_argument("--name", default="helpdesk", help="of the version that is made; one that the pool serves")
    served.add_argument("--tenant", default="default", help="whose judgements the key makes")
    served.add_argument("--seed", type=int, default=0)
    served.add_argument("--test", action="store_true", help="on test questions, as with seeds")
    served.set_defaults(do=serve_loop)
    return parser


if __name__ == "__main__":
    main()
