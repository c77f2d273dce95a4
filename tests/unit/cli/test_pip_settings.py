"""What pip was told is told to uv, and what was told to uv already is left alone."""

from pathlib import Path

from cli.bootstrap.pip_settings import parse, uv_environment

LISTING = """\
:env:.find-links='/wheels /more'
:env:.default-timeout='180'
global.cert='/certificates.pem'
global.extra-index-url='\\nfile:///one\\nfile:///two'
global.find-links='/never'
install.trusted-host='mirror.example'
freeze.timeout='1'
"""


def test_variables_win_over_files_and_sections_of_other_commands_do_not_count() -> None:
    settings = parse(LISTING)

    assert settings["find-links"] == "/wheels /more"
    assert settings["trusted-host"] == "mirror.example"
    assert "timeout" not in settings


def test_each_setting_has_its_counterpart() -> None:
    assert uv_environment(parse(LISTING), {}) == {
        "UV_FIND_LINKS": "/wheels,/more",
        "UV_INDEX": "file:///one file:///two",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_HTTP_TIMEOUT": "180",
        "UV_INSECURE_HOST": "mirror.example",
        "SSL_CERT_FILE": "/certificates.pem",
    }


def test_the_main_index_and_a_proxy_are_carried_over() -> None:
    told = uv_environment({"index-url": "https://mirror.example/simple", "proxy": "http://proxy:3128"}, {})

    assert told["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert told["HTTPS_PROXY"] == told["HTTP_PROXY"] == "http://proxy:3128"


def test_what_is_set_for_uv_already_is_left_alone() -> None:
    mine = {"UV_FIND_LINKS": "/mine", "UV_INDEX_URL": "https://mine.example/simple", "SSL_CERT_FILE": "/mine.pem"}
    told = uv_environment({"find-links": "/pip", "index-url": "https://pip.example/simple", "cert": "/pip.pem"}, mine)

    assert told == {}


def test_the_torch_index_is_added_to_the_others() -> None:
    told = uv_environment({"extra-index-url": "file:///one"}, {"LLMOS_TORCH_INDEX": "https://torch.example/cpu"})

    assert told["UV_INDEX"] == "file:///one https://torch.example/cpu"


def test_home_is_expanded_in_paths_and_addresses_are_not_touched() -> None:
    told = uv_environment({"find-links": "~/wheels https://mirror.example/wheels/"}, {})

    assert told["UV_FIND_LINKS"] == f"{Path.home()}/wheels,https://mirror.example/wheels/"


def test_nothing_said_is_nothing_told() -> None:
    assert uv_environment({}, {}) == {}
