"""Reads tasks of lm-evaluation-harness offline: local JSON, questions and answers by template, the usual metrics.

What is not here is refused, because a task that is read half gives figures that look right: other output types than
`generate_until`, filters, few-shot examples, functions, includes, data from the network.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import jinja2
import msgspec
import msgspec.yaml
from jinja2.sandbox import ImmutableSandboxedEnvironment

from libs.contracts.evaluation import Measure
from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import Item, TaskItems, checked, make_item

Doc = dict[str, Any]

_METRICS: Final = {
    "exact_match": Measure.EXACT_MATCH,
    "f1": Measure.TOKEN_F1,
    "acc": Measure.CLASSIFICATION,
    "bleu": Measure.BLEU,
    "rougeL": Measure.ROUGE_L,
}
_KNOWN: Final = frozenset(
    {
        "task", "task_alias", "tag", "group", "metadata", "description", "output_type", "dataset_path", "dataset_name",
        "dataset_kwargs", "test_split", "validation_split", "doc_to_text", "doc_to_target", "doc_to_choice",
        "generation_kwargs", "metric_list", "num_fewshot", "repeats", "should_decontaminate", "target_delimiter",
    }
)  # fmt: skip
_MOST_BYTES: Final = 512 << 20
_ENVIRONMENT: Final = ImmutableSandboxedEnvironment(
    undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False
)


def read_task(path: Path) -> TaskItems:
    """The items of a task in YAML whose data lie beside it.

    Raises:
        ServiceError: `bad_dataset`, the file asks for something that is not supported offline; the message says what.
    """
    config = _config(path)
    _refuse(config, path.name)
    docs = _docs(config, path)
    tags = config.get("tag", config.get("group", ()))
    tags = (tags,) if isinstance(tags, str) else tuple(str(tag) for tag in tags or ())
    items = checked((_item(config, doc, tags, f"{path.name}, row {n}") for n, doc in enumerate(docs, 1)), path.name)
    kwargs = config.get("generation_kwargs") or {}
    until = kwargs.get("until", ())
    return TaskItems(
        items.items,
        tuple(_METRICS[name] for name in _metric_names(config, path.name)),
        kwargs.get("max_gen_toks"),
        (until,) if isinstance(until, str) else tuple(until),
        (*items.notes, f"{path.name}: temperature and seeds are the plan's, whatever generation_kwargs says"),
    )


def _config(path: Path) -> dict[str, Any]:
    try:
        config = msgspec.yaml.decode(path.read_bytes())
    except OSError as error:
        raise ServiceError("bad_dataset", f"The task file {path.name} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        reason = str(error).replace("\n", " ")
        raise _bad(path.name, f"is not plain YAML (functions and includes are not supported): {reason}") from error
    if not isinstance(config, dict):
        raise _bad(path.name, "is not a mapping")
    return config


def _refuse(config: Mapping[str, Any], name: str) -> None:
    unknown = sorted(str(key) for key in config if key not in _KNOWN)
    if unknown:
        raise _bad(name, f"has fields that are not supported: {', '.join(unknown)}")
    if config.get("output_type", "generate_until") != "generate_until":
        raise _bad(name, "must have the output type `generate_until`: a served model is asked for text")
    if config.get("dataset_path") != "json":
        raise _bad(name, "must have `dataset_path: json` and local files in `dataset_kwargs.data_files`")
    if config.get("num_fewshot") or (config.get("repeats") or 1) != 1:
        raise _bad(name, "must not ask for few-shot examples or repeats; the plan's `samples` repeats")
    for needed in ("doc_to_text", "doc_to_target"):
        if not isinstance(config.get(needed), str):
            raise _bad(name, f"needs `{needed}`: a field's name or a template")


def _metric_names(config: Mapping[str, Any], name: str) -> list[str]:
    metrics = config.get("metric_list") or [{"metric": "exact_match"}]
    names = [str(one.get("metric")) if isinstance(one, dict) else str(one) for one in metrics]
    unknown = sorted(set(names) - set(_METRICS))
    if unknown:
        raise _bad(name, f"asks for metrics that are not supported: {', '.join(unknown)}")
    return list(dict.fromkeys(names))


def _docs(config: Mapping[str, Any], path: Path) -> list[Doc]:
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    split = config.get("test_split") or config.get("validation_split") or "test"
    named = files.get(split) if isinstance(files, dict) else files
    paths = [named] if isinstance(named, str) else named
    if not paths or not all(isinstance(one, str) for one in paths):
        raise _bad(path.name, f"names no local data file for the split {split!r}")
    return [doc for one in paths for doc in _rows(path.parent / one, path.name)]


def _rows(file: Path, name: str) -> list[Doc]:
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise _bad(name, f"names a data file of more than {_MOST_BYTES >> 20} MiB: {file.name}")
        data = file.read_bytes()
        if data.lstrip().startswith(b"["):
            return msgspec.json.decode(data, type=list[Doc])
        return [msgspec.json.decode(line, type=Doc) for line in data.splitlines() if line.strip()]
    except OSError as error:
        raise _bad(name, f"names a data file that cannot be read: {file.name}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise _bad(name, f"names a data file that is not JSON: {file.name}: {error}") from error


def _item(config: Mapping[str, Any], doc: Doc, tags: tuple[str, ...], where: str) -> Item:
    text = f"{config.get('description') or ''}{_render(config['doc_to_text'], doc, where)}"
    target = _value(config["doc_to_target"], doc, where)
    choices = config.get("doc_to_choice")
    labels = _value(choices, doc, where) if isinstance(choices, str) else choices or ()
    labels = tuple(str(one) for one in labels)
    if labels and isinstance(target, int):
        if not 0 <= target < len(labels):
            raise _bad(where, f"the target {target} is none of its {len(labels)} choices")
        target = labels[target]
    targets = [str(one) for one in target] if isinstance(target, list) else [str(target)]
    return make_item([{"role": "user", "content": text}], targets, tags=tags, labels=labels)


def _value(source: str, doc: Doc, where: str) -> Any:
    """A field as it is, or what a template gives; a text of digits or in brackets is read as the value it shows."""
    if source in doc:
        return doc[source]
    text = _render(source, doc, where)
    if text.isdigit():
        return int(text)
    if text.startswith("[") and text.endswith("]"):
        try:
            return msgspec.yaml.decode(text)
        except msgspec.DecodeError:
            return text
    return text


def _render(source: str, doc: Doc, where: str) -> str:
    if source in doc:
        return str(doc[source])
    try:
        return _ENVIRONMENT.from_string(source).render(**doc)
    except (jinja2.TemplateError, TypeError, ValueError, OverflowError) as error:
        raise _bad(where, f"a template does not work: {error}") from error


def _bad(where: str, what: str) -> ServiceError:
    return ServiceError("bad_dataset", f"{where} {what}.")
