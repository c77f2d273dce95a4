"""Tasks of lm-evaluation-harness, read offline; what is not supported is refused by name."""

import json
from pathlib import Path

import pytest

from libs.contracts.evaluation import Measure
from libs.kit.errors import ServiceError
from services.trainer.evaluation.items import TaskItems, read_items

TASK = """
task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: sums.jsonl
test_split: test
output_type: generate_until
doc_to_text: "Q: {{a}} + {{b}} = ?\\n"
doc_to_target: "{{a + b}}"
generation_kwargs:
  until: ["\\n"]
  max_gen_toks: 8
  temperature: 0.3
metric_list:
  - metric: exact_match
  - metric: bleu
tag: maths
"""


def _read(directory: Path, text: str) -> TaskItems:
    (directory / "sums.jsonl").write_text("".join(json.dumps({"a": n, "b": 2, "is": "odd"}) + "\n" for n in range(3)))
    path = directory / "sums.yaml"
    path.write_text(text)
    return read_items(path)


def test_a_generative_task_becomes_items(tmp_path: Path) -> None:
    read = _read(tmp_path, TASK)
    assert [item.messages[0]["content"] for item in read.items] == [f"Q: {n} + 2 = ?\n" for n in range(3)]
    assert [item.references for item in read.items] == [("2",), ("3",), ("4",)]
    assert read.measures == (Measure.EXACT_MATCH, Measure.BLEU)
    assert (read.max_tokens, read.stop) == (8, ("\n",))
    assert all(item.tags == ("maths",) for item in read.items)


def test_a_field_may_be_named_instead_of_a_template(tmp_path: Path) -> None:
    text = TASK.replace('doc_to_target: "{{a + b}}"', "doc_to_target: is\ndescription: 'Sum up. '")
    read = _read(tmp_path, text)
    assert read.items[0].references == ("odd",)
    assert read.items[0].messages[0]["content"].startswith("Sum up. Q: 0")


def test_choices_are_labels_and_a_number_picks_one(tmp_path: Path) -> None:
    text = TASK.replace('"{{a + b}}"', '"{{a}}"\ndoc_to_choice: ["none", "one", "two"]').replace("exact_match", "acc")
    read = _read(tmp_path, text)
    assert [item.references[0] for item in read.items] == ["none", "one", "two"]
    assert read.items[0].labels == ("none", "one", "two")
    assert Measure.CLASSIFICATION in read.measures


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("output_type: generate_until", "output_type: multiple_choice", "generate_until"),
        ("dataset_path: json", "dataset_path: EleutherAI/gsm8k", "dataset_path: json"),
        ("test: sums.jsonl", "train: sums.jsonl", "names no local data file for the split 'test'"),
        ("test: sums.jsonl", "test: nowhere.jsonl", "cannot be read: nowhere.jsonl"),
        ("test: sums.jsonl", "test: sums.yaml", "that is not JSON"),
        ("task: sums", "task: sums\nnum_fewshot: 5", "few-shot"),
        ("task: sums", "task: sums\nfilter_list: []\nprocess_docs: x", "filter_list, process_docs"),
        ("task: sums", "task: sums\nprocess: !function utils.f", "not plain YAML"),
        ("task: sums", "include: other.yaml", "include"),
        ("metric: bleu", "metric: chrf", "chrf"),
        ("{{a}}", "{{missing}}", "a template does not work"),
        ("{{a}}", "{{ ''.__class__.__mro__ }}", "a template does not work"),
        ("{{a}}", "{{ range(999999999) }}", "a template does not work"),
        ("{{a}}", "{% if %}", "a template does not work"),
        ('doc_to_target: "{{a + b}}"', "doc_to_target: [1]", "needs `doc_to_target`"),
        ('"{{a + b}}"', '"{{a + 7}}"\ndoc_to_choice: ["x"]', "none of its 1 choices"),
    ],
)
def test_what_is_not_supported_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TASK
    with pytest.raises(ServiceError, match=says) as refused:
        _read(tmp_path, TASK.replace(old, new))
    assert refused.value.code == "bad_dataset"


@pytest.mark.parametrize("text", ["", "- a\n- b", "a: [", "\x00"])
def test_yaml_that_is_no_task_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ServiceError) as refused:
        _read(tmp_path, text)
    assert refused.value.code == "bad_dataset"
