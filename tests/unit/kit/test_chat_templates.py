"""Chat templates are rendered before they are believed: what works, what fails, and what would never end."""

import json
import os
from pathlib import Path

import pytest

from libs.contracts.registry import Kind
from libs.kit.chat_templates import render_templates
from libs.kit.errors import ServiceError
from libs.kit.publish import Description, scan
from libs.testkit.models import write_model

PLAIN = "{% for m in messages %}<|{{ m.role }}|>{{ m['content'] | trim }}{{ eos_token }}{% endfor %}"
STRICT = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}{{ m.content }}{% endfor %}"
)
PICTURES = (
    "{% for m in messages %}{% for part in m.content %}{% if part.type == 'image' %}<img>"
    "{% elif part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
)
TOOLS = (
    "{% if tools is none %}{{ raise_exception('only with tools') }}{% endif %}"
    "{% for t in tools %}{{ t | tojson(indent=2) }}{% endfor %}{{ messages[0].content }}{{ strftime_now('%d %b %Y') }}"
)
SPOKEN = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{% if loop.index > 9 %}{% break %}{% endif %}{% endfor %}"
)


def refusal(template: str) -> str:
    with pytest.raises(ServiceError) as caught:
        render_templates({"chat_template.jinja": template})
    assert (caught.value.code, caught.value.param) == ("unsafe_file", "chat_template.jinja")
    return caught.value.message


@pytest.mark.parametrize("template", [PLAIN, STRICT, PICTURES, TOOLS, SPOKEN])
def test_what_models_ship_is_rendered(template: str) -> None:
    render_templates({"chat_template.jinja": template})


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ messages[0].content.nowhere.further }}", "UndefinedError"),
        ("{{ raise_exception('never') }}", "never"),
        ("{{ messages[7]['content'] + 1 }}", "Error"),
        ("{{ 1 // 0 }}", "ZeroDivisionError"),
        ("{{ messages | tojson | length }}", "leaves out what the user said"),
        ("", "leaves out what the user said"),
        ("{{ messages.append(1) }}", "SecurityError"),
        (
            "{{ ''|attr('__class__') }}{{ ('' ~ messages[0].content).format.__self__ }}",
            "leaves out|SecurityError|Undef",
        ),
        ("{% for a in range(99999) %}{{ messages[0].content * 20 }}{% endfor %}", "more memory, or writes more"),
        ("{{ (messages[0].content * 1000000000) }}", "more memory, or writes more"),
    ],
)
def test_what_cannot_be_rendered_is_refused_and_says_why(template: str, why: str) -> None:
    with pytest.raises(ServiceError, match=why) as caught:
        render_templates({"chat_template.jinja": template})
    assert caught.value.code == "unsafe_file"


def test_a_template_that_would_run_for_hours_is_ended() -> None:
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = b %}{% endfor %}{% endfor %}"
    assert "takes more than" in refusal(endless)


def test_the_program_knows_nothing_of_this_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "jinja2.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "PYTHONPATH", str(tmp_path))
    render_templates({"chat_template.jinja": PLAIN})


@pytest.mark.parametrize("where", ["chat_template.jinja", "tokenizer_config.json"])
def test_a_publisher_hears_of_it_before_anything_is_sent(where: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model")
    broken = "{{ messages[0].content.nowhere.further }}"
    text = (
        json.dumps({"chat_template": [{"name": "tool_use", "template": broken}]}) if where.endswith("json") else broken
    )
    (model / where).write_text(text)
    with pytest.raises(ServiceError, match=where.replace(".", r"\.")) as caught:
        scan(model, Description(name="helpdesk", kind=Kind.MODEL))
    assert caught.value.code == "unsafe_file"
